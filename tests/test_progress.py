"""Progress: figures from a clock that the test turns itself."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import pytest

from kafka_salvage.progress import SAMPLES, Ahead, Figures, Meter, Progress


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


GIB = 1 << 30
SEGMENTS = 400


def run(clock: Clock, meter: Meter, stages: list[tuple[str, float, float]]) -> Iterator[tuple[float, Figures]]:
    """Works through stages of a uniform tree: (name, seconds in all, share of spread); gives seconds done and figures."""
    noise = random.Random(7)
    worked = 0.0
    for name, seconds, spread in stages:
        meter.stage(name, SEGMENTS * GIB)
        clock.now += 0.8  # compiling and opening, before the first byte
        worked += 0.8
        for number in range(SEGMENTS):
            spent = seconds / SEGMENTS * noise.uniform(1 - spread, 1 + spread)
            clock.now += spent
            worked += spent
            meter.advance(GIB, f"t-0/{number}.log")
            yield worked, meter.figures()


@pytest.mark.parametrize("seconds", [30.0, 400.0, 90_000.0])
@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_the_eta_of_a_uniform_tree_is_right_after_a_twentieth(seconds: float, spread: float) -> None:
    clock = Clock()
    seen = list(run(clock, Meter(clock), [("check", seconds, spread)]))
    whole = seen[-1][0]
    assert seen[len(seen) // 20][1].eta is not None
    for worked, figures in seen[len(seen) // 20 : -len(seen) // 20]:  # a few segments are no mean
        truth = whole - worked
        assert figures.eta is not None
        assert figures.soonest is not None
        assert figures.latest is not None
        assert abs(figures.eta - truth) <= 0.2 * truth
        assert figures.soonest <= figures.eta <= figures.latest
    assert seen[-1][1].eta == pytest.approx(0, abs=0.01)


def test_the_eta_counts_the_stages_ahead() -> None:
    """The stage behind takes three times as long per byte; a probe said so within a tenth."""
    clock = Clock()
    meter = Meter(clock)
    meter.plan([Ahead("check", SEGMENTS * GIB), Ahead("write", SEGMENTS * GIB, 1.1 * 1200 / (SEGMENTS * GIB))])
    seen = list(run(clock, meter, [("check", 400, 0.3), ("write", 1200, 0.3)]))
    whole = seen[-1][0]
    for worked, figures in seen[len(seen) // 20 : -len(seen) // 20]:
        truth = whole - worked
        assert figures.eta is not None
        assert abs(figures.eta - truth) <= 0.2 * truth
        assert figures.all_total == 2 * SEGMENTS * GIB
    first = seen[SEGMENTS // 2][1]
    assert (first.stage, first.done, first.all_done) == ("check", (SEGMENTS // 2 + 1) * GIB, (SEGMENTS // 2 + 1) * GIB)
    assert seen[-1][1].all_done == 2 * SEGMENTS * GIB
    # what has not begun keeps the range wide
    assert first.latest is not None
    assert first.soonest is not None
    assert first.latest > 1.5 * first.soonest


def test_rates_that_jump_give_a_wide_range_and_even_ones_a_narrow_one() -> None:
    def width(spread: float) -> float:
        clock = Clock()
        figures = list(run(clock, Meter(clock), [("check", 400, spread)]))[SEGMENTS // 2][1]
        assert figures.latest is not None
        assert figures.soonest is not None
        return figures.latest / figures.soonest

    assert width(0.0) < 1.1
    assert width(0.0) < width(0.9)


def test_a_disk_that_slows_down_widens_the_range() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.stage("check", 1000)
    for second in range(60):
        clock.now += 1
        meter.advance(10 if second < 40 else 2)
    figures = meter.figures()
    assert figures.bytes_per_second == pytest.approx(2, rel=0.1)
    assert figures.latest is not None
    assert figures.latest > (1000 - 440) / 7 * 1.5


def test_what_an_earlier_run_did_says_nothing_of_the_rate() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.stage("check", 1_000_000)
    meter.skip(900_000)
    assert meter.figures().eta is None
    for _ in range(10):
        clock.now += 1
        meter.advance(1000)
    figures = meter.figures()
    assert (figures.done, figures.skipped) == (910_000, 900_000)
    assert figures.bytes_per_second == pytest.approx(1000)
    assert figures.eta == pytest.approx(90)


def test_records_and_losses_add_up() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.stage("check", 100)
    for _ in range(4):
        clock.now += 1
        meter.advance(25, "a")
        meter.found(records=100, damaged=3, lost=2)
    figures = meter.figures()
    assert (figures.records, figures.damaged, figures.lost, figures.where) == (400, 12, 8, "a")
    meter.stage("write", 100)
    figures = meter.figures()
    assert (figures.records, figures.damaged, figures.lost, figures.where) == (0, 12, 8, "")


def test_records_per_second_are_those_of_late() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.stage("check", 10_000)
    for _ in range(40):
        clock.now += 1
        meter.found(records=500)
        meter.advance(10)
    assert meter.figures().records_per_second == pytest.approx(500, rel=0.05)


def test_before_anything_is_known_nothing_is_said() -> None:
    meter = Meter(Clock())
    assert meter.figures().eta is None
    meter.stage("check", 0)
    meter.advance(0)
    assert meter.figures().eta is None
    assert meter.figures().all_total == 0


def test_samples_stay_few() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.stage("check", 1 << 40)
    for _ in range(10_000):
        clock.now += 1
        meter.advance(1)
    assert len(meter._pace.samples) <= SAMPLES
    assert meter.figures().bytes_per_second == pytest.approx(1)


def test_it_may_be_told_from_many_threads() -> None:
    meter = Meter()
    meter.stage("check", 80_000)

    def tell() -> None:
        for _ in range(10_000):
            meter.advance(1)

    threads = [threading.Thread(target=tell) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meter.figures().done == 80_000


def test_the_base_tells_nobody() -> None:
    quiet = Progress()
    quiet.plan([Ahead("a", 1)])
    quiet.stage("a", 1)
    quiet.advance(1)
    quiet.skip(1)
    quiet.found(records=1)


def misled(stages: list[tuple[str, list[float]]], ahead: list[Ahead] | None = None) -> list[tuple[float, bool, bool]]:
    """Stages of segments that take so many seconds each; (share done, whether the ETA is off, whether the truth is outside)."""
    clock = Clock()
    meter = Meter(clock)
    meter.plan(ahead or [])
    seen = []
    for name, seconds in stages:
        meter.stage(name, len(seconds) * GIB)
        for spent in seconds:
            clock.now += spent
            meter.advance(GIB)
            seen.append((clock.now, meter.figures()))
    whole, made = clock.now, []
    for now, figures in seen:
        left = whole - now
        if left > 0.02 * (whole - 1000) and figures.all_done > 2 * GIB:
            assert figures.eta is not None
            assert figures.soonest is not None
            assert figures.latest is not None
            off = abs(figures.eta - left) > 0.2 * left
            made.append(
                (figures.all_done / figures.all_total, off, not figures.soonest <= left * 1.05 <= figures.latest * 1.1)
            )
    return made


def when(made: list[tuple[float, bool, bool]], which: int) -> list[float]:
    return [each[0] for each in made if each[which]]


@pytest.mark.parametrize("slower", [2.0, 5.0])
def test_a_disk_that_fills_its_cache_is_seen_soon(slower: float) -> None:
    """Nobody can know before; a twentieth of the work later it is told, and meanwhile the range grows."""
    made = misled([("write", [1.0] * 200 + [slower] * 400)])
    told = [share for share in when(made, 1) if share > 1 / 3]
    assert told
    assert max(told) < 1 / 3 + 0.05


def test_writing_that_is_slower_than_was_foretold_is_seen_at_once() -> None:
    ahead = [Ahead("check", 300 * GIB), Ahead("write", 300 * GIB, 1.5 / GIB)]
    made = misled([("check", [0.5] * 300), ("write", [4.0] * 300)], ahead)
    assert max(when(made, 1)) < 0.51
    assert max(when(made, 2)) < 0.51


def test_while_it_is_checked_the_range_holds_what_the_trial_says_within_a_half() -> None:
    for truth in (0.8, 1.0, 1.5, 2.0, 2.6):
        ahead = [Ahead("check", 300 * GIB), Ahead("write", 300 * GIB, 1.5 / GIB)]
        assert not [
            share
            for share in when(misled([("check", [0.5] * 300), ("write", [truth] * 300)], ahead), 2)
            if share > 0.05
        ]


def test_a_stage_that_begins_slowly_keeps_what_was_foretold_in_its_range() -> None:
    """A disk still has what others wrote to bring home; the trial of it, before, was right."""
    ahead = [Ahead("check", 300 * GIB), Ahead("write", 300 * GIB, 1.5 / GIB)]
    made = misled([("check", [0.5] * 300), ("write", [4.0] * 60 + [1.5] * 240)], ahead)
    assert not [share for share in when(made, 2) if 0.53 < share < 0.75]


def test_evidence_that_is_read_twice_from_a_slow_disk_takes_that_long_twice() -> None:
    """The trial of the output says 0.2 s; the evidence comes at one segment in 2 s, each time."""
    ahead = [Ahead("check", 200 * GIB), Ahead("write", 200 * GIB, 0.2 / GIB, reads_again=True)]
    made = misled([("check", [2.0] * 200), ("write", [2.1] * 200)], ahead)
    assert not [share for share in when(made, 1) if share > 0.05]
    ahead[1] = Ahead("write", 200 * GIB, 0.2 / GIB)  # it stays in memory: the second time is fast
    made = misled([("check", [2.0] * 200), ("write", [0.2] * 200)], ahead)
    assert not [share for share in when(made, 2) if share > 0.05]


def test_stretches_that_differ_keep_the_range_wide() -> None:
    made = misled([("check", ([1.0] * 30 + [3.0] * 30) * 10)])
    assert not [share for share in when(made, 2) if share > 0.2]
