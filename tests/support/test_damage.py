"""Recipes do what they say, and the oracle's arithmetic follows."""

from __future__ import annotations

import pytest

from tests.support import build, oracle
from tests.support.damage import damage


def test_an_edit_outside_batches_loses_nothing() -> None:
    data, infos = build.segment(4)
    damaged = damage(data, infos, "pad b2 100")
    assert len(damaged.data) == len(data) + 100
    assert [s.start for s in oracle.survivors(damaged, infos)] == [
        infos[0].start,
        infos[1].start,
        infos[2].start + 100,
        infos[3].start + 100,
    ]
    assert oracle.changed_ranges(damaged, infos) == [(infos[2].start, infos[2].start + 100)]


def test_a_flip_loses_exactly_one_batch() -> None:
    data, infos = build.segment(4)
    damaged = damage(data, infos, "xor b1+70 01")
    assert oracle.lost_offsets(damaged, infos) == [(10, 20)]
    assert oracle.changed_ranges(damaged, infos) == [(infos[1].start, infos[1].stop)]


def test_fields_and_places_follow_earlier_edits() -> None:
    data, infos = build.segment(3)
    damaged = damage(data, infos, "noise b1 5 1\nfield 1 length 0x7fffffff  # claims too much")
    at = infos[1].start + 5
    assert damaged.data[at + 8 : at + 12] == b"\x7f\xff\xff\xff"
    assert damaged.data[at + 12 :] == data[infos[1].start + 12 :]


def test_a_duplicated_batch_stands_twice() -> None:
    data, infos = build.segment(3)
    damaged = damage(data, infos, "duplicate b1 b2 end")
    assert [s.info.base_offset for s in oracle.survivors(damaged, infos)] == [0, 10, 20, 10]


def test_splice_keeps_both_sides() -> None:
    data, infos = build.segment(3)
    more, others = build.segment(3, base=500)
    damaged = damage(data, infos, f"splice b1+30 {others[1].start}", more)
    assert [s.info.base_offset for s in oracle.survivors(damaged, infos, others)] == [0, 510, 520]


def test_an_unknown_edit_is_refused() -> None:
    with pytest.raises(ValueError, match="no edit is called"):
        damage(b"", [], "explode b0")
