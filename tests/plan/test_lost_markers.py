"""Markers of which no byte is left: the log closes over them, and only the offsets tell that something was there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import kafka_salvage
from tests.support import build
from tests.support.bases import parse
from tests.support.build import Rec, segment_name

PRODUCER = 7


def data(offset: int, count: int = 4) -> bytes:
    records = [Rec(offset + at, build.EPOCH_MS + at, None, b"v") for at in range(count)]
    return build.v2_batch(
        offset, records, attributes=0x10, producer_id=PRODUCER, producer_epoch=0, base_sequence=offset
    )


def end(offset: int, *, commit: bool) -> bytes:
    return build.marker(offset, commit=commit, producer_id=PRODUCER)


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("transactions", [2, 3, 6])
def test_no_aborted_record_is_called_committed_where_aborts_are_cut_out(
    tmp_path: Path, transactions: int, copies: int
) -> None:
    """Every second transaction was aborted, and its marker is gone without a trace; two such gaps look like compaction."""
    parts, aborted = [], set()
    for number in range(2 * transactions):
        offset, commit = 5 * number, number % 2 == 1
        parts += [data(offset)] + ([end(offset + 4, commit=True)] if commit else [])
        aborted |= set() if commit else set(range(offset, offset + 4))
    homes = [tmp_path / f"b{number}" for number in range(copies)]
    for home in homes:
        (home / "t-0").mkdir(parents=True)
        (home / "t-0" / segment_name(0)).write_bytes(b"".join(parts))
    kafka_salvage.salvage([str(home) for home in homes], out=tmp_path / "out", formats=["jsonl", "segments"])
    lines = [json.loads(line) for line in (tmp_path / "out" / "jsonl" / "t" / "0.jsonl").read_text().splitlines()]
    fates = {line["offset"]: line["_salvage"]["transaction"] for line in lines}
    assert aborted <= fates.keys()
    assert {fates[offset] for offset in aborted} <= {"unknown", "open", "aborted"}
    assert fates[5 * (2 * transactions - 1)] == "committed"
    loaded = tmp_path / "out" / "segments" / "t-0"
    bases = [info.base_offset for path in sorted(loaded.glob("*.log")) for info in parse(path.read_bytes())]
    assert not {base for base in bases if base in aborted}
