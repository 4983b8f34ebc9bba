"""Replays as processes of their own, and what a plain consumer reads afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from tests.support.broker import Cluster
from tests.support.cluster import Trio

Read = tuple[int, int, bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]
"""Offset, timestamp, key, value, headers."""


def consumed(cluster: Cluster, topic: str, partition: int) -> list[Read]:
    """Committed and plain records, in order, as the Python client reads them."""
    return [
        (m.offset(), m.timestamp()[1], m.key(), m.value(), tuple(m.headers() or ()))
        for m in cluster.consume(topic, partition, "read_committed")
    ]


def begin(directory: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Starts ``kafka-salvage replay`` with these arguments; what it prints goes to ``directory/output``."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "output").open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "kafka_salvage", "replay", *arguments, "--no-progress"],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


_PROGRAM = """
import json, sys
from kafka_salvage import replay
from kafka_salvage.cli import exits
try:
    replay(execute=True, **json.loads(sys.argv[1]))
except BaseException as error:
    sys.exit(exits.leave(error, 2))
"""


def begin_call(directory: Path, **flags: Any) -> subprocess.Popen[bytes]:
    """Starts a process that calls `kafka_salvage.replay`; otherwise as `begin`."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "output").open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, json.dumps(flags)],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def kill(process: subprocess.Popen[bytes]) -> bool:
    """Ends a process as a power failure would; False when it had ended by itself."""
    alive = process.poll() is None
    if alive:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
    return alive


def said(directory: Path) -> str:
    """What was printed."""
    return (directory / "output").read_text(errors="replace")


def bulk(cluster: Trio | Cluster, topic: str, partitions: int, records: int, batch: int = 10_000) -> None:
    """Fills a topic with records whose content tells their place; every tenth has headers, every seventh no key."""
    producer = Producer(
        {
            "bootstrap.servers": cluster.address,
            "log_level": 0,
            "linger.ms": 10,
            "acks": "all",
            "batch.num.messages": batch,
        }
    )
    for partition in range(partitions):
        for number in range(records):
            _, timestamp, key, value, headers = planned(topic, partition, number)
            while True:
                try:
                    producer.produce(
                        topic, partition=partition, key=key, value=value, timestamp=timestamp, headers=list(headers)
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
    if producer.flush(120):
        raise RuntimeError("not everything was delivered")


def planned(topic: str, partition: int, number: int) -> Read:
    """The record of a place, by arithmetic alone."""
    key = None if number % 7 == 0 else b"key-%d" % (number % 1000)
    value = None if number % 11 == 0 else f"{topic}/{partition}/{number}/".encode() * (1 + number % 5)
    headers = (("h", b"%d" % number), ("h", None), ("", b"")) if number % 10 == 0 else ()
    return number, 1_600_000_000_000 + number * 7 + partition, key, value, headers


def journal_lines(state: Path) -> int:
    """Steps that the journal of a replay tells."""
    path = state / "journal.jsonl"
    return max(0, path.read_bytes().count(b"\n") - 1) if path.exists() else 0


def document(path: Path) -> dict[str, object]:
    """A JSON document."""
    found: dict[str, object] = json.loads(path.read_bytes())
    return found
