"""JsonlSink: one JSON object per record, with where it came from; keys in a fixed order, exact integers."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, Protocol

import zstandard

from kafka_salvage.export.atomic import StagedFile
from kafka_salvage.export.lines import Line
from kafka_salvage.export.places import UNLOADABLE_TOPICS, encode
from kafka_salvage.export.receipt import Written
from kafka_salvage.export.render import Renderer
from kafka_salvage.export.sink import RecordChunk, Setting

NAME = "jsonl"
LARGE = 16 << 20
"""Bytes of a piece, one line then, that is out of memory again before the record is handed to anybody else."""
SUFFIX = {"none": "", "gzip": ".gz", "zstd": ".zst"}
_GZIP = 31
"""zlib's window bits for a gzip member; its header then carries mtime 0 and no name."""


class _Compressor(Protocol):
    def compress(self, data: Any, /) -> Any: ...

    def flush(self) -> bytes: ...


class _Plain:
    """No compression."""

    def compress(self, data: memoryview | bytes, /) -> memoryview | bytes:
        return data

    def flush(self) -> bytes:
        return b""


def _compressor(kind: str) -> _Compressor:
    if kind == "gzip":
        return zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    if kind == "zstd":
        return zstandard.ZstdCompressor(level=3, write_checksum=True).compressobj()
    return _Plain()


class JsonlSink:
    """`jsonl`: a file per line."""

    def record_writer(self, line: Line, setting: Setting) -> JsonlWriter:
        """A writer."""
        return JsonlWriter(line, setting)


class JsonlWriter:
    """Writes the records of one line; a line without records gives no file."""

    def __init__(self, line: Line, setting: Setting) -> None:
        compress = setting.options.compress
        self.path = f"{line.root}jsonl/{encode(line.topic)}/{line.partition}.jsonl{SUFFIX[compress]}"
        masked = line.topic in UNLOADABLE_TOPICS and not setting.policy.show_secrets
        self._renderer = Renderer(line.topic, line.partition, setting.options.encoding, mask_secrets=masked)
        self._stage = setting.stage
        self._compressor = _compressor(compress)
        self._file: StagedFile | None = None
        self._records = 0

    def take(self, chunk: RecordChunk) -> None:
        """Writes records."""
        if self._file is None:
            self._file = self._stage.create(self.path, NAME)
        for text in self._renderer.lines(chunk):
            wait = self._file.write_later(self._compressor.compress(text))  # a piece is its own memory
            if len(text) > LARGE:
                wait()
        self._records += len(chunk.table)

    def state(self) -> dict[str, Any] | None:
        """Where it stands, as plain values; None in the middle of a compressed file."""
        if self._file is not None and not isinstance(self._compressor, _Plain):
            return None
        opened = None if self._file is None else self._file.checkpoint()
        return {"records": self._records, "open": opened}

    def restore(self, state: Mapping[str, Any], files: Mapping[str, StagedFile]) -> None:
        """Goes on from a state; ``files`` are those that it says are open."""
        self._records = state["records"]
        self._file = None if state["open"] is None else files[state["open"]["path"]]

    def finish(self) -> Written:
        """Closes the file."""
        if self._file is None:
            return Written()
        self._file.write(self._compressor.flush())
        made = self._file.finish(records=self._records)
        return Written((made,), {NAME: {"path": made.path, "records": self._records}})
