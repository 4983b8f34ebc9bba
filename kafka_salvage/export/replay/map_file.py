"""Map file: an offset map as JSON Lines or Parquet, written whole or not at all.

JSON Lines: a first line ``{"schema", "cluster_id", "runs"}``, then one object per run with the names of `OffsetRun`. Parquet:
a column of each name, the same first line as metadata. A file whose runs are not all there is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kafka_salvage.errors import DestinationError, MissingExtraError, RequestError, SourceError
from kafka_salvage.export.replay.offset_map import OffsetMap, OffsetRun

SCHEMA = "kafka-salvage.offset-map/1"
PARQUET_MAGIC = b"PAR1"
INSTALL = "pip install 'kafka-salvage[parquet]'"
COLUMNS = ("topic", "partition", "old_start", "old_stop", "new_topic", "new_partition", "new_start")
_TEXT = ("topic", "new_topic")
_FACTS = b"kafka_salvage"
_LONGEST_LINE = 1 << 16


def write_map(path: Path, found: OffsetMap) -> None:
    """Writes a map; a name that ends with ``.parquet`` gives Parquet, any other JSON Lines.

    Raises:
        DestinationError: it could not be written; nothing half-written is left.
        MissingExtraError: pyarrow is not installed.
    """
    head = {"schema": SCHEMA, "cluster_id": found.cluster, "runs": len(found)}
    if path.suffix == ".parquet":
        _write_parquet(path, found, head)
        return
    from kafka_salvage.integrity.placing import write_text

    lines = [json.dumps(head, sort_keys=True)]
    lines += [json.dumps({name: getattr(run, name) for name in COLUMNS}) for run in found.runs()]
    write_text(path, "\n".join(lines) + "\n")


def _write_parquet(path: Path, found: OffsetMap, head: Mapping[str, Any]) -> None:
    pa, pq = _pyarrow()
    kinds = {name: pa.string() if name in _TEXT else pa.int64() for name in COLUMNS}
    rows = list(found.runs())
    columns = {name: pa.array([getattr(run, name) for run in rows], kinds[name]) for name in COLUMNS}
    table = pa.table(columns).replace_schema_metadata({_FACTS: json.dumps(head, sort_keys=True).encode()})
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as stream:
            pq.write_table(table, stream, compression="zstd")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        reason = (error.strerror or str(error)).lower()
        raise DestinationError(f"{path} could not be written: {reason}", target=str(path)) from error


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            "an offset map in Parquet needs pyarrow, which is not installed", install=INSTALL
        ) from error
    return pyarrow, pyarrow.parquet


def read_map(path: Path) -> OffsetMap:
    """Reads a map, of either kind.

    Raises:
        RequestError: this is no offset map, or not a whole one.
        SourceError: it cannot be read.
        MissingExtraError: it is Parquet, and pyarrow is not installed.
    """
    try:
        with path.open("rb") as stream:
            parquet = stream.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
        head, runs = _read_parquet(path) if parquet else _read_lines(path)
    except FileNotFoundError as error:
        raise _refused(path, "there is no such file") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _refused(path, f"it is no offset map ({error})") from error
    try:
        if head.get("schema") != SCHEMA:
            raise _refused(path, f"it is no offset map of the kind {SCHEMA}")
        if head["runs"] != len(runs):
            raise _refused(path, f"{len(runs)} runs are in it, and there should be {head['runs']}")
        return OffsetMap.of(runs, head["cluster_id"])
    except (ValueError, KeyError) as error:
        raise _refused(path, str(error)) from error


def _refused(path: Path, reason: str) -> RequestError:
    return RequestError(f"{path}: {reason}", advice="Give the offset map that a replay wrote.")


def _read_lines(path: Path) -> tuple[dict[str, Any], list[OffsetRun]]:
    with path.open("rb") as stream:
        head = json.loads(stream.readline(_LONGEST_LINE))
        if not isinstance(head, dict):
            raise ValueError("its first line is no object")
        runs = []
        while line := stream.readline(_LONGEST_LINE):
            try:
                runs.append(_run(json.loads(line)))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"line {len(runs) + 2}: {error}") from error
    return head, runs


def _read_parquet(path: Path) -> tuple[dict[str, Any], list[OffsetRun]]:
    pa, pq = _pyarrow()
    try:
        with pq.ParquetFile(path) as file:
            head = json.loads((file.schema_arrow.metadata or {})[_FACTS])
            rows = file.read(list(COLUMNS)).to_pylist()
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
    if not isinstance(head, dict):
        raise ValueError("its metadata is no object")
    return head, [_run(row) for row in rows]


def _run(row: Mapping[str, Any]) -> OffsetRun:
    for name in COLUMNS:
        value = row[name]
        fine = type(value) is str if name in _TEXT else type(value) is int and 0 <= value < 1 << 63
        if not fine:
            raise ValueError(f"{name} is {value!r}")
    return OffsetRun(*(row[name] for name in COLUMNS))
