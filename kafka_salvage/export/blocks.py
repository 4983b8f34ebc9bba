"""Block: records of a line as one Arrow table of bounded size.

Strategy: blocks are cut at rows, by the bytes of the records alone, so that the same records give the same blocks however
they were handed over. A block holds at most `BLOCK` bytes, or one larger record; 32-bit offsets therefore always reach, and
every block of a file has the same schema.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import metadata
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from kafka_salvage.errors import InvariantError
from kafka_salvage.export.arrow_columns import arrow_table
from kafka_salvage.export.atomic import StagedFile
from kafka_salvage.export.evidence_sums import EvidenceSums
from kafka_salvage.export.lines import Line
from kafka_salvage.export.places import UNLOADABLE_TOPICS, shown
from kafka_salvage.export.receipt import WrittenFile
from kafka_salvage.export.secrets import secret_rows
from kafka_salvage.export.sink import RecordChunk, Setting
from kafka_salvage.plan.plan import TRANSACTION_CODES
from kafka_salvage.scan.batches import I64
from kafka_salvage.scan.origin import Origin
from kafka_salvage.scan.records import RecordTable
from kafka_salvage.scan.replica import EvidenceFile

BLOCK = 16 << 20
"""Most bytes of a block, counted as in `row_bytes`: several lines are written at a time, each with a few blocks in memory."""
FIXED = 128
"""Bytes that a record counts for besides key, value and headers."""
GATHERED = 4 << 20
"""Bytes that a writer gathers before they are handed over."""
MASK = ord("*")
FACTS = b"kafka_salvage"
"""Key of a file's metadata under which its facts stand, as JSON."""

SCHEMA: pa.Schema = arrow_table(RecordTable.empty()).schema
PACKED: pa.Schema = arrow_table(RecordTable.empty(), packed=True).schema
"""The same columns; those of names hold each name once."""

_LABELS = tuple(str(label) for label in TRANSACTION_CODES)


def row_bytes(table: RecordTable) -> I64:
    """Bytes that each record counts for."""
    sizes = FIXED + np.maximum(table.key_size, 0).astype(np.int64) + np.maximum(table.value_size, 0)
    headers = table.header_key_size.astype(np.int64) + np.maximum(table.header_value_size, 0)
    sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(headers)])
    first = table.header_first
    return np.asarray(sizes + sums[first[1:]] - sums[first[:-1]])


def _masked(table: RecordTable) -> RecordTable:
    """The same records; each byte of a value that may hold a credential is an asterisk."""
    rows = np.flatnonzero(secret_rows(table))
    if not len(rows):
        return table
    data = table.data.copy()
    for row in rows.tolist():
        start = int(table.value_start[row])
        data[start : start + int(table.value_size[row])] = MASK
    return replace(table, data=data)


class Block(NamedTuple):
    """Records of a line.

    Attributes:
        table: in offset order.
        files: the evidence files that they come from.
    """

    table: pa.Table
    files: frozenset[EvidenceFile]


class Blocks:
    """Gathers the records of one line.

    Args:
        line: tells topic and partition.
        setting: tells whether credentials are masked.
        limit: most bytes of a block.
        schema: `SCHEMA` or `PACKED`.
        ready: comes back when the block before is out of memory; asked before one is put together, which takes its size twice.
    """

    def __init__(
        self,
        line: Line,
        setting: Setting,
        limit: int = BLOCK,
        schema: pa.Schema = SCHEMA,
        ready: Callable[[], None] | None = None,
    ) -> None:
        self._ready = ready
        self._schema = schema
        self._line = line
        self._mask = line.topic in UNLOADABLE_TOPICS and not setting.policy.show_secrets
        self._limit = limit
        self._parts: list[pa.Table] = []
        self._files: set[EvidenceFile] = set()
        self.pending = 0

    def take(self, chunk: RecordChunk) -> Iterator[Block]:
        """Adds records; yields the blocks that they fill."""
        table = self._labelled(chunk)
        ends = np.cumsum(row_bytes(table))
        start, done = 0, 0
        while start < len(table):
            stop = int(np.searchsorted(ends, done + self._limit - self.pending, side="right"))
            if stop <= start:  # the next record has no room
                if self._parts:
                    yield self.rest()
                    continue
                stop = start + 1
            piece = table if stop - start == len(table) else table.take(slice(start, stop))
            self._parts.append(arrow_table(piece, packed=self._schema is PACKED))
            self._files.add(chunk.step.survey.segment.file)
            self.pending += int(ends[stop - 1]) - done
            start, done = stop, int(ends[stop - 1])

    def _labelled(self, chunk: RecordChunk) -> RecordTable:
        file, line = chunk.step.survey.segment.file, self._line
        verdict = str(chunk.step.verdict)
        origin = Origin(
            shown(line.topic), line.partition, shown(file.source), shown(file.path), verdict, chunk.labels, _LABELS
        )
        table = replace(chunk.table, origin=origin)
        return _masked(table) if self._mask else table

    def rest(self) -> Block:
        """What is gathered, as one block in one piece; there must be something."""
        if self._ready is not None:
            self._ready()
        parts, self._parts, self.pending = self._parts, [], 0
        made = parts[0] if len(parts) == 1 else pa.concat_tables(parts).combine_chunks()
        if made.schema != self._schema:
            raise InvariantError("a block has a schema of its own", stage="export.blocks")
        files, self._files = frozenset(self._files), set()
        return Block(made, files)


def _version() -> str:
    try:
        return metadata.version("kafka-salvage")
    except metadata.PackageNotFoundError:
        return "unknown"


class Facts:
    """What a file says of itself: the program, the partition, the offsets ``[start, stop)``, the evidence.

    Args:
        line: what the file is of.
        sums: of the evidence.
    """

    def __init__(self, line: Line, sums: EvidenceSums) -> None:
        self._line = line
        self._sums = sums
        self._offsets: list[int] = []
        self._files: set[EvidenceFile] = set()

    def add(self, block: Block) -> None:
        """Takes note of a block."""
        offsets = block.table["offset"]
        first = self._offsets[0] if self._offsets else offsets[0].as_py()
        self._offsets = [first, offsets[-1].as_py() + 1]
        self._files |= block.files

    def add_line(self) -> None:
        """Takes note of the whole line, before anything of it is written."""
        self._offsets = [self._line.steps[0].offsets.start, self._line.steps[-1].offsets.stop]
        self._files |= {step.survey.segment.file for step in self._line.steps}

    def encoded(self) -> dict[bytes, bytes]:
        """As metadata of a file: JSON under one key. The evidence files are read for their sums."""
        document = {
            "version": _version(),
            "topic": shown(self._line.topic),
            "partition": self._line.partition,
            "kind": self._line.kind,
            "offsets": self._offsets,
            "sources": [
                {
                    "source": shown(file.source),
                    "path": shown(file.path),
                    "size": file.size,
                    "sha256": self._sums.of(file),
                }
                for file in sorted(self._files, key=lambda file: (file.source, file.path))
            ],
        }
        return {FACTS: json.dumps(document, sort_keys=True, ensure_ascii=False).encode()}


def written_out() -> None:
    """Gives memory back that a block took and that its library would keep: to be called by the thread that wrote it."""
    pa.default_memory_pool().release_unused()


class StagedStream:
    """A staged file as pyarrow writes to one.

    A writer that is given up may still want to write its end when it is collected; by then the file is gone, and what it
    writes goes nowhere.
    """

    closed = False

    def __init__(self, file: StagedFile) -> None:
        self._file: StagedFile | None = file

    def write(self, data: Any) -> int:
        """Appends bytes. Raises: DestinationError."""
        view = memoryview(data).cast("B")
        if self._file is not None:
            try:
                self._file.write(view)
            except ValueError:  # it was closed
                self._file = None
            except BaseException:
                self._file = None
                raise
        return len(view)

    def tell(self) -> int:
        """Bytes so far."""
        return 0 if self._file is None else self._file.size

    def gathered(self) -> Any:
        """The stream behind a buffer of its own: whoever writes many small pieces does not ask Python for each of them.

        What is in the buffer arrives here when it is flushed.
        """
        return pa.BufferedOutputStream(pa.PythonFile(self, mode="w"), GATHERED)

    def flush(self) -> None:
        """Nothing to do: the staged file flushes itself."""

    def close(self) -> None:
        """The stream takes no more; the staged file is finished by its owner."""
        self.closed = True

    def finish(self, records: int) -> WrittenFile:
        """Finishes the staged file. Raises: DestinationError."""
        if self._file is None:
            raise InvariantError("a file was closed before its end was written", stage="export.blocks")
        return self._file.finish(records=records)

    @property
    def size(self) -> int:
        """Bytes that were written."""
        return self.tell()
