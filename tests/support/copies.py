"""Copies: the directories of several brokers, each damaged by itself, and what must come out of them together.

A batch counts as untouched when a copy holds all of its bytes in one piece after the damage. What the copies together must
give is the union of these, by offset and bytes; nothing else may come out as intact.
"""

from __future__ import annotations

import random
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from kafka_salvage.integrity.report import IntegrityReport, make_report
from kafka_salvage.plan.merge import make_plan
from kafka_salvage.plan.plan import PartitionPlan, Plan, Status
from kafka_salvage.plan.policy import Policy
from kafka_salvage.regions.survey import SurveyOptions, survey_replica
from kafka_salvage.scan.replica import take_inventory
from tests.support.bases import parse
from tests.support.damage import damage
from tests.support.judging import emitted
from tests.support.kinds import KINDS
from tests.support.oracle import survivors

Key = tuple[str, int]
Batch = tuple[int, int, bytes]
"""Base offset, last offset, and all bytes but the leader epoch."""

SIMPLE = ("flip", "zero-sector", "zero-few", "scramble", "truncate", "crc", "count", "delete-batch", "add-garbage")
_LIVE = re.compile(r"(.+)-(\d+)/\d{20}\.log")


@dataclass
class Expected:
    """What copies hold of each partition.

    Attributes:
        original: every batch that stood on a copy before the damage.
        untouched: those that still stand whole on at least one.
    """

    original: dict[Key, set[Batch]] = field(default_factory=lambda: defaultdict(set))
    untouched: dict[Key, set[Batch]] = field(default_factory=lambda: defaultdict(set))


def key_of(path: Path, root: Path) -> Key | None:
    """The partition of a live segment file; None for other files."""
    match = _LIVE.fullmatch(path.relative_to(root).as_posix())
    return (match[1], int(match[2])) if match else None


def batch_of(data: bytes, base: int, last: int) -> Batch:
    """A batch as it is compared."""
    return base, last, data[:12] + data[16:] if data[16] == 2 else data


def wound(
    root: Path, rng: random.Random, expected: Expected, kinds: Sequence[str] = SIMPLE, share: float = 0.3
) -> None:
    """Damages some segments of a broker's directory; what is left of all of them goes to ``expected``."""
    for path in sorted(root.glob("*/*.log")):
        key, data = key_of(path, root), path.read_bytes()
        if key is None or not data:
            continue
        infos = parse(data)
        for info in infos:
            expected.original[key].add(batch_of(data[info.start : info.stop], info.base_offset, info.last_offset))
        recipe = ""
        if infos and rng.random() < share:
            lines = [KINDS[rng.choice(kinds)](rng, infos, len(data), 0) for _ in range(rng.choice((1, 1, 2, 3)))]
            recipe = "\n".join(lines)
        harmed = damage(data, infos, recipe)
        if recipe:
            path.write_bytes(harmed.data)
        for one in survivors(harmed, infos):
            whole = harmed.data[one.start : one.stop]
            expected.untouched[key].add(batch_of(whole, one.info.base_offset, one.info.last_offset))


def lose_files(root: Path, rng: random.Random, expected: Expected, share: float = 0.1) -> None:
    """Removes some live segments before anything else is damaged; they still count as original."""
    for path in sorted(root.glob("*/*.log")):
        key = key_of(path, root)
        if key is not None and rng.random() < share:
            data = path.read_bytes()
            for info in parse(data):
                expected.original[key].add(batch_of(data[info.start : info.stop], info.base_offset, info.last_offset))
            path.unlink()


def copied(source: Path, target: Path, topics: Iterable[str] | None = None) -> Path:
    """A broker's directory to damage; with ``topics`` only theirs."""
    wanted = None if topics is None else tuple(topics)

    def other(folder: str, names: list[str]) -> set[str]:
        if wanted is None or Path(folder) != source:
            return set()
        return {n for n in names if (source / n).is_dir() and n.rpartition("-")[0] not in wanted}

    shutil.copytree(source, target, ignore=other)
    return target


def judged(paths: Iterable[Path], policy: Policy | None = None, *, deep: bool = True) -> IntegrityReport:
    """The check of several directories together."""
    inventory = take_inventory([str(path) for path in paths])
    surveys = [survey_replica(replica, SurveyOptions(deep=deep)) for replica in inventory.replicas]
    return make_report(make_plan(inventory, surveys, policy or Policy()), "deep" if deep else "shallow")


def given(partition: PartitionPlan, *, branches: bool = False) -> Iterator[Batch]:
    """Batches that a salvage would write as the partition's line, or apart from it, in their order."""
    read: dict[Path, bytes] = {}
    apart = [step for branch in partition.branches for step in branch.steps]
    for step in apart if branches else partition.line:
        file = step.survey.segment.file
        data = read.setdefault(file.real, file.real.read_bytes())
        for one in emitted(data, step.survey):
            if step.start <= one.position < step.stop:
                delta = int.from_bytes(one.data[23:27], "big") if one.data[16] == 2 else 0
                yield batch_of(one.data, one.offset, one.offset + delta)


def main_lines(plan: Plan) -> dict[Key, PartitionPlan]:
    """The selected line of each partition."""
    return {(p.topic, p.partition): p for p in plan.partitions if p.selected}


def hold(partition: PartitionPlan, original: set[Batch], untouched: set[Batch]) -> list[str]:
    """What is wrong with a line of a topic that is not compacted; empty when nothing is."""
    wrong: list[str] = []
    batches = list(given(partition))
    wrong += [f"{b[0]} after {a[1]}" for a, b in pairwise(batches) if b[0] <= a[1]]
    wrong += [f"invented {b[0]}..{b[1]}" for b in batches if b not in original]
    wrong += [f"not given {b[0]}..{b[1]}" for b in sorted(untouched - set(batches)) if b[1] >= partition.log_start]
    taken = {o for b in batches for o in range(b[0], b[1] + 1)}
    ledger = {o for s in partition.ledger if s.status in _GIVEN for o in range(s.offsets.start, s.offsets.stop)}
    wrong += [f"given and not in the ledger: {o}" for o in sorted(taken - ledger) if o >= partition.log_start][:5]
    wrong += [f"in the ledger and not given: {o}" for o in sorted(ledger - taken)][:5]
    whole = [(s.offsets.start, s.offsets.stop) for s in partition.ledger]
    before = {o for b in original for o in range(b[0], b[1] + 1)}
    wrong += [f"not in the ledger: {o}" for o in sorted(before) if not any(a <= o < b for a, b in whole)][:5]
    wrong += [f"{a}..{b} is not followed" for (a, b), (c, _) in pairwise(whole) if b != c]
    return wrong


_GIVEN = (Status.RECOVERED, Status.REPAIRED)


def troubles(report: IntegrityReport, expected: Expected, skip: Iterable[str] = ()) -> Mapping[Key, list[str]]:
    """What is wrong with the lines of a report, by partition."""
    passed = set(skip)
    lines = main_lines(report.plan)
    found = {}
    for key, original in expected.original.items():
        if key[0] not in passed:
            wrong = hold(lines[key], original, expected.untouched[key])
            if wrong:
                found[key] = wrong
    return found
