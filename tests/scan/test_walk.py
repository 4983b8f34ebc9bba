"""The walk gives each batch whose CRC agrees, stops where the bytes stop making sense, and says why."""

from __future__ import annotations

import os
import struct
import tracemalloc
import zlib
from collections.abc import Sequence
from pathlib import Path

import crcmod.predefined
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.errors import InvariantError
from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.held import walk_held
from kafka_salvage.scan.walk import Stop, StopReason, walk
from kafka_salvage.source.files import FileSource
from kafka_salvage.source.memory import MemorySource
from kafka_salvage.source.source import U8, Source
from tests.support import build
from tests.support.corpus import ROOT, scene
from tests.support.faulty import FaultySource
from tests.vector.checks import plain_walk, rows_of, sample

crc32c = crcmod.predefined.mkPredefinedCrcFun("crc-32c")
CLEAN = sorted((ROOT / "fixtures" / "clean").rglob("*.log"))


def walked(source: Source, start: int = 0, stop: int | None = None, **how: int) -> tuple[BatchTable, Stop]:
    blocks = list(walk(source, start, stop, **how))
    assert [b.stop is None for b in blocks[:-1]] == [True] * (len(blocks) - 1)
    end = blocks[-1].stop
    assert end is not None
    return BatchTable.concat([b.batches for b in blocks]), end


def check(data: bytes, source: Source | None = None, **how: int) -> None:
    rows, stop = plain_walk(data)
    table, end = walked(source or MemorySource(data), **how)
    assert (rows_of(table), end) == (rows, stop)


@pytest.mark.parametrize("path", CLEAN, ids=lambda p: f"{p.parent.name}-{p.stem[-4:]}")
def test_segments_of_real_brokers(path: Path) -> None:
    data = path.read_bytes()
    source = FileSource(path)
    check(data, source)
    source.close()
    assert walked(MemorySource(data))[1] == Stop(len(data), StopReason.END)


@pytest.mark.corpus
@pytest.mark.parametrize("place", [("modern-1", "cluster"), ("old-1", "mixed"), ("modern-1", "eaten")])
def test_segments_of_the_corpus(place: tuple[str, str]) -> None:
    paths = sorted(p for p in scene(*place).rglob("*.log*") if p.is_file() and p.stat().st_size < 1 << 20)
    assert len(paths) > 20
    for path in paths:
        source = FileSource(path)
        check(path.read_bytes(), source, window=8192)
        source.close()


@pytest.mark.parametrize("window", [4096, 8192, 1 << 18])
@pytest.mark.parametrize("rows", [8, 8192])
def test_windows_and_blocks_are_irrelevant(tmp_path: Path, window: int, rows: int) -> None:
    data = sample(900)
    path = tmp_path / "0.log"
    path.write_bytes(data)
    source = FileSource(path)
    check(data, source, window=window, rows=rows)
    check(data, MemorySource(data), window=window, rows=rows)
    source.close()


@given(st.data())
def test_any_damage(data: st.DataObject) -> None:
    broken = bytearray(sample(60))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(broken) - 1))
        broken[at : at + data.draw(st.sampled_from([1, 1, 4, 600]))] = data.draw(st.binary(max_size=8))
    start = data.draw(st.sampled_from([0, 0, 1, 100]))
    check(bytes(broken[start:]), window=data.draw(st.sampled_from([4096, 1 << 17])), rows=16)


@given(st.lists(st.integers(0, 1300), min_size=1, max_size=30), st.data())
def test_small_batches_of_any_size_whole_or_hurt(sizes: list[int], data: st.DataObject) -> None:
    values = [build.Rec(at, build.EPOCH_MS + at, None, bytes([at % 251]) * size) for at, size in enumerate(sizes)]
    log = bytearray(b"".join(build.v2_batch(at, [value]) for at, value in enumerate(values)))
    if data.draw(st.booleans()):
        log[data.draw(st.integers(0, len(log) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    log = log[: data.draw(st.sampled_from([len(log), len(log), len(log) - 1, len(log) // 2]))]
    rows, stop = plain_walk(bytes(log))
    source = MemorySource(bytes(log))
    check(bytes(log), source, window=data.draw(st.sampled_from([4096, 1 << 16])), rows=8)
    held = list(walk_held(source, window=data.draw(st.sampled_from([1500, 1 << 20]))))
    assert [row for block in held for row in rows_of(block.batches)] == rows
    assert held[-1].stop == stop


def test_starts_and_stops_where_it_is_told() -> None:
    data, infos = build.segment(20)
    table, end = walked(MemorySource(data), infos[3].start, infos[9].stop)
    assert table.position.tolist() == [b.start for b in infos[3:10]]
    assert end == Stop(infos[9].stop, StopReason.END)
    table, end = walked(MemorySource(data), infos[3].start, infos[9].stop + 40)
    assert end == Stop(infos[9].stop, StopReason.LENGTH_PAST_END, size=infos[10].size)
    assert walked(MemorySource(data), len(data) + 5)[1] == Stop(len(data) + 5, StopReason.END)


@pytest.mark.parametrize("left", [1, 11, 17, 25])
def test_short(left: int) -> None:
    data = build.segment(3)[0]
    assert walked(MemorySource(data + data[:left]))[1] == Stop(len(data), StopReason.SHORT)


@pytest.mark.parametrize(
    ("length", "reason", "size"),
    [
        (-(2**31), StopReason.LENGTH_TOO_SMALL, 0),
        (-12, StopReason.LENGTH_TOO_SMALL, 0),
        (0, StopReason.LENGTH_TOO_SMALL, 12),
        (13, StopReason.LENGTH_TOO_SMALL, 25),
        (48, StopReason.LENGTH_TOO_SMALL, 60),
        (2**31 - 1, StopReason.LENGTH_PAST_END, 2**31 + 11),
    ],
)
def test_lengths_that_lie(length: int, reason: StopReason, size: int) -> None:
    data, infos = build.segment(9)
    broken = bytearray(data)
    struct.pack_into(">i", broken, infos[4].start + 8, length)
    table, end = walked(MemorySource(bytes(broken)))
    assert (len(table), end) == (4, Stop(infos[4].start, reason, size=size))


@pytest.mark.parametrize("magic", [3, 127, 128, 255])
def test_other_magics_stop_even_with_a_good_crc(magic: int) -> None:
    data, infos = build.segment(4)
    broken = bytearray(data)
    broken[infos[2].start + 16] = magic
    end = walked(MemorySource(bytes(broken)))[1]
    assert end == Stop(infos[2].start, StopReason.BAD_MAGIC, size=infos[2].size)


@pytest.mark.parametrize("magic", [0, 1, 2])
def test_a_mismatch_carries_both_crcs(magic: int) -> None:
    data, infos = build.segment(5, magic=magic)
    broken = bytearray(data)
    at = infos[3].start
    broken[infos[3].stop - 1] ^= 1
    place, covered, add = (17, 21, crc32c) if magic == 2 else (12, 16, zlib.crc32)
    stored = int.from_bytes(data[at + place : at + place + 4], "big")
    computed = add(bytes(broken[at + covered : infos[3].stop]))
    assert walked(MemorySource(bytes(broken)))[1] == Stop(at, StopReason.CRC_MISMATCH, stored, computed, infos[3].size)


def test_a_batch_is_accepted_by_its_crc_alone() -> None:
    """Unused attribute bits, a count that is no count, a negative delta: the bytes were not changed, so they come out."""
    odd = build.v2_header_and(
        b"", 7, epoch=-9, attributes=0x7F87, last_offset_delta=-5, base_timestamp=-(2**63), max_timestamp=2**63 - 1,
        producer_id=-77, producer_epoch=-2, base_sequence=-3, count=2**31 - 1,
    )  # fmt: skip
    table, end = walked(MemorySource(odd * 2))
    assert end.reason is StopReason.END
    row = table.row(1)
    assert (row["last_offset"], row["attributes"], row["record_count"]) == (2, 0x7F87, 2**31 - 1)
    assert (row["base_timestamp"], row["leader_epoch"]) == (-(2**63), -9)


@pytest.mark.parametrize("magic", [0, 1, 2])
@pytest.mark.parametrize("room", [0, 1, 4096, 50_000])
def test_a_batch_larger_than_the_window_is_summed_in_pieces(tmp_path: Path, magic: int, room: int) -> None:
    b = build.Build(size=8192 - 100 + room)
    for _ in range(3):
        b.v2(2) if magic == 2 else b.legacy(magic=magic)
    data, infos = b.done()
    path = tmp_path / "0.log"
    path.write_bytes(data)
    source = FileSource(path)
    check(data, source, window=8192)
    source.close()
    broken = bytearray(data)
    broken[infos[1].stop - 3] ^= 0x10
    check(bytes(broken), window=4096)


def test_a_forged_length_allocates_nothing(tmp_path: Path) -> None:
    claimed = 200 << 20
    data, infos = build.segment(3)
    broken = bytearray(data)
    struct.pack_into(">i", broken, infos[1].start + 8, claimed - 12)
    path = tmp_path / "0.log"
    path.write_bytes(broken)
    os.truncate(path, infos[1].start + claimed + 5)
    source = FileSource(path)
    walked(MemorySource(data))  # compiled before memory is counted
    tracemalloc.start()
    table, end = walked(source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    source.close()
    assert (len(table), end.position, end.reason, end.size) == (1, infos[1].start, StopReason.CRC_MISMATCH, claimed)
    covered = bytes(broken[infos[1].start + 21 :])
    assert end.stored == int.from_bytes(data[infos[1].start + 17 : infos[1].start + 21], "big")
    assert end.computed == _with_zeros(crc32c(covered), claimed - 21 - len(covered))
    assert peak < 8 << 20


def _with_zeros(value: int, count: int) -> int:
    """CRC-32C after ``count`` more zero bytes, by squaring a 32 by 32 matrix of bits."""
    register = value ^ 0xFFFFFFFF
    step = [(1 << i) >> 1 ^ (0x82F63B78 if i == 0 else 0) for i in range(32)]

    def apply(matrix: Sequence[int], vector: int) -> int:
        result = 0
        for i in range(32):
            if vector >> i & 1:
                result ^= matrix[i]
        return result

    for _ in range(3):
        step = [apply(step, row) for row in step]
    while count:
        if count & 1:
            register = apply(step, register)
        step = [apply(step, row) for row in step]
        count >>= 1
    return register ^ 0xFFFFFFFF


@pytest.mark.parametrize("where", ["header", "payload", "last byte"])
def test_a_batch_with_an_unreadable_byte_ends_the_walk(tmp_path: Path, where: str) -> None:
    data, infos = build.segment(60, size=400)
    path = tmp_path / "0.log"
    path.write_bytes(data)
    hit = infos[30]
    at = {"header": hit.start + 3, "payload": hit.start + 900, "last byte": hit.stop - 1}[where]
    source = FaultySource(path, [(at, at + 1)])
    table, end = walked(source, window=4096)
    lost = source.unreadable[0]
    good = [b.start for b in infos if b.stop <= lost.start]
    stopped = next(b.start for b in infos if b.stop > lost.start)
    assert lost.start <= at < lost.stop
    assert (end.reason, end.position, table.position.tolist()) == (StopReason.UNREADABLE, stopped, good)
    source.close()


def test_zeros_for_an_unreadable_sector_are_not_taken_for_data(tmp_path: Path) -> None:
    """The batch's own bytes there are zeros, so the CRC holds over the fill: still nobody has read them."""
    data = build.v2_batch(0, [build.Rec(0, 0, None, bytes(4000))]) + build.v2_batch(1, [build.Rec(1, 0, b"", b"")])
    path = tmp_path / "0.log"
    path.write_bytes(data)
    source = FaultySource(path, [(2000, 2001)])
    table, end = walked(source)
    assert (len(table), end.position, end.reason) == (0, 0, StopReason.UNREADABLE)
    source.close()


class _Descriptor(MemorySource):
    """Memory that names a descriptor on which every read fails, as on a bad disk."""

    def __init__(self, data: bytes, descriptor: int) -> None:
        super().__init__(data)
        self.descriptor = descriptor
        self.asked = 0

    def fileno(self) -> int:
        return self.descriptor

    def read_into(self, position: int, buffer: U8) -> int:
        self.asked += 1
        return super().read_into(position, buffer)


def test_what_the_kernel_cannot_read_is_left_to_the_source(tmp_path: Path) -> None:
    data = sample(300)
    descriptor = os.open(tmp_path / "write-only", os.O_WRONLY | os.O_CREAT)
    source = _Descriptor(data, descriptor)
    check(data, source, window=4096)
    os.close(descriptor)
    assert source.asked >= len(data) // 4096


def test_a_file_that_shrank(tmp_path: Path) -> None:
    data, infos = build.segment(40, size=300)
    path = tmp_path / "0.log"
    path.write_bytes(data)
    source = FileSource(path)
    os.truncate(path, infos[20].start + 10)
    table, end = walked(source, window=4096)
    assert (len(table), end.position, end.reason) == (20, infos[20].start, StopReason.UNREADABLE)
    source.close()


@pytest.mark.parametrize("window", [0, 100, -4096])
def test_a_window_is_whole_pages(window: int) -> None:
    with pytest.raises(ValueError, match="4096"):
        walk(MemorySource(b""), window=window)


def test_a_walk_that_stands_still_is_our_bug_and_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    from kafka_salvage.vector import framing

    for kernel in ("follow", "follow_usual"):
        monkeypatch.setattr(framing, kernel, lambda *_: int(framing.Outcome.FULL))
    with pytest.raises(InvariantError, match="stands still"):
        list(walk(MemorySource(bytes(4096), "still"), 0))
