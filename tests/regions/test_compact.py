"""Sequences that are kept packed give back what was put into them, whatever it is."""

from __future__ import annotations

import gc
import random
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.errors import InvariantError
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions import compact
from kafka_salvage.regions.compact import BLOCK, FEW, Compact
from kafka_salvage.regions.map import Region, RegionMap
from kafka_salvage.regions.shapes import findings_of, make, part, part_text, together
from kafka_salvage.regions.verdict import Finding, Verdict

LARGEST = (1 << 63) - 1
leaves = (
    st.integers(-(1 << 70), 1 << 70)
    | st.text()
    | st.from_regex(r"[0-9a-f%d ]{0,40}", fullmatch=True)
    | st.booleans()
    | st.none()
    | st.binary(max_size=9)
)
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner))


@pytest.fixture(autouse=True)
def _no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but short sequences is kept as it is."""
    monkeypatch.setattr(compact, "_room", compact._Room(0))


def _typed(value: Any) -> Any:
    """The value with the type of each part: True is no 1."""
    if isinstance(value, dict):
        return [(name, _typed(each)) for name, each in value.items()]
    return type(value), [_typed(each) for each in value] if isinstance(value, (list, tuple)) else value


@given(values)
def test_any_value_comes_back(value: Any) -> None:
    numbers: list[int] = []
    shape = part(value, numbers)
    hash(shape)
    assert _typed(make(shape, iter(numbers))) == _typed(value)


@given(st.text(alphabet="0123456789abcdef%dé٣ =.-"))
def test_any_text_comes_back(text: str) -> None:
    numbers: list[int] = []
    assert make(part_text(text, numbers), iter(numbers)) == text


def test_sentences_that_differ_in_numbers_share_a_shape() -> None:
    one, other = (part_text(f"stored crc = {n}, computed crc = {n * 7}", []) for n in (5, 4_000_000_000))
    assert one == other


def _finding(at: int, rng: random.Random) -> Finding:
    where = None if rng.random() < 0.2 else OffsetRange(at, at + rng.randrange(3))
    detail = {
        "stored": rng.randrange(1 << 32),
        "position": [at, -at],
        "before": [rng.randbytes(rng.randrange(20)).hex()],
    }
    code = rng.choice(("crc-mismatch", "garbage"))
    message = f"Record is corrupt ({rng.randrange(1 << 32)}) {rng.choice(('', '007', '100%', '18446744073709551616'))}"
    return Finding(code, "one", "a-0/0.log", at, at + rng.randrange(200), where, message, detail)


@pytest.mark.parametrize("count", [0, 1, FEW - 1, FEW, BLOCK, BLOCK + 1, 3 * BLOCK + 17])
def test_a_sequence_is_what_a_list_is(count: int) -> None:
    rng = random.Random(count)
    listed = [_finding(at * 100, rng) for at in range(count)]
    kept = findings_of(listed)
    for each in (kept, kept.settled()):
        assert len(each) == count
        assert list(each) == listed
        assert each == listed or tuple(listed) == each
        assert each[:3] == tuple(listed[:3])
        assert list(each[-5:]) == listed[-5:]
        assert [each[at] for at in range(-count, count)] == listed + listed
        with pytest.raises(IndexError):
            each[count]
    if count:
        assert kept != listed[:-1]
        assert kept.index(listed[-1]) == count - 1
        assert listed[0] in kept


def _map(count: int, seed: int) -> tuple[int, list[Region]]:
    rng, regions, at = random.Random(seed), list[Region](), 0
    shared: Sequence[Finding] = ()
    for number in range(count):
        stop = at + 1 + rng.randrange(300)
        if number % 2:
            if rng.random() < 0.8 or not shared:
                shared = tuple(_finding(at, rng) for _ in range(rng.randrange(1, 4)))
            where = OffsetRange(number, number + 1) if rng.random() < 0.9 else None
            regions.append(Region(at, stop, Verdict.DAMAGED, 0, 0, where, rng.random() < 0.1, shared))
        else:
            regions.append(Region(at, stop, Verdict.INTACT, 1, rng.randrange(LARGEST), OffsetRange(number, number + 1)))
        at = stop
    return at, regions


@pytest.mark.parametrize("count", [1, FEW - 1, 3 * BLOCK + 5])
def test_a_map_of_many_regions_says_the_same(count: int) -> None:
    size, regions = _map(count, count)
    made = RegionMap(size, iter(regions))
    assert list(made) == regions
    assert made.regions == tuple(regions)
    assert tuple(regions) == made.regions
    assert made.regions[count // 2 :] == tuple(regions[count // 2 :])
    assert sum(made.totals().values()) == size
    starts = [region.start for region in regions]
    for at in [0, 1, size, size + 1, *starts, *(start + 1 for start in starts)]:
        assert made.find(at) == bisect_left(starts, at)


def test_a_map_of_many_regions_is_refused_where_it_leaves_a_gap() -> None:
    size, regions = _map(2 * BLOCK, 1)
    for wrong in (regions[:-1], [*regions[:BLOCK], *regions[BLOCK + 1 :]], [*regions, regions[-1]]):
        with pytest.raises(InvariantError):
            RegionMap(size, wrong)


def test_findings_of_several_count_once() -> None:
    size, regions = _map(3 * BLOCK, 3)
    whole = [region.findings for region in RegionMap(size, regions)]
    listed = {id(f): f for region in regions for f in region.findings}
    assert list(together(whole)) == list(listed.values())
    assert list(together([region.findings for region in regions])) == list(listed.values())


def test_what_many_damages_take() -> None:
    """A finding is a few numbers; what differs in nothing else shares the rest."""
    import tracemalloc

    def one(at: int) -> Finding:
        stored, computed = hash((at, 1)) & 0xFFFFFFFF, hash((at, 2)) & 0xFFFFFFFF
        message = f"Record is corrupt (stored crc = {stored}, computed crc = {computed})"
        detail = {"stored": stored, "computed": computed}
        return Finding(
            "crc-mismatch", "s", "t-0/0.log", at * 360, at * 360 + 180, OffsetRange(at, at + 1), message, detail
        )

    tracemalloc.start()
    try:
        made: Compact[Finding] = findings_of(one(at) for at in range(50 * BLOCK))
        size = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(made) == 50 * BLOCK
    assert size < 20 * len(made)


def test_no_more_values_are_kept_as_they_are_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    room = compact._Room(4 * BLOCK)
    monkeypatch.setattr(compact, "_room", room)
    rng = random.Random(1)
    kept = [findings_of(_finding(at, rng) for at in range(BLOCK + 500)).settled() for _ in range(4)]
    assert [isinstance(each, tuple) for each in kept] == [True, True, False, False]
    assert room._left == 4 * BLOCK - 2 * (BLOCK + 500)
    del kept[:]
    gc.collect()
    assert room._left == 4 * BLOCK
