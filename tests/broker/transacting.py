"""Transactions of both versions on a real broker: Kafka's own Java producer bumps its epoch at every end, librdkafka does not."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from confluent_kafka import Message, Producer

from tests.support.broker import Cluster
from tests.support.jars import jars, java

PROGRAM = Path(__file__).with_name("Transactions.java")

SCRIPT = """
init A pay-a
init B pay-b
old C
old D
begin A
send A 3
begin C
send C 2
commit A
begin A
send A 1
commit C
begin B
send B 2
send A 2
plain 2
abort A
begin C
send C 1
begin A
send A 2
commit B
abort C
send A 1
commit A
begin B
send B 3
abort B
begin C
send C 2
begin A
send A 1
abort A
begin A
send A 2
commit C
commit A
begin D
send D 2
begin B
send B 1
init B2 pay-b
begin B2
send B2 2
commit B2
plain 1
begin A
send A 3
begin C
send C 1
commit C
plain 2
abort D
begin B2
send B2 1
commit B2
"""
"""A and B are producers of version 2, C and D of version 1; B2 fences B; A stays open, and what stands behind it waits."""


class Client:
    """Kafka's own transactional producers in a process of their own; see `Transactions.java`."""

    def __init__(self, address: str) -> None:
        command = [java(), "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", f"{jars()}/*", str(PROGRAM), address]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def do(self, *words: object) -> list[str]:
        """Gives one command; returns what it prints."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(" ".join(map(str, words)) + "\n")
        stdin.flush()
        printed: list[str] = []
        for line in iter(stdout.readline, ""):
            if line.strip() == "ok":
                return printed
            printed.append(line.strip())
        raise RuntimeError(f"{words}: {self._process.communicate()[1][-2000:]}")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()


@dataclass
class Played:
    """What was produced.

    Attributes:
        fates: offset of each record -> none, committed, aborted or open.
        keys: offset of each record -> its key.
    """

    fates: dict[int, str] = field(default_factory=dict)
    keys: dict[int, bytes] = field(default_factory=dict)

    @property
    def stable(self) -> int:
        """The last stable offset: the first of a transaction that is still open."""
        return min((offset for offset, fate in self.fates.items() if fate == "open"), default=max(self.fates) + 1)


class Play:
    """Plays a script against one partition.

    Args:
        cluster: running.
        topic, partition: where to.
    """

    def __init__(self, cluster: Cluster, topic: str, partition: int) -> None:
        self._cluster = cluster
        self._where = topic, partition
        self._old: dict[str, Producer] = {}
        self._open: dict[str, list[int]] = {}
        self._sent = 0
        self._prefix = f"{topic}-{partition}-"
        self.played = Played()

    def run(self, client: Client, script: str = SCRIPT) -> Played:
        """Plays it to its end; what is open stays open."""
        for line in script.split("\n"):
            words = line.split()
            if words:
                self._do(client, *words)
        return self.played

    def _do(self, client: Client, what: str, *words: str) -> None:
        name = words[0]
        match what:
            case "init":
                client.do("init", self._prefix + name, self._prefix + words[1])
                self._end(next((old for old in self._open if name.startswith(old) and old != name), ""), "aborted")
            case "old":
                settings = {"bootstrap.servers": self._cluster.address, "transactional.id": self._prefix + name}
                self._old[name] = Producer({**settings, "log_level": 0, "linger.ms": 0})
                self._old[name].init_transactions(60)
            case "begin" if name in self._old:
                self._old[name].begin_transaction()
            case "send" if name in self._old:
                self._note(name, self._produce(self._old[name], int(words[1])), "open")
            case "commit" if name in self._old:
                self._old[name].commit_transaction(60)
                self._end(name, "committed")
            case "abort" if name in self._old:
                self._old[name].abort_transaction(60)
                self._end(name, "aborted")
            case "plain":
                plain = Producer({"bootstrap.servers": self._cluster.address, "log_level": 0})
                self._note(name, self._produce(plain, int(words[0])), "none")
            case "begin":
                client.do("begin", self._prefix + name)
            case "send":
                printed = client.do("send", self._prefix + name, *self._where, words[1])
                told = [line.split(" ") for line in printed]
                self._note(name, {int(offset): key.encode() for _, _, offset, key in told}, "open")
            case _:
                client.do(what, self._prefix + name)
                self._end(name, "committed" if what == "commit" else "aborted")

    def _produce(self, producer: Producer, count: int) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        topic, partition = self._where

        def delivered(error: object, message: Message) -> None:
            offset, key = message.offset(), message.key()
            if error is None and offset is not None and isinstance(key, bytes):
                found[offset] = key

        for _ in range(count):
            self._sent += 1
            key = b"%s%d" % (self._prefix.encode(), self._sent)
            producer.produce(topic, key=key, value=b"value of " + key, partition=partition, on_delivery=delivered)
        producer.flush(60)
        assert len(found) == count
        return found

    def _note(self, name: str, found: Mapping[int, bytes], fate: str) -> None:
        self.played.keys.update(found)
        self.played.fates.update(dict.fromkeys(found, fate))
        if fate == "open":
            self._open.setdefault(name, []).extend(found)

    def _end(self, name: str, fate: str) -> None:
        self.played.fates.update(dict.fromkeys(self._open.pop(name, ()), fate))


def play(cluster: Cluster, topic: str, partitions: int, script: str = SCRIPT) -> dict[int, Played]:
    """Plays the script on each partition of a topic."""
    with Client(cluster.address) as client:
        return {number: Play(cluster, topic, number).run(client, script) for number in range(partitions)}
