"""A log as a cluster keeps it, in memory: transactions, markers, other writers, kills and lost answers.

It follows Kafka's rules, not ours: a record is there when it was acknowledged, it is visible when its marker is, and an
answer may be lost after the deed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from kafka_salvage.errors import DestinationError
from kafka_salvage.scan.batches import I64, BatchTable
from kafka_salvage.scan.records import RecordTable

Row = tuple[int, bytes | None, bytes | None, tuple[tuple[bytes, bytes | None], ...]]
"""Timestamp, key, value, headers."""


def table_of(rows: list[Row], offsets: list[int]) -> RecordTable:
    """Rows as a record table."""
    data = bytearray(b"\0")
    columns: dict[str, list[int]] = {
        name: []
        for name in (
            "key_start", "key_size", "value_start", "value_size",
            "header_key_start", "header_key_size", "header_value_start", "header_value_size",
        )
    }  # fmt: skip
    first = [0]

    def put(name: str, value: bytes | None) -> None:
        columns[f"{name}_start"].append(len(data))
        columns[f"{name}_size"].append(-1 if value is None else len(value))
        data.extend(value or b"")

    for _, key, value, headers in rows:
        put("key", key)
        put("value", value)
        for name, body in headers:
            put("header_key", name)
            put("header_value", body)
        first.append(first[-1] + len(headers))
    made = {
        name: np.array(values, np.int64 if name.endswith("start") else np.int32) for name, values in columns.items()
    }
    count = len(rows)
    return RecordTable(
        batches=BatchTable.empty(),
        data=np.frombuffer(bytes(data), np.uint8),
        batch=np.zeros(count, np.int32),
        offset=np.array(offsets, np.int64),
        timestamp=np.array([row[0] for row in rows], np.int64),
        timestamp_type=np.zeros(count, np.int8),
        sequence=np.full(count, -1, np.int32),
        header_first=np.array(first, np.int64),
        **made,  # type: ignore[arg-type] # columns by name
    )


def row_of(table: RecordTable, at: int) -> Row:
    """One row of a table."""
    row = table.row(at)
    return row["timestamp"], row["key"], row["value"], tuple(row["headers"])


class Killed(BaseException):
    """The process ends here; nothing of it runs any more."""


class LostError(DestinationError):
    """An answer did not come."""


@dataclass
class Entry:
    """What stands at one offset.

    Attributes:
        row: None for a marker.
        state: of its transaction: ``open``, ``committed``, ``aborted``; plain records are committed.
        owner: "" for others.
    """

    row: Row | None
    state: str
    owner: str = ""


@dataclass
class Partition:
    """The partition on the broker: it outlives every client.

    Attributes:
        ending: a commit or abort that the coordinator has decided and whose marker is not written yet.
    """

    entries: list[Entry] = field(default_factory=list)
    ending: str | None = None

    def write(self, rows: list[Row], owner: str = "", state: str = "committed") -> list[int]:
        """Appends records; returns their offsets."""
        first = len(self.entries)
        self.entries += [Entry(row, state, owner) for row in rows]
        return list(range(first, len(self.entries)))

    def settle(self, state: str) -> None:
        """Writes the marker of our open transaction."""
        changed = False
        for entry in self.entries:
            if entry.state == "open":
                entry.state, changed = state, True
        if changed:
            self.entries.append(Entry(None, "committed"))
        self.ending = None

    @property
    def visible(self) -> list[tuple[int, Row]]:
        """What a consumer reads, with offsets."""
        found = []
        for offset, entry in enumerate(self.entries):
            if entry.state == "open":
                break
            if entry.row is not None and entry.state == "committed":
                found.append((offset, entry.row))
        return found


Step = Callable[[str], None]


class FakeLog:
    """One client at a partition; ``step`` is called before and after everything it does, and may raise.

    Args:
        partition: on the broker.
        step: is told what is about to happen (``"send"``) or has happened (``"send!"``).
        transactional: False appends at once, as a producer without transactions does.
    """

    def __init__(self, partition: Partition, step: Step, *, transactional: bool = True) -> None:
        self._partition = partition
        self._step = step
        self.transactional = transactional
        self._offsets: list[int] = []

    def fence(self) -> None:
        self._step("fence")
        if self.transactional:
            self._partition.settle(self._partition.ending or "aborted")
        self._step("fence!")

    def bounds(self) -> tuple[int, int]:
        self._step("bounds")
        entries = self._partition.entries
        return 0, next((at for at, entry in enumerate(entries) if entry.state == "open"), len(entries))

    def read(self, start: int, stop: int) -> Iterator[RecordTable]:
        found = [(offset, row) for offset, row in self._partition.visible if start <= offset < stop]
        for low in range(0, len(found), 7):
            self._step("read")
            part = found[low : low + 7]
            yield table_of([row for _, row in part], [offset for offset, _ in part])

    def begin(self) -> None:
        self._step("begin")
        if self._partition.ending is not None:  # the coordinator finishes one before it begins another
            self._partition.settle(self._partition.ending)

    def send(self, table: RecordTable, start: int, stop: int) -> None:
        state = "open" if self.transactional else "committed"
        for at in range(start, stop):
            self._step("send")
            self._offsets += self._partition.write([row_of(table, at)], "us", state)
        self._step("send!")

    def acknowledged(self) -> I64:
        self._step("acknowledged")
        made = np.array(self._offsets, np.int64)
        self._offsets = []
        return made

    def commit(self) -> None:
        self._step("commit")
        if not self.transactional:
            return
        self._partition.ending = "committed"
        self._step("deciding!")
        self._partition.settle("committed")
        self._step("commit!")

    def abort(self) -> None:
        if self.transactional:
            self._step("abort")
            self._partition.settle("aborted")
