"""Campaign: damages partition directories thousandfold and holds the package to what truly lay there.

Run `python -m tests.support.campaign --seed 1 --count 1000`. Each trial damages one segment by one drawn recipe (or two),
checks the directory deep, and compares what a salvage would write with the batches as they were:

- wrong: a batch that never was is written, or one at another offset, twice, or with another epoch;
- unnamed: an original offset is not written, and the ledger says nothing of it;
- quiet: something is not written, and the exit code says that nothing is lost;
- over-loss: a batch none of whose bytes was changed is not written;
- account: the byte map or the count of absent offsets does not add up; crash: an exception.

What no tool can decide from the bytes it has is counted apart, as undecided, with the argument.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
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
from tests.support.kinds import KINDS
from tests.support.oracle import survivors

MODES = ("full", "noindex", "bare", "lone")
"""All files; without indexes; segments only; the damaged segment only."""
INDEXES = (".index", ".timeindex", ".txnindex")
FLAWS = ("wrong", "unnamed", "quiet", "over-loss", "account", "crash")
GIVEN = ("recovered", "repaired")

CUT = "cut at a batch's edge, and no other file says how far the log reached"
THINNED = "whole batches are gone where gaps mean nothing: compaction leaves the same bytes"
FOREIGN = "whole batches of another log, whose offsets and epochs fit"
MOVED = "whole batches out of order: off the chain by rule 4, since an offset that lies would look the same"


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

    def damaged(self) -> Damaged:
        return damage(self.base.inner[self.segment], self.infos, self.recipe, self.base.other)

    def __str__(self) -> str:
        recipe = self.recipe.replace("\n", "; ")
        return f"{self.base.name} {self.mode} {self.segment} {'+'.join(self.kinds)}: {recipe}"


@dataclass
class Outcome:
    """What was found wrong with one trial: flaw -> (sentence, the argument why it cannot be decided, or "")."""

    flaws: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    exit_code: int = -1

    def add(self, flaw: str, sentence: str, argument: str = "") -> None:
        self.flaws[flaw].append((sentence, argument))

    def open(self, flaw: str) -> list[str]:
        """Sentences that no argument settles."""
        return [sentence for sentence, argument in self.flaws.get(flaw, ()) if not argument]


def draw_trials(
    seed: int, count: int, names: Sequence[Base], kinds: Sequence[str], modes: Sequence[str], pairs: bool
) -> Iterator[Trial]:
    """Trials in turn over kinds, bases and modes, so that each meets each."""
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        base = names[number // len(kinds) % len(names)]
        mode = modes[(number // (len(kinds) * len(names)) + number) % len(modes)]
        chosen = [kinds[number % len(kinds)]] + ([rng.choice(list(kinds))] if pairs else [])
        segment = rng.choice(base.segments)
        infos, size = base.batches[segment], len(base.inner[segment])
        size = infos[-1].stop if rng.random() < 0.95 else size
        recipe = "\n".join(KINDS[kind](rng, infos, size, len(base.other)) for kind in chosen)
        yield Trial(base, mode, segment, tuple(chosen), recipe)


class Field:
    """Directories on disk in which one file at a time is exchanged."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def lay(self, trial: Trial, data: bytes) -> Path:
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
        (directory / trial.segment).write_bytes(data)
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


def _covered(data: bytes) -> bytes:
    return data[21:] if data[16] == 2 else data[12:]


@cache
def _batches_of(other: bytes) -> frozenset[bytes]:
    """Length and covered bytes of the batches of another log."""
    pieces = [other[info.start : info.stop] for info in bases.parse(other)]
    return frozenset(piece[8:12] + _covered(piece) for piece in pieces)


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
            self.by_bytes[_covered(data)].append(at)

    def find(self, one: Emitted) -> tuple[int | None, str]:
        """Which batch it is, and what is wrong with it."""
        same = self.by_bytes.get(_covered(one.data), [])
        if not same:
            return None, "invented"
        for at in same:
            original = self.batches[at][2]
            if original[:8] == one.data[:8]:
                return at, "" if original == one.data else "epoch"
        return None, "offset"


def written(plan: Plan) -> Iterator[tuple[str, Emitted]]:
    """(segment, batch) for all that a salvage would write as the main line."""
    read: dict[str, bytes] = {}
    for partition in plan.partitions:
        for step in partition.steps:
            file = step.survey.segment.file
            data = read.setdefault(file.path, file.real.read_bytes())
            for one in emitted(data, step.survey):
                if step.start <= one.position < step.stop:
                    yield file.path.rpartition("/")[2], one


def judge(trial: Trial, damaged: Damaged, report: IntegrityReport) -> Outcome:
    """Compares a report with the truth."""
    result = Outcome(exit_code=report.exit_code)
    truth = Truth(trial)
    others = _batches_of(trial.base.other)
    out: set[int] = set()
    for name, one in written(report.plan):
        at, trouble = truth.find(one)
        if at is not None and at in out:
            trouble = "twice"
        if at is not None:
            out.add(at)
        if trouble:
            offset = int.from_bytes(one.data[:8], "big")
            argument = FOREIGN if trouble == "invented" and one.data[8:12] + _covered(one.data) in others else ""
            result.add("wrong", f"{trouble}: offset {offset} at {name}:{one.position}", argument)
    _over_loss(trial, damaged, report, truth, out, result)
    _ledger(report, truth, out, result, _silence(trial, damaged))
    _bytes(report, result)
    return result


def _silence(trial: Trial, damaged: Damaged) -> str:
    """Why nothing in the bytes tells of a loss; empty when something should."""
    original, data = trial.base.inner[trial.segment], damaged.data
    edges = {0, *(info.stop for info in trial.infos)}
    last = trial.mode == "lone" or trial.segment == trial.base.segments[-1]
    known = data.rstrip(b"\0")
    if last and trial.mode in ("bare", "lone") and any(known == original[:e].rstrip(b"\0") for e in edges):
        return CUT
    whole = sorted(survivors(damaged, trial.infos), key=lambda s: s.start)
    covered = sum(s.info.size for s in whole) == len(data)
    rising = all(a.stop == b.start and a.info.last_offset < b.info.base_offset for a, b in pairwise(whole))
    gaps = sum(a.info.last_offset + 1 < b.info.base_offset for a, b in pairwise(whole))
    if covered and rising and (trial.base.compacted or gaps > 1):
        return THINNED
    return ""


def _over_loss(
    trial: Trial, damaged: Damaged, report: IntegrityReport, truth: Truth, out: set[int], result: Outcome
) -> None:
    for at, (name, info, data) in enumerate(truth.batches):
        if at in out:
            continue
        place = damaged.data.find(data) if name == trial.segment else info.start
        if place >= 0:
            (segment,) = [s for s in report.segments if s.segment.file.path.endswith(name)]
            (region,) = [r for r in segment.regions if r.start <= place < r.stop]
            codes = sorted({f.code for f in region.findings})
            said = f"{region.verdict.value} {','.join(codes)}"
            moved = name == trial.segment and not _in_order(damaged, trial, info)
            off = moved and region.verdict.value in ("suspect", "duplicate")
            result.add("over-loss", f"offset {info.base_offset} at {name}:{place} is {said}", MOVED if off else "")


def _in_order(damaged: Damaged, trial: Trial, info: BatchInfo) -> bool:
    """Whether a surviving batch stands behind all surviving ones of lower offsets, and before all of higher ones."""
    whole = survivors(damaged, trial.infos)
    mine = [s.start for s in whole if s.info is info]
    below = [s.start for s in whole if s.info.base_offset < info.base_offset]
    above = [s.start for s in whole if s.info.base_offset > info.base_offset]
    return len(mine) == 1 and max(below, default=-1) < mine[0] < min(above, default=1 << 62)


def _ledger(report: IntegrityReport, truth: Truth, out: set[int], result: Outcome, silence: str) -> None:
    given = {r.offset for at in out for r in truth.batches[at][1].records}
    whole = {r.offset for _, info, _ in truth.batches for r in info.records}
    spans = [span for p in report.plan.partitions for span in p.ledger]
    low = min((p.log_start for p in report.plan.partitions), default=0)
    gone = sorted(o for o in whole - given if o >= low)
    ends = [s.offsets.stop for s in spans if s.open_ended]
    hidden = [o for o in gone if not any(s.offsets.start <= o < s.offsets.stop for s in spans)]
    hidden = [o for o in hidden if not (ends and o >= max(ends) == spans[-1].offsets.stop)]
    if hidden:
        result.add("unnamed", f"offsets {hidden[0]}..{hidden[-1]} ({len(hidden)}) are in no range", silence)
    for span in spans:
        if span.status.value in GIVEN:
            inside = sum(span.offsets.start <= o < span.offsets.stop for o in given)
            if inside != span.offsets.size - span.absent and not result.flaws.get("wrong"):
                told = span.offsets.size - span.absent
                where = f"{span.offsets.start}..{span.offsets.stop}"
                result.add("unnamed", f"{told} records are told in {where}, {inside} are there")
    if gone and report.exit_code in (0, 6):
        named = Counter(s.status.value for o in gone for s in spans if s.offsets.start <= o < s.offsets.stop)
        sentence = f"exit {report.exit_code}, but {gone[0]}..{gone[-1]} are not there: {dict(named)}"
        result.add("quiet", sentence, silence)


def _bytes(report: IntegrityReport, result: Outcome) -> None:
    document = report.to_dict()
    for segment in document["segments"]:
        edges = [0] + [edge for region in segment["regions"] for edge in (region["start"], region["stop"])]
        if edges[0::2] != [*edges[1::2], segment["size"]][: len(edges[0::2])] and segment["size"]:
            result.add("account", f"{segment['path']}: regions {edges}")
    totals = document["summary"]["bytes"]
    if sum(n for verdict, n in totals.items() if verdict != "total") != totals["total"]:
        result.add("account", f"bytes {totals}")
    for partition in document["partitions"]:
        spans = partition["offsets"]
        if any(a["stop"] != b["start"] for a, b in pairwise(spans)):
            result.add("account", f"the ledger is not contiguous: {spans}")


def run(trial: Trial, place: Field) -> Outcome:
    """One trial."""
    damaged = trial.damaged()
    root = place.lay(trial, damaged.data)
    try:
        return judge(trial, damaged, survey(root))
    except Exception as error:  # noqa: BLE001 - the flaw that is looked for
        result = Outcome()
        result.add("crash", f"{type(error).__name__}: {error}")
        return result
    finally:
        place.heal(trial, root)


class Table:
    """Sums by kind and base."""

    def __init__(self) -> None:
        self.sums: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)

    def add(self, trial: Trial, outcome: Outcome) -> None:
        row = self.sums["+".join(trial.kinds[:1]), trial.base.name]
        row["trials"] += 1
        for flaw in FLAWS:
            if outcome.flaws.get(flaw):
                row[flaw if outcome.open(flaw) else "undecided"] += 1

    def lines(self, by: int) -> Iterator[str]:
        rows: dict[str, Counter[str]] = defaultdict(Counter)
        for key, sums in self.sums.items():
            rows[key[by]] += sums
            rows["all"] += sums
        columns = ("trials", *FLAWS, "undecided")
        yield f"{'':16s}" + "".join(f"{name:>11s}" for name in columns)
        for name, sums in rows.items():
            yield f"{name:16s}" + "".join(f"{sums[column] or '.':>11}" for column in columns)


def main(words: Sequence[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="tests.support.campaign", description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--kinds", default="", help="comma-separated; all unless told")
    parser.add_argument("--bases", default="", help="comma-separated names; all that are there unless told")
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--pairs", action="store_true", help="two damages at once")
    parser.add_argument("--show", type=int, default=20, help="flaws shown in full")
    parser.add_argument("--flaws", default=",".join(FLAWS), help="flaws that are shown")
    told = parser.parse_args(words)
    known = {**bases.small(), **bases.large(), **bases.made()}
    chosen = [known[name] for name in told.bases.split(",")] if told.bases else list(known.values())
    kinds = told.kinds.split(",") if told.kinds else list(KINDS)
    table, shown, began = Table(), 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="campaign-", dir=_fast_disk()) as folder:
        place = Field(Path(folder))
        for trial in draw_trials(told.seed, told.count, chosen, kinds, told.modes.split(","), told.pairs):
            outcome = run(trial, place)
            table.add(trial, outcome)
            for flaw in told.flaws.split(","):
                sentences = outcome.open(flaw)
                if shown < told.show and sentences:
                    shown += 1
                    say(f"{flaw} [{outcome.exit_code}] {trial}", *(f"    {one}" for one in sentences[:4]))
    for by in (0, 1):
        say(*table.lines(by))
    say(f"{told.count} trials in {time.monotonic() - began:.0f} s")
    return int(any(sums[flaw] for sums in table.sums.values() for flaw in FLAWS))


def say(*lines: str) -> None:
    """Prints lines."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _fast_disk() -> str | None:
    memory = Path("/dev", "shm")
    return str(memory) if memory.is_dir() else None


if __name__ == "__main__":
    sys.exit(main())
