"""RollingLog: batches, written as the segment files of one log directory."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from kafka_salvage.errors import InvariantError
from kafka_salvage.export.atomic import StagedFile
from kafka_salvage.export.receipt import Shortfall, WrittenFile
from kafka_salvage.export.restamp import restamp_epochs, stripped_pieces
from kafka_salvage.export.sink import BatchChunk, Setting
from kafka_salvage.scan.batches import I64, BatchTable, Bool
from kafka_salvage.source.source import U8, Source

PIECE = 1 << 20
"""Bytes that are copied at a time, cut at batch edges; a larger batch goes in pieces of this size."""


class RollingLog:
    """Segment files of one directory.

    Rolls where the source rolled (the names of its segments), and wherever bytes or relative offsets would pass the limit.
    A batch that overlaps the one before is left out and counted: no broker takes it.

    Attributes:
        directory: relative to the output directory.
        epochs: (epoch, start offset), as a broker derives them from the v2 batches.
        first_base: name of the first segment; None before the first batch.
        next_offset: behind the last batch written; None before the first.
    """

    def __init__(self, setting: Setting, directory: str, format_: str) -> None:
        self.directory = directory
        self.epochs: list[tuple[int, int]] = []
        self.first_base: int | None = None
        self.next_offset: int | None = None
        self._setting = setting
        self._limit = setting.options.segment_limit
        self._epoch = setting.policy.leader_epoch
        self._format = format_
        self._file: StagedFile | None = None
        self._base = 0
        self._named: int | None = None
        self._in_file = [0, 0]
        self._totals = {"batches": 0, "records": 0, "control_records": 0, "overlapping_batches_left_out": 0}
        self._rewritten = 0
        self._stripped: list[list[int]] = []
        self._done: list[WrittenFile] = []
        self._buffer: U8 = np.empty(0, np.uint8)

    @property
    def started(self) -> bool:
        """Whether a batch was written."""
        return self.first_base is not None

    @property
    def _opened(self) -> StagedFile:
        if self._file is None:
            raise InvariantError("no segment file is open", stage="export.rolling")
        return self._file

    def append(self, chunk: BatchChunk, strip: Bool) -> tuple[Shortfall, ...]:
        """Writes batches; those in ``strip`` lose their producer fields. Returns those that could not be read again."""
        table = chunk.batches
        if not len(table):
            return ()
        fits = self._increasing(table)
        if not fits.all():
            self._totals["overlapping_batches_left_out"] += int((~fits).sum())
            table, strip = table.take(fits), strip[fits]
        missed: list[Shortfall] = []
        row = 0
        while row < len(table):
            self._roll(table, row, chunk.step.survey.segment.base_offset)
            stop = self._fitting(table, row)
            self._write_rows(chunk, table.take(slice(row, stop)), strip[row:stop], missed)
            row = stop
        return tuple(missed)

    def _increasing(self, table: BatchTable) -> Bool:
        """Batches that begin behind all those before them."""
        reached = -1 if self.next_offset is None else self.next_offset - 1
        before = np.maximum.accumulate(np.concatenate([np.array([reached], np.int64), table.last_offset[:-1]]))
        fits = np.asarray(table.base_offset > before)
        if fits.all():
            return fits
        for row in range(len(table)):  # one that is left out does not count against those behind it
            fits[row] = int(table.base_offset[row]) > reached
            reached = int(table.last_offset[row]) if fits[row] else reached
        return fits

    def _roll(self, table: BatchTable, row: int, name: int | None) -> None:
        """Sees to it that a file is open which the batch in ``row`` may go into."""
        first, last, size = (int(column[row]) for column in (table.base_offset, table.last_offset, table.size))
        usable = name is not None and name <= first and last - name <= self._limit
        usable = usable and (self.next_offset is None or self.next_offset <= (name or 0))
        if self._file is not None:
            new_name = usable and name != self._named
            fits = self._file.size + size <= self._limit and last - self._base <= self._limit
            if fits and not new_name:
                return
            self._close()
        self._base = name if usable and name is not None and name != self._named else first
        self._named = name
        self._file = self._setting.stage.create(f"{self.directory}/{self._base:020d}.log", self._format)
        if self.first_base is None:
            self.first_base = self._base

    def _fitting(self, table: BatchTable, row: int) -> int:
        """Row behind the last one that fits into the open file."""
        room = self._limit - self._opened.size
        by_size = int(np.searchsorted(np.cumsum(table.size[row:]), room, side="right"))
        by_offset = int(np.searchsorted(table.last_offset[row:], self._base + self._limit, side="right"))
        return row + max(1, min(by_size, by_offset))

    def _write_rows(self, chunk: BatchChunk, table: BatchTable, strip: Bool, missed: list[Shortfall]) -> None:
        """Writes rows to the open file, run by run of batches that touch and are treated alike."""
        breaks = (table.position[1:] != table.stop[:-1]) | (strip[1:] != strip[:-1])
        edges = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(table)]
        for start, stop in pairwise(edges):
            run = table.take(slice(start, stop))
            if not strip[start] and self._pass_on(chunk, run):
                self._count(run, False)
                continue
            for first, last in self._pieces(run, alone=bool(strip[start])):
                piece = run.take(slice(first, last))
                if self._copy(chunk.source, piece, bool(strip[start])):
                    self._count(piece, bool(strip[start]))
                else:
                    missed += self._copy_singly(chunk, piece, bool(strip[start]))

    def _pass_on(self, chunk: BatchChunk, run: BatchTable) -> bool:
        """Writes adjacent batches from the memory in which they were checked; False when they are not there."""
        start, stop = int(run.position[0]), int(run.stop[-1])
        data = None if chunk.frame is None else chunk.frame.bytes_of(start, stop)
        if chunk.frame is None or data is None:
            return False
        if self._epoch is None:
            chunk.frame.pending.append(self._opened.write_later(data))
        else:
            own = data.copy()
            restamp_epochs(own, run.position[run.magic >= 2] - start, self._epoch)
            self._opened.write_later(own)
        return True

    @staticmethod
    def _pieces(run: BatchTable, *, alone: bool) -> list[tuple[int, int]]:
        """Row ranges of about `PIECE` bytes, one row each when ``alone``."""
        ranges: list[tuple[int, int]] = []
        row, ends = 0, run.stop
        while row < len(run):
            reach = int(np.searchsorted(ends, int(run.position[row]) + PIECE, side="right"))
            stop = row + 1 if alone else max(row + 1, reach)
            ranges.append((row, stop))
            row = stop
        return ranges

    def _copy_singly(self, chunk: BatchChunk, piece: BatchTable, strip: bool) -> list[Shortfall]:
        """Writes what can still be read of a piece, batch by batch."""
        missed: list[Shortfall] = []
        file = chunk.step.survey.segment.file
        for row in range(len(piece)):
            single = piece.take(slice(row, row + 1))
            if self._copy(chunk.source, single, strip):
                self._count(single, strip)
            else:
                reason = "these bytes became unreadable after they were checked"
                missed.append(Shortfall(file.source, file.path, int(single.position[0]), int(single.stop[0]), reason))
        return missed

    def _copy(self, source: Source, piece: BatchTable, strip: bool) -> bool:
        """Copies adjacent batches; False, and nothing written, when they are unreadable now."""
        start, stop = int(piece.position[0]), int(piece.stop[-1])
        if strip:
            parts = stripped_pieces(source, start, stop, PIECE)
        elif stop - start <= PIECE:
            parts = iter([self._read(source, start, stop)])
        else:
            if _unreadable(source, start, stop, probe=True):
                return False
            parts = (self._read(source, at, min(at + PIECE, stop)) for at in range(start, stop, PIECE))
        for number, part in enumerate(parts):
            if number == 0:
                if _unreadable(source, start, stop, probe=False):
                    return False
                if self._epoch is not None:
                    restamp_epochs(part, piece.position[piece.magic >= 2] - start, self._epoch)
            self._opened.write(part)
        return True

    def _read(self, source: Source, start: int, stop: int) -> U8:
        if len(self._buffer) < stop - start:
            self._buffer = np.empty(max(stop - start, PIECE), np.uint8)
        view = self._buffer[: stop - start]
        source.read_into(start, view)
        return view

    def _count(self, piece: BatchTable, strip: bool) -> None:
        control = piece.is_control
        counts = np.maximum(piece.record_count, 0).astype(np.int64)
        records = int(counts[~control].sum())
        self._in_file[0] += records
        self._in_file[1] += len(piece)
        self._totals["batches"] += len(piece)
        self._totals["records"] += records
        self._totals["control_records"] += int(counts[control].sum())
        first, self.next_offset = int(piece.base_offset[0]), int(piece.last_offset[-1]) + 1
        newer = piece.magic >= 2
        epochs: I64 = piece.leader_epoch[newer].astype(np.int64)
        if self._epoch is not None:
            self._rewritten += int((epochs != self._epoch).sum())
            epochs = np.full(len(epochs), self._epoch, np.int64)
        self._note_epochs(epochs, piece.base_offset[newer])
        if strip:
            if self._stripped and self._stripped[-1][1] == first:
                self._stripped[-1][1] = self.next_offset
            else:
                self._stripped.append([first, self.next_offset])

    def _note_epochs(self, epochs: I64, starts: I64) -> None:
        highest = self.epochs[-1][0] if self.epochs else -1
        before = np.maximum.accumulate(np.concatenate([np.array([highest], np.int64), epochs]))[:-1]
        for row in np.flatnonzero(epochs > before).tolist():
            self.epochs.append((int(epochs[row]), int(starts[row])))

    def _close(self) -> None:
        if self._file is not None:
            records, batches = self._in_file
            self._done.append(self._file.finish(records=records, batches=batches))
            self._file, self._in_file = None, [0, 0]

    def state(self) -> dict[str, Any]:
        """Where it stands, as plain values; the open file is synced."""
        return {
            "epochs": [list(pair) for pair in self.epochs],
            "first_base": self.first_base,
            "next_offset": self.next_offset,
            "base": self._base,
            "named": self._named,
            "in_file": list(self._in_file),
            "totals": dict(self._totals),
            "rewritten": self._rewritten,
            "stripped": [list(pair) for pair in self._stripped],
            "files": [file.to_dict() for file in self._done],
            "open": None if self._file is None else self._file.checkpoint(),
        }

    def restore(self, state: Mapping[str, Any], files: Mapping[str, StagedFile]) -> None:
        """Goes on from a state; ``files`` are those that it says are open."""
        self.epochs = [(epoch, start) for epoch, start in state["epochs"]]
        self.first_base, self.next_offset = state["first_base"], state["next_offset"]
        self._base, self._named, self._in_file = state["base"], state["named"], list(state["in_file"])
        self._totals, self._rewritten = dict(state["totals"]), state["rewritten"]
        self._stripped = [list(pair) for pair in state["stripped"]]
        self._done = [WrittenFile(**file) for file in state["files"]]
        self._file = None if state["open"] is None else files[state["open"]["path"]]

    def finish(self) -> tuple[WrittenFile, ...]:
        """Closes the open file; returns all of them."""
        self._close()
        return tuple(self._done)

    def summary(self) -> dict[str, Any]:
        """Counts, the offsets written, and which fields were rewritten, as plain values."""
        return {
            **self._totals,
            "base_offset": self.first_base,
            "next_offset": self.next_offset,
            "rewritten": {"leader_epoch_batches": self._rewritten},
            "repaired_by_strip": [list(pair) for pair in self._stripped],
        }


def _unreadable(source: Source, start: int, stop: int, *, probe: bool) -> bool:
    """Whether bytes of ``[start, stop)`` are known to be unreadable; ``probe`` reads them first."""
    if probe:
        scratch = np.empty(PIECE, np.uint8)
        for at in range(start, stop, PIECE):
            source.read_into(at, scratch[: min(PIECE, stop - at)])
    return any(gap.start < stop and start < gap.stop for gap in source.unreadable)
