"""Campaign over copies: three brokers' directories, each damaged by itself, checked together, held to what was on them.

Run `python -m tests.support.copies_campaign --seed 1 --count 300`. Each trial takes some topics of the `cluster` scene, damages
segments, checkpoints and indexes of every copy by drawn recipes, and demands:

- every batch that stands untouched on at least one copy is given, once, in offset order, and nothing that never was;
- what is not given is named by the ledger as not given, and the exit code says so;
- any order of the sources gives the same report; a copy more never loses a batch.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kafka_salvage.integrity.document import dumps
from kafka_salvage.integrity.report import IntegrityReport
from tests.support.copies import (
    COMPACTED,
    Expected,
    Key,
    copied,
    given,
    judged,
    lose_files,
    main_lines,
    troubles,
    wound,
)
from tests.support.corpus import scene
from tests.support.harm import harm_metadata
from tests.support.kinds import KINDS
from tests.support.truth import lines

TRUTH = "truth"
LOSS = (3, 4)
THINNING = ("delete-batch", "swap", "duplicate")
"""Kinds that leave what a compaction may leave, too."""


@dataclass(frozen=True)
class Plot:
    """What one trial does.

    Attributes:
        origin: the directory that holds the brokers.
        topics: those that are taken.
        kinds: of damage to segments.
        share: how many of the segments are damaged.
        files: how many segment files are removed.
        metadata: how many side files are harmed.
        truth: what a consumer read of compacted topics.
    """

    origin: Path
    topics: tuple[str, ...]
    kinds: tuple[str, ...]
    share: float
    files: float
    metadata: float
    truth: Path

    def records(self) -> dict[Key, set[int]]:
        """Offsets of all records of the compacted topics."""
        found: dict[Key, set[int]] = {}
        for topic in COMPACTED & set(self.topics):
            for line in lines(self.truth / f"{topic}.jsonl.gz"):
                found.setdefault((topic, line["partition"]), set()).add(line["offset"])
        return found


@dataclass
class Result:
    """What came of a trial: sentences that should not be there."""

    wrong: list[str] = field(default_factory=list)
    harm: list[str] = field(default_factory=list)


def topics_of(origin: Path) -> list[str]:
    """Topics of a scene that are looked at."""
    found = {p.name.rpartition("-")[0] for p in (origin / "broker-1").iterdir() if p.is_dir() and "." not in p.suffix}
    return sorted(t for t in found if not t.startswith("__") and t != "gone")


def draw(rng: random.Random, origin: Path, kinds: Sequence[str], truth: Path | None = None) -> Plot:
    """A plot.

    Args:
        rng: randomness.
        origin: the directory that holds the brokers.
        kinds: of damage.
        truth: of the scene; beside the brokers unless told.
    """
    known = topics_of(origin)
    topics = tuple(sorted(rng.sample(known, k=min(len(known), rng.choice((1, 2, 3))))))
    some = tuple(kinds) if rng.random() < 0.5 else (rng.choice(list(kinds)),)
    if COMPACTED & set(topics):
        some = tuple(kind for kind in some if kind not in THINNING) or ("flip",)
    share, files = rng.choice((0.2, 0.5, 0.9)), rng.choice((0.0, 0.1, 0.3))
    return Plot(origin, topics, some, share, files, rng.choice((0.0, 0.2, 0.6)), truth or origin / TRUTH)


def run(plot: Plot, rng: random.Random, place: Path) -> Result:
    """One trial in an empty directory."""
    expected, result, homes = Expected(), Result(), []
    alone: list[Expected] = []
    for broker in sorted(p.name for p in plot.origin.iterdir() if p.name.startswith("broker-")):
        home, own = copied(plot.origin / broker, place / broker, plot.topics), Expected()
        lose_files(home, rng, own, plot.files)
        wound(home, rng, own, plot.kinds, plot.share)
        result.harm += [f"{broker}: {one}" for one in (*own.recipes, *harm_metadata(home, rng, plot.metadata))]
        homes.append(home)
        alone.append(own)
        expected.add(own)
    report = judged(homes, plain=True)
    found = troubles(report, expected, () if plot.metadata else homes, plot.records())
    result.wrong += [f"{key}: {one}" for key, some in found.items() for one in some]
    result.wrong += _of_exit(report, expected)
    backwards = judged(list(reversed(homes)), plain=True, jobs=2)
    if dumps(backwards.to_dict()) != dumps(report.to_dict()):
        result.wrong.append("another order of the sources gives another report")
    result.wrong += _of_fewer(report, plot, homes[:2], alone[:2])
    return result


def _of_exit(report: IntegrityReport, expected: Expected) -> Iterator[str]:
    lost = False
    ends = {key: max(b[1] for b in batches) + 1 for key, batches in expected.original.items()}
    starts = {key: min(b[0] for b in batches) for key, batches in expected.original.items()}
    for key, plan in main_lines(report.plan).items():
        if key[0] in COMPACTED:
            lost = lost or any(s.status in ("lost", "missing", "suspect") for s in plan.ledger)
            continue
        kept = {o for b in given(plan) for o in range(b[0], b[1] + 1)}
        all_of_it = {o for b in expected.original.get(key, ()) for o in range(b[0], b[1] + 1)}
        lost = lost or any(o >= plan.log_start for o in all_of_it - kept)
    if lost and report.exit_code not in LOSS:
        yield f"something is lost, and the exit code is {report.exit_code}"
    if not lost and report.exit_code in LOSS:
        spans = [
            f"{p.topic}-{p.partition} {s.offsets.start}..{s.offsets.stop} {s.status} {s.reason}"
            for p in report.plan.partitions
            for s in p.ledger
            if s.status not in ("recovered", "repaired", "trimmed", "absent")
            # bytes behind the end, and a checkpoint that was moved, tell of batches as true ones would
            and s.offsets.start < ends.get((p.topic, p.partition), 0)
            and s.offsets.stop > starts.get((p.topic, p.partition), 0)
        ]
        if spans:
            yield f"nothing is lost, and the exit code is {report.exit_code}: {spans[:4]}"


def _of_fewer(report: IntegrityReport, plot: Plot, homes: Sequence[Path], alone: Sequence[Expected]) -> Iterator[str]:
    expected = Expected()
    for own in alone:
        expected.add(own)
    fewer = judged(homes, plain=True)
    for key, some in troubles(fewer, expected, (), plot.records()).items():
        yield from (f"two copies, {key}: {one}" for one in some)
    more = main_lines(report.plan)
    for key, plan in main_lines(fewer.plan).items():
        if key[0] in COMPACTED:
            continue  # batches of one copy may be given in the fuller form of another
        less = {b for b in given(plan) if b[1] >= more[key].log_start}
        less -= set(given(more[key])) | set(given(more[key], branches=True))
        yield from (f"{key}: {b[0]}..{b[1]} was given without the third copy" for b in sorted(less)[:3])


def say(*lines: str) -> None:
    """Prints lines."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def main(words: Sequence[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="tests.support.copies_campaign", description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--kinds", default=",".join(KINDS), help="comma-separated")
    parser.add_argument("--topics", default="", help="comma-separated; drawn unless told")
    parser.add_argument("--keep", type=Path, help="lay the damaged directories of the last trial there")
    told = parser.parse_args(words)
    origin = scene("modern-1", "cluster")
    flawed, began = 0, time.monotonic()
    for number in range(told.first, told.first + told.count):
        rng = random.Random(f"{told.seed}/{number}")
        plot = draw(rng, origin, told.kinds.split(","))
        if told.topics:
            some = tuple(k for k in plot.kinds if k not in THINNING) or ("flip",)
            plot = replace(plot, topics=tuple(told.topics.split(",")), kinds=some)
        with tempfile.TemporaryDirectory(prefix="copies-") as folder:
            try:
                result = run(plot, rng, Path(folder))
            except Exception as error:  # noqa: BLE001 - the flaw that is looked for
                result = Result([f"crash: {type(error).__name__}: {error}"])
            if told.keep is not None:
                shutil.rmtree(told.keep, ignore_errors=True)
                shutil.copytree(folder, told.keep)
        if result.wrong:
            flawed += 1
            say(f"{told.seed}/{number} {plot.topics} {plot.kinds if len(plot.kinds) < 3 else 'all'}")
            say(*(f"    {one}" for one in result.wrong[:8]))
    say(f"{flawed} of {told.count} trials are flawed; {time.monotonic() - began:.0f} s")
    return int(bool(flawed))


if __name__ == "__main__":
    sys.exit(main())
