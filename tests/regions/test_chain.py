"""The longest increasing chain: by hand, and against every subset."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.regions.chain import longest_chain

Rows = list[tuple[int, int]]


def chain(rows: Rows, weight: list[int] | None = None, touches: list[bool] | None = None) -> list[int]:
    first = np.array([r[0] for r in rows], np.int64)
    last = np.array([r[1] for r in rows], np.int64)
    weights = np.array(weight or [2] * len(rows), np.int64)
    touching = np.array(touches if touches is not None else [True] * len(rows), np.bool_)
    return np.flatnonzero(longest_chain(first, last, weights, touching)).tolist()


def tens(*starts: int) -> Rows:
    return [(s, s + 9) for s in starts]


def test_all_increasing_is_all() -> None:
    assert chain(tens(0, 10, 20)) == [0, 1, 2]


def test_one_far_offset_does_not_condemn_what_follows() -> None:
    assert chain(tens(0, 10**9, 20, 30)) == [0, 2, 3]


def test_a_tie_goes_to_the_fitting_link() -> None:
    assert chain(tens(0, 10**9, 20)) == [0, 2]
    assert chain(tens(10, 0, 20)) == [0, 2] or chain(tens(10, 0, 20)) == [1, 2]


def test_two_outliers_in_a_row() -> None:
    assert chain(tens(0, 10**9, 2 * 10**9, 30, 40, 50)) == [0, 3, 4, 5]


def test_a_witness_counts_half() -> None:
    rows = tens(0, 100, 20, 30)
    assert chain(rows, [2, 2, 1, 1]) == [0, 2, 3]
    assert chain(tens(0, 100, 20), [2, 2, 1]) == [0, 1]


def test_fewer_touching_gaps_break_a_tie() -> None:
    rows = tens(0, 50, 10)
    assert chain(rows, touches=[True, True, True]) != [0, 1]


def test_a_million_rows_with_one_outlier() -> None:
    count = 1_000_000
    first = np.arange(count, dtype=np.int64) * 13
    first[500_000] = 1 << 60
    mask = longest_chain(first, first + 9, np.full(count, 2, np.int64), np.ones(count, np.bool_))
    assert np.flatnonzero(~mask).tolist() == [500_000]


@st.composite
def tables(draw: st.DrawFn) -> tuple[Rows, list[int], list[bool]]:
    count = draw(st.integers(1, 8))
    rows = []
    for _ in range(count):
        first = draw(st.integers(0, 30))
        rows.append((first, first + draw(st.integers(0, 5))))
    weights = draw(st.lists(st.sampled_from([1, 2, 4]), min_size=count, max_size=count))
    touches = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    return rows, weights, touches


@given(tables())
def test_weight_and_fits_equal_those_of_the_best_subset(table: tuple[Rows, list[int], list[bool]]) -> None:
    rows, weights, touches = table

    def score(chosen: tuple[int, ...]) -> tuple[int, int, int]:
        fits = gaps = 0
        for a, b in itertools.pairwise(chosen):
            between = sum(rows[k][1] - rows[k][0] + 1 for k in range(a + 1, b))
            free = rows[b][0] - rows[a][1] - 1
            fits += free == between
            gaps += b == a + 1 and touches[b] and free > 0
        return sum(weights[k] for k in chosen), fits, -gaps

    legal = [
        c
        for n in range(1, len(rows) + 1)
        for c in itertools.combinations(range(len(rows)), n)
        if all(rows[b][0] > rows[a][1] for a, b in itertools.pairwise(c))
    ]
    best = max(map(score, legal))
    got = tuple(chain(rows, weights, touches))
    assert got in legal
    assert score(got)[0] == best[0]
    if all(rows[b][0] > rows[a][1] for a, b in itertools.pairwise(range(len(rows)))):
        assert got == tuple(range(len(rows)))
    else:
        assert score(got) == best
