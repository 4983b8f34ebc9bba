"""Account: how many batches and records of a line lie in the window that the person selected.

Runs that lie wholly inside are added up; only where the log start or a filter cuts a run are its batches read again.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np

from kafka_salvage.plan.edges import Edges, open_patched
from kafka_salvage.plan.plan import TRANSACTION_CODES, Step, Transaction, TransactionLabels
from kafka_salvage.plan.policy import Selection
from kafka_salvage.plan.transactions import Labels
from kafka_salvage.regions.compact import Compact
from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.batches import I64, BatchTable, Bool
from kafka_salvage.scan.records import decode

LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Window:
    """Which records count: offsets ``[low, high)`` and times ``[since, until)``; a record without a time is inside."""

    low: int = LOWEST
    high: int = HIGHEST
    since: int | None = None
    until: int | None = None

    @property
    def timed(self) -> bool:
        """Whether times matter."""
        return self.since is not None or self.until is not None

    def times(self, timestamp: I64) -> Bool:
        """Which timestamps are inside."""
        since = LOWEST if self.since is None else self.since
        until = HIGHEST if self.until is None else self.until
        return np.asarray(((timestamp >= since) & (timestamp < until)) | (timestamp < 0))

    def clip(self, low: int, high: int) -> Window:
        """The part of it with offsets in ``[low, high)``."""
        low, high = max(low, self.low), min(high, self.high)
        return Window(low, max(low, high), self.since, self.until)


def window_of(selection: Selection, log_start: int | None) -> Window:
    """What a selection leaves of a line that begins at ``log_start``."""
    lows = [value for value in (selection.from_offset, log_start) if value is not None]
    high = HIGHEST if selection.to_offset is None else selection.to_offset
    return Window(max(lows, default=LOWEST), high, selection.from_timestamp, selection.to_timestamp)


@dataclass(slots=True)
class Counts:
    """Sums over a line.

    Attributes:
        batches, records: per verdict of their steps; records include control records.
        control: control records.
        labels: data records per transaction label.
    """

    batches: dict[Verdict, int] = field(default_factory=dict)
    records: dict[Verdict, int] = field(default_factory=dict)
    control: int = 0
    labels: dict[Transaction, int] = field(default_factory=lambda: dict.fromkeys(Transaction, 0))

    @property
    def data(self) -> int:
        """Data records."""
        return sum(self.records.values()) - self.control

    def add(self, verdict: Verdict, batches: int, records: int, control: int) -> None:
        """Adds to the sums."""
        self.batches[verdict] = self.batches.get(verdict, 0) + batches
        self.records[verdict] = self.records.get(verdict, 0) + records
        self.control += control


def count_line(steps: Sequence[Step], labels: TransactionLabels | None, window: Window, edges: Edges) -> Counts:
    """Sums over the batches of ``steps`` that have a record inside ``window`` (or, empty, lie inside).

    Args:
        steps: a line, in offset order.
        labels: fates of its transactional batches; None leaves the labels uncounted.
        window: what is selected.
        edges: reads batches again where a run is cut.

    Raises:
        SourceError: a file that must be read again cannot be opened any more.
    """
    counts = Counts()
    by_rows = labels is None or (isinstance(labels, Labels) and not window.timed)
    for group in _by_segment(steps):
        if by_rows and not window.timed and group.verdict in (Verdict.INTACT, Verdict.REPAIRED):
            stretches: Iterable[tuple[int, int]] = _add_runs(counts, group, window)
        else:
            stretches = zip(group.starts.tolist(), group.stops.tolist(), strict=True)
        for start, stop in stretches:
            table, records = inside(group.survey, start, stop, window, edges)
            _add_batches(counts, group.verdict, table, records, None if by_rows else labels)
    if labels is None:
        return counts
    if isinstance(labels, Labels) and by_rows:
        _add_rows(counts, steps, labels, window, edges)
    counts.labels[Transaction.NONE] = counts.data - sum(
        count for label, count in counts.labels.items() if label is not Transaction.NONE
    )
    return counts


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Steps of one segment and verdict, by position."""

    survey: SegmentSurvey
    verdict: Verdict
    starts: I64
    stops: I64


def steps_in(line: Sequence[Step], own: Container[int]) -> Sequence[Step]:
    """Those steps of a line that lie in some segments, which are told by their ids."""
    if isinstance(line, Compact) and all(id(shape[0].value) in own for shape in line.all_shapes()):
        return line
    return [step for step in line if id(step.survey) in own]


def runs_met(steps: Sequence[Step]) -> int:
    """Records of the runs that some steps meet; a run that is only touched counts whole."""
    total = 0
    for group in _by_segment(steps):
        runs, starts, stops = group.survey.runs, group.starts, group.stops
        first = np.searchsorted(stops, runs.start, side="right")
        behind = np.searchsorted(starts, runs.stop, side="left")
        total += int((np.maximum(runs.records, 0) * np.maximum(behind - first, 0)).sum())
    return total


def _by_segment(steps: Sequence[Step]) -> Iterator[_Group]:
    parts: dict[tuple[int, Verdict], list[tuple[SegmentSurvey, I64, I64]]] = {}
    if isinstance(steps, Compact):
        for shape, _, columns in steps.tables():
            survey, verdict = shape[0].value, shape[1]
            parts.setdefault((id(survey), verdict), []).append((survey, columns[0], columns[1]))
    else:
        for step in steps:
            one = step.survey, np.array([step.start], np.int64), np.array([step.stop], np.int64)
            parts.setdefault((id(step.survey), step.verdict), []).append(one)
    for (_, verdict), some in parts.items():
        starts, stops = (np.concatenate([part[at] for part in some]) for at in (1, 2))
        order = np.argsort(starts, kind="stable")
        yield _Group(some[0][0], verdict, starts[order], stops[order])


def _add_runs(counts: Counts, group: _Group, window: Window) -> list[tuple[int, int]]:
    """Adds the runs that lie wholly in a step and in the window; returns bytes of those that are cut.

    Runs are in file order, and a step covers whole runs but for its ends.
    """
    runs, starts, stops = group.survey.runs, group.starts, group.stops
    in_window = (runs.next_offset > window.low) & (runs.first_offset < window.high)
    home = np.maximum(np.searchsorted(starts, runs.start, side="right") - 1, 0)
    whole = in_window & (runs.start >= starts[home]) & (runs.stop <= stops[home])
    whole &= (runs.first_offset >= window.low) & (runs.next_offset <= window.high)
    sums = (int(np.maximum(column[whole], 0).sum()) for column in (runs.batches, runs.records, runs.control))
    counts.add(group.verdict, *sums)
    stretches: list[tuple[int, int]] = []
    for row in np.flatnonzero(in_window & ~whole).tolist():
        start, stop = int(runs.start[row]), int(runs.stop[row])
        first = int(np.searchsorted(stops, start, side="right"))
        last = int(np.searchsorted(starts, stop, side="left"))
        clipped = np.maximum(start, starts[first:last]).tolist(), np.minimum(stop, stops[first:last]).tolist()
        stretches += zip(*clipped, strict=True)
    return stretches


def _stretches(step: Step, window: Window) -> list[tuple[int, int]]:
    """Bytes of a step's runs that meet the window."""
    runs = step.survey.runs
    low = int(np.searchsorted(runs.stop, step.start, side="right"))
    high = int(np.searchsorted(runs.start, step.stop, side="left"))
    rows = np.flatnonzero((runs.next_offset[low:high] > window.low) & (runs.first_offset[low:high] < window.high)) + low
    starts, stops = np.maximum(runs.start[rows], step.start), np.minimum(runs.stop[rows], step.stop)
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def inside(segment: SegmentSurvey, start: int, stop: int, window: Window, edges: Edges) -> tuple[BatchTable, I64]:
    """Batches of ``[start, stop)`` that reach into the window, and how many of their records are inside."""
    table = edges(segment, start, stop)
    table = table.take((table.last_offset >= window.low) & (table.base_offset < window.high))
    counts = np.maximum(table.record_count.astype(np.int64), 0)
    within = (table.base_offset >= window.low) & (table.last_offset < window.high)
    dense = counts == table.last_offset - table.base_offset + 1
    overlap = np.minimum(table.last_offset + 1, window.high) - np.maximum(table.base_offset, window.low)
    records = np.where(within | (counts == 0), counts, overlap)  # compaction leaves empty batches
    unsure = np.flatnonzero((counts > 0) & ((~within & ~dense) | window.timed))
    if len(unsure):
        records[unsure] = _decoded(segment, table.take(unsure), window)
    reaches = (records > 0) | (counts == 0)
    return table.take(reaches), records[reaches]


def _decoded(segment: SegmentSurvey, table: BatchTable, window: Window) -> I64:
    records = np.zeros(len(table), np.int64)
    with closing(open_patched(segment)) as source:
        for part in decode(source, table):
            made = part.table
            wanted = (made.offset >= window.low) & (made.offset < window.high) & window.times(made.timestamp)
            rows = np.searchsorted(table.position, made.batches.position[made.batch[wanted]])
            np.add.at(records, rows, 1)
    return records


def _add_batches(
    counts: Counts, verdict: Verdict, table: BatchTable, records: I64, labels: TransactionLabels | None
) -> None:
    control = table.is_control
    counts.add(verdict, len(table), int(records.sum()), int(records[control].sum()))
    if labels is None:
        return
    codes = labels.lookup(table)
    for code, label in enumerate(TRANSACTION_CODES):
        if label is not Transaction.NONE:
            counts.labels[label] += int(records[(codes == code) & ~control].sum())


def _add_rows(counts: Counts, steps: Sequence[Step], labels: Labels, window: Window, edges: Edges) -> None:
    """Data records per label, from the rows of the labels; a row that the window cuts is read again."""
    within = (labels.first_offset >= window.low) & (labels.last_offset < window.high)
    for code, label in enumerate(TRANSACTION_CODES):
        if label is not Transaction.NONE:
            counts.labels[label] += int(labels.records[within & (labels.code == code)].sum())
    cut = ~within & (labels.last_offset >= window.low) & (labels.first_offset < window.high)
    for row in np.flatnonzero(cut).tolist():
        first, last = int(labels.first_offset[row]), int(labels.last_offset[row])
        part = window.clip(first, last + 1)
        label = TRANSACTION_CODES[int(labels.code[row])]
        for step in _over(steps, part):
            for start, stop in _stretches(step, part):
                table, records = inside(step.survey, start, stop, part, edges)
                mine = (table.producer_id == labels.producer_id[row]) & table.is_transactional & ~table.is_control
                counts.labels[label] += int(records[mine].sum())


def _over(steps: Iterable[Step], window: Window) -> list[Step]:
    return [s for s in steps if s.offsets.start < window.high and s.offsets.stop > window.low]
