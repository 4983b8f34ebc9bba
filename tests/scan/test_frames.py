"""Frames give the rows and the stop of the plain walk, with exactly the bytes that were checked."""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.ranges import ByteRange
from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.frames import Frame, FrameSource, frames
from kafka_salvage.scan.walk import Stop, StopReason, walk
from kafka_salvage.source.files import FileSource
from kafka_salvage.source.memory import MemorySource
from kafka_salvage.source.patched import PatchedSource
from kafka_salvage.source.source import U8, Source
from tests.support import build
from tests.support.corpus import ROOT
from tests.support.faulty import FaultySource
from tests.vector.checks import plain_walk, rows_of

CLEAN = sorted((ROOT / "fixtures" / "clean").rglob("*.log"))


def clean(batches: int) -> bytes:
    """Good batches of all kinds."""
    return build.segment(batches)[0]


def framed(source: Source, data: bytes, start: int = 0, stop: int | None = None, **how: int) -> tuple[BatchTable, Stop]:
    """Rows and the stop; the bytes of each frame are looked at before the next one is asked for."""
    tables, end = [], None
    for frame in frames(source, start, source.size if stop is None else stop, **how):
        assert end is None
        end = frame.stop
        tables.append(frame.batches)
        if frame.data is not None and len(frame.batches):
            first, last = int(frame.batches.position[0]), int(frame.batches.stop[-1])
            here = frame.bytes_of(first, last)
            assert here is not None
            assert here.tobytes() == data[first:last]
    assert end is not None
    return BatchTable.concat(tables), end


def check(data: bytes, source: Source | None = None, **how: int) -> None:
    rows, stop = plain_walk(data)
    table, end = framed(source or MemorySource(data), data, **how)
    assert (rows_of(table), end) == (rows, stop)


@pytest.mark.parametrize("path", CLEAN, ids=lambda p: f"{p.parent.name}-{p.stem[-4:]}")
def test_segments_of_real_brokers(path: Path) -> None:
    with FileSource(path) as source:
        check(path.read_bytes(), source)
        check(path.read_bytes(), source, size=4096)


@pytest.mark.parametrize("size", [64, 1000, 4096, 1 << 20])
@pytest.mark.parametrize("rows", [8, 8192])
def test_buffers_and_rows_are_irrelevant(size: int, rows: int) -> None:
    check(clean(400), size=size, rows=rows)


@given(st.data())
def test_any_damage(data: st.DataObject) -> None:
    broken = bytearray(clean(60))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(broken) - 1))
        broken[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(broken)))
    check(bytes(broken[:cut]), size=data.draw(st.sampled_from([100, 512, 3000, 1 << 20])))


@given(st.integers(0, 400), st.integers(0, 400))
def test_ranges_are_those_of_the_walk(start: int, stop: int) -> None:
    data = clean(20)
    stop = min(stop, len(data))
    source = MemorySource(data)
    blocks = list(walk(source, start, stop))
    table, end = framed(source, data, start, stop, size=200)
    assert rows_of(table) == rows_of(BatchTable.concat([block.batches for block in blocks]))
    assert end == blocks[-1].stop


def test_a_batch_larger_than_a_buffer_comes_alone_and_without_bytes() -> None:
    large = build.v2_batch(3, [build.Rec(3, 1, None, os.urandom(50_000))])
    data = clean(3) + large + clean(3)
    source = MemorySource(data)
    found = [(len(f.batches), f.data is None) for f in frames(source, 0, len(data), size=4096)]
    assert (1, True) in found
    check(data, size=4096)
    changed = bytearray(data)
    changed[len(clean(3)) + 30_000] ^= 1
    check(bytes(changed), size=4096)


@pytest.mark.parametrize("length", [-1, 0, 13, 1 << 20, (1 << 31) - 1])
def test_a_forged_length_ends_it_and_allocates_nothing(length: int) -> None:
    data = bytearray(clean(30))
    struct.pack_into(">i", data, 8, length)
    check(bytes(data), size=4096)


def test_near_bytes_that_cannot_be_read_it_is_the_plain_walk(tmp_path: Path) -> None:
    data = clean(300)
    (tmp_path / "0.log").write_bytes(data)
    bad = [(len(data) // 2, len(data) // 2 + 10)]
    with FaultySource(tmp_path / "0.log", bad) as one, FaultySource(tmp_path / "0.log", bad) as other:
        blocks = list(walk(other))
        table, end = framed(one, data, size=4096)
    assert end.reason is StopReason.UNREADABLE
    assert end == blocks[-1].stop
    assert rows_of(table) == rows_of(BatchTable.concat([block.batches for block in blocks]))


def test_a_file_that_shrinks_ends_it(tmp_path: Path) -> None:
    data = clean(300)
    path = tmp_path / "0.log"
    path.write_bytes(data)
    with FileSource(path) as source:
        os.truncate(path, len(data) // 2)
        table, end = framed(source, data, size=1 << 20)
    assert end.reason is StopReason.UNREADABLE
    assert int(table.stop[-1]) <= len(data) // 2


def test_patches_are_in_the_bytes() -> None:
    data = bytearray(clean(30))
    whole = bytes(data)
    data[8:12] = b"\0\0\0\1"
    source = PatchedSource(MemorySource(bytes(data)), [(8, whole[8:12])])
    table, end = framed(source, whole, size=4096)
    assert end == Stop(len(whole), StopReason.END)
    assert rows_of(table) == plain_walk(whole)[0]


def test_bytes_stay_until_what_is_pending_is_done() -> None:
    """A frame's bytes are summed by another thread while the next frames are read; none is overwritten under it."""
    data = clean(2000)
    seen: dict[int, bytes] = {}

    def later(at: int, view: U8, gate: threading.Event) -> None:
        gate.wait()
        seen[at] = view.tobytes()

    gates: list[threading.Event] = []
    threads: list[threading.Thread] = []
    for frame in frames(MemorySource(data), 0, len(data), size=8192):
        first, last = int(frame.batches.position[0]), int(frame.batches.stop[-1])
        view = frame.bytes_of(first, last)
        assert view is not None
        gates.append(threading.Event())
        threads.append(threading.Thread(target=later, args=(first, view, gates[-1])))
        threads[-1].start()
        frame.pending.append(threads[-1].join)
        for gate in gates[:-1]:
            gate.set()
    gates[-1].set()
    for thread in threads:
        thread.join()
    assert len(seen) > 50
    assert b"".join(seen[at] for at in sorted(seen)) == data


def test_the_source_of_a_frame_gives_the_bytes_that_were_checked() -> None:
    data = clean(50)
    below = MemorySource(data)
    table = BatchTable.concat([block.batches for block in walk(below)])
    frame = Frame(table, np.frombuffer(b"X" * 100, np.uint8), 50, None)
    source = FrameSource(below, frame)
    assert source.read(60, 70).tobytes() == b"X" * 10
    assert source.read(40, 70).tobytes() == data[40:70]
    buffer = np.zeros(100, np.uint8)
    assert source.read_into(50, buffer) == 100
    assert buffer.tobytes() == b"X" * 100
    assert source.read_into(len(data) - 5, buffer) == 5
    assert (source.name, source.size, source.fileno(), source.unreadable) == ("memory", len(data), -1, ())
    assert list(source.data_ranges()) == [ByteRange(0, len(data))]
