"""LoaderSegment: one segment file as the log loader of Kafka 4.1 reads it, good or bad.

Strategy: a healthy segment (the survey's own walk ended at the end of the file, offsets ascend and fit) is answered from
the survey. Any other is walked again, untouched by repairs, by Kafka's rules of acceptance:

1. Fewer than 18 bytes left, or a length that reaches past the end of the file: the log ends here, silently.
2. A length below 14 is a corrupt record.
3. Magic below 2 (as a signed byte) is checked with CRC-32, anything else as version 2 with CRC-32C and 61 bytes at least.
4. Recovery takes an index entry whenever more than 4,096 bytes lie behind the last one; an entry at or below the one
   before it is an `InvalidOffsetException`.

Source: `FileLogInputStream`, `LogSegment.recover`, `LogSegment.readNextOffset`, `OffsetIndex`, `TimeIndex`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from crcmod.predefined import mkPredefinedCrcFun

from kafka_salvage.errors import SourceError
from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.replica import EvidenceFile
from kafka_salvage.scan.walk import StopReason, walk
from kafka_salvage.source.opening import open_source
from kafka_salvage.source.source import Source

INDEX_INTERVAL = 4096
"""Bytes between index entries (`log.index.interval.bytes`, its default)."""
MAX_RELATIVE = (1 << 31) - 1
MAX_SIZE = (1 << 31) - 1
HEADER = struct.Struct(">qiib")
"""Offset, length, leader epoch or CRC, magic."""
LAST_OFFSET_DELTA = 23
SMALLEST_LENGTH = 14
V2_OVERHEAD = 61
OVERHEAD = 12
TXN_ENTRY = struct.Struct(">hqqqq")
COLUMNS_READ = ("position", "size", "base_offset", "last_offset", "magic", "attributes", "max_timestamp", "producer_id")

_crc32c: Callable[[bytes], int] = mkPredefinedCrcFun("crc-32c")


class FatalStartError(Exception):
    """The broker would not start; the text says why, in Kafka's words."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What recovering a segment does.

    Attributes:
        valid: bytes that stay.
        emptied: an offset that runs backwards met an index entry (`InvalidOffsetException`).
        split: offsets do not fit one segment, and the broker makes several of it.
    """

    valid: int
    emptied: bool = False
    split: bool = False


@dataclass(slots=True)
class LoaderSegment:
    """One `.log` file and its indexes on the broker's disk, as the loader's steps change them.

    Attributes:
        survey: the judgement of the file as it lies.
        base: the number in its name.
        size: bytes now.
        index: its `.index`; None when absent.
        reads_index: an empty index file is there though the survey knows none.
        rebuilt: recovery has run, the indexes are new.
        next: log end offset that recovery left, None before it.
    """

    survey: SegmentSurvey
    base: int
    size: int
    index: EvidenceFile | None
    reads_index: bool = False
    rebuilt: bool = False
    next: int | None = None

    @classmethod
    def of(cls, survey: SegmentSurvey, base: int) -> LoaderSegment:
        """The segment as it lies."""
        file = survey.segment
        return cls(survey, base, file.file.size, file.index)

    @property
    def trusted(self) -> bool:
        """Whether the survey alone says what Kafka's walk sees.

        Up to where it ends there are only believed, unrepaired batches, whose offsets ascend and fit the segment.
        """
        facts, runs = self.survey.facts, self.survey.runs
        if facts.backwards or self.size != self.survey.segment.file.size:
            return False
        inside = (runs.stop <= facts.kafka_stop) & ~runs.repaired
        covered = int((runs.stop - runs.start)[inside].sum())
        if covered != facts.kafka_stop or self._magic_at_stop() > 2:
            return False
        if not inside.any():
            return True
        first, last = int(runs.first_offset[inside].min()), int(runs.next_offset[inside].max()) - 1
        return first >= self.base and last - self.base <= MAX_RELATIVE

    @property
    def healthy(self) -> bool:
        """`trusted`, and Kafka's walk reaches the end of the file."""
        return self.survey.facts.kafka_stop == self.survey.segment.file.size and self.trusted

    def _magic_at_stop(self) -> int:
        stop = self.survey.facts.kafka_stop
        if stop + HEADER.size > self.size:
            return 0
        with open_source(self.survey.segment.file.real) as source:
            return int(HEADER.unpack(source.read(stop, stop + HEADER.size).tobytes())[3])

    def _believed_end(self) -> int:
        runs = self.survey.runs
        inside = runs.stop <= self.survey.facts.kafka_stop
        return int(runs.next_offset[inside][-1]) if inside.any() else self.base

    def rows(self) -> Iterator[dict[str, int]]:
        """Batches that Kafka accepts, from the beginning of the file to where its iteration ends (cut by `size`)."""
        with open_source(self.survey.segment.file.real) as source:
            for row in accepted(source):
                if row["position"] + row["size"] > self.size:
                    return
                yield row

    def recover(self) -> Recovered:
        """`LogSegment.recover`: what a CRC scan of the segment leaves of it.

        Raises:
            FatalStartError: recovery throws what the loader does not catch.
        """
        if self.survey.facts.kafka_stop_reason == StopReason.UNREADABLE:
            raise FatalStartError(f"an I/O error at byte {self.survey.facts.kafka_stop} of {self.path}")
        if self.rebuilt:
            return Recovered(self.size)
        self.rebuilt = True
        if self.trusted:
            self.next = self._believed_end()
            self.size = self.survey.facts.kafka_stop
            return Recovered(self.size)
        outcome, self.next = self._scan()
        self.size = outcome.valid
        return outcome

    @property
    def path(self) -> str:
        """The file's path, relative to its source."""
        return self.survey.segment.file.path

    def _scan(self) -> tuple[Recovered, int]:
        index, valid, following = _Index(self.base), 0, self.base
        for row in self.rows():
            last = row["last_offset"]
            if last < self.base:
                raise FatalStartError(
                    f"offset {last} lies below the base offset of {self.path}: "
                    "Split operation is only permitted for segments with overflow"
                )
            if last - self.base > MAX_RELATIVE:
                return self._split(row)
            if not index.take(valid, last, row["max_timestamp"]):
                return Recovered(0, emptied=True), self.base
            valid, following = row["position"] + row["size"], last + 1
        if index.closes_backwards():
            return Recovered(0, emptied=True), self.base
        return Recovered(valid), following

    def _split(self, at: dict[str, int]) -> tuple[Recovered, int]:
        # The loader splits only when the *last* batch of the file overflows, too, and copies all of it.
        end, last = self._last_unchecked(at)
        if last - self.base <= MAX_RELATIVE:
            raise FatalStartError(
                f"offset {at['last_offset']} does not fit {self.path}, and its last batch does: "
                "Split operation is only permitted for segments with overflow"
            )
        if end != self.size:
            raise FatalStartError(
                f"{self.path} overflows and cannot be split: its last {self.size - end} bytes are no batch"
            )
        for row in self.rows():
            end, last = row["position"] + row["size"], row["last_offset"]
        return Recovered(end, split=True), last + 1

    def _last_unchecked(self, at: dict[str, int]) -> tuple[int, int]:
        """End and last offset of the last batch that lengths alone lead to, from a batch on; errors as for `unchecked`."""
        end, last = at["position"], at["last_offset"]
        runs = self.survey.runs
        plain = ~runs.repaired & (runs.stop <= self.size) & (self.survey.facts.magics == 1 << 2)
        ahead = {int(runs.start[row]): row for row in np.flatnonzero(plain & (runs.start >= end)).tolist()}
        with open_source(self.survey.segment.file.real) as source:
            window = _Window(source)
            while True:
                row = ahead.get(end)
                if row is not None:  # what is believed as it stands leads from batch to batch
                    end, last = int(runs.stop[row]), int(runs.next_offset[row]) - 1
                    continue
                found = self._unchecked_at(window, end)
                if found is None:
                    return end, last
                end, last = end + found[0], found[1]

    def _unchecked_at(self, window: _Window, position: int) -> tuple[int, int] | None:
        """(size, last offset) of one batch by its length alone."""
        head = _header(window, position, self.size)
        if head is None:
            return None
        offset, length, magic = head
        if length < SMALLEST_LENGTH:
            raise FatalStartError(
                f"Found record size {length} smaller than minimum record overhead ({SMALLEST_LENGTH}) "
                f"at byte {position} of {self.path}"
            )
        return OVERHEAD + length, _last_offset(window, position, offset, magic)

    def unchecked(self, start: int = 0) -> Iterator[tuple[int, int, int]]:
        """(position, size, last offset) of batches by their lengths alone, as Kafka reads without recovery.

        Raises:
            FatalStartError: a length below 14 (`CorruptRecordException` that nobody catches).
        """
        with open_source(self.survey.segment.file.real) as source:
            window, position = _Window(source), start
            while (found := self._unchecked_at(window, position)) is not None:
                yield position, *found
                position += found[0]

    def next_offset(self) -> int:
        """`LogSegment.readNextOffset`: the log end offset if this is the last segment.

        Raises:
            FatalStartError: see `unchecked`.
        """
        if self.rebuilt and self.next is not None:
            return self.next
        target, start = self._last_index_entry()
        facts = self.survey.facts
        if (
            self.healthy
            and 0 <= start < max(self.size - HEADER.size, 1)
            and target <= max(facts.last_offset, self.base)
        ):
            return facts.last_offset + 1 if len(self.survey.runs) else self.base
        found = False
        last = self.base - 1
        for _, _, offset in self.unchecked(max(start, 0)):
            found = found or offset >= target
            last = offset
        return last + 1 if found else self.base

    def _last_index_entry(self) -> tuple[int, int]:
        if self.rebuilt or self.index is None:
            return self.base, 0
        size = self.index.size - self.index.size % 8
        if size < 8:
            return self.base, 0
        try:
            with open_source(self.index.real) as source:
                relative, position = struct.unpack(">ii", source.read(size - 8, size).tobytes().ljust(8, b"\0"))
        except SourceError:
            return self.base, 0
        return self.base + relative, position

    def insane_txn_index(self) -> bool:
        """Whether `TransactionIndex.sanityCheck` refuses the `.txnindex`: an aborted transaction that ends below the base.

        Raises:
            FatalStartError: an entry of another version (`IllegalArgumentException`).
        """
        file = self.survey.segment.txn_index
        if file is None or file.size < TXN_ENTRY.size:
            return False
        with open_source(file.real) as source:
            data = source.read(0, file.size - file.size % TXN_ENTRY.size).tobytes()
        for version, _, _, last, _ in TXN_ENTRY.iter_unpack(data[: len(data) - len(data) % TXN_ENTRY.size]):
            if version > 0:
                raise FatalStartError(f"Unexpected aborted transaction version {version} in {file.path}")
            if last < self.base:
                return True
        return False


@dataclass(slots=True)
class _Index:
    """`OffsetIndex` and `TimeIndex` while recovery writes them anew."""

    base: int
    indexed_at: int = 0
    offset: int | None = None
    time: tuple[int, int] | None = None
    newest: tuple[int, int] = (-1, 0)

    def take(self, position: int, last: int, timestamp: int) -> bool:
        """Sees the next batch; False for an `InvalidOffsetException`."""
        if timestamp > self.newest[0]:
            self.newest = (timestamp, last)
        if position - self.indexed_at <= INDEX_INTERVAL:
            return True
        if (self.offset is not None and last <= self.offset) or self.closes_backwards():
            return False
        self.offset, self.indexed_at = last, position
        if self.newest[0] > (self.time[0] if self.time else -1):
            self.time = self.newest
        return True

    def closes_backwards(self) -> bool:
        """Whether the next time entry has an offset below the one before."""
        return self.time is not None and self.newest[1] < self.time[1]


class _Window:
    """Small pieces of a file, read a window at a time."""

    SIZE = 1 << 18

    def __init__(self, source: Source) -> None:
        self.source = source
        self.start = 0
        self.data = b""

    def piece(self, position: int, size: int) -> bytes:
        """Bytes at a position, fewer at the end of the file."""
        at = position - self.start
        if at < 0 or at + size > len(self.data):
            self.start, at = position, 0
            self.data = self.source.read(position, position + self.SIZE).tobytes()
        return self.data[at : at + size]


def _header(window: _Window, position: int, end: int) -> tuple[int, int, int] | None:
    """(offset, length, signed magic) of the next batch; None where Kafka's iteration ends without a word."""
    if position >= end - HEADER.size:
        return None
    data = window.piece(position, HEADER.size)
    if len(data) < HEADER.size:
        return None
    offset, length, _, magic = HEADER.unpack(data)
    if length >= SMALLEST_LENGTH and position > end - OVERHEAD - length:
        return None
    return offset, length, magic


def _last_offset(window: _Window, position: int, offset: int, magic: int) -> int:
    if magic < 2:
        return offset
    data = window.piece(position + LAST_OFFSET_DELTA, 4).ljust(4, b"\0")
    return offset + int.from_bytes(data, "big", signed=True)


def accepted(source: Source) -> Iterator[dict[str, int]]:
    """Rows of the batches that Kafka's recovery accepts, up to the first that it does not."""
    position = 0
    while True:
        stop = None
        for block in walk(source, position):
            yield from _plain(block.batches)
            stop = block.stop
        if stop is None or stop.reason != StopReason.BAD_MAGIC:
            return
        row = _future_magic(source, stop.position)
        if row is None:
            return
        yield row
        position = row["position"] + row["size"]


def _plain(table: BatchTable) -> Iterator[dict[str, int]]:
    columns = [getattr(table, name).tolist() for name in COLUMNS_READ]
    for values in zip(*columns, strict=True):
        yield dict(zip(COLUMNS_READ, values, strict=True))


def _future_magic(source: Source, position: int) -> dict[str, int] | None:
    # Kafka has no upper bound for magic: 3 to 127 is read as version 2, and magic lies outside its CRC.
    head = _header(_Window(source), position, source.size)
    if head is None or head[2] <= 2 or head[1] < V2_OVERHEAD - OVERHEAD:
        return None
    offset, length, magic = head
    data = source.read(position, position + OVERHEAD + length).tobytes()
    (stored,) = struct.unpack_from(">I", data, 17)
    if _crc32c(data[21:]) != stored:
        return None
    attributes, delta, _, newest, producer = struct.unpack_from(">hiqqq", data, 21)
    found = (position, len(data), offset, offset + delta, magic, attributes, newest, producer)
    return dict(zip(COLUMNS_READ, found, strict=True))
