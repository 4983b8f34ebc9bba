"""What stops a replay is one clear sentence and exit 5, nothing is harmed, and the same command goes on once it is mended.

With them: TLS and logins, and that no secret is shown however talkative the tool is told to be.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewPartitions

from tests.broker.replays import bulk, consumed, planned
from tests.support.broker import Cluster
from tests.support.certificates import Authority
from tests.support.cluster import PASSWORDS, Security, Trio, everything
from tests.support.jars import run_tool, tools

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

PARTITIONS, RECORDS = 2, 2_000
Flags = list[str | Path]
WRONG = "a wrong one"


@pytest.fixture(scope="module")
def dead(kafka: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log directory of a broker that was killed, with 4,000 records."""
    with Cluster(tmp_path_factory.mktemp("small")) as cluster:
        cluster.start()
        cluster.create("events", PARTITIONS)
        bulk(cluster, "events", PARTITIONS, RECORDS)
        cluster.first.kill()
        return cluster.first.data


def replay(dead: Path, address: str, state: Path, target: str, *more: str | Path) -> tuple[int, str]:
    """Runs the command; exit code, and everything that it printed."""
    words = [str(dead), "--bootstrap-server", address, "--topic-map", f"events={target}", "--state", str(state)]
    done = subprocess.run(
        [sys.executable, "-m", "kafka_salvage", "replay", *words, *map(str, more), "--no-progress"],
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def refused(dead: Path, address: str, state: Path, target: str, *more: str | Path) -> str:
    """A replay that is stopped: exit 5, one sentence, no traceback. Returns what was printed."""
    code, told = replay(dead, address, state, target, "--execute", *more)
    assert code == 5, told
    assert sum(line.startswith("Error: ") for line in told.splitlines()) == 1, told
    assert "Traceback" not in told
    assert "%3|" not in told, "librdkafka's own log lines"
    return told


def goes_on(cluster: Trio, dead: Path, address: str, state: Path, target: str, *more: str | Path) -> None:
    code, told = replay(dead, address, state, target, "--execute", *more)
    assert code == 0, told
    for partition in range(PARTITIONS):
        read = [record[1:] for record in consumed(cluster, target, partition)]
        assert read == [planned("events", partition, number)[1:] for number in range(RECORDS)]


def test_too_few_partitions(trio: Trio, dead: Path, tmp_path: Path) -> None:
    trio.create_all({"few": 1})
    told = refused(dead, trio.address, tmp_path / "state", "few")
    assert "topic few" in told
    assert "partition" in told
    assert not consumed(trio, "few", 0)
    admin = trio.admin()
    for made in admin.create_partitions([NewPartitions("few", PARTITIONS)]).values():
        made.result(60)
    goes_on(trio, dead, trio.address, tmp_path / "state", "few")


def test_records_that_are_too_large_for_the_topic(trio: Trio, dead: Path, tmp_path: Path) -> None:
    trio.create_with({"narrow": PARTITIONS}, {"max.message.bytes": "100", "retention.ms": "-1"})
    told = refused(dead, trio.address, tmp_path / "state", "narrow")
    assert "max.message.bytes" in told
    trio.set_topic("narrow", max_message_bytes="1048588", retention_ms="-1")
    goes_on(trio, dead, trio.address, tmp_path / "state", "narrow")


def test_a_retention_that_would_delete_what_was_sent(trio: Trio, dead: Path, tmp_path: Path) -> None:
    trio.create_with({"short": PARTITIONS}, {"retention.ms": "86400000"})
    told = refused(dead, trio.address, tmp_path / "state", "short")
    assert "retention.ms" in told
    trio.set_topic("short", retention_ms="-1")
    goes_on(trio, dead, trio.address, tmp_path / "state", "short")


def test_a_topic_that_overwrites_timestamps(trio: Trio, dead: Path, tmp_path: Path) -> None:
    trio.create_with({"stamping": PARTITIONS}, {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"})
    told = refused(dead, trio.address, tmp_path / "state", "stamping")
    assert "message.timestamp.type" in told


def test_a_topic_that_holds_something_else(trio: Trio, dead: Path, tmp_path: Path) -> None:
    trio.create_all({"taken": PARTITIONS})
    trio.produce("taken", 0, [{"value": b"theirs"}])
    told = refused(dead, trio.address, tmp_path / "state", "taken")
    assert "taken" in told
    assert "--append" in told
    assert [record[3] for record in consumed(trio, "taken", 0)] == [b"theirs"]


def test_a_topic_that_is_not_there(trio: Trio, dead: Path, tmp_path: Path) -> None:
    told = refused(dead, trio.address, tmp_path / "state", "absent")
    assert "--create-topics" in told
    goes_on(
        trio, dead, trio.address, tmp_path / "state", "absent", "--create-topics", "--replication-factor", "3",
        "--topic-config", "retention.ms=-1",
    )  # fmt: skip


def test_an_unreachable_cluster(dead: Path, tmp_path: Path) -> None:
    told = refused(dead, "127.0.0.1:1", tmp_path / "state", "nowhere")
    assert "no broker answers at 127.0.0.1:1" in told
    told = refused(dead, "no-such-host.invalid:9092", tmp_path / "state", "nowhere")
    assert "no-such-host.invalid" in told


def silent(told: str) -> None:
    """No secret, nor the beginning of one, is in what was printed."""
    for password in PASSWORDS.values():
        for piece in (password, password[:9], password.replace("\\", "\\\\").replace('"', '\\"')):
            assert piece not in told
    assert WRONG not in told


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_login_over_tls(secured: Trio, dead: Path, tmp_path: Path, mechanism: str) -> None:
    everything(secured, "alice")
    config = secured.properties(tmp_path / "client.properties", mechanism=mechanism)
    topic = f"login.{mechanism.lower()}"
    flags: Flags = ["--create-topics", "--topic-config", "retention.ms=-1", "--command-config", config, "-vv"]
    code, told = replay(dead, secured.secure_address, tmp_path / "state", topic, "--dry-run", *flags)
    assert code == 0, told
    silent(told)
    goes_on(secured, dead, secured.secure_address, tmp_path / "state", topic, *flags)


def test_a_wrong_password(secured: Trio, dead: Path, tmp_path: Path) -> None:
    everything(secured, "alice")
    for mechanism in ("PLAIN", "SCRAM-SHA-512"):
        config = secured.properties(tmp_path / "client.properties", mechanism=mechanism, password=WRONG)
        flags: Flags = ["--create-topics", "--topic-config", "retention.ms=-1", "--command-config", config]
        told = refused(dead, secured.secure_address, tmp_path / "state", "password", *flags)
        assert "refused the login" in told
        silent(told)
        code, told = replay(dead, secured.secure_address, tmp_path / "state", "password", "--execute", *flags, "-vv")
        assert code == 5
        assert "Traceback" in told
        silent(told)
    config = secured.properties(tmp_path / "client.properties")
    goes_on(
        secured, dead, secured.secure_address, tmp_path / "state", "password", "--create-topics", "--topic-config",
        "retention.ms=-1", "--command-config", config,
    )  # fmt: skip


def test_a_certificate_of_somebody_else(secured: Trio, dead: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other").certificate
    config = secured.properties(tmp_path / "client.properties", ssl_truststore_location=str(other))
    told = refused(dead, secured.secure_address, tmp_path / "state", "tls", "--command-config", config)
    assert "TLS" in told
    silent(told)
    plain = tmp_path / "plain.properties"
    plain.write_text("security.protocol=PLAINTEXT\n")
    told = refused(dead, secured.secure_address, tmp_path / "state", "tls", "--command-config", plain)
    assert "expects TLS" in told


def test_no_permission(secured: Trio, dead: Path, tmp_path: Path) -> None:
    secured.create_with({"forbidden": PARTITIONS}, {"retention.ms": "-1"})
    config = secured.properties(tmp_path / "client.properties", user="mallory")
    flags: Flags = ["--command-config", config]
    told = refused(dead, secured.secure_address, tmp_path / "state", "forbidden", *flags)
    assert "forbidden" in told or "permission" in told
    secured.allow("mallory", ResourceType.TOPIC, "forbidden", [AclOperation.DESCRIBE, AclOperation.READ])
    told = refused(dead, secured.secure_address, tmp_path / "state", "forbidden", *flags)
    assert "permission" in told
    assert not consumed(secured, "forbidden", 0)
    secured.allow("mallory", ResourceType.TOPIC, "forbidden", [AclOperation.WRITE])
    # Without a word on transactional ids it goes without transactions: an idempotent producer, and reading back.
    goes_on(secured, dead, secured.secure_address, tmp_path / "state", "forbidden", *flags)
    silent(told)


def test_a_client_certificate(kafka: Path, dead: Path, tmp_path: Path) -> None:
    security = Security("SSL", tmp_path / "certificates", client_certificates=True)
    with Trio(tmp_path / "nodes", 1, security=security) as cluster:
        cluster.start()
        everything(cluster, "CN=alice")
        secret = PASSWORDS["alice"]
        pair = security.authority.issue("alice", password=secret)
        folded = " \\\n".join(pair.key.read_text().strip().splitlines())
        chain = " \\\n".join(pair.certificate.read_text().strip().splitlines())
        config = cluster.properties(
            tmp_path / "client.properties", ssl_keystore_type="PEM", ssl_keystore_certificate_chain=chain,
            ssl_keystore_key=folded, ssl_key_password=secret.replace("\\", "\\\\"),
        )  # fmt: skip
        flags: Flags = ["--create-topics", "--topic-config", "retention.ms=-1", "--command-config", config, "-vv"]
        goes_on(cluster, dead, cluster.secure_address, tmp_path / "state", "mutual", *flags)
        told = refused(
            dead, cluster.secure_address, tmp_path / "other", "mutual", "--command-config",
            cluster.properties(tmp_path / "bare.properties"),
        )  # fmt: skip
        assert "TLS" in told or "no broker answers" in told


@pytest.fixture(scope="module")
def programs(kafka: Path) -> Path:
    return tools()


def test_kafkas_own_program_reads_the_same_settings(secured: Trio, programs: Path, tmp_path: Path) -> None:
    everything(secured, "alice")
    config = secured.properties(tmp_path / "client.properties")
    done = run_tool(
        "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", secured.secure_address, "--command-config",
        str(config), "--list", directory=tmp_path, classpath=programs,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
