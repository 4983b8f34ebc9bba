"""The listing as lines of JSON, which must say what its rows say, in the same order."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from kafka_salvage.integrity.listing import show, show_lines
from kafka_salvage.integrity.log_lines import batch_lines, batch_row, line_of
from kafka_salvage.plan.policy import Selection
from kafka_salvage.scan import records
from tests.scan.headers import header_table
from tests.support.build import CODECS, GZIP, Build, v2_header_and

CLEAN = Path(__file__).resolve().parents[2] / "fixtures" / "clean"


def lines_of(place: Path, **more: Any) -> list[dict[str, Any]]:
    """The rows that the lines hold, keys in their order."""
    found: list[dict[str, Any]] = []
    for piece in show_lines(place, **more):
        if isinstance(piece, dict):
            found.append(piece)
        else:
            text = bytes(piece)
            assert text.endswith(b"\n") or not text
            found += [json.loads(line) for line in text.splitlines()]
    return found


def same(place: Path, **more: Any) -> list[dict[str, Any]]:
    rows, lines = list(show(place, **more)), lines_of(place, **more)
    assert lines == rows
    assert [list(line) for line in lines] == [list(row) for row in rows]
    return rows


def segment(tmp_path: Path) -> Path:
    """Every magic and codec, transactions, holes, empty batches, batches that do not decode, damage."""
    build = Build(base=2**31 - 30)
    for codec in CODECS:
        build.v2(4, codec=codec, headers=True, producer_id=9, producer_epoch=2, base_sequence=2**31 - 3)
        build.v2(3, codec=codec, keep=(), attributes=0x08)
        build.v2(3, keep=(1,), attributes=0x40)
    build.v2(2, producer_id=9, producer_epoch=0, attributes=0x10).marker(commit=True, producer_id=9)
    for magic in (0, 1):
        build.legacy(magic=magic).wrapper(3, magic=magic, codec=GZIP)
    data, infos = build.done()
    bad = v2_header_and(b"no records", build.next_offset, count=3, last_offset_delta=2, attributes=GZIP)
    broken = bytearray(data + bad + data)
    broken[infos[3].start + 80] ^= 4
    place = tmp_path / 'ä "%s"-0' / "00000000000000000000.log"
    place.parent.mkdir()
    place.write_bytes(bytes(broken) + bytes(70))
    return place


@pytest.mark.parametrize("with_records", [False, True])
def test_lines_say_what_rows_say(with_records: bool, tmp_path: Path) -> None:
    rows = same(segment(tmp_path), records=with_records)
    kinds = {row["type"] for row in rows}
    assert kinds == {"file", "batch", "damaged", "blank", "end"} | ({"record"} if with_records else set())
    assert with_records == any("problem" in row for row in rows)
    assert with_records == any("control" in row for row in rows)


@pytest.mark.parametrize(
    "selection",
    [
        Selection(from_offset=2**31 - 20),
        Selection(from_offset=2**31 - 20, to_offset=2**31 + 5),
        Selection(from_timestamp=1_700_000_000_000 + 3 * 2**31, to_timestamp=1_700_000_000_000 + 3 * (2**31 + 9)),
    ],
)
def test_filters_hold(selection: Selection, tmp_path: Path) -> None:
    place = segment(tmp_path)
    for with_records in (False, True):
        assert len(same(place, records=with_records, selection=selection)) < len(
            list(show(place, records=with_records))
        )


@pytest.mark.parametrize("codec", [0, GZIP])
def test_a_batch_in_ranges_has_one_row(codec: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "00000000000000000000.log"
    place.write_bytes(Build().v2(9, codec=codec, headers=True).done()[0])
    whole = list(show(place, records=True))
    assert [row["type"] for row in whole] == ["file", "batch", *["record"] * 9, "end"]
    monkeypatch.setattr(records, "MOST_ROWS", 4)
    assert same(place, records=True) == whole


def test_credentials_stay_masked(tmp_path: Path) -> None:
    scram = bytes((1, 11, 0)) + b"\x06alice" + bytes(30)
    data, _ = Build().v2(3, values=[scram, b"plain", scram]).done()
    place = tmp_path / "__cluster_metadata-0" / "00000000000000000000.log"
    place.parent.mkdir()
    place.write_bytes(data)
    hidden = same(place, records=True)
    assert [("masked" in row, row["value"] is None) for row in hidden if row["type"] == "record"] == [
        (True, True),
        (False, False),
        (True, True),
    ]
    assert not any("masked" in row for row in same(place, records=True, show_secrets=True))


@pytest.mark.parametrize("name", ["cluster", "v1", "mixed"])
def test_real_files(name: str) -> None:
    if not (CLEAN / name).is_dir():
        pytest.skip("no such fixture")
    assert len(same(CLEAN / name, records=True)) > 100


def test_lines_are_those_that_the_standard_library_writes(tmp_path: Path) -> None:
    data, _ = (
        Build()
        .v2(3, producer_id=4)
        .legacy(magic=0)
        .wrapper(2, magic=1, codec=GZIP)
        .marker(commit=False, producer_id=9)
        .done()
    )
    batches = header_table(data)
    file = json.dumps('a"ö%d')
    for index, line in enumerate(batch_lines(batches, file)):
        row = {"type": "batch", "file": 'a"ö%d', **batch_row(batches, index)}
        assert line.decode() == json.dumps(row, separators=(",", ":")) + "\n"
    row = {"type": "record", "key": struct.pack(">h", 3).hex()}
    assert (
        line_of(row, file).decode()
        == json.dumps({"type": "record", "file": 'a"ö%d', **row}, separators=(",", ":")) + "\n"
    )
