"""Course: one partition's way to the target, exactly once, whatever interrupts it.

Strategy:

1. The predecessor is shut out (`fence`): what a killed run left open is aborted or, if its commit was under way, finished.
   From then on only we write under our name, and what is there is final.
2. What the journal tells is believed up to its position. Everything behind it is read back and compared with what should
   come next, record by record: an acknowledgement of a commit that was lost is found out so, and so is a target that
   already holds a part (segments loaded by hand, a replay whose journal is gone). Records that are none of ours stop the
   replay; where they were allowed, ours are looked for between them.
3. What is missing is sent in chunks, each a transaction. The broker's offsets must follow on without a hole: a hole is
   another writer. Then the commit; then the journal; in that order, so that the journal never tells more than is there.

Nothing is added to the records, and nothing is hoped for: the only sources of truth are the target's own records and offsets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from kafka_salvage.errors import DestinationError, InvariantError, RequestError
from kafka_salvage.export.replay.journal import Journal
from kafka_salvage.export.replay.matching import Cursor, Tolerance, agreeing, first_like
from kafka_salvage.scan.batches import I64
from kafka_salvage.scan.records import RecordTable

LONGEST = 10.0
"""Seconds after which a transaction ends even if it is small: a slow rate must not let it time out."""
FIRST_CHUNK, LEAST_CHUNK = 16 << 20, 64 << 10
"""Bytes of the first transaction, and the fewest to which a slow cluster brings them down; a fast one brings them up."""
QUICK = 1.0
"""Seconds within which a transaction that may grow has ended."""


class Log(Protocol):
    """One partition of the target, and our producer for it."""

    transactional: bool

    def fence(self) -> None:
        """Shuts out a predecessor and ends what it left open. May set ``transactional`` to False. Raises: DestinationError."""
        ...

    def bounds(self) -> tuple[int, int]:
        """First offset, and the one behind the last whose fate is decided. Raises: DestinationError."""
        ...

    def read(self, start: int, stop: int) -> Iterator[RecordTable]:
        """Records that are there. Raises: DestinationError."""
        ...

    def begin(self) -> None:
        """Begins a chunk. Raises: DestinationError."""
        ...

    def send(self, table: RecordTable, start: int, stop: int) -> None:
        """Hands over rows. Raises: DestinationError."""
        ...

    def acknowledged(self) -> I64:
        """New offsets of all rows of the chunk, in order. Raises: DestinationError."""
        ...

    def commit(self) -> None:
        """Ends the chunk. Raises: DestinationError: what became of it is not known."""
        ...

    def abort(self) -> None:
        """Gives the chunk up, as far as that can be done."""
        ...


@dataclass(frozen=True, slots=True)
class CourseOptions:
    """How a partition is sent.

    Attributes:
        chunk_records, chunk_bytes: a chunk ends when it has so many.
        step_bytes: so many are handed over at a time, for a slow pace.
        append: records that are none of ours are allowed.
        tolerance: what need not agree when records are compared.
        pace: is told bytes before they are sent, and may wait.
        stopped: whether to stop between two steps.
        told: is told bytes and records that are done.
    """

    chunk_records: int = 1 << 22
    chunk_bytes: int = 256 << 20
    step_bytes: int = 1 << 62
    append: bool = False
    tolerance: Tolerance = field(default_factory=Tolerance)
    pace: Callable[[int], None] = lambda size: None
    stopped: Callable[[], bool] = lambda: False
    told: Callable[[int, int], None] = lambda size, records: None


@dataclass(slots=True)
class Outcome:
    """What a partition's course came to.

    Attributes:
        sent: records that were sent now.
        found: records that were found on the target.
        chunks: transactions that were committed now.
        foreign: records of others that were met.
        transactional: whether transactions were used.
        end: offset behind the last record of ours.
    """

    sent: int = 0
    found: int = 0
    chunks: int = 0
    foreign: int = 0
    transactional: bool = True
    end: int = 0


def sizes_of(table: RecordTable) -> I64:
    """Bytes of key, value and headers of each record."""
    inside = np.maximum(table.header_key_size, 0).astype(np.int64) + np.maximum(table.header_value_size, 0)
    upto = np.concatenate([np.zeros(1, np.int64), np.cumsum(inside)])
    headers = upto[table.header_first[1:]] - upto[table.header_first[:-1]]
    return np.asarray(np.maximum(table.key_size, 0).astype(np.int64) + np.maximum(table.value_size, 0) + headers)


@dataclass(slots=True)
class _Chunk:
    """Rows that were handed over and are not committed."""

    old: list[I64] = field(default_factory=list)
    records: int = 0
    size: int = 0
    begun: float = field(default_factory=time.monotonic)


class Course:
    """One partition on its way.

    Args:
        log: the target's partition.
        place: its topic and number.
        journal: of the whole replay.
        options: how.
    """

    def __init__(self, log: Log, place: tuple[str, int], journal: Journal, options: CourseOptions) -> None:
        self._log = log
        self._topic, self._partition = place
        self._journal = journal
        self._options = options
        self.outcome = Outcome()
        self._next = 0
        self._room = min(options.chunk_bytes, FIRST_CHUNK)

    def run(self, tables: Iterator[RecordTable]) -> Outcome:
        """Brings every record to the target, once and in order.

        Args:
            tables: everything that is to stand there, the same on every run.

        Raises:
            DestinationError: the cluster refuses, or holds what is not ours; the same call later goes on.
            RequestError: the target holds other records, and that was not allowed.
            SourceError: the records cannot be read.
        """
        self._log.fence()
        self.outcome.transactional = self._log.transactional
        cursor = Cursor(tables)
        low, end = self._log.bounds()
        position = self._begun(cursor, low, end)
        self._settle(cursor, position, end)
        if self._options.append and end > self.outcome.end:
            self._tell(end)  # what others wrote is not read again
        self._next = end
        self._send_all(cursor)
        self._await_end()
        return self.outcome

    # what is there

    def _begun(self, cursor: Cursor, low: int, end: int) -> int:
        """Where reading back begins; the cursor is moved behind what the journal tells."""
        told = self._journal.standing(self._topic, self._partition)
        if told is None:
            self.outcome.end = low
            return low
        if not cursor.skip(told.records):
            raise RequestError(
                f"the journal tells more records of {self._place} than there are to send: the source has changed",
                advice="Give the same sources and flags as before, or another --state DIR.",
            )
        if told.position > end or (low > told.position and low > end):
            raise DestinationError(
                f"{self._place} ends at offset {end}, and a replay had filled it up to {told.position}",
                causes=(
                    "the topic was made anew, or its leader lost records",
                    "another producer has had a transaction open there since before",
                ),
                advice="Replay into an empty topic with another --state DIR.",
            )
        if low > told.position:
            raise DestinationError(
                f"{self._place} begins at offset {low}, behind what the journal tells ({told.position}): its retention "
                "deleted records that were not looked at",
                advice="Set retention.ms=-1 on the topic and replay into it anew, with another --state DIR.",
            )
        self.outcome.end = told.position
        return told.position

    @property
    def _place(self) -> str:
        return f"{self._topic}-{self._partition}"

    def _settle(self, cursor: Cursor, position: int, end: int) -> None:
        """Reads what is behind ``position`` and takes what is ours for sent."""
        for table in self._log.read(position, end):
            self._take(cursor, table)
            if self._options.stopped():
                raise KeyboardInterrupt

    def _take(self, cursor: Cursor, table: RecordTable) -> None:
        """Compares records of the target with what should come next."""
        row, placed_old, placed_new = 0, [], []
        while row < len(table):
            wanted = cursor.table()
            if wanted is None:
                break
            count = agreeing(wanted, cursor.row, table, row, self._options.tolerance)
            if count:
                placed_old.append(wanted.offset[cursor.row : cursor.row + count])
                placed_new.append(table.offset[row : row + count])
                self._options.told(int(sizes_of(wanted.take(slice(cursor.row, cursor.row + count))).sum()), count)
                cursor.advance(count)
                row += count
            elif self._options.append:
                after = first_like(wanted, cursor.row, table, row, self._options.tolerance)
                self.outcome.foreign += after - row
                row = after
            else:
                self._tell_found(placed_old, placed_new)
                self._refuse(int(table.offset[row]), cursor.passed)
        self._tell_found(placed_old, placed_new)
        if row < len(table):
            self.outcome.foreign += len(table) - row

    def _tell_found(self, old: list[I64], new: list[I64]) -> None:
        if not old:
            return
        before, after = np.concatenate(old), np.concatenate(new)
        self.outcome.found += len(before)
        self.outcome.end = int(after[-1]) + 1
        self._tell(self.outcome.end, before, after)

    def _refuse(self, offset: int, passed: int) -> None:
        if passed:
            raise DestinationError(
                f"{self._place} holds a record at offset {offset} that is none of this replay, behind {passed:,} that are: "
                "somebody else writes to it",
                causes=("a producer that is running", "an earlier replay with other choices"),
                advice="Stop them and replay into an empty topic, or give --append to go on around such records.",
            )
        raise DestinationError(
            f"{self._place} is not empty, and what it holds does not begin like what is to be sent (offset {offset})",
            advice="Replay into an empty topic (--topic-map OLD=NEW), or give --append to add behind what is there.",
        )

    def _tell(self, position: int, old: I64 | None = None, new: I64 | None = None) -> None:
        none = np.empty(0, np.int64)
        self._journal.add(
            self._topic, self._partition, position, none if old is None else old, none if new is None else new
        )

    # what is missing

    def _send_all(self, cursor: Cursor) -> None:
        if self.outcome.foreign and cursor.table() is None:
            return  # all of ours is there, and others write behind it: that is their right
        while cursor.table() is not None:
            self._log.begin()
            try:
                chunk = self._send_chunk(cursor)
                new = self._checked(self._log.acknowledged(), chunk)
            except BaseException:
                self._log.abort()
                raise
            self._log.commit()
            self._adapt(chunk)
            self._next = int(new[-1]) + 1 + self._log.transactional
            self.outcome.end = int(new[-1]) + 1
            self.outcome.sent += chunk.records
            self.outcome.chunks += 1
            self._tell(self.outcome.end, np.concatenate(chunk.old), new)
            self._options.told(chunk.size, chunk.records)

    def _adapt(self, chunk: _Chunk) -> None:
        """A transaction must end well before the cluster gives it up: its size follows what the last one took."""
        spent = time.monotonic() - chunk.begun
        if spent > LONGEST:
            self._room = max(self._room // 2, min(LEAST_CHUNK, self._options.chunk_bytes))
        elif spent < QUICK:
            self._room = min(self._room * 4, self._options.chunk_bytes)

    def _send_chunk(self, cursor: Cursor) -> _Chunk:
        chunk, options = _Chunk(), self._options
        while chunk.records < options.chunk_records and chunk.size < self._room:
            table = cursor.table()
            if table is None or (chunk.records and time.monotonic() - chunk.begun > LONGEST):
                break
            if options.stopped():
                raise KeyboardInterrupt
            low = cursor.row
            upto = np.cumsum(sizes_of(table)[low:])
            room = int(np.searchsorted(upto, min(self._room - chunk.size, options.step_bytes))) + 1
            rows = min(room, options.chunk_records - chunk.records, len(upto))
            options.pace(int(upto[rows - 1]))
            self._log.send(table, low, low + rows)
            chunk.old.append(table.offset[low : low + rows])
            chunk.records += rows
            chunk.size += int(upto[rows - 1])
            cursor.advance(rows)
        return chunk

    def _checked(self, new: I64, chunk: _Chunk) -> I64:
        """The new offsets, when they follow on without a hole and where they should. Raises: DestinationError."""
        if len(new) != chunk.records:
            raise InvariantError("other records were acknowledged than sent", stage="replay.course")
        known = np.flatnonzero(new >= 0)
        if len(known) < len(new):  # a retry whose first answer was lost is acknowledged without an offset
            shift = new[known] - known
            if not len(known) or known[-1] != len(new) - 1 or (shift != self._next).any():
                raise DestinationError(
                    f"the cluster did not tell at which offsets the records of {self._place} stand",
                    advice="Run the same command again: it reads back what is there.",
                )
            new = self._next + np.arange(len(new))
        if (np.diff(new) <= 0).any():
            raise InvariantError("records were acknowledged out of order", stage="replay.course")
        alone = int(new[0]) == self._next and int(new[-1]) - int(new[0]) == len(new) - 1
        if not alone and not self._options.append:
            hole = self._next if int(new[0]) != self._next else int(new[np.flatnonzero(np.diff(new) != 1)[0]]) + 1
            raise DestinationError(
                f"somebody else writes to {self._place}: offset {hole} is none of ours",
                advice="Stop the other producers, then run the same command again; or give --append to allow them.",
            )
        return new

    def _await_end(self) -> None:
        """Waits until what was committed can be read."""
        if not self.outcome.chunks:
            return
        deadline = time.monotonic() + 30
        while self._log.bounds()[1] < self._next and time.monotonic() < deadline:
            time.sleep(0.02)
