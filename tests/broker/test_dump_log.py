"""`kafka-dump-log` of the real Kafka and `show` agree on clean segments, batch by batch and record by record."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kafka_salvage
from tests.support.cut import CLEAN
from tests.support.jars import run_tool

pytestmark = pytest.mark.broker

SEGMENTS = sorted(CLEAN.rglob("*.log"))
Row = tuple[Any, ...]

FIELD = re.compile(r"(\w+): (\S+)")
TIME = ("CreateTime", "LogAppendTime", "NoTimestampType")
V2_FIELDS = (
    "baseOffset",
    "lastOffset",
    "count",
    "baseSequence",
    "producerId",
    "producerEpoch",
    "partitionLeaderEpoch",
    "position",
    "size",
    "magic",
    "crc",
)
LEGACY_FIELDS = ("position", "size", "magic", "crc")


@pytest.fixture(scope="module")
def dumped(kafka: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Lines of the dump, by file."""
    directory = tmp_path_factory.mktemp("dump")
    names = ",".join(str(path) for path in SEGMENTS)
    done = run_tool("kafka.tools.DumpLogSegments", "--deep-iteration", "--files", names, directory=directory)
    assert done.returncode == 0, done.stderr
    lines: dict[str, list[str]] = {}
    current: list[str] = []
    for line in done.stdout.splitlines():
        if line.startswith("Dumping "):
            current = lines.setdefault(line.removeprefix("Dumping "), [])
        else:
            current.append(line)
    return lines


def _fields(line: str) -> dict[str, str]:
    return dict(FIELD.findall(line))


def _time(fields: dict[str, str]) -> tuple[str, int]:
    ((kind, value),) = [(k, int(v)) for k, v in fields.items() if k in TIME]
    return kind, value


def _kafka_batches(lines: list[str]) -> Iterator[Row]:
    for line in lines:
        fields = _fields(line)
        if line.startswith("baseOffset"):
            flags = tuple(fields[n] == "true" for n in ("isTransactional", "isControl", "isvalid"))
            horizon = re.search(r"OptionalLong\[(\d+)\]", line)
            numbers = tuple(int(fields[n]) for n in V2_FIELDS)
            yield (*numbers, fields["compresscodec"], *_time(fields), *flags, int(horizon[1]) if horizon else None)
        elif line.startswith("offset"):
            numbers = tuple(int(fields[n]) for n in LEGACY_FIELDS)
            yield int(fields["offset"]), *numbers, fields["compresscodec"], *_time(fields), fields["isvalid"] == "true"


def _our_time(row: dict[str, Any]) -> tuple[str, int]:
    return row["timestampType"], -1 if row["timestamp"] is None else row["timestamp"]


def _our_batches(rows: list[dict[str, Any]]) -> Iterator[Row]:
    for row in rows:
        if row["type"] != "batch":
            continue
        if row["magic"] == 2:
            flags = tuple(row[n] for n in ("isTransactional", "isControl", "isvalid"))
            numbers = tuple(row[n] for n in V2_FIELDS)
            yield *numbers, row["compresscodec"], *_our_time(row), *flags, row["deleteHorizonMs"]
        else:
            numbers = tuple(row[n] for n in LEGACY_FIELDS)
            yield row["lastOffset"], *numbers, row["compresscodec"], *_our_time(row), row["isvalid"]


def _kafka_records(lines: list[str]) -> Iterator[Row]:
    for line in lines:
        fields = _fields(line)
        if line.startswith("| offset"):
            yield int(fields["offset"]), *_time(fields), int(fields["keySize"]), int(fields["valueSize"])


def _size(text: str | None) -> int:
    return -1 if text is None else len(base64.b64decode(text))


def _our_records(rows: list[dict[str, Any]]) -> Iterator[Row]:
    for row in rows:
        if row["type"] == "record":
            yield row["offset"], *_our_time(row), _size(row["key"]), _size(row["value"])


@pytest.mark.parametrize("path", SEGMENTS, ids=lambda p: "/".join(p.parts[-2:]))
def test_show_and_kafka_dump_log_agree(dumped: dict[str, list[str]], path: Path) -> None:
    lines = dumped[str(path)]
    rows = list(kafka_salvage.show(path, records=True))
    batches = list(_kafka_batches(lines))
    assert batches
    assert list(_our_batches(rows)) == batches
    assert list(_our_records(rows)) == list(_kafka_records(lines))


def test_every_magic_and_codec_is_among_them() -> None:
    seen = {
        (row["magic"], row["compresscodec"])
        for path in SEGMENTS
        for row in kafka_salvage.show(path)
        if row["type"] == "batch"
    }
    for magic in (0, 1, 2):
        assert {(magic, "none"), (magic, "gzip"), (magic, "lz4")} <= seen
    assert {(0, "snappy"), (2, "snappy"), (2, "zstd")} <= seen
