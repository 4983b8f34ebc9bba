"""Trials: one damage to one segment of one base, laid out on disk, checked, and what a salvage of it would write."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from kafka_salvage.integrity.report import IntegrityReport, make_report
from kafka_salvage.plan.merge import make_plan
from kafka_salvage.plan.plan import Plan
from kafka_salvage.plan.policy import Policy
from kafka_salvage.regions.survey import SurveyOptions, survey_replica
from kafka_salvage.scan.replica import take_inventory
from tests.support import bases
from tests.support.bases import Base
from tests.support.build import BatchInfo
from tests.support.damage import Damaged, damage
from tests.support.judging import Emitted, emitted

MODES = ("full", "noindex", "bare", "lone")
"""All files; without indexes; segments only; the damaged segment only."""
INDEXES = (".index", ".timeindex", ".txnindex")


@dataclass(frozen=True)
class Trial:
    """One damage to one segment of one base."""

    base: Base
    mode: str
    segment: str
    kinds: tuple[str, ...]
    recipe: str

    @property
    def infos(self) -> Sequence[BatchInfo]:
        return self.base.batches[self.segment]

    @cached_property
    def damaged(self) -> Damaged:
        return damage(self.base.inner[self.segment], self.infos, self.recipe, self.base.other)

    @property
    def knows_the_end(self) -> bool:
        """Whether a checkpoint says how far the log reached."""
        topic = self.base.directory.rpartition("-")[0].encode() + b" "
        return self.mode in ("full", "noindex") and topic in self.base.outer.get("replication-offset-checkpoint", b"")

    def __str__(self) -> str:
        recipe = self.recipe.replace("\n", "; ")
        return f"{self.base.name} {self.mode} {self.segment} {'+'.join(self.kinds)}: {recipe}"


@dataclass
class Outcome:
    """What was found wrong with one trial: flaw -> (sentence, the argument why it cannot be decided, or "")."""

    flaws: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    exit_code: int = -1
    foreign: bool = False

    def add(self, flaw: str, sentence: str, argument: str = "") -> None:
        self.flaws[flaw].append((sentence, argument))

    def open(self, flaw: str) -> list[str]:
        """Sentences that no argument settles."""
        return [sentence for sentence, argument in self.flaws.get(flaw, ()) if not argument]

    def arguments(self, flaw: str) -> set[str]:
        """What settles sentences of a flaw."""
        return {argument for _, argument in self.flaws.get(flaw, ())}


class Field:
    """Directories on disk in which one file at a time is exchanged."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def lay(self, trial: Trial) -> Path:
        """The log directory of a trial."""
        base = trial.base
        root = self._root / f"{base.name}.{trial.mode}"
        if trial.mode == "lone":
            shutil.rmtree(root, ignore_errors=True)
        directory = root / base.directory
        if not directory.is_dir():
            directory.mkdir(parents=True)
            for name, content in base.inner.items():
                if self._wanted(name, trial):
                    (directory / name).write_bytes(content)
            for name, content in base.outer.items() if trial.mode in ("full", "noindex") else ():
                (root / name).write_bytes(content)
        (directory / trial.segment).write_bytes(trial.damaged.data)
        return root

    def _wanted(self, name: str, trial: Trial) -> bool:
        if trial.mode == "full":
            return True
        if trial.mode == "noindex":
            return not name.endswith(INDEXES)
        return name == trial.segment or (trial.mode == "bare" and name.endswith(".log"))

    def heal(self, trial: Trial, root: Path) -> None:
        (root / trial.base.directory / trial.segment).write_bytes(trial.base.inner[trial.segment])


def survey(root: Path) -> IntegrityReport:
    """The deep check of a log directory."""
    inventory = take_inventory([str(root)])
    surveys = [survey_replica(replica, SurveyOptions(deep=True)) for replica in inventory.replicas]
    return make_report(make_plan(inventory, surveys, Policy()), "deep")


def covered(data: bytes) -> bytes:
    """What the CRC of a batch covers, but for the magic of v0 and v1 it is all that tells one batch from another."""
    return data[21:] if data[16] == 2 else data[12:]


@cache
def batches_of(other: bytes) -> frozenset[bytes]:
    """Length and covered bytes of the batches of another log."""
    pieces = [other[info.start : info.stop] for info in bases.parse(other)]
    return frozenset(piece[8:12] + covered(piece) for piece in pieces)


class Truth:
    """The batches of a trial as they were, by what their CRC covers."""

    def __init__(self, trial: Trial) -> None:
        self.batches: list[tuple[str, BatchInfo, bytes]] = []
        for name, infos in trial.base.batches.items():
            if trial.mode != "lone" or name == trial.segment:
                data = trial.base.inner[name]
                self.batches += [(name, info, data[info.start : info.stop]) for info in infos]
        self.by_bytes: dict[bytes, list[int]] = defaultdict(list)
        for at, (_, _, data) in enumerate(self.batches):
            self.by_bytes[covered(data)].append(at)

    def find(self, one: Emitted) -> tuple[int | None, str]:
        """Which batch it is, and what is wrong with it."""
        same = self.by_bytes.get(covered(one.data), [])
        if not same:
            return None, "invented"
        for at in same:
            original = self.batches[at][2]
            if original[:8] == one.data[:8]:
                return at, "" if original == one.data else "epoch"
        return None, "offset"


def written(plan: Plan, *, branches: bool = False) -> Iterator[tuple[str, Emitted]]:
    """(segment, batch) for all that a salvage would write as the main line, or apart from it."""
    read: dict[str, bytes] = {}
    for partition in plan.partitions:
        apart = [step for branch in partition.branches for step in branch.steps]
        for step in apart if branches else partition.steps:
            file = step.survey.segment.file
            data = read.setdefault(file.path, file.real.read_bytes())
            for one in emitted(data, step.survey):
                if step.start <= one.position < step.stop:
                    yield file.path.rpartition("/")[2], one
