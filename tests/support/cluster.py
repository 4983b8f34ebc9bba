"""A cluster for tests: three brokers on loopback with small heaps, plain or with TLS, logins and ACLs.

Node 1 is controller and broker, the others are brokers. Every node has a plain listener, over which the nodes and the test
itself talk; a secured cluster has a second one, `Trio.secure_address`, for the clients that are tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)
from confluent_kafka.cimpl import NewTopic

from tests.support.broker import Cluster, Node, free_ports, until
from tests.support.certificates import Authority
from tests.support.jars import VERSION

REPLICATED: dict[str, str] = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "broker.session.timeout.ms": "4000",
    "controlled.shutdown.enable": "true",
    "leader.imbalance.check.interval.seconds": "10",
    "num.replica.fetchers": "1",
    "log.cleaner.dedupe.buffer.size": "2097152",
}
"""Everything on three nodes; a dead one is noticed within seconds."""
PASSWORDS = {"alice": 'al"ice;=s\\ecret', "mallory": "mallory's secret"}
"""Users of a secured cluster, with PLAIN and both kinds of SCRAM."""
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"


def quoted(text: str) -> str:
    """Text as a JAAS option of a properties file: quoted for JAAS, and its backslashes for the file."""
    inner = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inner}"'.replace("\\", "\\\\")


@dataclass(frozen=True)
class Security:
    """What the second listener asks for.

    Attributes:
        protocol: ``SSL``, ``SASL_PLAINTEXT`` or ``SASL_SSL``.
        directory: where certificates are made.
        client_certificates: clients must show one.
    """

    protocol: str
    directory: Path
    client_certificates: bool = False
    authority: Authority = field(init=False)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        object.__setattr__(self, "authority", Authority(self.directory))

    def settings(self) -> dict[str, str]:
        """Of a broker."""
        pair = self.authority.issue("broker")
        store = pair.key.with_name(f"{pair.key.stem}.store")
        store.write_text(pair.key.read_text() + pair.certificate.read_text())
        users = " ".join(f"user_{name}={quoted(password)}" for name, password in PASSWORDS.items())
        return {
            "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SECURE:{self.protocol}",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "listener.name.secure.plain.sasl.jaas.config": f"{_PLAIN} required {users};",
            "listener.name.secure.scram-sha-256.sasl.jaas.config": f"{_SCRAM} required;",
            "listener.name.secure.scram-sha-512.sasl.jaas.config": f"{_SCRAM} required;",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(store),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.certificate),
            "ssl.client.auth": "required" if self.client_certificates else "none",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }


@dataclass
class SecuredNode(Node):
    """A node with a second listener."""

    security: Security | None = None
    secure_port: int = 0

    def settings(self) -> dict[str, str]:
        """Its server.properties."""
        made = super().settings()
        if self.security is None:
            return made
        address = f"SECURE://127.0.0.1:{self.secure_port}"
        return {
            **made,
            **self.security.settings(),
            "listeners": f"{made['listeners']},{address}",
            "advertised.listeners": f"{made['advertised.listeners']},{address}",
        }


class Trio(Cluster):
    """Three nodes (or another number) that start side by side; leaves no process behind.

    Args:
        root: an empty directory.
        nodes: how many.
        extra: settings on top of `REPLICATED`.
        security: of the second listener; None for none.
        version: release of Kafka.
    """

    def __init__(
        self,
        root: Path,
        nodes: int = 3,
        extra: Mapping[str, str] | None = None,
        *,
        security: Security | None = None,
        version: str = VERSION,
    ) -> None:
        free = free_ports(3 * nodes)
        ports = {n: (free[3 * n - 3], free[3 * n - 2]) for n in range(1, nodes + 1)}
        few = {name: "1" for name in REPLICATED if "replication.factor" in name or ".isr" in name or "insync" in name}
        settings = {**REPLICATED, **(few if nodes < 3 else {}), **(extra or {})}
        self.secured = {
            n: SecuredNode(
                root / f"node-{n}", n, ports, settings, version, security=security, secure_port=free[3 * n - 1]
            )
            for n in ports
        }
        self.nodes: dict[int, Node] = dict(self.secured)
        self.security = security

    def __enter__(self) -> Trio:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda node: node.format(), self.nodes.values()))
        return self

    def start(self) -> None:
        """Starts all nodes side by side; users of a secured cluster get their passwords."""
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            for started in [pool.submit(node.start) for node in self.nodes.values()]:
                started.result()
        if self.security is not None:
            self._add_users()

    def _add_users(self) -> None:
        admin = self.admin()
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):  # a user once per request
            wanted: list[UserScramCredentialAlteration] = [
                UserScramCredentialUpsertion(name, ScramCredentialInfo(mechanism, 4096), password.encode())
                for name, password in PASSWORDS.items()
            ]
            for done in admin.alter_user_scram_credentials(wanted).values():
                done.result(60)

    @property
    def address(self) -> str:
        """Where clients of the test itself connect, in the clear."""
        return ",".join(node.address for node in self.nodes.values())

    @property
    def secure_address(self) -> str:
        """Where clients that are tested connect."""
        return ",".join(f"127.0.0.1:{node.secure_port}" for node in self.secured.values())

    def create_all(self, topics: Mapping[str, int], replicas: Mapping[int, Sequence[int]] | None = None) -> None:
        """Creates topics (name -> partitions) on all nodes, which keep everything."""
        self.create_with(topics, {"retention.ms": "-1"})

    def create_with(self, topics: Mapping[str, int], settings: Mapping[str, str], copies: int = 0) -> None:
        """Creates topics with settings of their own."""
        copies = copies or min(3, len(self.nodes))
        admin = self.admin()
        wanted = [NewTopic(name, count, copies, config=dict(settings)) for name, count in topics.items()]
        for made in admin.create_topics(wanted, operation_timeout=30).values():
            made.result(60)

        def ready() -> bool:
            shown = admin.list_topics(timeout=10).topics
            return all(
                name in shown
                and len(shown[name].partitions) == count
                and all(p.leader > 0 and len(p.isrs) == copies for p in shown[name].partitions.values())
                for name, count in topics.items()
            )

        until(ready, f"leaders of {', '.join(topics)}")

    def allow(self, user: str, kind: ResourceType, name: str, operations: Iterable[AclOperation]) -> None:
        """Allows a user operations on one name (``*`` = all; the cluster itself is the BROKER ``kafka-cluster``)."""
        pattern = ResourcePatternType.LITERAL
        bindings = [
            AclBinding(kind, name, pattern, f"User:{user}", "*", operation, AclPermissionType.ALLOW)
            for operation in operations
        ]
        admin = self.admin()  # must outlive its futures
        for made in admin.create_acls(bindings).values():
            made.result(60)

    def set_topic(self, topic: str, **settings: str) -> None:
        """Changes settings of a topic; ``_`` stands for ``.``."""
        entries = [
            ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
            for name, value in settings.items()
        ]
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
        admin = self.admin()
        for made in admin.incremental_alter_configs([resource]).values():
            made.result(60)

    def properties(self, path: Path, user: str = "alice", mechanism: str = "SCRAM-SHA-512", **more: str) -> Path:
        """Writes a Java client's settings for the second listener; ``more`` replaces lines (``_`` stands for ``.``)."""
        if self.security is None:
            raise ValueError("the cluster has no second listener")
        module = _PLAIN if mechanism == "PLAIN" else _SCRAM
        password = quoted(more.pop("password", PASSWORDS.get(user, "")))
        lines = {"security.protocol": self.security.protocol}
        if self.security.protocol.startswith("SASL"):
            lines["sasl.mechanism"] = mechanism
            lines["sasl.jaas.config"] = f"{module} required \\\n  username={quoted(user)} \\\n  password={password};"
        if self.security.protocol.endswith("SSL"):
            lines["ssl.truststore.type"] = "PEM"
            lines["ssl.truststore.location"] = str(self.security.authority.certificate)
        lines.update({name.replace("_", "."): value for name, value in more.items()})
        path.write_text("".join(f"{name}={value}\n" for name, value in lines.items()), encoding="latin-1")
        return path


def everything(cluster: Trio, user: str) -> None:
    """Lets a user do everything that a replay may need."""
    for kind in (ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID):
        cluster.allow(user, kind, "*", [AclOperation.ALL])
    cluster.allow(user, ResourceType.BROKER, "kafka-cluster", [AclOperation.ALL])
