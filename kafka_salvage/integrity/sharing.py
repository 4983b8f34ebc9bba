"""Sharing: what each of several copies of a partition has that the others lack, in data records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kafka_salvage.integrity.accounts import HIGHEST, Window, inside
from kafka_salvage.integrity.numbering import text
from kafka_salvage.plan.edges import Edges
from kafka_salvage.plan.plan import PartitionPlan, Step
from kafka_salvage.plan.strands import Spans, clipped, minus, union
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.replica import LogDir

_NAMED = 3
_CONTROLLERS = "__cluster_metadata"
"""No broker is elected for it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One copy beside the others.

    Attributes:
        source, path: the copy.
        only_here: data records of the line that no other copy has.
        lost_if_elected: data records of the line that it lacks: what a cluster that elects it alone would have lost.
    """

    source: str
    path: str
    only_here: int
    lost_if_elected: int


def standings(partition: PartitionPlan, window: Window, edges: Edges) -> list[Standing]:
    """How the copies of a partition stand; empty where there is one copy only.

    Args:
        partition: its plan.
        window: what counts.
        edges: reads batches again where a run is cut.

    Raises:
        SourceError: a file that must be read again cannot be opened any more.
    """
    if not partition.shares:
        return []
    spans = [(share.starts, share.stops) for share in partition.shares]
    given = np.array([(step.offsets.start, step.offsets.stop) for step in partition.line], np.int64).reshape(-1, 2)
    whole = union([(given[:, 0], given[:, 1])])
    made = []
    for at, share in enumerate(partition.shares):
        others = union(span for place, span in enumerate(spans) if place != at)
        alone = count_data(partition.line, minus(spans[at], others), window, edges)
        lacking = count_data(partition.line, minus(whole, spans[at]), window, edges)
        made.append(Standing(share.source, share.path, alone, lacking))
    return made


def count_data(steps: Sequence[Step], spans: Spans, window: Window, edges: Edges) -> int:
    """Data records of a line with offsets in some ranges and in the window."""
    if not window.timed:
        spans = clipped(spans, window.low, window.high)
    total = 0
    for step in steps:
        mine = clipped(spans, step.offsets.start, step.offsets.stop)
        if len(mine[0]):
            total += _of_step(step, mine, window, edges)
    return total


def _of_step(step: Step, spans: Spans, window: Window, edges: Edges) -> int:
    """Runs that lie wholly in the ranges are added up; those that are cut are read again."""
    runs = step.survey.runs
    rows = slice(int(np.searchsorted(runs.stop, step.start, side="right")), int(np.searchsorted(runs.start, step.stop)))
    first, following = runs.first_offset[rows], runs.next_offset[rows]
    start, stop = runs.start[rows], runs.stop[rows]
    at = np.searchsorted(spans[1], first, side="right")
    low, high = (np.append(each, HIGHEST)[at] for each in spans)
    meets = low < following
    whole = meets & (low <= first) & (following <= high) & (step.start <= start) & (stop <= step.stop)
    if window.timed or step.verdict is Verdict.SUSPECT:
        whole = np.zeros(len(first), np.bool_)
    total = int((np.maximum(runs.records[rows], 0) - runs.control[rows])[whole].sum())
    for row in np.flatnonzero(meets & ~whole).tolist():
        part = clipped(spans, int(first[row]), int(following[row]))
        begin, end = max(int(start[row]), step.start), min(int(stop[row]), step.stop)
        for begins, ends in zip(*(each.tolist() for each in part), strict=True):
            table, records = inside(step.survey, begin, end, window.clip(begins, ends), edges)
            total += int(records[~table.is_control].sum())
    return total


def election_hint(found: Sequence[tuple[PartitionPlan, Sequence[Standing]]]) -> Iterator[str]:
    """One sentence: what electing one copy alone would have lost."""
    sums: dict[str, int] = {}
    where: dict[str, list[str]] = {}
    holders: dict[str, set[str]] = {}
    for partition, some in found:
        if not partition.selected or partition.topic == _CONTROLLERS:
            continue
        dirs = {(s.replica.source, s.replica.path): s.replica.log_dir for s in partition.replicas}
        names = {id(one): _holder(one, dirs.get((one.source, one.path))) for one in some}
        for one in some:
            name = names[id(one)]
            sums[name] = sums.get(name, 0) + one.lost_if_elected
            if one.lost_if_elected:
                where.setdefault(name, []).append(f"{partition.topic}-{partition.partition}")
                holders.setdefault(name, set()).update(names[id(s)] for s in some if s is not one)
    losers = sorted((name for name in sums if sums[name]), key=lambda name: (-sums[name], name))
    if not losers:
        return
    worst = losers[0]
    listed = where[worst][:_NAMED]
    more = f" and {len(where[worst]) - _NAMED} more" if len(where[worst]) > _NAMED else ""
    rest = "; ".join(f"{text(name)}: {sums[name]:,}" for name in losers[1 : 1 + _NAMED])
    yield (
        f"Electing {text(worst)} alone would have lost {sums[worst]:,} record{'' if sums[worst] == 1 else 's'} that "
        f"{_listed(sorted(holders[worst] - {worst}))} {'has' if len(holders[worst] - {worst}) == 1 else 'have'} "
        f"({text(', '.join(listed))}{more})" + (f"; {rest}" if rest else "") + "."
    )


def _holder(one: Standing, log_dir: LogDir | None) -> str:
    """Who would be elected: the log dir, since one source may hold several brokers."""
    return one.source if log_dir is None else log_dir.id


def _listed(names: Sequence[str]) -> str:
    shown = [text(name) for name in names] or ["another disk of it"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]} together"
