"""Client settings: how to reach a cluster, from `--bootstrap-server` and `--command-config`.

Strategy: the file is Java's `client.properties` or holds librdkafka's own names, mixed as one likes. What concerns the
connection is translated; what a replay sets itself, and what nobody knows, is named once and not used. A value that may be a
secret never reaches a message: `ClientSettings` shows none, and `ClientSettings.scrubbed` takes them out of the words of
others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafka_salvage.errors import RequestError, SourceError
from kafka_salvage.export.replay.jaas import read_jaas
from kafka_salvage.export.replay.stores import keystore, truststore
from kafka_salvage.wire.java_text import read_properties

LONGEST = 1 << 20
"""No file of settings is larger."""
MASK = "***"

SECRETS = frozenset(
    {
        "sasl.password", "sasl.jaas.config", "ssl.key.password", "ssl.keystore.password", "ssl.truststore.password",
        "ssl.key.pem", "ssl.keystore.key", "sasl.oauthbearer.client.secret", "sasl.oauthbearer.config",
        "sasl.oauthbearer.assertion.private.key.passphrase", "sasl.oauthbearer.assertion.private.key.pem",
        "ssl.engine.location",
    }
)  # fmt: skip
"""Settings of either world that hold a secret."""

_PASSED = frozenset(
    {
        "broker.address.family", "broker.address.ttl", "client.dns.lookup", "client.id", "client.rack",
        "connections.max.idle.ms", "enable.ssl.certificate.verification",
        "metadata.max.age.ms", "reconnect.backoff.max.ms", "reconnect.backoff.ms", "retry.backoff.max.ms",
        "retry.backoff.ms", "socket.connection.setup.timeout.ms", "socket.keepalive.enable", "socket.max.fails",
        "socket.nagle.disable", "socket.receive.buffer.bytes", "socket.send.buffer.bytes", "socket.timeout.ms",
        "ssl.ca.certificate.stores", "ssl.ca.location", "ssl.ca.pem", "ssl.certificate.location", "ssl.certificate.pem",
        "ssl.cipher.suites", "ssl.crl.location", "ssl.curves.list", "ssl.engine.id", "ssl.engine.location",
        "ssl.key.location", "ssl.key.password", "ssl.key.pem", "ssl.providers", "ssl.sigalgs.list",
        "topic.metadata.refresh.interval.ms",
    }
)  # fmt: skip
"""Names that librdkafka knows and that concern the connection only (most are Java's too)."""
_PASSED_SASL = re.compile(
    r"sasl\.(username|password|kerberos\.(service\.name|principal|kinit\.cmd|keytab|min\.time\.before\.relogin)"
    r"|oauthbearer\.(config|method|client\.id|client\.secret|scope|extensions|token\.endpoint\.url))"
)
_JAVA_BUFFERS = {"send.buffer.bytes": "socket.send.buffer.bytes", "receive.buffer.bytes": "socket.receive.buffer.bytes"}
_PROTOCOLS = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")
_USER_AND_PASSWORD = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_MODULES = {"PlainLoginModule": ("PLAIN",), "ScramLoginModule": ("SCRAM-SHA-256", "SCRAM-SHA-512")}
_NAME = re.compile(r"[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)+|acks|retries")
"""What is shown of a name that is not used; another may be a torn piece of a secret."""
_SHOWN = 12
_ADDRESS = re.compile(r"(?:[A-Za-z]+://)?(\[[0-9A-Fa-f:.%]+\]|[^\s,:/\[\]]+):(\d{1,5})")


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How to reach a cluster.

    Attributes:
        bootstrap: ``host:port``, several with commas.
        unused: names in the file that were not used, sorted.
    """

    bootstrap: str
    unused: tuple[str, ...] = ()
    _values: Mapping[str, str] = field(default_factory=dict, repr=False)
    _secrets: tuple[str, ...] = field(default=(), repr=False)

    def __repr__(self) -> str:
        return f"ClientSettings({self.bootstrap}, {self.shown()})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Settings may be handed to another process of ours."""
        return ClientSettings, (self.bootstrap, self.unused, dict(self._values), self._secrets)

    def shown(self) -> dict[str, str]:
        """What may be shown of the settings: no value of a secret."""
        return {name: MASK if name in SECRETS else value for name, value in sorted(self._values.items())}

    def for_client(self, **more: Any) -> dict[str, Any]:
        """A client's configuration, secrets included: to be handed to it at once, and kept nowhere.

        Args:
            **more: further settings and callbacks (``…_cb``); ``_`` in another name stands for ``.``. They win.
        """
        wanted = {name if name.endswith("_cb") else name.replace("_", "."): value for name, value in more.items()}
        return {"log_level": "0", **self._values, "bootstrap.servers": self.bootstrap, **wanted}

    def scrubbed(self, text: object) -> str:
        """Somebody else's words without any secret of ours."""
        made = str(text)
        for secret in self._secrets:
            made = made.replace(secret, MASK)
        return made

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the file; one sentence at most."""
        if not self.unused:
            return ()
        plain = [name for name in self.unused if _NAME.fullmatch(name)][:_SHOWN]
        more = len(self.unused) - len(plain)
        names = ", ".join([*plain, *([f"{more} more"] if more else [])])
        return (f"of the client settings these were not used (no part of the connection, or not known): {names}",)


def client_settings(path: Path | None, bootstrap: str) -> ClientSettings:
    """The settings for a cluster.

    Args:
        path: what `--command-config` names.
        bootstrap: what `--bootstrap-server` names; one in the file is not used.

    Raises:
        RequestError: the file or a value makes no sense; the sentence holds no secret.
        SourceError: the file cannot be read.
    """
    for address in bootstrap.split(","):
        match = _ADDRESS.fullmatch(address.strip())
        if match is None or not 0 < int(match[2]) < 1 << 16:
            raise RequestError(f"{address!r} is no address of a broker", advice="Write HOST:PORT, several with commas.")
    given = {} if path is None else _read(path)
    made = _Translation(given)
    values = made.values()
    return ClientSettings(
        ",".join(address.strip() for address in bootstrap.split(",")), made.unused(), values, _secrets(given, values)
    )


def _read(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as stream:
            data = stream.read(LONGEST + 1)
    except FileNotFoundError:
        raise RequestError(
            f"{path}: there is no such file", advice="Give --command-config a file of settings."
        ) from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > LONGEST or b"\0" in data:
        raise RequestError(f"{path} is no file of client settings", advice="Give a client.properties.")
    try:
        # Java reads a properties file as ISO 8859-1; one without Java's own names may be UTF-8.
        text = data.decode("latin-1" if b"sasl.jaas.config" in data else "utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    found = read_properties(text)
    if isinstance(found, str):
        raise RequestError(f"{path}: {found}", advice="Write a backslash twice where one is meant.")
    for name, value in found.items():
        if "\0" in value:
            raise RequestError(f"{path}: the value of {name} holds a NUL character", advice="Correct the file.")
    return found


def _secrets(given: Mapping[str, str], values: Mapping[str, str]) -> tuple[str, ...]:
    """Every form in which a secret may appear in somebody's words, longest first; what is too short hides nothing."""
    found: set[str] = set()
    for name, value in [*given.items(), *values.items()]:
        if name in SECRETS or "password" in name or "secret" in name:
            found |= {value, value.strip(), *value.split("\n")} if "\n" in value else {value, value.strip()}
    return tuple(sorted((each for each in found if len(each) > 2), key=lambda each: (-len(each), each)))


class _Translation:
    """The settings of one file on their way to librdkafka's names."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given
        self._used: set[str] = {"bootstrap.servers"}

    def values(self) -> dict[str, str]:
        """Names and values for a client. Raises: RequestError."""
        made: dict[str, str] = {}
        made.update(self._protocol())
        made.update(self._stores())
        made.update(self._passed())
        made.update(self._sasl(made))
        for name, value in made.items():
            if value == "" and name in ("sasl.username", "ssl.ca.location", "ssl.certificate.location"):
                raise RequestError(f"{name} is empty", advice="Give it a value, or take it out of the file.")
        return made

    def unused(self) -> tuple[str, ...]:
        """Names that nothing was made of."""
        return tuple(sorted(name for name in self._given if name not in self._used))

    def _take(self, name: str) -> str | None:
        self._used.add(name)
        return self._given.get(name)

    def _protocol(self) -> Iterator[tuple[str, str]]:
        protocol = self._take("security.protocol")
        if protocol is not None:
            if protocol.strip().lower() not in _PROTOCOLS:
                raise RequestError(
                    "security.protocol is none that there is",
                    advice=f"Write one of {', '.join(name.upper() for name in _PROTOCOLS)}.",
                )
            yield "security.protocol", protocol.strip().lower()
        algorithm = self._take("ssl.endpoint.identification.algorithm")
        if algorithm is not None:
            wanted = algorithm.strip().lower() or "none"
            if wanted not in ("https", "none"):
                raise RequestError(
                    "ssl.endpoint.identification.algorithm is none that there is",
                    advice="Write https, or nothing to believe a certificate whatever host it names.",
                )
            yield "ssl.endpoint.identification.algorithm", wanted

    def _stores(self) -> dict[str, str]:
        for name in ("type", "password", "location", "certificates"):
            self._take(f"ssl.truststore.{name}")
        for name in ("type", "password", "location", "key", "certificate.chain"):
            self._take(f"ssl.keystore.{name}")
        self._take("ssl.key.password")
        return {**truststore(self._given), **keystore(self._given)}

    def _passed(self) -> Iterator[tuple[str, str]]:
        for name, value in self._given.items():
            other = _JAVA_BUFFERS.get(name)
            if other is not None:
                self._used.add(name)
                yield other, "0" if value.strip() == "-1" else value.strip()
            elif name in _PASSED or _PASSED_SASL.fullmatch(name):
                if name == "ssl.cipher.suites" and "TLS_" in value and "-" not in value:
                    continue  # Java's names of ciphers are not OpenSSL's
                self._used.add(name)
                yield name, value if name in SECRETS or name == "sasl.username" else value.strip()

    def _sasl(self, made: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        plural = self._take("sasl.mechanisms")
        mechanism = (self._take("sasl.mechanism") or plural or "").strip()
        jaas = self._take("sasl.jaas.config")
        if not made.get("security.protocol", "plaintext").startswith("sasl"):
            return
        if jaas is not None and "sasl.username" not in made:
            username, password = _login(jaas, mechanism or "GSSAPI")
            yield "sasl.username", username
            yield "sasl.password", password
        elif mechanism in _USER_AND_PASSWORD and not {"sasl.username", "sasl.password"} <= made.keys():
            raise RequestError(
                f"sasl.mechanism {mechanism} needs a user and a password",
                advice="Set sasl.jaas.config, or sasl.username and sasl.password.",
            )
        if mechanism:
            yield "sasl.mechanism", mechanism


def _login(jaas: str, mechanism: str) -> tuple[str, str]:
    """User and password of a `sasl.jaas.config`. Raises: RequestError."""
    entry = read_jaas(jaas)
    advice = (
        "Write for example: sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required "
        'username="…" password="…";'
    )
    if isinstance(entry, str):
        raise RequestError(f"sasl.jaas.config: {entry}", advice=advice)
    mechanisms = _MODULES.get(entry.module.rpartition(".")[2])
    if mechanisms is None:
        raise RequestError(
            f"sasl.jaas.config: a login module other than {' and '.join(_MODULES)} is only Java's",
            advice="For Kerberos and OAUTHBEARER set librdkafka's own names (sasl.kerberos.…, sasl.oauthbearer.…).",
        )
    if mechanism not in mechanisms:
        raise RequestError(
            f"sasl.jaas.config logs in by {' or '.join(mechanisms)}, and sasl.mechanism is another one",
            advice=f"Set sasl.mechanism={mechanisms[-1]}.",
        )
    if entry.options.get("tokenauth", "").lower() == "true":
        raise RequestError(
            "sasl.jaas.config: delegation tokens (tokenauth) are only Java's", advice="Give a user and a password."
        )
    missing = [name for name in ("username", "password") if not entry.options.get(name)]
    if missing:
        raise RequestError(f"sasl.jaas.config: {' and '.join(missing)} is missing", advice=advice)
    return entry.options["username"], entry.options["password"]
