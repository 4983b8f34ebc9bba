"""Progress and Meter: what is done of what was planned, how fast, and for how long yet; who shows it is another's business."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

SAMPLE_SECONDS = 0.5
"""Shortest time between two samples of the rate."""
SAMPLES = 128
"""Samples that are kept; when there are more, every other one is dropped."""
_RECENT = 16
_FEW = 4
_UNSURE = 0.5
"""Uncertainty of a rate of which little is known, and of a stage that has not begun."""
_SURE = 0.03


class Progress:
    """Where progress goes. Called from several threads; this one tells nobody: derive from it.

    Stages follow one another. `plan` may tell all of them before the first begins.
    """

    def plan(self, stages: Sequence[Ahead]) -> None:
        """All stages that lie ahead, as far as they are known."""

    def stage(self, name: str, total: int) -> None:
        """A new stage of ``total`` bytes begins."""

    def advance(self, count: int, where: str = "") -> None:
        """``count`` more bytes are done; ``where`` names the file."""

    def skip(self, count: int, where: str = "") -> None:
        """``count`` bytes need not be done: an earlier run has."""

    def found(self, *, records: int = 0, damaged: int = 0, lost: int = 0) -> None:
        """Records passed in this stage; bytes of damage and offsets lost with them, so far as is seen."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """A stage that has not begun.

    Attributes:
        name: its name.
        total: bytes, perhaps an estimate.
        seconds_per_byte: what a byte of it will take; None when nothing is known of it (then as in the stage under way).
    """

    name: str
    total: int
    seconds_per_byte: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """One moment of a run.

    Attributes:
        stage: name of the stage under way; "" before the first.
        done, total: bytes of this stage.
        skipped: bytes among ``done`` that an earlier run had done.
        all_done, all_total: bytes over all stages, as far as they are known.
        bytes_per_second, records_per_second: in this stage, lately.
        records: passed in this stage.
        damaged, lost: bytes of damage and offsets lost with them, over the whole run so far.
        where: the file that was worked on last.
        seconds: since the run began.
        eta: seconds until everything is done; None while nothing is known.
        soonest, latest: the range that the rates so far leave for it.
    """

    stage: str
    done: int
    total: int
    skipped: int
    all_done: int
    all_total: int
    bytes_per_second: float
    records_per_second: float
    records: int
    damaged: int
    lost: int
    where: str
    seconds: float
    eta: float | None
    soonest: float | None
    latest: float | None


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    worked: int
    records: int


class _Pace:
    """Rates of one stage: from its first work on, so that compiling before it does not count."""

    def __init__(self) -> None:
        self.samples: list[_Sample] = []

    def note(self, at: float, worked: int, records: int) -> None:
        """Takes a sample, unless the last one is too near."""
        if self.samples and at - self.samples[-1].at < SAMPLE_SECONDS:
            return
        self.samples.append(_Sample(at, worked, records))
        if len(self.samples) > SAMPLES:
            del self.samples[1:-1:2]

    def rates(self, now: float, worked: int, records: int) -> tuple[float, float, float]:
        """Bytes a second over the whole stage, and bytes and records a second lately; 0 while unknown."""
        if not self.samples:
            return 0.0, 0.0, 0.0
        first, recent = self.samples[0], self.samples[-min(len(self.samples), _RECENT)]
        span, lately = now - first.at, now - recent.at
        if span <= 0 or lately <= 0:
            return 0.0, 0.0, 0.0
        return (worked - first.worked) / span, (worked - recent.worked) / lately, (records - recent.records) / lately

    def doubt(self, now: float, worked: int) -> float:
        """How far, relatively, the mean rate may be from that of what is left: from the spread of the rates so far."""
        marks = [*self.samples, _Sample(now, worked, 0)]
        pairs = [(a, b) for a, b in pairwise(marks) if b.at > a.at]
        if len(pairs) < _FEW:
            return _UNSURE
        span = marks[-1].at - marks[0].at
        mean = (worked - marks[0].worked) / span
        if mean <= 0:
            return _UNSURE
        spread = sum((b.at - a.at) * ((b.worked - a.worked) / (b.at - a.at) / mean - 1) ** 2 for a, b in pairs) / span
        _, lately, _ = self.rates(now, worked, 0)
        return float(max(_SURE, 2 * (spread / len(pairs)) ** 0.5, abs(lately / mean - 1)))


class Meter(Progress):
    """Adds up progress, and gives figures when asked; cheap to tell, from any thread.

    Args:
        clock: seconds that never run backwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._begun = clock()
        self._ahead: list[Ahead] = []
        self._expected: float | None = None
        self._stage, self._where = "", ""
        self._total = self._done = self._skipped = self._records = 0
        self._damaged = self._lost = self._before = 0
        self._pace = _Pace()

    def plan(self, stages: Sequence[Ahead]) -> None:
        """All stages that lie ahead."""
        with self._lock:
            self._ahead = list(stages)

    def stage(self, name: str, total: int) -> None:
        """A new stage begins; those that were planned before it are over."""
        with self._lock:
            self._before += self._done
            names = [each.name for each in self._ahead]
            self._expected = None
            if name in names:
                self._expected = self._ahead[names.index(name)].seconds_per_byte
                self._ahead = self._ahead[names.index(name) + 1 :]
            self._stage, self._total, self._where = name, total, ""
            self._done = self._skipped = self._records = 0
            self._pace = _Pace()

    def advance(self, count: int, where: str = "") -> None:
        """More bytes are done."""
        with self._lock:
            if not self._pace.samples:  # the first bytes only start the clock
                self._pace.note(self._clock(), self._done - self._skipped + count, self._records)
            self._done += count
            self._where = where or self._where
            self._pace.note(self._clock(), self._done - self._skipped, self._records)

    def skip(self, count: int, where: str = "") -> None:
        """Bytes that need not be done; they say nothing of the rate."""
        with self._lock:
            self._done += count
            self._skipped += count

    def found(self, *, records: int = 0, damaged: int = 0, lost: int = 0) -> None:
        """Records and losses."""
        with self._lock:
            self._records += records
            self._damaged += damaged
            self._lost += lost

    def figures(self) -> Figures:
        """Where things stand."""
        with self._lock:
            now, worked = self._clock(), self._done - self._skipped
            rate, lately, records = self._pace.rates(now, worked, self._records)
            eta, soonest, latest = self._outlook(now, worked, rate)
            return Figures(
                stage=self._stage,
                done=self._done,
                total=self._total,
                skipped=self._skipped,
                all_done=self._before + self._done,
                all_total=self._before + max(self._total, self._done) + sum(each.total for each in self._ahead),
                bytes_per_second=lately,
                records_per_second=records,
                records=self._records,
                damaged=self._damaged,
                lost=self._lost,
                where=self._where,
                seconds=now - self._begun,
                eta=eta,
                soonest=soonest,
                latest=latest,
            )

    def _outlook(self, now: float, worked: int, rate: float) -> tuple[float, float, float] | tuple[None, None, None]:
        doubt = self._pace.doubt(now, worked)
        if rate <= 0:
            if not self._expected:
                return None, None, None
            rate, doubt = 1 / self._expected, _UNSURE
        here = max(0, self._total - self._done) / rate
        behind = sum(each.total * (each.seconds_per_byte or 1 / rate) for each in self._ahead)
        soonest = here / (1 + doubt) + behind / (1 + _UNSURE)
        return here + behind, soonest, here * (1 + doubt) + behind * (1 + _UNSURE)
