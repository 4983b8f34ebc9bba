"""NumPy says what is distinct."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.vector.distinct import distinct

_VALUES = st.lists(st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-3, 3), max_size=40)


@given(_VALUES, _VALUES)
def test_the_same_as_numpy(one: list[int], other: list[int]) -> None:
    a, b = np.array(one, np.int64), np.array(other, np.int64)
    for made, expected in ((distinct(a), np.unique(a)), (distinct(a, b), np.union1d(a, b))):
        assert made.dtype == np.int64
        assert made.tolist() == expected.tolist()


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.uint64])
def test_of_any_kind(kind: type[np.generic]) -> None:
    made = distinct(np.array([3, 1, 3, 0], kind))
    assert (made.dtype, made.tolist()) == (np.dtype(kind), [0, 1, 3])
