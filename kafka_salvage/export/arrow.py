"""ArrowSink: an Arrow IPC file per line, to be mapped into memory."""

from __future__ import annotations

from functools import partial
from typing import Any

import pyarrow as pa

from kafka_salvage.export.behind import Behind
from kafka_salvage.export.blocks import BLOCK, SCHEMA, Block, Blocks, Facts, StagedStream, written_out
from kafka_salvage.export.lines import Line
from kafka_salvage.export.places import encode
from kafka_salvage.export.receipt import Written
from kafka_salvage.export.sink import RecordChunk, Setting

NAME = "arrow"


class ArrowSink:
    """`arrow`: a file per line."""

    def record_writer(self, line: Line, setting: Setting) -> ArrowWriter:
        """A writer."""
        return ArrowWriter(line, setting)


class ArrowWriter:
    """Writes the records of one line; a line without records gives no file.

    Bodies are not compressed, so that a reader need not copy them.
    """

    def __init__(self, line: Line, setting: Setting, block: int = BLOCK) -> None:
        self.path = f"{line.root}arrow/{encode(line.topic)}/{line.partition}.arrow"
        self._line = line
        self._setting = setting
        self._behind = Behind()
        self._blocks = Blocks(line, setting, block, ready=self._behind.wait)
        self._stream: StagedStream | None = None
        self._sink: Any = None
        self._writer: Any = None
        self._records = 0

    def take(self, chunk: RecordChunk) -> None:
        """Writes records."""
        for block in self._blocks.take(chunk):
            self._write(block)

    def _write(self, block: Block) -> None:
        if self._stream is None:
            self._stream = StagedStream(self._setting.stage.create(self.path, NAME))
            facts = Facts(self._line, self._setting.evidence)
            facts.add_line()  # metadata is fixed before the first record is written
            schema = SCHEMA.with_metadata(facts.encoded())
            self._sink = self._stream.gathered()
            self._writer = pa.ipc.new_file(self._sink, schema)
        self._behind.do(partial(self._write_table, block.table))
        self._records += len(block.table)

    def _write_table(self, table: pa.Table) -> None:
        self._writer.write_table(table)
        written_out()

    def finish(self) -> Written:
        """Closes the file."""
        if self._blocks.pending:
            self._write(self._blocks.rest())
        self._behind.end()
        if self._stream is None:
            return Written()
        self._writer.close()
        self._sink.flush()
        made = self._stream.finish(self._records)
        return Written((made,), {NAME: {"path": made.path, "records": self._records}})
