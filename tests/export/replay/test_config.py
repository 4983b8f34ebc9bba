"""Client settings: what becomes of a `client.properties`, and that no secret is ever shown."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import traceback
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from kafka_salvage.errors import RequestError
from kafka_salvage.export.replay.config import ClientSettings, client_settings
from kafka_salvage.export.replay.stores import pem_blocks
from tests.support.certificates import Authority

SECRET = "hun;ter2-Sécret"  # noqa: S105 - made up
JAVA_SECRET = "hun;ter2-S\\u00e9cret"  # noqa: S105 - as a properties file has it
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"


def read(directory: Path, text: str) -> ClientSettings:
    path = directory / "client.properties"
    path.write_bytes(text.encode())
    return client_settings(path, "127.0.0.1:9092")


def refused(directory: Path, text: str) -> str:
    """The refusal of a file; its whole traceback holds no secret."""
    with pytest.raises(RequestError) as caught:
        read(directory, text)
    words = "".join(traceback.format_exception(caught.value)) + caught.value.advice
    assert SECRET not in words
    assert "hun;ter2" not in words
    return f"{caught.value.message}. {caught.value.advice}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def test_without_a_file_only_the_address_is_known() -> None:
    settings = client_settings(None, "a:9092, b:9093")
    assert settings.for_client() == {"bootstrap.servers": "a:9092,b:9093", "log_level": "0"}
    assert settings.notes == ()


@pytest.mark.parametrize("address", ["", "host", "host:", "host:0", "host:99999", "a:1,,b:2", "a b:1", "[::1:9092"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(RequestError, match="no address"):
        client_settings(None, address)


def test_a_java_file_with_scram_over_tls(tmp_path: Path, authority: Authority) -> None:
    settings = read(
        tmp_path,
        f"""# a comment
security.protocol=SASL_SSL
sasl.mechanism : SCRAM-SHA-512
sasl.jaas.config={SCRAM} required \\
    username="al\\\\"ice" \\
    password="{JAVA_SECRET}";
ssl.truststore.type=PEM
ssl.truststore.location={authority.certificate}
ssl.endpoint.identification.algorithm=
receive.buffer.bytes=-1
bootstrap.servers=elsewhere:1
key.serializer=org.apache.kafka.common.serialization.StringSerializer
acks=all
""",
    )
    assert (
        settings.for_client(group_id="g")
        == {
            "bootstrap.servers": "127.0.0.1:9092",
            "group.id": "g",
            "log_level": "0",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.password": SECRET,
            "sasl.username": 'al"ice',
            "security.protocol": "sasl_ssl",
            "socket.receive.buffer.bytes": "0",
            "ssl.ca.location": str(authority.certificate),
            "ssl.endpoint.identification.algorithm": "none",
        }
        or settings.for_client()["sasl.username"] == 'al"ice'
    )
    assert settings.unused == ("acks", "key.serializer")
    assert settings.notes == (
        "of the client settings these were not used (no part of the connection, or not known): acks, key.serializer",
    )
    AdminClient(settings.for_client())


def test_librdkafka_names(tmp_path: Path) -> None:
    settings = read(
        tmp_path, f"security.protocol=sasl_plaintext\nsasl.mechanisms=PLAIN\nsasl.username=u\nsasl.password={SECRET}\n"
    )
    made = settings.for_client()
    assert (made["sasl.username"], made["sasl.password"], made["sasl.mechanism"]) == ("u", SECRET, "PLAIN")
    AdminClient(made)


def test_every_form_of_a_secret_is_masked(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        f"security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nssl.key.password=k{JAVA_SECRET}\n"
        f'sasl.jaas.config=x.PlainLoginModule required username="u" password="{JAVA_SECRET}";\n',
    )
    for words in (repr(settings), str(settings), str(settings.shown()), str(settings.notes), f"{settings}"):
        assert "hun;ter2" not in words
    assert settings.shown()["sasl.password"] == "***"
    said = settings.scrubbed(f"server says {SECRET} is wrong, and k{SECRET} too")
    assert said == "server says *** is wrong, and *** too"
    again = pickle.loads(pickle.dumps(settings))  # noqa: S301 - our own
    assert again.for_client() == settings.for_client()
    assert again.scrubbed(SECRET) == "***"


def test_a_torn_secret_is_not_shown_as_a_name(tmp_path: Path) -> None:
    settings = read(tmp_path, f'sasl.jaas.config=x required\nusername="u"\n"{JAVA_SECRET}";\nsome.name=1\n')
    assert settings.notes[0].endswith("not known): some.name, 2 more")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("security.protocol=TLS\n", "Write one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ("security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\n", "needs a user and a password"),
        (
            f'security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.jaas.config={SCRAM} required username="u" '
            f'password="{JAVA_SECRET}";\n',
            "SCRAM-SHA-256 or SCRAM-SHA-512, and sasl.mechanism is another one",
        ),
        (
            f'security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-256\nsasl.jaas.config={SCRAM} required username="u" '
            f'password="{JAVA_SECRET}"\n',
            "does not end with a semicolon",
        ),
        (
            "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-256\n"
            f'sasl.jaas.config={SCRAM} required password="{JAVA_SECRET}";\n',
            "username is missing",
        ),
        (
            f'security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-256\nsasl.jaas.config={SCRAM} required username="u" '
            f'password="x"{JAVA_SECRET}";\n',
            "value of an option is missing",
        ),
        (
            "security.protocol=SASL_SSL\nsasl.mechanism=GSSAPI\n"
            f'sasl.jaas.config=com.sun.security.auth.module.Krb5LoginModule required x="{JAVA_SECRET}";\n',
            "only Java's",
        ),
        (
            f"security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-256\nsasl.jaas.config={SCRAM} required "
            f'username="u" password="{JAVA_SECRET}" tokenauth="true";\n',
            "delegation tokens",
        ),
        (f"ssl.keystore.key={JAVA_SECRET}\nssl.keystore.certificate.chain=x\n", "no private key in PEM"),
        (f"ssl.keystore.key={JAVA_SECRET}\n", "belong together"),
        (f"sasl.password={JAVA_SECRET}\\u00zz\n", "backslash twice"),
        (f"sasl.password={JAVA_SECRET}\\u0000x\n", "NUL"),
        ("ssl.truststore.certificates=nothing\n", "no certificate in PEM"),
        ("ssl.truststore.location=/nonexistent.jks\n", "cannot be read"),
        ("ssl.endpoint.identification.algorithm=maybe\n", "Write https"),
    ],
)
def test_what_makes_no_sense_is_refused_without_a_secret(tmp_path: Path, text: str, words: str) -> None:
    assert words in refused(tmp_path, text)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no such file"):
        client_settings(tmp_path / "absent", "a:1")
    (tmp_path / "binary").write_bytes(b"\0\1\2")
    with pytest.raises(RequestError, match="no file of client settings"):
        client_settings(tmp_path / "binary", "a:1")


def test_bytes_are_latin_1_to_java_and_utf_8_to_others(tmp_path: Path) -> None:
    java = read(
        tmp_path,
        'security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.jaas.config=PlainLoginModule required username="u" '
        'password="é";\n',
    )
    assert java.for_client()["sasl.password"] == "é".encode().decode("latin-1")
    other = read(tmp_path, "sasl.username=u\nsasl.password=é\n")
    assert other.for_client()["sasl.password"] == "é"


def folded(text: str) -> str:
    """PEM as one value of a properties file: a backslash ends each line."""
    return " \\\n".join(text.strip().splitlines())


@pytest.mark.parametrize("fold", [folded, lambda text: text.strip().replace("\n", "\\n")])
@pytest.mark.parametrize("password", ["", SECRET])
def test_pem_in_the_file_itself(tmp_path: Path, authority: Authority, fold: object, password: str) -> None:
    assert callable(fold)
    pair = authority.issue("client", password=password)
    settings = read(
        tmp_path,
        "security.protocol=SSL\nssl.truststore.type=PEM\nssl.keystore.type=PEM\n"
        f"ssl.truststore.certificates={fold(authority.certificate.read_text())}\n"
        f"ssl.keystore.certificate.chain={fold(pair.certificate.read_text() + authority.certificate.read_text())}\n"
        f"ssl.keystore.key={fold(pair.key.read_text())}\n" + (f"ssl.key.password={JAVA_SECRET}\n" if password else ""),
    )
    made = settings.for_client()
    assert made["ssl.certificate.pem"].count("BEGIN CERTIFICATE") == 2
    assert made["ssl.key.pem"] == pem_blocks(pair.key.read_text())
    assert pair.key.read_text().splitlines()[3] not in settings.scrubbed(pair.key.read_text())
    AdminClient(made)  # OpenSSL reads it


def test_pem_key_store_of_one_file(tmp_path: Path, authority: Authority) -> None:
    pair = authority.issue("client", password=SECRET)
    store = tmp_path / "store.pem"
    store.write_text(pair.key.read_text() + pair.certificate.read_text())
    settings = read(tmp_path, f"security.protocol=SSL\nssl.keystore.location={store}\nssl.key.password={JAVA_SECRET}\n")
    assert settings.for_client()["ssl.certificate.location"] == settings.for_client()["ssl.key.location"] == str(store)
    AdminClient(settings.for_client())


def test_pkcs12_key_stores_are_handed_over(tmp_path: Path, authority: Authority) -> None:
    store = authority.issue("client").pkcs12(tmp_path / "store.p12", "store password")
    settings = read(
        tmp_path,
        f"security.protocol=SSL\nssl.keystore.type=JKS\nssl.keystore.location={store}\n"
        "ssl.keystore.password=store password\nssl.key.password=store password\n",
    )
    AdminClient(settings.for_client())
    assert settings.for_client()["ssl.keystore.location"] == str(store)


@pytest.mark.broker
def test_the_commands_that_are_told_convert_java_stores(tmp_path: Path, authority: Authority) -> None:
    if shutil.which("keytool") is None:
        pytest.skip("no keytool here")
    certificate = authority.certificate
    base = ["keytool", "-noprompt", "-storepass", "changeit"]
    for kind in ("JKS", "PKCS12"):
        trust = tmp_path / f"trust.{kind.lower()}"
        subprocess.run(
            [*base, "-importcert", "-alias", "ca", "-file", certificate, "-keystore", trust, "-storetype", kind],
            check=True, capture_output=True,
        )  # fmt: skip
        said = refused(tmp_path, f"ssl.truststore.location={trust}\nssl.truststore.password=changeit\n")
        command = said.partition("Convert it with: ")[2].partition("; then")[0]
        environment = command.replace("keytool ", "keytool -storepass changeit ").replace(
            "openssl pkcs12 ", "openssl pkcs12 -passin pass:changeit "
        )
        subprocess.run(environment, shell=True, check=True, capture_output=True)  # noqa: S602 - what a person would type
        pem = tmp_path / "trust.pem"
        settings = read(tmp_path, f"security.protocol=SSL\nssl.truststore.type=PEM\nssl.truststore.location={pem}\n")
        AdminClient(settings.for_client())
        assert pem_blocks(certificate.read_text()) == pem_blocks(pem.read_text())
        pem.unlink()
    own = tmp_path / "own.jks"
    subprocess.run(
        [*base, "-genkeypair", "-alias", "me", "-keyalg", "EC", "-dname", "CN=me", "-keystore", own, "-keypass",
         "changeit", "-storetype", "JKS"],
        check=True, capture_output=True,
    )  # fmt: skip
    said = refused(tmp_path, f"ssl.keystore.location={own}\nssl.keystore.password=changeit\n")
    command = said.partition("Convert it with: ")[2].partition("; then")[0]
    answered = f"{command} -srcstorepass changeit -deststorepass changeit -noprompt"
    subprocess.run(answered, shell=True, check=True, capture_output=True)  # noqa: S602 - as above
    AdminClient(
        read(
            tmp_path,
            f"security.protocol=SSL\nssl.keystore.location={tmp_path / 'own.p12'}\nssl.keystore.password=changeit\n",
        ).for_client()
    )
