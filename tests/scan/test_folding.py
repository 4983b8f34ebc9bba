"""A folded walk gives the rows of the plain walk, with stretches of ordinary batches as one row each, wherever it begins."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.walk import Fold, Stop, StopReason, walk, walk_folded
from kafka_salvage.source.files import FileSource
from kafka_salvage.source.memory import MemorySource
from kafka_salvage.source.source import Source
from tests.support import build
from tests.support.corpus import ROOT
from tests.support.faulty import FaultySource
from tests.vector.checks import plain_walk, rows_of, sample

MIB = 1 << 20
CLEAN = sorted((ROOT / "fixtures" / "clean").rglob("*.log"))
Row = dict[str, int]


def ordinary(row: Row) -> bool:
    """Whether a batch may share a row."""
    if row["size"] > 64 << 10 or not 0 <= row["base_offset"] <= 1 << 62:
        return False
    if row["magic"] < 2:
        return row["attributes"] in (0, 8) and (row["magic"] == 0 or row["base_timestamp"] >= 0)
    times = row["base_timestamp"] >= 0 and row["max_timestamp"] >= 0
    kind = row["attributes"] & ~7 in (0, 8, 16, 24) and row["attributes"] & 7 <= 4
    return times and kind and row["record_count"] == row["last_offset"] - row["base_offset"] + 1 > 0


def alike(first: Row, row: Row) -> bool:
    names = ["magic", "leader_epoch"]
    if first["magic"] == 2 and first["attributes"] & 16:
        names += ["producer_id", "producer_epoch"]
    bits = ~7 if first["magic"] == 2 else -1
    return all(first[n] == row[n] for n in names) and (first["attributes"] ^ row["attributes"]) & bits == 0


def fold(rows: Sequence[Row], marks: Sequence[int], alone: bool = True) -> list[tuple[Row, int]]:
    """(row, batches) as the rules say, one batch after another."""
    folded: list[tuple[Row, int]] = []
    for at, row in enumerate(rows):
        position = row["position"]
        if folded and not (at == 1 and alone):
            last, count = folded[-1]
            start = last["position"]
            follows = last["last_offset"] + 1 == row["base_offset"]
            apart = start // MIB != position // MIB or any(start < mark <= position for mark in marks)
            few = row["last_offset"] - last["base_offset"] < (1 << 31) - 1
            fits = follows and few and not apart and ordinary(row) and alike(last, row)
            if fits and ordinary(last | {"size": 0 if count > 1 else last["size"]}):
                times = [one[name] for one in (last, row) for name in ("base_timestamp", "max_timestamp")]
                joined = last | {
                    "size": last["size"] + row["size"],
                    "offset": last["base_offset"],
                    "last_offset": row["last_offset"],
                    "record_count": last["record_count"] + row["record_count"],
                    "base_timestamp": min(times),
                    "max_timestamp": max(times),
                    "attributes": last["attributes"] & (~7 if last["magic"] == 2 else -1),
                }
                folded[-1] = joined, count + 1
                continue
        folded.append((row, 1))
    return folded


def walked(source: Source, start: int, how: Fold, **more: int) -> tuple[list[tuple[Row, int]], Stop | None]:
    blocks = list(walk_folded(source, start, how, **more))
    rows: list[tuple[Row, int]] = []
    for block in blocks:
        assert block.counts is not None
        rows += zip(rows_of(block.batches), block.counts.tolist(), strict=True)
    return rows, blocks[-1].stop


def check(data: bytes, marks: Sequence[int] = (), *, alone: bool = True, **more: int) -> list[tuple[Row, int]]:
    rows, stop = plain_walk(data)
    found, end = walked(MemorySource(data), 0, Fold(np.array(marks, np.int64), alone), **more)
    assert end == stop
    assert found == fold(rows, marks, alone)
    return found


def log(count: int, size: int = 50, base: int = 0) -> bytes:
    """One-record batches that follow on."""
    return b"".join(build.v2_batch(at, [build.record_for(at, size=size)]) for at in range(base, base + count))


@pytest.mark.parametrize("path", CLEAN, ids=lambda p: f"{p.parent.name}-{p.stem[-4:]}")
def test_segments_of_real_brokers(path: Path) -> None:
    check(path.read_bytes(), alone=False)
    check(path.read_bytes())


def test_ordinary_batches_share_a_row() -> None:
    data = log(100)
    ((first, one), (rest, many)) = check(data)
    assert (one, many) == (1, 99)
    assert (rest["position"], rest["size"]) == (first["size"], len(data) - first["size"])
    assert (rest["base_offset"], rest["last_offset"], rest["record_count"]) == (1, 99, 99)
    assert (rest["base_timestamp"], rest["max_timestamp"]) == (build.EPOCH_MS + 3, build.EPOCH_MS + 99 * 3)


@pytest.mark.parametrize("magic", [0, 1])
def test_messages_share_a_row(magic: int) -> None:
    data = build.segment(50, magic=magic)[0]
    assert [count for _, count in check(data, alone=False)] == [50]


def test_marks_begin_rows() -> None:
    starts = [row["position"] for row in plain_walk(log(60))[0]]
    marks = [0, starts[10], starts[20] + 5, starts[40]]
    assert [count for _, count in check(log(60), marks, alone=False)] == [10, 11, 19, 20]


def test_rows_end_at_each_mebibyte_and_a_walk_from_there_goes_on_alike() -> None:
    data = log(3000, size=800)
    source = MemorySource(data)
    whole, _ = walked(source, 0, Fold(np.empty(0, np.int64)))
    assert whole == check(data, window=64 << 10, rows=8)
    edge = next(row["position"] for row, _ in whole if row["position"] >= MIB)
    head, stop = walked(source, 0, Fold(np.empty(0, np.int64), until=MIB))
    assert (stop, head[-1][0]["position"] + head[-1][0]["size"]) == (None, edge)
    tail, end = walked(source, edge, Fold(np.empty(0, np.int64), alone=False))
    assert head + tail == whole
    assert end == Stop(len(data), StopReason.END)


@st.composite
def odd_logs(draw: st.DrawFn) -> bytes:
    """Ordinary batches with everything between them that is not."""
    parts, offset = [], 0
    for _ in range(draw(st.integers(1, 30))):
        kind = draw(
            st.sampled_from(["", "", "", "", "gap", "epoch", "producer", "control", "codec", "legacy", "large"])
        )
        offset += 3 if kind == "gap" else 0
        records = [build.record_for(offset + i) for i in range(draw(st.integers(1, 3)))]
        if kind == "control":
            parts.append(build.marker(offset, commit=True, producer_id=7))
            offset += 1
            continue
        if kind == "legacy":
            parts.append(build.legacy_message(offset, b"k", b"v", magic=1, timestamp=build.EPOCH_MS))
            offset += 1
            continue
        if kind == "large":
            records[0] = build.record_for(offset, size=70_000)
        batch = bytearray(build.v2_batch(offset, records, codec=build.LZ4 if kind == "codec" else build.NONE))
        if kind == "epoch":
            struct.pack_into(">i", batch, 12, 5)
        if kind == "producer":
            struct.pack_into(">h", batch, 21, 16)
            struct.pack_into(">q", batch, 43, draw(st.integers(1, 2)))
            struct.pack_into(">I", batch, 17, build.crc32c(bytes(batch[21:])))
        parts.append(bytes(batch))
        offset += len(records)
    return b"".join(parts)


@given(odd_logs(), st.data())
def test_what_is_not_ordinary_is_a_row_by_itself(data: bytes, more: st.DataObject) -> None:
    broken = bytearray(data)
    for _ in range(more.draw(st.integers(0, 1))):
        broken[more.draw(st.integers(0, len(data) - 1))] ^= 1 << more.draw(st.integers(0, 7))
    marks = sorted(more.draw(st.lists(st.integers(0, len(data)), max_size=4)))
    room = more.draw(st.sampled_from([64 << 10, 256 << 10]))
    check(bytes(broken), marks, alone=more.draw(st.booleans()), window=room, rows=more.draw(st.sampled_from([8, 512])))


@given(odd_logs(), st.data())
def test_notes_leave_rows_whole_and_tell_what_begins_at_marks(data: bytes, more: st.DataObject) -> None:
    rows, stop = plain_walk(data)
    starts = [row["position"] for row in rows]
    drawn = st.one_of(st.sampled_from(starts), st.integers(0, len(data)))
    marks = sorted(more.draw(st.lists(drawn, max_size=8, unique=True)))
    notes = np.full(len(marks), -1, np.int64), np.full(len(marks), -1, np.int64)
    how = Fold(np.array(marks, np.int64), more.draw(st.booleans()), notes=notes)
    found, end = walked(MemorySource(data), 0, how, rows=more.draw(st.sampled_from([8, 512])))
    assert (found, end) == (fold(rows, (), how.alone), stop)
    edges = {row["position"] for row, _ in found} | {len(data)}
    for mark, place, last in zip(marks, *(note.tolist() for note in notes), strict=True):
        behind = next(start for start in [*starts, len(data)] if start >= mark)
        before = [row["last_offset"] for row in rows if row["position"] < behind]
        assert (place, last) == (behind, before[-1] if before else -1) or (place == -1 and behind in edges)


@given(st.data())
def test_any_damage(data: st.DataObject) -> None:
    broken = bytearray(sample(60))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(broken) - 1))
        broken[at : at + data.draw(st.sampled_from([1, 1, 4, 600]))] = data.draw(st.binary(max_size=8))
    check(bytes(broken), alone=data.draw(st.booleans()))


def test_batches_before_an_unreadable_byte_are_kept(tmp_path: Path) -> None:
    data = log(400, size=100)
    rows = plain_walk(data)[0]
    path = tmp_path / "0.log"
    path.write_bytes(data)
    at = rows[200]["position"] + 30
    source, twin = FaultySource(path, [(at, at + 1)]), FaultySource(path, [(at, at + 1)])
    found, stop = walked(source, 0, Fold(np.empty(0, np.int64)))
    plain = list(walk(twin))
    assert stop == plain[-1].stop
    assert stop is not None
    assert stop.reason is StopReason.UNREADABLE
    assert sum(count for _, count in found) == sum(len(block.batches) for block in plain) > 150
    assert found[-1][0]["position"] + found[-1][0]["size"] == stop.position
    source.close()
    twin.close()


def test_a_window_holds_the_largest_batch_that_is_folded() -> None:
    with pytest.raises(ValueError, match="too small"):
        walk_folded(MemorySource(b""), 0, Fold(np.empty(0, np.int64)), window=32 << 10)


def test_files_and_memory_agree(tmp_path: Path) -> None:
    data = log(3000, size=800)
    path = tmp_path / "0.log"
    path.write_bytes(data)
    source = FileSource(path)
    how = Fold(np.empty(0, np.int64))
    assert walked(source, 0, how) == walked(MemorySource(data), 0, how)
    assert sum(count for _, count in walked(source, 0, how)[0]) == len(
        BatchTable.concat([b.batches for b in walk(source)])
    )
    source.close()
