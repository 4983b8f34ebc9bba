"""Walking ahead changes no row and no stop, whatever was guessed and however many threads there are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_salvage import engine
from kafka_salvage.scan.ahead import Ahead, _cuts
from kafka_salvage.scan.resync import Sanity
from kafka_salvage.scan.walk import Fold, Stop, WalkBlock, walk_folded
from kafka_salvage.source.files import FileSource
from kafka_salvage.source.memory import MemorySource
from kafka_salvage.source.source import Source
from tests.scan.test_folding import Row, log
from tests.support import build
from tests.vector.checks import rows_of

MIB = 1 << 20
SANITY = Sanity(0, 2**31 - 1)
Walked = tuple[list[tuple[Row, int]], Stop | None]


def gathered(blocks: Iterable[WalkBlock]) -> Walked:
    rows: list[tuple[Row, int]] = []
    stop: Stop | None = None
    for block in blocks:
        assert block.counts is not None
        rows += zip(rows_of(block.batches), block.counts.tolist(), strict=True)
        stop = block.stop
    return rows, stop


def serial(source: Source, position: int = 0, marks: tuple[int, ...] = ()) -> Walked:
    return gathered(walk_folded(source, position, Fold(np.array(marks, np.int64))))


def ahead(source: Source, jobs: int, position: int = 0, marks: tuple[int, ...] = ()) -> Walked:
    def task(_: int) -> Walked:
        walker = Ahead(source, SANITY, np.array(marks, np.int64), part=MIB)
        try:
            return gathered(walker.walk(position))
        finally:
            walker.close()

    return next(engine.ordered_map(task, [0], jobs))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ahead") / "0.log"
    path.write_bytes(log(5000, size=1500))
    return path


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_the_rows_of_a_healthy_file(large: Path, jobs: int) -> None:
    source = FileSource(large)
    assert ahead(source, jobs) == serial(source)
    marks = tuple(range(0, source.size, 50_000))
    assert ahead(source, jobs, marks=marks) == serial(source, marks=marks)
    source.close()


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_notes_are_the_same(large: Path, jobs: int) -> None:
    source = FileSource(large)
    marks = np.arange(1, source.size, 3000)
    notes = np.full(len(marks), -1, np.int64), np.full(len(marks), -1, np.int64)
    expected = gathered(walk_folded(source, 0, Fold(marks, notes=notes)))
    assert (notes[0] >= marks).mean() > 0.99

    def task(_: int) -> tuple[Walked, list[list[int]]]:
        walker = Ahead(source, SANITY, marks, notes=True, part=MIB)
        try:
            walked = gathered(walker.walk(0))
            return walked, [note.tolist() for note in walker.notes or ()]
        finally:
            walker.close()

    walked, (places, offsets) = next(engine.ordered_map(task, [0], jobs))
    assert walked == expected
    same = (np.array(places) == notes[0]) & (np.array(offsets) == notes[1])
    starts = {row["position"] for row, _ in walked[0]}
    assert all(notes[0][at] in starts or notes[0][at] == -1 for at in np.flatnonzero(~same).tolist())
    source.close()


@settings(max_examples=20)
@given(st.data())
def test_damage_anywhere(large: Path, data: st.DataObject) -> None:
    broken = bytearray(large.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(broken) - 1))
        broken[at : at + 40] = bytes(40)
    source = MemorySource(bytes(broken))
    jobs = data.draw(st.sampled_from([1, 2, 4]))
    rows, stop = serial(source)
    assert ahead(source, jobs) == (rows, stop)
    assert stop is not None
    behind = stop.position + 5000
    assert ahead(source, jobs, behind) == serial(source, behind)


def test_a_batch_inside_a_payload_is_no_place_to_go_on_from() -> None:
    """A value that is itself a segment lies across the cuts: each guess there is wrong."""
    inner = log(3000, size=700)
    outer = build.v2_batch(0, [build.Rec(0, build.EPOCH_MS, b"k", inner)])
    data = outer + log(1000, size=700, base=1)
    source = MemorySource(data)
    rows, stop = ahead(source, 4)
    assert (rows, stop) == serial(source)
    assert (rows[0][0]["size"], sum(count for _, count in rows)) == (len(outer), 1001)


def test_idle_threads_really_walk(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = set()
    original = Ahead._guess

    def watched(self: Ahead, number: int) -> object:
        names.add(threading.current_thread().name)
        return original(self, number)

    monkeypatch.setattr(Ahead, "_guess", watched)
    source = FileSource(large)
    assert ahead(source, 3) == serial(source)
    assert names
    source.close()


def test_nothing_runs_on_when_it_is_closed(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    futures: list[Future[Any]] = []
    original = engine.aside

    def watched(work: Callable[[int], Any], item: int) -> Future[Any] | None:
        future = original(work, item)
        if future is not None:
            futures.append(future)
        return future

    monkeypatch.setattr(engine, "aside", watched)
    source = FileSource(large)

    def task(_: int) -> bool:
        walker = Ahead(source, SANITY, np.empty(0, np.int64), part=MIB)
        next(walker.walk(0))
        walker.close()
        return bool(futures) and all(future.done() for future in futures)

    assert next(engine.ordered_map(task, [0], 4))
    source.close()


@given(st.integers(0, 3 << 30), st.integers(1, 256))
def test_parts_are_whole_mebibytes_and_grow_smaller_towards_the_end(size: int, part: int) -> None:
    cuts = _cuts(size, part * MIB)
    sizes = np.diff(cuts)
    assert cuts[0] == 0
    assert cuts[-2] < max(size, 1) <= cuts[-1]
    assert not any(cut % MIB for cut in cuts)
    assert (np.diff(sizes) <= 0).all()
    assert sizes.max(initial=0) <= part * MIB
    assert sizes[-1] <= max(8 * MIB, size // 4)


def test_a_part_is_whole_mebibytes() -> None:
    with pytest.raises(ValueError, match="1 MiB"):
        Ahead(MemorySource(b""), SANITY, np.empty(0, np.int64), part=MIB + 4096)


def test_who_is_alone_takes_several_parts_at_once(large: Path) -> None:
    source = FileSource(large)
    walker = Ahead(source, SANITY, np.empty(0, np.int64), part=MIB)
    blocks = list(walker.walk(0))
    walker.close()
    assert source.size > 6 * MIB
    assert len(blocks) == 1
    source.close()
