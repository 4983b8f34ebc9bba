"""Tests of the walk that holds its bytes: the same rows and stops as the walk, and bytes that decode where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kafka_salvage.ranges import ByteRange
from kafka_salvage.scan.batches import COLUMNS, BatchTable
from kafka_salvage.scan.held import HeldBlock, walk_held
from kafka_salvage.scan.records import decode, validate
from kafka_salvage.scan.walk import Stop, StopReason, walk
from kafka_salvage.source.files import FileSource
from kafka_salvage.source.memory import MemorySource
from kafka_salvage.source.source import Source
from tests.support.build import CODECS, GZIP, BatchInfo, Build


def segment() -> tuple[bytes, list[BatchInfo]]:
    build = Build(base=40)
    for turn in range(12):
        build.v2(1 + turn, codec=CODECS[turn % 5], headers=True).legacy(magic=turn % 2)
        build.wrapper(3, magic=turn % 2, codec=GZIP)
    build.v2(400)  # larger than the smaller windows
    build.v2(2).v2(3)
    data, infos = build.done()
    return data, list(infos)


def same(source: Source, window: int, **more: Any) -> list[HeldBlock]:
    """The blocks, which have the rows and the stop of the ordinary walk."""
    blocks, plain = list(walk_held(source, window=window, **more)), list(walk(source, **more))
    rows, wanted = (BatchTable.concat(b.batches for b in found) for found in (blocks, plain))
    for name in COLUMNS:
        assert getattr(rows, name).tolist() == getattr(wanted, name).tolist()
    assert [b.stop for b in blocks if b.stop] == [plain[-1].stop]
    assert blocks[-1].stop is not None
    for block in blocks:
        if block.held is not None:
            assert block.held.covers(block.batches)
    return blocks


@pytest.mark.parametrize("window", [100, 1000, 5000, 4 << 20])
@pytest.mark.parametrize("kind", ["file", "memory"])
def test_rows_and_stop_are_those_of_the_walk(window: int, kind: str, tmp_path: Path) -> None:
    data, infos = segment()
    (tmp_path / "f").write_bytes(data)
    source = FileSource(tmp_path / "f") if kind == "file" else MemorySource(data)
    blocks = same(source, window)
    assert sum(len(b.batches) for b in blocks) == len(infos)
    assert all(b.held is not None for b in blocks if len(b.batches))
    cut = infos[7].start
    same(source, window, start=cut)
    same(source, window, start=cut, stop=infos[20].stop)
    same(source, window, start=cut, stop=infos[20].stop - 1)
    same(source, window, start=cut, stop=cut)
    same(source, window, start=len(data) + 9)
    source.close()


@pytest.mark.parametrize("window", [300, 4 << 20])
def test_damage_ends_it_where_it_ends_the_walk(window: int) -> None:
    data, infos = segment()
    for place, value in (
        (infos[9].start + 70, data[infos[9].start + 70] ^ 1),
        (infos[9].start + 8, 0x7F),
        (infos[9].start + 9, 0x7F),
        (infos[9].start + 11, 3),
        (infos[9].start + 16, 7),
        (infos[0].start + 40, 0xEE),
        (infos[-1].stop - 1, data[-1] ^ 1),
    ):
        broken = bytearray(data)
        broken[place] = value
        same(MemorySource(bytes(broken)), window)
    for size in (0, 5, 25, infos[3].stop + 20, len(data) - 1):
        same(MemorySource(data[:size]), window)


@pytest.mark.parametrize("window", [300, 4 << 20])
def test_held_batches_decode_without_another_read(window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data, infos = segment()
    source = MemorySource(data)
    offsets, seen = [], []
    for block in walk_held(source, window=window):
        with monkeypatch.context() as patch:
            patch.setattr(source, "read_into", None)
            for made in decode(source, block.batches, held=block.held):
                assert not made.detail
                offsets += made.table.offset.tolist()
            for told in validate(source, block.batches, held=block.held):
                seen += told.outcome.tolist()
            for made in decode(source, block.batches.take(slice(1, None, 2)), held=block.held):
                assert not made.detail
    assert offsets == [r.offset for info in infos for r in info.records]
    assert seen == [0] * len(infos)


def test_a_batch_larger_than_any_window_is_left_to_the_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    from kafka_salvage.scan import held

    monkeypatch.setattr(held, "MOST", 6000)
    data, infos = segment()
    blocks = same(MemorySource(data), 3000)
    large = [i.start for i in infos if i.size > 6000]
    assert len(large) == 1
    assert [b.batches.position.tolist() for b in blocks if b.held is None and len(b.batches)] == [large]
    broken = bytearray(data)
    broken[large[0] + 5000] ^= 1
    assert same(MemorySource(bytes(broken)), 3000)[-1].stop is not None
    records = [r for b in blocks for d in decode(MemorySource(data), b.batches, held=b.held) for r in d.table.offset]
    assert records == [r.offset for info in infos for r in info.records]


class _Bad(MemorySource):
    bad = ByteRange(0, 0)

    @property
    def unreadable(self) -> tuple[ByteRange, ...]:
        return (self.bad,)


def test_unreadable_bytes_end_it_as_they_end_the_walk() -> None:
    data, infos = segment()
    source = _Bad(data)
    source.bad = ByteRange(infos[5].start + 3, infos[5].start + 4)
    blocks = same(source, 600)
    assert blocks[-1].stop == Stop(infos[5].start, StopReason.UNREADABLE, size=infos[5].size)


def test_a_file_that_shrinks_ends_it(tmp_path: Path) -> None:
    data, infos = segment()
    path = tmp_path / "f"
    path.write_bytes(data)
    source = FileSource(path)
    path.write_bytes(data[: infos[6].start + 9])
    blocks = list(walk_held(source, window=4 << 20))
    assert BatchTable.concat(b.batches for b in blocks).position.tolist() == [i.start for i in infos[:6]]
    assert blocks[-1].stop is not None
    assert blocks[-1].stop.reason is StopReason.UNREADABLE
    source.close()


def test_sums_that_were_checked_are_not_computed_again() -> None:
    data, infos = segment()
    broken = bytearray(data)
    broken[infos[9].stop - 1] ^= 1
    assert len(BatchTable.concat(b.batches for b in walk_held(MemorySource(bytes(broken))))) == 9
    blocks = list(walk_held(MemorySource(bytes(broken)), summed=True))
    assert BatchTable.concat(b.batches for b in blocks).position.tolist() == [i.start for i in infos]
    assert blocks[-1].stop == Stop(len(data), StopReason.END)
