"""ParquetSink: Parquet files per line, a row group per block, rolled at a bounded size.

Strategy: a part ends where it has grown to `PART` bytes, and, once it has `ENOUGH`, where the evidence goes on with another
stretch: both depend on the records alone. Behind such an end nothing is in memory, so that an interrupted run can go on there.
A record that is far larger than a block has a part to itself, which is not compressed and which pyarrow writes without Python:
it is then in memory three times, where it would be five times.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kafka_salvage.export.atomic import StagedFile
from kafka_salvage.export.behind import Behind
from kafka_salvage.export.blocks import (
    BLOCK,
    GATHERED,
    PACKED,
    SCHEMA,
    Block,
    Blocks,
    Facts,
    StagedStream,
    written_out,
)
from kafka_salvage.export.lines import Line
from kafka_salvage.export.places import encode
from kafka_salvage.export.receipt import Written, WrittenFile
from kafka_salvage.export.sink import RecordChunk, Setting
from kafka_salvage.plan.plan import Step

NAME = "parquet"
PART = 1 << 30
"""A part that has this many bytes ends."""
ENOUGH = 256 << 20
"""One that has this many ends with the stretch of evidence."""
ALONE = 2 * BLOCK
"""A record that counts for more bytes has a part to itself."""
LEVEL = 3

_PLAIN = {
    "value",
    "offset",
    "timestamp",
    "_salvage_timestamp_ms",
    "_salvage_sequence",
    "headers",
    "_salvage_header_keys",
}
DICTIONARIES = [*(name for name in SCHEMA.names if name not in _PLAIN), "headers.list.element.key"]
"""Columns whose values repeat."""
STATISTICS = ["offset", "timestamp", "_salvage_timestamp_ms"]
"""Columns with a least and a greatest value per row group: none that holds payload."""


class ParquetSink:
    """`parquet`: a folder of parts per line."""

    def record_writer(self, line: Line, setting: Setting) -> ParquetWriter:
        """A writer."""
        return ParquetWriter(line, setting)


def _writer(sink: Any, **how: Any) -> Any:
    """Pyarrow's writer of a part."""
    return pq.ParquetWriter(
        sink,
        PACKED,
        store_schema=False,  # readers are not told how names were handed over: they are strings
        use_dictionary=DICTIONARIES,
        write_statistics=STATISTICS,
        write_page_checksum=True,
        sorting_columns=[pq.SortingColumn(SCHEMA.names.index("offset"))],  # before it, no column is nested
        **how,
    )


def _write_alone(file: StagedFile, block: Block, line: Line, setting: Setting) -> WrittenFile:
    """A part of one large record."""
    facts = Facts(line, setting.evidence)
    facts.add(block)
    with file.lent() as path, pa.OSFile(str(path), "wb") as raw:
        sink = pa.BufferedOutputStream(raw, GATHERED)
        with _writer(sink, compression="none") as writer:
            writer.write_table(block.table, row_group_size=len(block.table))
            writer.add_key_value_metadata(facts.encoded())
        sink.flush()
    return file.finish(records=len(block.table))


class _Part:
    """One file on its way."""

    def __init__(self, file: StagedFile, line: Line, setting: Setting) -> None:
        self.records = 0
        self._facts = Facts(line, setting.evidence)
        self._stream = StagedStream(file)
        self._sink = self._stream.gathered()
        self._writer = _writer(self._sink, compression="zstd", compression_level=LEVEL)

    @property
    def size(self) -> int:
        """Bytes that were written."""
        return self._stream.size

    def write(self, block: Block) -> None:
        """Writes a block as a row group."""
        self._writer.write_table(block.table, row_group_size=len(block.table))
        self._sink.flush()
        self._facts.add(block)
        self.records += len(block.table)
        written_out()

    def close(self) -> WrittenFile:
        """Writes the end."""
        self._writer.add_key_value_metadata(self._facts.encoded())
        self._writer.close()
        self._sink.flush()
        return self._stream.finish(self.records)


class ParquetWriter:
    """Writes the records of one line; a line without records gives no file."""

    def __init__(
        self,
        line: Line,
        setting: Setting,
        *,
        block: int = BLOCK,
        part: int = PART,
        enough: int = ENOUGH,
        alone: int = ALONE,
    ) -> None:
        self.directory = f"{line.root}parquet/{encode(line.topic)}/{line.partition}"
        self._line = line
        self._setting = setting
        self._behind = Behind()
        self._blocks = Blocks(line, setting, block, PACKED, ready=self._behind.wait)
        self._most, self._enough, self._alone = part, enough, alone
        self._part: _Part | None = None
        self._step: Step | None = None
        self._done: list[WrittenFile] = []

    def take(self, chunk: RecordChunk) -> None:
        """Writes records."""
        if chunk.step is not self._step:
            self._pause()
            self._step = chunk.step
        for block in self._blocks.take(chunk):
            self._write(block)

    def _write(self, block: Block) -> None:
        """Has a block written, behind, while the records after it are decoded."""
        self._settle()
        if len(block.table) == 1 and block.table.nbytes > self._alone:
            self._end_part()
            self._done.append(_write_alone(self._create(), block, self._line, self._setting))
            return
        if self._part is None:
            self._part = _Part(self._create(), self._line, self._setting)
        self._behind.do(partial(self._part.write, block))

    def _create(self) -> StagedFile:
        return self._setting.stage.create(f"{self.directory}/part-{len(self._done):05d}.parquet", NAME)

    def _settle(self) -> None:
        """Waits for what is being written; a part that is full then ends."""
        self._behind.wait()
        if self._part is not None and self._part.size >= self._most:
            self._end_part()

    def _pause(self) -> None:
        """At the end of a stretch of evidence: the part ends here when it has enough."""
        self._settle()
        if self._part is not None and self._part.size + self._blocks.pending >= self._enough:
            self._close()

    def _close(self) -> None:
        """Writes what is gathered and ends the part."""
        if self._blocks.pending:
            self._write(self._blocks.rest())
        self._behind.wait()
        self._end_part()

    def _end_part(self) -> None:
        if self._part is not None:
            self._done.append(self._part.close())
            self._part = None

    def state(self) -> dict[str, Any] | None:
        """Where it stands, as plain values; None in the middle of a part."""
        self._pause()
        if self._part is not None or self._blocks.pending:
            return None
        return {"files": [file.to_dict() for file in self._done]}

    def restore(self, state: Mapping[str, Any], files: Mapping[str, StagedFile]) -> None:
        """Goes on from a state."""
        self._done = [WrittenFile(**file) for file in state["files"]]

    def finish(self) -> Written:
        """Closes the last part."""
        self._close()
        self._behind.end()
        records = sum(file.records for file in self._done)
        if not self._done:
            return Written()
        return Written(
            tuple(self._done), {NAME: {"path": self.directory, "parts": len(self._done), "records": records}}
        )
