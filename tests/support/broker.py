"""A real Kafka broker for tests: one process per node, ended by its own id.

Nodes run in KRaft mode on free loopback ports: node 1 is controller and broker, further nodes are brokers only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.support.jars import JVM, VERSION, jars, java, run_tool

CLUSTER_ID = "c2FsdmFnZS10ZXN0cy0tMQ"

LOGGING = """rootLogger.level = INFO
rootLogger.appenderRef.out.ref = OUT
appender.out.type = Console
appender.out.name = OUT
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss.SSS} %p %m (%c{1})%n
"""

SETTINGS: dict[str, str] = {
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "num.network.threads": "2",
    "num.io.threads": "3",
    "num.recovery.threads.per.data.dir": "2",
    "auto.create.topics.enable": "false",
    "log.retention.ms": "-1",
    "log.cleaner.enable": "false",
    "log.index.size.max.bytes": "65536",
    "log.segment.delete.delay.ms": "86400000",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.segment.bytes": "1048576",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "500",
    "replica.lag.time.max.ms": "5000",
}
"""A segment that a broker deletes stays on disk as `.deleted`, so that a test can see it."""


class StartFailedError(RuntimeError):
    """The broker ended, or was not ready in time."""


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@dataclass
class Node:
    """One Kafka process with one log directory.

    Attributes:
        root: directory of its settings and log; the log directory is ``root / "data"``.
        number: node id; 1 is also the controller.
        ports: node id -> (client port, controller port) of all nodes.
        extra: settings on top of `SETTINGS`.
        version: release of Kafka.
    """

    root: Path
    number: int
    ports: Mapping[int, tuple[int, int]]
    extra: Mapping[str, str] = field(default_factory=dict)
    version: str = VERSION
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """The log directory."""
        return self.root / "data"

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self.ports[self.number][0]}"

    @property
    def output(self) -> Path:
        """What the process printed, over all its starts."""
        return self.root / "output.log"

    def settings(self) -> dict[str, str]:
        """Its server.properties."""
        client, control = self.ports[self.number]
        listeners = f"PLAINTEXT://127.0.0.1:{client}"
        if self.number == 1:
            listeners += f",CONTROLLER://127.0.0.1:{control}"
        return {
            **SETTINGS,
            "process.roles": "broker,controller" if self.number == 1 else "broker",
            "node.id": str(self.number),
            "controller.quorum.voters": f"1@127.0.0.1:{self.ports[1][1]}",
            "listeners": listeners,
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{client}",
            "log.dirs": str(self.data),
            **self.extra,
        }

    def format(self) -> None:
        """Writes its settings and an empty log directory."""
        self.root.mkdir(parents=True, exist_ok=True)
        path = self.root / "server.properties"
        path.write_text("".join(f"{k}={v}\n" for k, v in self.settings().items()))
        (self.root / "logging.properties").write_text(LOGGING)
        words = ("format", "-t", CLUSTER_ID, "-c", str(path))
        done = run_tool("kafka.tools.StorageTool", *words, directory=self.root, classpath=jars(self.version))
        if done.returncode:
            raise StartFailedError(f"format: {done.stdout}{done.stderr}")

    def start(self, timeout: float = 120) -> str:
        """Starts the process and waits until it serves.

        Returns:
            what it printed while it started.

        Raises:
            StartFailedError: it ended or was not ready in time (it is ended then).
        """
        if self.process is not None:
            raise StartFailedError("it runs already")
        before = self.output.stat().st_size if self.output.exists() else 0
        logging = f"-Dlog4j2.configurationFile={self.root / 'logging.properties'}"
        command = [java(), "-Xms64m", "-Xmx256m", *JVM, logging, "-cp", f"{jars(self.version)}/*", "kafka.Kafka"]
        with self.output.open("ab") as stream:
            self.process = subprocess.Popen(
                [*command, str(self.root / "server.properties")],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait(before, timeout)
        except BaseException:
            self.kill()
            raise
        return self._since(before)

    def _since(self, position: int) -> str:
        with self.output.open("rb") as stream:
            stream.seek(position)
            return stream.read().decode(errors="replace")

    def _wait(self, before: int, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while "Kafka Server started" not in self._since(before):
            if self.process is None or self.process.poll() is not None:
                raise StartFailedError(self._since(before))
            if time.monotonic() > deadline:
                raise StartFailedError(f"not ready after {timeout} s:\n{self._since(before)}")
            time.sleep(0.1)

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """Ends it as a power failure would."""
        self._signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(30)
        self.process = None

    def stop(self) -> None:
        """Ends it in an orderly way; what does not end is killed."""
        self._signal(signal.SIGTERM)
        if self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(60)
        self.kill()


class Cluster:
    """Some nodes under one directory; leaves no process behind.

    Args:
        root: an empty directory.
        nodes: how many.
        extra: settings on top of `SETTINGS`.
    """

    def __init__(self, root: Path, nodes: int = 1, extra: Mapping[str, str] | None = None) -> None:
        free = free_ports(2 * nodes)
        ports = {n: (free[2 * n - 2], free[2 * n - 1]) for n in range(1, nodes + 1)}
        self.nodes = {n: Node(root / f"node-{n}", n, ports, dict(extra or {})) for n in ports}

    def __enter__(self) -> Cluster:
        for node in self.nodes.values():
            node.format()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for node in reversed(self.nodes.values()):
            node.kill()

    def start(self) -> None:
        """Starts all nodes."""
        for node in self.nodes.values():
            node.start()

    @property
    def first(self) -> Node:
        """Node 1."""
        return self.nodes[1]

    @property
    def address(self) -> str:
        """Where clients connect."""
        return self.first.address

    def admin(self) -> AdminClient:
        """An administration client."""
        return AdminClient({"bootstrap.servers": self.address, "log_level": 0})

    def create(self, topic: str, partitions: int = 1, replicas: Mapping[int, Sequence[int]] | None = None) -> None:
        """Creates a topic that keeps everything.

        Args:
            topic: its name.
            partitions: how many.
            replicas: partition -> node ids; all on node 1 without.
        """
        self.create_all({topic: partitions}, replicas)

    def create_all(self, topics: Mapping[str, int], replicas: Mapping[int, Sequence[int]] | None = None) -> None:
        """Creates several topics at once (name -> partitions), see `create`."""
        settings = {"retention.ms": "-1"}
        wanted = [
            NewTopic(
                name,
                num_partitions=count,
                replica_assignment=[list((replicas or {}).get(p, [1])) for p in range(count)],
                config=settings,
            )
            for name, count in topics.items()
        ]
        admin = self.admin()  # must outlive its futures
        for made in admin.create_topics(wanted, operation_timeout=30).values():
            made.result(60)
        directories = [self.first.data / f"{name}-{p}" for name, count in topics.items() for p in range(count)]
        until(lambda: all((d / "partition.metadata").is_file() for d in directories), "partition directories")

    def produce(self, topic: str, partition: int, records: Sequence[Mapping[str, Any]], **settings: Any) -> None:
        """Sends records (``key``, ``value``, ``headers``, ``timestamp``) and waits for their acknowledgement."""
        failures: list[Any] = []
        producer = Producer({"bootstrap.servers": self.address, "log_level": 0, "linger.ms": 5, **settings})
        for record in records:
            producer.produce(
                topic, partition=partition, on_delivery=lambda e, _: failures.append(e) if e else None, **record
            )
        if producer.flush(60) or failures:
            raise RuntimeError(f"not delivered: {failures[:3]}")

    def consume(self, topic: str, partition: int, isolation: str = "read_uncommitted") -> list[Any]:
        """All messages of a partition, from its beginning to its end; CRCs are checked by the client."""
        with self._consumer(isolation) as consumer:
            consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
            messages: list[Any] = []
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                message = consumer.poll(1.0)
                if message is None:
                    continue
                error = message.error()
                if error is not None:
                    if error.name() == "_PARTITION_EOF":
                        return messages
                    if not error.retriable():
                        raise RuntimeError(f"{topic}-{partition}: {error}")
                    continue
                messages.append(message)
        raise TimeoutError(f"{topic}-{partition}: no end after {len(messages)} messages")

    def offsets(self, topic: str, partition: int) -> tuple[int, int]:
        """(log start offset, high watermark)."""
        with self._consumer("read_uncommitted") as consumer:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
            return int(low), int(high)

    def in_sync(self, topic: str, partition: int) -> list[int]:
        """Node ids of the in-sync replicas."""
        return sorted(self.admin().list_topics(topic, timeout=30).topics[topic].partitions[partition].isrs)

    def reassign(self, topic: str, partition: int, nodes: Sequence[int]) -> None:
        """Changes the replicas of a partition (`AlterPartitionReassignments` version 0, which no Python client speaks)."""
        replicas = _compact(struct.pack(">i", node) for node in nodes)
        part = struct.pack(">i", partition) + replicas + b"\0"
        name = topic.encode()
        body = struct.pack(">i", 30000) + _compact([bytes([len(name) + 1]) + name + _compact([part]) + b"\0"]) + b"\0"
        message = struct.pack(">hhih", 45, 0, 1, 5) + b"tests" + b"\0" + body
        host, port = self.address.split(":")
        with socket.create_connection((host, int(port)), timeout=30) as link:
            link.sendall(struct.pack(">i", len(message)) + message)
            (size,) = struct.unpack(">i", _exactly(link, 4))
            answer = _exactly(link, size)
        # correlation id, tags, throttle time, error code
        (error,) = struct.unpack_from(">h", answer, 9)
        if error:
            raise RuntimeError(f"reassignment of {topic}-{partition} was refused with error {error}")

    @contextlib.contextmanager
    def _consumer(self, isolation: str) -> Iterator[Consumer]:
        consumer = Consumer(
            {
                "bootstrap.servers": self.address,
                "group.id": "tests",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "check.crcs": True,
                "fetch.wait.max.ms": 50,
                "isolation.level": isolation,
                "log_level": 0,
            }
        )
        try:
            yield consumer
        finally:
            consumer.close()


def _compact(items: Iterable[bytes]) -> bytes:
    listed = list(items)
    return bytes([len(listed) + 1]) + b"".join(listed)


def _exactly(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = link.recv(size - len(data))
        if not more:
            raise RuntimeError("the broker closed the connection")
        data += more
    return data


def until(condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
    """Waits for a condition.

    Raises:
        TimeoutError: it does not come true.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not after {timeout} s")
        time.sleep(0.1)
