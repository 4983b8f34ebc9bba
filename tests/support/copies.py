"""Copies: the directories of several brokers, each damaged by itself, and what must come out of them together.

A batch counts as untouched when a copy holds all of its bytes in one piece after the damage. What the copies together must
give is the union of these, by offset and bytes; nothing else may come out as intact.
"""

from __future__ import annotations

import random
import re
import shutil
import struct
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path
from types import MappingProxyType

import numpy as np

from kafka_salvage.integrity.report import IntegrityReport, make_report
from kafka_salvage.plan.merge import make_plan
from kafka_salvage.plan.plan import PartitionPlan, Plan, Status
from kafka_salvage.plan.policy import Policy
from kafka_salvage.regions.survey import SurveyOptions, survey_replica
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.replica import take_inventory
from tests.support.bases import parse
from tests.support.damage import Damaged, damage
from tests.support.judging import emitted
from tests.support.kinds import KINDS
from tests.support.oracle import Survivor, survivors

Key = tuple[str, int]
Batch = tuple[int, int, bytes]
"""Base offset, last offset, and all bytes but the leader epoch."""

SIMPLE = ("flip", "zero-sector", "zero-few", "scramble", "truncate", "crc", "count", "delete-batch", "add-garbage")
COMPACTED = frozenset({"profiles"})
_LIVE = re.compile(r"(.+)-(\d+)/\d{20}\.log")


@dataclass
class Expected:
    """What copies hold of each partition.

    Attributes:
        original: every batch that stood on a copy before the damage.
        untouched: those that still stand whole, in their order, on at least one.
        moved: those that stand whole where their place in the file says nothing for them: out of order, or beside a torn
            twin of themselves. One copy alone cannot tell them from payload (section 8 of the contract).
        holders: on how many copies each of these stands.
        recipes: what was done to which file, for messages.
    """

    original: dict[Key, set[Batch]] = field(default_factory=lambda: defaultdict(set))
    untouched: dict[Key, set[Batch]] = field(default_factory=lambda: defaultdict(set))
    moved: dict[Key, set[Batch]] = field(default_factory=lambda: defaultdict(set))
    holders: Counter[Batch] = field(default_factory=Counter)
    recipes: list[str] = field(default_factory=list)

    def add(self, other: Expected) -> None:
        """Takes up what another copy holds."""
        for mine, theirs in (
            (self.original, other.original),
            (self.untouched, other.untouched),
            (self.moved, other.moved),
        ):
            for key, batches in theirs.items():
                mine[key] |= batches
        self.holders.update(batch for batches in other.untouched.values() for batch in batches)


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
            expected.recipes.append(f"{path.relative_to(root)}: {'; '.join(lines)}")
        harmed = damage(data, infos, recipe)
        if recipe:
            path.write_bytes(harmed.data)
        whole = survivors(harmed, infos)
        for one, placed in zip(whole, in_order(whole, harmed), strict=True):
            batch = batch_of(harmed.data[one.start : one.stop], one.info.base_offset, one.info.last_offset)
            (expected.untouched if placed else expected.moved)[key].add(batch)


def in_order(whole: Sequence[Survivor], harmed: Damaged) -> list[bool]:
    """Which batches are on every longest rising chain of those that stand in a file, and are no twin of torn ones."""
    bases = [one.info.base_offset for one in whole]
    ending, beginning = _longest(bases), _longest([-base for base in reversed(bases)])[::-1]
    best = max((a + b for a, b in zip(ending, beginning, strict=True)), default=0)
    levels: dict[int, set[int]] = defaultdict(set)
    for base, a, b in zip(bases, ending, beginning, strict=True):
        if a + b == best:
            levels[a].add(base)
    seen, counts = np.unique(harmed.origin[harmed.origin >= 0], return_counts=True)
    again = seen[counts > 1]
    twice = Counter(bases)
    placed = []
    for base, a, b, one in zip(bases, ending, beginning, whole, strict=True):
        torn = bool(((again >= one.info.start) & (again < one.info.stop)).any()) and twice[base] == 1
        placed.append(a + b == best and len(levels[a]) == 1 and not torn)
    return placed


def _longest(numbers: Sequence[int]) -> list[int]:
    """For each number how long the longest rising chain is that ends with it."""
    tails: list[int] = []
    found = []
    for number in numbers:
        at = bisect_left(tails, number)
        tails[at : at + 1] = [number]
        found.append(at + 1)
    return found


def lose_files(root: Path, rng: random.Random, expected: Expected, share: float = 0.1) -> None:
    """Removes some live segments before anything else is damaged; they still count as original."""
    for path in sorted(root.glob("*/*.log")):
        key = key_of(path, root)
        if key is not None and rng.random() < share:
            data = path.read_bytes()
            for info in parse(data):
                expected.original[key].add(batch_of(data[info.start : info.stop], info.base_offset, info.last_offset))
            path.unlink()
            expected.recipes.append(f"{path.relative_to(root)}: gone")


def copied(source: Path, target: Path, topics: Iterable[str] | None = None) -> Path:
    """A broker's directory to damage; with ``topics`` only theirs."""
    wanted = None if topics is None else tuple(topics)

    def other(folder: str, names: list[str]) -> set[str]:
        if wanted is None or Path(folder) != source:
            return set()
        return {n for n in names if (source / n).is_dir() and n.rpartition("-")[0] not in wanted}

    shutil.copytree(source, target, ignore=other)
    return target


def judged(
    paths: Iterable[Path], policy: Policy | None = None, *, deep: bool = True, plain: bool = False, jobs: int = 1
) -> IntegrityReport:
    """The check of several directories together.

    Args:
        paths: the directories.
        policy: choices.
        deep: every record is walked.
        plain: the cluster's metadata says which topics are compacted.
        jobs: workers.
    """
    inventory = take_inventory([str(path) for path in paths])
    told = {replica.key: replica.topic in COMPACTED for replica in inventory.replicas} if plain else {}
    options = SurveyOptions(deep=deep, compacted=told, jobs=jobs)
    surveys = [survey_replica(replica, options) for replica in inventory.replicas]
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


def named_apart(partition: PartitionPlan) -> Iterator[Batch]:
    """Batches that are named, and not believed: suspect ones, and those inside the extent of a damaged one.

    Their CRC holds and their place is not proved: where no other copy has them, section 8 of the contract withholds them.
    """
    for survey in partition.replicas:
        for segment in survey.segments:
            places = [(r.start, r.stop) for r in segment.regions if r.verdict is Verdict.SUSPECT]
            places += [(f.start, f.stop) for f in segment.findings if f.code == "embedded-batch"]
            data = segment.segment.file.real.read_bytes() if places else b""
            for start, stop in places:
                at = start
                while start <= at <= stop - 27:
                    base, length = struct.unpack_from(">qi", data, at)
                    delta = int.from_bytes(data[at + 23 : at + 27], "big") if data[at + 16] == 2 else 0
                    if 0 < length <= stop - at - 12:
                        yield batch_of(data[at : at + 12 + length], base, base + delta)
                    at += 12 + max(length, 14)


def claimed_bytes(partition: PartitionPlan) -> Iterator[bytes]:
    """Damaged bytes that hold batches in the extent of a damaged one: such are named, up to a number, and never believed."""
    for survey in partition.replicas:
        for segment in survey.segments:
            found = {f.start for f in segment.findings if f.code == "embedded-batch"}
            places = [
                (r.start, r.stop)
                for r in segment.regions
                if r.verdict is Verdict.DAMAGED and any(r.start <= at < r.stop for at in found)
            ]
            data = segment.segment.file.real.read_bytes() if places else b""
            yield from (data[start:stop] for start, stop in places)


def main_lines(plan: Plan) -> dict[Key, PartitionPlan]:
    """The selected line of each partition."""
    return {(p.topic, p.partition): p for p in plan.partitions if p.selected}


def hold(
    partition: PartitionPlan, original: set[Batch], untouched: set[Batch], witnessed: int | None = None
) -> list[str]:
    """What is wrong with a line of a topic that is not compacted; empty when nothing is.

    Args:
        partition: the plan.
        original: every batch that was there.
        untouched: those that must come out.
        witnessed: up to where anything says that the log went; None: nothing outside of what is given can be known.
    """
    wrong: list[str] = []
    batches = list(given(partition))
    wrong += [f"{b[0]} after {a[1]}" for a, b in pairwise(batches) if b[0] <= a[1]]
    wrong += [f"invented {b[0]}..{b[1]}" for b in batches if b not in original]
    doubted = set(named_apart(partition))
    claimed = list(claimed_bytes(partition))
    lacking = {b for b in untouched - set(batches) - doubted if not any(b[2][12:] in each for each in claimed)}
    wrong += [f"not given {b[0]}..{b[1]}" for b in sorted(lacking) if b[1] >= partition.log_start]
    taken = {o for b in batches for o in range(b[0], b[1] + 1)}
    ledger = {o for s in partition.ledger if s.status in _GIVEN for o in range(s.offsets.start, s.offsets.stop)}
    wrong += [f"given and not in the ledger: {o}" for o in sorted(taken - ledger) if o >= partition.log_start][:5]
    wrong += [f"in the ledger and not given: {o}" for o in sorted(ledger - taken)][:5]
    whole = [(s.offsets.start, s.offsets.stop) for s in partition.ledger]
    before = {o for b in original for o in range(b[0], b[1] + 1)}
    end = whole[-1][1] if whole else 0
    if partition.ledger and partition.ledger[-1].open_ended:  # at least so many: torn bytes do not say how many
        before = {o for o in before if o < end}
    if witnessed is None:
        before = {o for o in before if whole and whole[0][0] <= o < end}
    else:
        before = {o for o in before if o < max(end, witnessed)}
    before = {o for o in before if o >= partition.log_start}
    wrong += [f"not in the ledger: {o}" for o in sorted(before) if not any(a <= o < b for a, b in whole)][:5]
    wrong += [f"{a}..{b} is not followed" for (a, b), (c, _) in pairwise(whole) if b != c]
    return wrong


def hold_compacted(
    partition: PartitionPlan,
    original: set[Batch],
    untouched: set[Batch],
    records: Collection[int],
    holders: Mapping[Batch, int],
) -> list[str]:
    """What is wrong with the line of a compacted topic; empty when nothing is.

    Args:
        partition: the plan.
        original: every batch that was there, on whatever copy.
        untouched: those that still stand on one.
        records: offsets that a consumer of the live broker read: each copy held these, in batches of its own form.
        holders: on how many copies a batch stands untouched. A base offset that lies is known where two say another one.
    """
    proved = {batch[2][8:] for batch in original if holders.get(batch, 0) > 1}
    fits = {batch[2][8:] for batch in original} - proved
    batches = list(given(partition))
    wrong = [f"{b[0]} after {a[1]}" for a, b in pairwise(batches) if b[0] <= a[1]]
    wrong += [f"invented {b[0]}..{b[1]}" for b in batches if b not in original and b[2][8:] not in fits]
    taken, must = _inside(records, batches), _inside(records, untouched)
    doubted = _inside(records, named_apart(partition))
    wrong += [f"not given {o}" for o in sorted(must - taken - doubted) if o >= partition.log_start][:5]
    quiet = {
        o
        for span in partition.ledger
        if span.status in (*_GIVEN, Status.ABSENT)
        for o in range(span.offsets.start, span.offsets.stop)
    }
    there = _inside(records, original) - doubted
    wrong += [f"not given, and not named: {o}" for o in sorted((there & quiet) - taken) if o >= partition.log_start][:5]
    return wrong


def _inside(offsets: Iterable[int], batches: Iterable[Batch]) -> set[int]:
    ranges = sorted((b[0], b[1]) for b in batches)
    lows, highs = [low for low, _ in ranges], list(accumulate((high for _, high in ranges), max))
    return {o for o in offsets if (at := bisect_right(lows, o) - 1) >= 0 and o <= highs[at]}


_GIVEN = (Status.RECOVERED, Status.REPAIRED)


def witnessed(homes: Iterable[Path], key: Key) -> int:
    """Up to where file names and checkpoints of some brokers say that a partition went."""
    topic, number = key
    found = [0]
    for home in homes:
        for name in ("replication-offset-checkpoint", "recovery-point-offset-checkpoint"):
            rows = (home / name).read_text().splitlines()[2:] if (home / name).is_file() else []
            found += [int(row.split()[2]) for row in rows if row.split()[:2] == [topic, str(number)]]
        inside = (home / f"{topic}-{number}").glob("*.*")
        found += [int(path.name.split(".")[0]) for path in inside if path.suffix in (".log", ".snapshot", ".index")]
    return max(found)


def troubles(
    report: IntegrityReport,
    expected: Expected,
    homes: Sequence[Path] = (),
    records: Mapping[Key, Collection[int]] = MappingProxyType({}),
) -> Mapping[Key, list[str]]:
    """What is wrong with the lines of a report, by partition.

    Args:
        report: the check.
        expected: what was on the copies.
        homes: brokers whose checkpoints are whole; without, nothing is asked beyond what is given.
        records: of compacted partitions, the offsets that a consumer read.
    """
    lines = main_lines(report.plan)
    found = {}
    for key, original in expected.original.items():
        if key[0] in COMPACTED:
            wrong = hold_compacted(lines[key], original, expected.untouched[key], records[key], expected.holders)
        else:
            wrong = hold(lines[key], original, expected.untouched[key], witnessed(homes, key) if homes else None)
        if wrong:
            found[key] = wrong
    return found
