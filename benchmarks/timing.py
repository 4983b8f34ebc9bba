"""Result: a rate beside the rate of a reference that was measured in the same run, turn by turn."""

from __future__ import annotations

import time
from collections.abc import Callable
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


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table.

    Attributes:
        name: what was done to what.
        unit: of both rates.
        ours, reference: best rates.
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
        return self.reference / self.ours if self.less else self.ours / self.reference


def interleaved(ours: Callable[[], object], reference: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Best seconds of both, a turn of one after a turn of the other; the first turn of each warms and is not counted."""
    best = [float("inf"), float("inf")]
    for turn in range(repeats + 1):
        for side, work in enumerate((ours, reference)):
            started = time.perf_counter()
            work()
            spent = time.perf_counter() - started
            if turn:
                best[side] = min(best[side], spent)
    return best[0], best[1]
