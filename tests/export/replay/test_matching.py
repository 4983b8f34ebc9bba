"""Records of a target are found among those of others, whatever those look like."""

from __future__ import annotations

import time
from collections.abc import Callable

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kafka_salvage.export.replay.matching import Tolerance, agreeing, first_like
from tests.export.replay.cluster_log import Row, table_of

bodies = st.none() | st.binary(max_size=1)
rows = st.tuples(
    st.integers(1, 2), bodies, bodies, st.lists(st.tuples(st.binary(max_size=1), bodies), max_size=1).map(tuple)
)
TOLERANCES: dict[Tolerance, Callable[[Row, Row], bool]] = {
    Tolerance(): lambda one, other: one == other,
    Tolerance(timestamps=True): lambda one, other: one[1:] == other[1:],
    Tolerance(stamp=2): lambda one, other: one[1:] == other[1:] and (one[0] in (2, other[0])),
}


@settings(max_examples=300, deadline=None)
@given(
    wanted=st.lists(rows, min_size=1, max_size=3),
    found=st.lists(rows, max_size=40),
    start=st.integers(0, 5),
    tolerance=st.sampled_from(sorted(TOLERANCES, key=repr)),
)
@example([(1, b"", None, ())], [(1, None, b"", ()), (1, b"", None, ())], 0, Tolerance())
def test_the_first_that_agrees_is_found(wanted: list[Row], found: list[Row], start: int, tolerance: Tolerance) -> None:
    row = len(wanted) - 1
    like = TOLERANCES[tolerance]
    expected = next((at for at, other in enumerate(found) if at >= start and like(wanted[row], other)), len(found))
    one, other = table_of(wanted, list(range(len(wanted)))), table_of(found, list(range(len(found))))
    assert first_like(one, row, other, min(start, len(found)), tolerance) == max(expected, min(start, len(found)))


def test_many_of_others_cost_no_look_at_each() -> None:
    count = 20_000
    others: list[Row] = [(7, b"key", b"%06d" % number, ()) for number in range(count)]
    ours: Row = (7, b"key", b"-wanted", ())
    table = table_of([*others, (7, b"key", b"------", ()), ours], list(range(count + 2)))
    begun = time.monotonic()
    assert first_like(table_of([ours], [0]), 0, table, 0, Tolerance(timestamps=True)) == count + 1
    last = table_of([(7, b"key", b"------", ())], [0])
    assert first_like(last, 0, table, 0, Tolerance()) == count  # all are of one size
    assert time.monotonic() - begun < 1.5  # a look at each takes longer
    assert agreeing(last, 0, table, count, Tolerance()) == 1
