"""Latest: which records of a line are the newest of their keys, found in bounded memory.

Steps:

1. The line is read once. Of each record with a key, hash and offset are noted: those that count (`none`, `committed`), and
   those of transactions whose end is not known. Aborted ones are no values.
2. Notes are sorted by hash a million at a time, kept once per key, and written to a temporary file (24 bytes for each
   key of each run).
3. Range by range of the hashes, the runs are laid together; the newest note of each key goes, by offset, to a second file.
4. While the line is read again for output, that file is walked along in windows.

Memory: some 200 MiB for each line that is written at a time, whatever the number of keys. Disk: at most 24 bytes per record and
8 per key, in files that have no name and vanish with the process.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from kafka_salvage.errors import RequestError
from kafka_salvage.export.key_hashes import U64, KeyHasher
from kafka_salvage.export.lines import Line, lines_of
from kafka_salvage.export.receipt import Shortfall
from kafka_salvage.export.refusals import destination_error
from kafka_salvage.export.rows import chunk_records, labelled, line_batches, refuse_any
from kafka_salvage.export.selecting import LOWEST, RecordFilter
from kafka_salvage.export.sink import RecordChunk
from kafka_salvage.plan.plan import TRANSACTION_CODES, Plan, Transaction
from kafka_salvage.scan.batches import I8, I64
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.records import RecordTable, decode

RUN = 1 << 20
"""Notes that are sorted at a time."""
_BUCKETS = 1 << 10
_SHIFT = np.uint64(51)
"""Hashes have 61 bits: the top 10 name a bucket."""
_NONE = -1
_ENDLESS = (1 << 63) - 1
_WIDEST = 1 << 60
"""Offsets from the first to the last of a line that can be told apart."""

NOT, LATEST, DOUBTED, UNDECIDED = 0, 1, 2, 3
"""Of a record: not the newest of its key; the newest; the newest that counts, behind which one of an undecided transaction
stands; the newest of a key of which no record counts."""

_ABORTED = TRANSACTION_CODES.index(Transaction.ABORTED)
_COUNTS = np.array([code in (Transaction.NONE, Transaction.COMMITTED) for code in TRANSACTION_CODES])


@dataclass(frozen=True, slots=True)
class _Run:
    """A sorted run in the file of notes: ``bounds`` are the first rows of each bucket, and its end."""

    start: int
    bounds: I64


class Latest:
    """The newest records of one line's keys.

    Args:
        line: what is read.
        limits: bounds of decompression.
        shortfalls: what could not be read again is appended.
        place: directory of the temporary files; the system's own without.
        heed: is told bytes that were looked through; may raise to give up.
        run: notes that are sorted at a time.

    Attributes:
        without_key: records that have none; they are no values of anything.

    Raises:
        DestinationError: the temporary files cannot be written.
        RequestError: its offsets span 2^60 or more.
    """

    def __init__(
        self,
        line: Line,
        limits: Limits,
        shortfalls: list[Shortfall],
        place: Path | None = None,
        *,
        heed: Callable[[int], None] = lambda size: None,
        run: int = RUN,
    ) -> None:
        self.without_key = 0
        self._run = run
        self._low = LOWEST if line.log_start is None else line.log_start
        self._origin = line.steps[0].offsets.start
        if line.steps[-1].offsets.stop - self._origin >= _WIDEST:
            raise RequestError(f"{line.directory}: its offsets lie too far apart to find the latest of each key")
        try:
            with tempfile.TemporaryFile(dir=place) as notes:
                runs = self._note(notes, self._seen(line, limits, shortfalls, heed))
                with ExitStack() as unless:
                    self._file = unless.enter_context(tempfile.TemporaryFile(dir=place))
                    self._ends = self._choose(notes, runs)
                    unless.pop_all()  # it lives as long as this object
        except OSError as error:
            raise destination_error(str(place or tempfile.gettempdir()), error) from error
        self._cursors = [0, *self._ends[:-1]]
        self._window, self._reach = np.empty(0, np.int64), LOWEST

    def _seen(
        self, line: Line, limits: Limits, shortfalls: list[Shortfall], heed: Callable[[int], None]
    ) -> Iterator[tuple[U64, U64, I64]]:
        """Hashes and notes of the records with a key: offset, twice, plus 1 when it counts."""
        hasher = KeyHasher()
        for chunk in line_batches(line, limits, shortfalls):
            table = chunk.batches
            heed(int(table.size.sum()))
            wanted = ~table.is_control & (chunk.labels != _ABORTED) & (table.last_offset >= self._low)
            labels = chunk.labels[wanted]
            for decoded in decode(chunk.source, table.take(np.asarray(wanted)), limits):
                records = decoded.table
                of = np.searchsorted(table.position[wanted], records.batches.position)
                counts = _COUNTS[labels[of]][records.batch]
                keep = (records.offset >= self._low) & (records.key_size >= 0)
                self.without_key += int(((records.offset >= self._low) & (records.key_size < 0)).sum())
                kept = records if keep.all() else records.take(keep)
                if len(kept):
                    yield *hasher.hashes(kept), (kept.offset - self._origin) * 2 + counts[keep]

    def _note(self, file: IO[bytes], seen: Iterator[tuple[U64, U64, I64]]) -> list[_Run]:
        """Writes sorted runs."""
        runs: list[_Run] = []
        parts: list[tuple[U64, U64, I64]] = []
        held = 0
        for part in seen:
            parts.append(part)
            held += len(part[2])
            if held >= self._run:
                runs.append(_write_run(file, parts))
                parts, held = [], 0
        if parts:
            runs.append(_write_run(file, parts))
        return runs

    def _choose(self, file: IO[bytes], runs: list[_Run]) -> list[int]:
        """Writes the newest notes of all keys, range of hashes by range, each sorted by offset; returns their ends."""
        ends: list[int] = []
        total = 0
        for low, high in _ranges(runs, self._run):
            first, second, note = _kept(*_columns(file, runs, low, high))
            same = (first[1:] == first[:-1]) & (second[1:] == second[:-1])
            heads = np.flatnonzero(np.concatenate(([True], ~same)))
            counted, undecided = _best(note, heads, 1), _best(note, heads, 0)
            code = np.where(counted < 0, UNDECIDED, np.where(undecided > counted, DOUBTED, LATEST))
            made = np.sort(np.where(counted < 0, undecided, counted) * 4 + code)
            self._file.write(made.tobytes())
            total += len(made)
            ends.append(total)
        self._file.flush()
        return ends

    def codes(self, offsets: I64) -> I8:
        """What each of some records is; to be asked in offset order, all records of one call at once.

        Args:
            offsets: ascending.
        """
        offsets = offsets - self._origin
        found = np.full(len(offsets), NOT, np.int8)
        done = 0
        while done < len(offsets):
            while self._reach <= int(offsets[done]):
                self._slide()
            stop = int(np.searchsorted(offsets, self._reach))
            mine = offsets[done:stop]
            at = np.searchsorted(self._window >> 2, mine)
            hit = at < len(self._window)
            hit[hit] = (self._window[at[hit]] >> 2) == mine[hit]
            found[done:stop][hit] = (self._window[at[hit]] & 3).astype(np.int8)
            done = stop
        return found

    def _slide(self) -> None:
        """Takes the next window: all notes below an offset that is at most a share of a run ahead in each range."""
        share = max(1, self._run // max(1, len(self._ends)))
        heads = [
            self._slice(cursor, min(cursor + share, end)) for cursor, end in zip(self._cursors, self._ends, strict=True)
        ]
        more = [
            int(head[-1]) for head, cursor, end in zip(heads, self._cursors, self._ends, strict=True)
            if len(head) and cursor + len(head) < end
        ]  # fmt: skip
        bound = min(more, default=_ENDLESS)
        taken = [head[: int(np.searchsorted(head, bound, side="right"))] for head in heads]
        self._cursors = [cursor + len(part) for cursor, part in zip(self._cursors, taken, strict=True)]
        self._window = np.sort(np.concatenate([np.empty(0, np.int64), *taken]))
        self._reach = (bound >> 2) + 1 if more else _ENDLESS

    def _slice(self, start: int, stop: int) -> I64:
        return np.frombuffer(_read(self._file, 8 * start, 8 * (stop - start)), np.int64)

    def narrow(self, table: RecordTable) -> tuple[RecordTable, I8]:
        """The records that are the newest of their keys, of any sort, and what each is."""
        codes = self.codes(table.offset)
        keep = codes != NOT
        return table.take(keep), codes[keep]

    def close(self) -> None:
        """Gives the temporary file back."""
        self._file.close()


def latest_tables(plan: Plan, limits: Limits | None = None) -> Iterator[RecordTable]:
    """The newest record that counts of each key, tombstones included, as `plan_tables` gives them.

    The filters of the plan's policy hold: what they leave out is not replaced by something older.

    Raises:
        SourceError: bytes that were checked could not be read again.
        DestinationError: there is no room for temporary files.
    """
    bounds = limits or Limits()
    for line in lines_of(plan):
        shortfalls: list[Shortfall] = []
        wanted = RecordFilter(line, plan.policy, latest=True)
        with closing(Latest(line, bounds, shortfalls)) as latest:
            for chunk in line_batches(line, bounds, shortfalls):
                for records in chunk_records(chunk, line.labels, wanted, bounds, shortfalls):
                    table, codes = latest.narrow(records.table)
                    counted = codes != UNDECIDED
                    if counted.any():
                        yield labelled(line, RecordChunk(records.step, table.take(counted), records.labels))
                refuse_any(shortfalls)
            refuse_any(shortfalls)


def _write_run(file: IO[bytes], parts: list[tuple[U64, U64, I64]]) -> _Run:
    first, second, note = _kept(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    start = file.tell()
    for column in (first, second, note):
        file.write(column.tobytes())
    edges = np.searchsorted(first >> _SHIFT, np.arange(_BUCKETS, dtype=np.uint64))
    return _Run(start, np.concatenate((edges, [len(note)])).astype(np.int64))


def _kept(first: U64, second: U64, note: I64) -> tuple[U64, U64, I64]:
    """Sorted by hash; of each key the newest note of each sort."""
    order = np.lexsort((note, note & 1, second, first))
    first, second, note = first[order], second[order], note[order]
    same = (first[1:] == first[:-1]) & (second[1:] == second[:-1]) & ((note[1:] ^ note[:-1]) & 1 == 0)
    last = np.concatenate((~same, [True]))
    return first[last], second[last], note[last]


def _best(note: I64, heads: I64, sort: int) -> I64:
    """Of each key the newest offset of one sort (1: counts), `_NONE` without."""
    return np.asarray(np.maximum.reduceat(np.where(note & 1 == sort, note >> 1, _NONE), heads))


def _ranges(runs: list[_Run], most: int) -> Iterator[tuple[int, int]]:
    """Ranges of buckets that hold at most so many notes, if one bucket does."""
    if not runs:
        return
    sizes = np.diff(np.sum([run.bounds for run in runs], axis=0))
    low, held = 0, 0
    for bucket, size in enumerate(sizes.tolist()):
        if held and held + size > most:
            yield low, bucket
            low, held = bucket, 0
        held += size
    if held:
        yield low, len(sizes)


def _columns(file: IO[bytes], runs: list[_Run], low: int, high: int) -> tuple[U64, U64, I64]:
    """The notes of all runs in a range of buckets."""
    columns: list[list[bytes]] = [[], [], []]
    for run in runs:
        start, stop, rows = int(run.bounds[low]), int(run.bounds[high]), int(run.bounds[-1])
        for place, column in enumerate(columns):
            column.append(_read(file, run.start + 8 * (place * rows + start), 8 * (stop - start)))
    first, second, note = (b"".join(column) for column in columns)
    return np.frombuffer(first, np.uint64), np.frombuffer(second, np.uint64), np.frombuffer(note, np.int64)


def _read(file: IO[bytes], start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size)
