"""Reread offsets: what the files of a rescue hold, read back by format and not trusted.

Each reader goes through the whole file, every column and every record of it, and gives the offsets of its data records in
pieces of bounded size.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import zstandard

from kafka_salvage.errors import MissingExtraError, SourceError
from kafka_salvage.scan.batches import I64
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.records import Outcome, decode
from kafka_salvage.scan.walk import Stop, StopReason, walk
from kafka_salvage.source.opening import open_source

ROWS = 1 << 14
LONGEST_LINE = 4 << 30
"""No line of JSON is longer: keys, values and headers of a record in base64."""
INSTALL = "pip install 'kafka-salvage[parquet]'"


class Broken(Exception):  # noqa: N818 - a fact about a file; verification makes a sentence of it
    """A file does not read as what it should be."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a file should hold: the topic as the manifest writes it, and the partition."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Reread:
    """A piece of a file: offsets of data records, and whole batches (segments only)."""

    offsets: I64
    batches: int = 0


def reread(place: Path, format_: str, expected: Expected, limits: Limits) -> Iterator[Reread]:
    """Reads a file back.

    Args:
        place: the file.
        format_: name of the sink that made it.
        expected: whose records it should hold.
        limits: bounds of decompression.

    Raises:
        Broken: it does not read as what it should be.
        OSError: it cannot be read.
        SourceError: as `OSError`.
        MissingExtraError: a library that it needs is not installed.
    """
    if format_ == "segments":
        return _segment(place, limits)
    if format_ == "jsonl":
        return _json_lines(place, expected)
    return _columns(place, format_, expected)


def _segment(place: Path, limits: Limits) -> Iterator[Reread]:
    with closing(open_source(place, place.name)) as source:
        stop: Stop | None = None
        for block in walk(source):
            stop = block.stop or stop
            yield Reread(np.empty(0, np.int64), len(block.batches))
            for decoded in decode(source, block.batches, limits):
                table = decoded.table
                for row in np.flatnonzero(decoded.outcome != Outcome.OK).tolist():
                    outcome = Outcome(int(decoded.outcome[row]))
                    reason = decoded.detail.get(row, outcome.name.lower())
                    if outcome is Outcome.CODEC_MISSING:
                        raise SourceError(f"the batch at byte {int(table.batches.position[row])}: {reason}")
                    raise Broken(f"the batch at byte {int(table.batches.position[row])}: {reason}")
                yield Reread(table.offset[~table.batches.is_control[table.batch]])
        if source.unreadable:
            raise SourceError(f"bytes from {source.unreadable[0].start} on cannot be read")
        if stop is not None and stop.reason is not StopReason.END:
            raise Broken(f"no batch at byte {stop.position} ({stop.reason})")


def opened_text(place: Path) -> IO[bytes]:
    """A file of lines, inflated by its name's ending. Raises: OSError."""
    opened: Any
    if place.suffix == ".gz":
        opened = gzip.open(place, "rb")  # noqa: SIM115 - the caller closes it
    elif place.suffix == ".zst":
        opened = io.BufferedReader(zstandard.open(place, "rb"))
    else:
        opened = place.open("rb")
    return cast(IO[bytes], opened)


def _json_lines(place: Path, expected: Expected) -> Iterator[Reread]:
    found: list[int] = []
    number = 0
    try:
        with opened_text(place) as file:
            while line := file.readline(LONGEST_LINE):
                number += 1
                found.append(_offset(line, expected))
                if len(found) >= ROWS:
                    yield Reread(np.array(found, np.int64))
                    found.clear()
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        raise Broken(f"it does not inflate behind line {number}: {error}") from error
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise Broken(f"line {number}: {error}") from error
    yield Reread(np.array(found, np.int64))


def _offset(line: bytes, expected: Expected) -> int:
    """The offset that a line tells. Raises: ValueError, KeyError, TypeError."""
    if not line.endswith(b"\n"):
        raise ValueError("it has no end")
    record = json.loads(line)
    if (record["topic"], record["partition"]) != (expected.topic, expected.partition):
        raise ValueError("it is of another partition")
    offset = record["offset"]
    if type(offset) is not int or record.keys() != _KEYS:
        raise ValueError("it is no record")
    return offset


_KEYS = {"topic", "partition", "offset", "timestamp", "timestampType", "key", "value", "headers", "_salvage"}


def _columns(place: Path, format_: str, expected: Expected) -> Iterator[Reread]:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtraError(f"to read {format_} back, pyarrow is needed", install=INSTALL) from error
    from kafka_salvage.export.blocks import SCHEMA

    batches: Callable[[Path], Iterator[Any]] = _parquet if format_ == "parquet" else _arrow
    try:
        for batch in batches(place):
            if batch.schema.remove_metadata() != SCHEMA:
                raise Broken("its columns are not those of a salvage")
            batch.validate(full=True)
            _refuse_others(batch, expected)
            yield Reread(batch.column("offset").to_numpy(zero_copy_only=False).astype(np.int64))
    except pa.ArrowException as error:
        raise Broken(str(error)) from error
    except OSError as error:
        if error.errno is None:  # pyarrow's word for bytes that make no sense
            raise Broken(str(error)) from error
        raise


def _refuse_others(batch: Any, expected: Expected) -> None:
    import pyarrow.compute as pc

    for name, value in (("topic", expected.topic), ("partition", expected.partition)):
        if len(batch) and pc.unique(batch.column(name)).to_pylist() != [value]:
            raise Broken("it holds records of another partition")


def _parquet(place: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(place, page_checksum_verification=True) as file:
        yield from file.iter_batches(batch_size=ROWS)


def _arrow(place: Path) -> Iterator[Any]:
    import pyarrow as pa

    with pa.memory_map(str(place)) as source, pa.ipc.open_file(source) as file:
        for number in range(file.num_record_batches):
            yield file.get_batch(number)
