"""Result: a rate beside the rate of a reference that was measured in the same run, turn by turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """What a benchmark is asked for.

    Attributes:
        size: bytes of generated data.
        repeats: turns; the best of each side counts.
        folder: where generated files may lie; removed afterwards.
    """

    size: int
    repeats: int
    folder: Path


class Measured(float):
    """The best of several turns, with all of them; what it is multiplied with or divided by carries over to them."""

    turns: tuple[float, ...]

    def __new__(cls, best: float, turns: Sequence[float]) -> Measured:
        made = super().__new__(cls, best)
        made.turns = tuple(turns)
        return made

    def __truediv__(self, other: float) -> Measured:
        return Measured(float(self) / other, [turn / other for turn in self.turns])

    def __rtruediv__(self, other: float) -> Measured:
        return Measured(other / float(self), [other / turn for turn in self.turns])

    def __mul__(self, other: float) -> Measured:
        return Measured(float(self) * other, [turn * other for turn in self.turns])

    __rmul__ = __mul__


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table.

    Attributes:
        name: what was done to what.
        unit: of both rates.
        ours, reference: best rates, `Measured` where there were turns; a reference of 0: there is none.
        beside: what the reference is.
        goal: least ratio that is promised; 0 when nothing is.
        less: both are costs (seconds, bytes): the reference is divided by ours.
    """

    name: str
    unit: str
    ours: float
    reference: float
    beside: str
    goal: float = 0.0
    less: bool = False

    @property
    def ratio(self) -> float:
        return self._ratio(self.ours, self.reference)

    @property
    def spread(self) -> tuple[float, float] | None:
        """Lowest and highest ratio of a turn of ours to the turn of the reference beside it; None without turns."""
        ours, reference = _turns(self.ours), _turns(self.reference)
        count = max(len(ours), len(reference))
        if count < 2:
            return None
        pairs = zip(
            ours * (count if len(ours) == 1 else 1), reference * (count if len(reference) == 1 else 1), strict=True
        )
        ratios = [self._ratio(*pair) for pair in pairs]
        return min(ratios), max(ratios)

    def _ratio(self, ours: float, reference: float) -> float:
        if not reference:
            return 0.0
        return reference / ours if self.less else ours / reference


def _turns(value: float) -> tuple[float, ...]:
    return value.turns if isinstance(value, Measured) else (value,)


def best(seconds: Sequence[float]) -> Measured:
    """The shortest of several turns."""
    return Measured(min(seconds), seconds)


def in_turns(
    sides: Sequence[Callable[[], object]], repeats: int, warm: int = 1, before: Callable[[], object] | None = None
) -> list[Measured]:
    """Seconds of each side, a turn of one after a turn of the other.

    Args:
        sides: what is measured.
        repeats: turns of each.
        warm: turns before them that are not counted.
        before: is done before each turn of a side, and not counted.
    """
    spent: list[list[float]] = [[] for _ in sides]
    for turn in range(repeats + warm):
        for side, work in enumerate(sides):
            if before is not None:
                before()
            started = time.perf_counter()
            work()
            if turn >= warm:
                spent[side].append(time.perf_counter() - started)
    return [best(seconds) for seconds in spent]


def interleaved(ours: Callable[[], object], reference: Callable[[], object], repeats: int) -> tuple[Measured, Measured]:
    """Seconds of both, as `in_turns`."""
    mine, theirs = in_turns([ours, reference], repeats)
    return mine, theirs
