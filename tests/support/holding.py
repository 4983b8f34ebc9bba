"""Holding: a report of damaged bytes, held against the batches as they were.

What no tool can decide from the bytes it has, and what the rules of belief forbid to write, is told apart, each with its
argument; everything else is a flaw of the package under test.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from kafka_salvage.integrity.report import IntegrityReport
from tests.support.build import BatchInfo
from tests.support.judging import Emitted
from tests.support.oracle import survivors
from tests.support.trials import Outcome, Trial, Truth, batches_of, covered, written

FLAWS = ("wrong", "unnamed", "quiet", "over-loss", "account", "crash")
GIVEN = ("recovered", "repaired")

CUT = "cut at a batch's edge, and no other file says how far the log reached"
THINNED = "whole batches are gone where gaps mean nothing: compaction leaves the same bytes"
FOREIGN = "whole batches of another log, whose offsets and epochs fit"
NOWHERE = "an epoch that cannot be, with no neighbour and no checkpoint to tell the true one"
BETWEEN = "an epoch between its neighbours' is believed (rule 5)"
FITS = "a base offset that fits between its neighbours' where gaps mean nothing, or at the head of a lone file"
GONE = "no byte of it is left, and no other file says how far the log reached"
DOUBTED = "its bytes are kept as suspect: which offsets they have is what cannot be known (rule 4)"
FORGED = "a forged header that agrees with itself tells of the end"
LONE = "a single 0/1 message at the end behind damage without a free offset (rule 3 iii)"
ZEROS = "zeros end right before it, and nothing that it touches is dense with it (rule 4)"
JUMP = "a last batch that jumps ahead, or that an index entry for its position contradicts (rule 4)"
LOOSE = "messages behind damage that leave a gap to what they touch, in a log that shows no other gap: as a guest would"
CLAIMED = "inside what a sane header claims, or between two damages and not as rule 3 iv wants it (rules 1, 3 iv)"
APART = "kept apart: another file has other bytes for its offsets"
SHARED = "bytes that it shares with the believed batch before it"
MOVED = "whole batches out of order: off the chain by rule 4, since an offset that lies would look the same"


def judge(trial: Trial, report: IntegrityReport) -> Outcome:
    """Compares a report with the truth."""
    result = Outcome(exit_code=report.exit_code)
    truth = Truth(trial)
    out: set[int] = set()
    for name, one in written(report.plan):
        at, trouble = truth.find(one)
        if at is not None and at in out:
            trouble = "twice"
        if at is not None:
            out.add(at)
        if trouble:
            offset = int.from_bytes(one.data[:8], "big")
            argument = _why_wrong(trial, truth, one, at, trouble)
            result.add("wrong", f"{trouble}: offset {offset} at {name}:{one.position}", argument)
    apart = {one.data for _, one in written(report.plan, branches=True)}
    foreign = {piece[8:12] + covered(piece) for piece in apart} & batches_of(trial.base.other)
    if foreign or FOREIGN in result.arguments("wrong"):
        result.foreign = True
        told = [(sentence, FOREIGN if sentence.startswith("epoch") else why) for sentence, why in result.flaws["wrong"]]
        result.flaws["wrong"] = told
    _over_loss(trial, report, truth, out, apart, result)
    _ledger(trial, report, truth, out, result)
    _bytes(report, result)
    return result


def _why_wrong(trial: Trial, truth: Truth, one: Emitted, at: int | None, trouble: str) -> str:
    """Why nobody could know better; empty when somebody could."""
    if one.data[8:12] + covered(one.data) in batches_of(trial.base.other):
        return FOREIGN if trouble in ("invented", "offset") else ""
    if trouble == "epoch" and at is not None:
        return _epoch_argument(trial, truth, at, one)
    return _fits(trial, truth, one) if trouble == "offset" else ""


def _epoch_argument(trial: Trial, truth: Truth, at: int, one: Emitted) -> str:
    """Whether an epoch that is not the true one fits between those of the neighbours that the trial has."""
    near = [info.epoch for _, info, _ in truth.batches[:at] if info.magic == 2][-1:] or [-1]
    behind = [info.epoch for _, info, _ in truth.batches[at + 1 :] if info.magic == 2][:1] or [1 << 31]
    known = trial.mode in ("full", "noindex") and trial.segment != trial.base.segments[-1]
    if one.data[12:16] == b"\xff\xff\xff\xff" and not known and near[0] < 0 and behind[0] > 1 << 30:
        return NOWHERE
    fits = near[0] <= int.from_bytes(one.data[12:16], "big", signed=True) <= behind[0]
    return BETWEEN if fits and not known else ""


def _fits(trial: Trial, truth: Truth, one: Emitted) -> str:
    (at,) = truth.by_bytes[covered(one.data)][:1]
    info = truth.batches[at][1]
    first = int.from_bytes(one.data[:8], "big") - (0 if info.magic == 2 else info.last_offset - info.base_offset)
    low = truth.batches[at - 1][1].last_offset if at else int(trial.base.segments[0].split(".")[0]) - 1
    high = truth.batches[at + 1][1].base_offset if at + 1 < len(truth.batches) else 1 << 62
    fits = low < first <= first + info.last_offset - info.base_offset < high
    return FITS if fits and trial.base.compacted else ""


def _over_loss(
    trial: Trial, report: IntegrityReport, truth: Truth, out: set[int], apart: set[bytes], result: Outcome
) -> None:
    for at, (name, info, data) in enumerate(truth.batches):
        if at in out:
            continue
        place = trial.damaged.data.find(data) if name == trial.segment else info.start
        if place < 0:
            continue
        (segment,) = [s for s in report.segments if s.segment.file.path.endswith(name)]
        (region,) = [r for r in segment.regions if r.start <= place < r.stop]
        said = f"{region.verdict.value} {','.join(sorted({f.code for f in region.findings}))}"
        argument = _why_not(trial, place, info, said)
        if result.foreign:
            argument = FOREIGN
        elif region.verdict.value == "intact":
            argument = APART if data in apart else SHARED if place + info.size > region.stop else ""
        result.add("over-loss", f"offset {info.base_offset} at {name}:{place} is {said}", argument)


def _why_not(trial: Trial, place: int, info: BatchInfo, said: str) -> str:
    """The rule of the contract by which an untouched batch is not written; empty when there is none."""
    data = trial.damaged.data
    last = place + info.size >= len(data.rstrip(b"\0"))
    if said.startswith(("suspect", "duplicate")) and not _in_order(trial, info):
        return MOVED
    if said == "suspect uncorroborated" and last and info.magic < 2:
        return LONE
    if said == "suspect offset-gap" and info.magic < 2 and info.codec == 0 and place and not last:
        return LOOSE
    if said == "suspect offset-gap":
        indexed = trial.mode == "full" and trial.base.compacted
        return ZEROS if place and not data[place - 1] else JUMP if last or indexed else ""
    inside = "embedded-batch" in said or said == "suspect uncorroborated"
    if inside and (len(trial.kinds) > 1 or {"claim-next", "fake-header", "duplicate", "splice"} & set(trial.kinds)):
        return CLAIMED
    return ""


def _in_order(trial: Trial, info: BatchInfo) -> bool:
    """Whether a surviving batch stands behind all surviving ones of lower offsets, and before all of higher ones."""
    whole = survivors(trial.damaged, trial.infos)
    mine = [s.start for s in whole if s.info is info]
    below = [s.start for s in whole if s.info.base_offset < info.base_offset]
    above = [s.start for s in whole if s.info.base_offset > info.base_offset]
    return len(mine) == 1 and max(below, default=-1) < mine[0] < min(above, default=1 << 62)


def _ledger(trial: Trial, report: IntegrityReport, truth: Truth, out: set[int], result: Outcome) -> None:
    silence, argument = _silence(trial), ""
    elsewhere = next(iter(result.arguments("wrong") & {FOREIGN, FITS}), "")
    given = {r.offset for at in out for r in truth.batches[at][1].records}
    whole = {r.offset for _, info, _ in truth.batches for r in info.records}
    spans = [span for p in report.plan.partitions for span in p.ledger]
    low = min((p.log_start for p in report.plan.partitions), default=0)
    gone = sorted(o for o in whole - given if o >= low)
    ends = [s.offsets.stop for s in spans if s.open_ended]
    hidden = [o for o in gone if not any(s.offsets.start <= o < s.offsets.stop for s in spans)]
    hidden = [o for o in hidden if not (ends and o >= max(ends) == spans[-1].offsets.stop)]
    if hidden:
        argument = silence or _unknowable(trial, report, truth, set(hidden)) or elsewhere
        result.add("unnamed", f"offsets {hidden[0]}..{hidden[-1]} ({len(hidden)}) are in no range", argument)
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
        unknown = argument if len(hidden) == len(gone) else ""
        result.add("quiet", sentence, silence or unknown or elsewhere)


def _silence(trial: Trial) -> str:
    """Why nothing in the bytes tells of a loss; empty when something should."""
    original, data = trial.base.inner[trial.segment], trial.damaged.data
    edges = {0, *(info.stop for info in trial.infos)}
    last = trial.mode == "lone" or trial.segment == trial.base.segments[-1]
    known = data.rstrip(b"\0")
    if last and trial.mode in ("bare", "lone") and any(known == original[:e].rstrip(b"\0") for e in edges):
        return CUT
    whole = sorted(survivors(trial.damaged, trial.infos), key=lambda s: s.start)
    rest = sum(s.info.size for s in whole) == len(data)
    rising = all(a.stop == b.start and a.info.last_offset < b.info.base_offset for a, b in pairwise(whole))
    gaps = sum(a.info.last_offset + 1 < b.info.base_offset for a, b in pairwise(whole))
    return THINNED if rest and rising and (trial.base.compacted or gaps > 1) else ""


def _unknowable(trial: Trial, report: IntegrityReport, truth: Truth, hidden: set[int]) -> str:
    """Why nobody can know the numbers of lost offsets; only where the report says that something is lost."""
    if trial.knows_the_end:
        return ""
    damaged, argument = trial.damaged, ""
    suspect = [r for s in report.segments for r in s.regions if r.verdict.value == "suspect"]
    left = {at for at, byte in zip(damaged.origin.tolist(), damaged.data, strict=True) if byte}
    for name, info, data in truth.batches:
        if name != trial.segment or not hidden & {r.offset for r in info.records}:
            continue
        at = damaged.data.find(covered(data))
        if at >= 0 and any(r.start <= at < r.stop for r in suspect):
            argument = DOUBTED
        elif not left & set(range(info.start, min(info.stop, info.start + 27))):
            argument = GONE
        elif "fake-header" in trial.kinds:
            argument = FORGED
        else:
            return ""
    return argument if report.exit_code == 3 or argument == GONE else ""


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
