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
"""Uncertainty of a rate of which little is known."""
_FORETOLD = 1.0
"""That of a stage that has not begun: half as long, or twice."""
_SURE = 0.03
_PARTS = 16
_CHANGED = 0.1
"""Share by which the rate of late must differ from that of the whole stage, and more than chance would have it, to be the one."""


class Progress:
    """Where progress goes. Called from several threads; this one tells nobody: derive from it.

    Stages follow one another. `plan` may tell all of them before the first begins.

    Attributes:
        heard: whether what is told reaches anybody; only then is the time left worth a trial of the disk.
    """

    heard: bool = True

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
        reads_again: what the stage under way reads is not kept in memory for it: it may be no faster than this one.
    """

    name: str
    total: int
    seconds_per_byte: float | None = None
    reads_again: bool = False

    def seconds(self, pace: float) -> tuple[float, float, float]:
        """What it is expected to take, at the least, and at the most, while a byte of the stage under way takes ``pace``."""
        told = pace if self.seconds_per_byte is None else self.seconds_per_byte
        slow = max(told, pace) if self.reads_again else told
        return self.total * slow, self.total * told / (1 + _FORETOLD), self.total * slow * (1 + _FORETOLD)


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

    def rates(self, now: float, worked: int, records: int) -> tuple[float, float]:
        """Bytes and records a second lately; 0 while unknown."""
        if not self.samples:
            return 0.0, 0.0
        recent = self.samples[-min(len(self.samples), _RECENT)]
        lately = now - recent.at
        return ((worked - recent.worked) / lately, (records - recent.records) / lately) if lately > 0 else (0.0, 0.0)

    def expected(self, now: float, worked: int) -> tuple[float, float]:
        """(bytes a second to expect of what is left, how far off that may be, relatively); rate 0 while unknown.

        It is the mean of the stage. Where the rate changed once, by more than chance, it is that of late: a disk has filled its
        cache, or evidence of another kind has begun. Where it goes up and down, the mean is as good as anything.
        """
        marks = [*self.samples, _Sample(now, worked, 0)]
        pairs = [(a, b) for a, b in pairwise(marks) if b.at > a.at]
        mean, error = _mean(pairs)
        if mean <= 0 or len(pairs) < _FEW:
            return mean, _UNSURE
        lately, error_lately = _mean(pairs[-max(_RECENT, len(pairs) // 4) :])
        if lately <= 0:
            return mean, _UNSURE
        apart, (uneven, turns) = max(lately / mean, mean / lately) - 1, _unevenness(pairs, mean)
        unsure = max(_SURE, _UNSURE * _FEW / len(pairs))  # a few seconds alike do not tell that the next are
        if len(pairs) > _RECENT and turns <= 1 and apart > max(_CHANGED, 2 * error_lately):
            return lately, max(unsure, error_lately, apart)
        return mean, max(unsure, error, apart, uneven)


def _mean(pairs: Sequence[tuple[_Sample, _Sample]]) -> tuple[float, float]:
    """Bytes a second over some spans of time, and twice the standard error of that, relatively; 0 where there is none."""
    span = sum(b.at - a.at for a, b in pairs)
    mean = sum(b.worked - a.worked for a, b in pairs) / span if span > 0 else 0.0
    if mean <= 0:
        return 0.0, 0.0
    spread = sum((b.at - a.at) * ((b.worked - a.worked) / (b.at - a.at) / mean - 1) ** 2 for a, b in pairs) / span
    return mean, float(2 * (spread / len(pairs)) ** 0.5)


def _unevenness(pairs: Sequence[tuple[_Sample, _Sample]], mean: float) -> tuple[float, int]:
    """How far sixteenths of the stage so far are from its mean, relatively, and how often they pass from one side to the other."""
    size = max(1, len(pairs) // _PARTS)
    rates = [_mean(pairs[at : at + size])[0] / mean - 1 for at in range(0, len(pairs) - size + 1, size)]
    sides = [rate > 0 for rate in rates if abs(rate) > _CHANGED]
    turns = sum(a != b for a, b in pairwise(sides))
    return float((sum(rate * rate for rate in rates) / len(rates)) ** 0.5), turns


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
            rate, _ = self._pace.expected(self._clock(), self._done - self._skipped)
            self._expected = None
            if name in names:
                begun = self._ahead[names.index(name)]
                self._expected = begun.seconds_per_byte
                if self._expected is not None and begun.reads_again and rate > 0:
                    self._expected = max(self._expected, 1 / rate)
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
            lately, records = self._pace.rates(now, worked, self._records)
            eta, soonest, latest = self._outlook(now, worked)
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

    def _outlook(self, now: float, worked: int) -> tuple[float, float, float] | tuple[None, None, None]:
        rate, doubt = self._pace.expected(now, worked)
        if rate <= 0:
            if not self._expected:
                return None, None, None
            rate, doubt = 1 / self._expected, _FORETOLD
        here = max(0, self._total - self._done) / rate
        behind = [each.seconds(1 / rate) for each in self._ahead]
        eta, soonest, latest = (sum(each[place] for each in behind) for place in range(3))
        low, high = here / (1 + doubt), here * (1 + doubt)
        if self._expected and self._total > 2 * self._done:
            # so early the trial may be right, and the work so far the exception: a disk with other things to bring home
            foretold = max(0, self._total - self._done) * self._expected
            low, high = min(low, foretold), max(high, foretold)
        return here + eta, low + soonest, high + latest
