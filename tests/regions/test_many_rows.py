"""Rules that ask something of many rows at once: the answers are those of a loop over each."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.regions import check_offsets, ground
from kafka_salvage.regions.check_offsets import Anchors, Witnesses, on_chain
from kafka_salvage.regions.ground import Ground
from kafka_salvage.regions.unfolding import sharing
from kafka_salvage.scan.batches import COLUMNS, BatchTable
from kafka_salvage.scan.limits import Limits
from kafka_salvage.source.memory import MemorySource

Ranges = list[tuple[int, int]]
PIECES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12)
CLAIMS = st.lists(st.tuples(st.integers(0, 40), st.integers(-2, 5)), max_size=5)


def table_of(positions: list[int], ranges: Ranges) -> BatchTable:
    rows = [
        {**dict.fromkeys(COLUMNS, 0), "position": at, "size": 1, "base_offset": low, "last_offset": high, "magic": 2}
        for at, (low, high) in zip(positions, ranges, strict=True)
    ]
    return BatchTable.from_rows(rows)


def rising(pieces: Ranges) -> Ranges:
    """Ranges of offsets behind one another, from gaps and lengths."""
    made, at = [], 0
    for gap, length in pieces:
        made.append((at + gap, at + gap + length))
        at += gap + length + 1
    return made


@given(st.lists(st.integers(0, 300), unique=True), st.lists(st.integers(0, 300), unique=True), st.booleans())
def test_what_the_index_names(entries: list[int], places: list[int], twice: bool) -> None:
    entries, places = sorted(entries + entries[:twice]), sorted(places)
    table = table_of(places, [(0, 0)] * len(places))
    positions = np.array(entries, np.int64)
    land = Ground(MemorySource(b"a" * 400), 0, Limits(), (positions, positions))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ground, "_FEW_ROWS", 0)
        patch.setattr(ground, "_IN_A_ROW", 4)
        at, known = land.entries(table)
    assert known.tolist() == [place in entries for place in places]
    if entries:
        assert at.tolist() == [min(bisect_left(entries, place), len(entries) - 1) for place in places]


@given(PIECES, CLAIMS, st.booleans())
def test_rows_that_share_an_offset(pieces: Ranges, claims: Ranges, backwards: bool) -> None:
    ranges = rising(pieces)[:: -1 if backwards else 1]
    claims = [(low, max(low + more, low)) for low, more in claims]
    table = table_of(list(range(len(ranges))), ranges)
    first, last = np.array(claims, np.int64).reshape(-1, 2).T
    expected = [any(low <= end and begin <= high for begin, end in claims) for low, high in ranges]
    assert sharing(table, first, last).tolist() == expected


@given(PIECES, st.data())
def test_headers_in_line_leave_every_row_on_the_chain(pieces: Ranges, data: st.DataObject) -> None:
    ranges = rising(pieces)
    heads = data.draw(
        st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40), st.integers(0, 4)), max_size=4), label="heads"
    )
    witnesses = Witnesses(
        *(np.array(column, np.int64) for column in ([low for _, low, _ in heads], [low + n for _, low, n in heads])),
        *(np.array(column, np.int64) for column in ([at for at, _, _ in heads], [at + 1 for at, _, _ in heads])),
    )
    table = table_of([2 * at for at in range(len(ranges))], ranges)
    none = np.zeros(len(ranges), np.bool_)
    anchors = Anchors(data.draw(st.sampled_from([None, 0])), data.draw(st.sampled_from([None, 50])), none, none)
    quick = on_chain(table, witnesses, anchors)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check_offsets, "_in_line", lambda *_: False)
        assert quick.tolist() == on_chain(table, witnesses, anchors).tolist()
