"""Ending: what other witnesses than markers say of transactions that a line leaves open or unknown.

1. The producer's epochs. From transaction version 2 on each end raises the epoch, and its marker carries the new one; a
   COMMIT of version 1 never does. Where a producer's commits show version 2 before and behind an epoch, that epoch is one
   transaction, and the marker with the next epoch ends it, whatever is missing between. (A client that went back to
   version 1 and to 2 again in between is not considered: versions change with the cluster's feature level.)
2. The coordinator's log, where it has without a gap every transaction that began with the epoch, of the same cluster: when
   all that touched this partition ended alike, so did what is here. An epoch that is still current proves nothing, since
   the copy of the coordinator's log may be older than the data.
3. `.txnindex`: an entry says that a producer's batches in its range were aborted. No CRC covers it, so it never says that
   anything was committed, and an entry that the believed batches contradict is passed over.

On a compacted partition a whole missing file looks like any other gap. So what a marker in a later file would commit is
`unknown` when there is a gap before that file, unless the producer snapshot of its first offset knows the transaction as
open; and when a `.txnindex` entry says that it was aborted by a marker that is not on the line. That is all a snapshot may do.

A bare rise of the epoch decides nothing: the transaction before it may have been committed or aborted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from kafka_salvage.plan.facts import Decision
from kafka_salvage.plan.plan import Transaction
from kafka_salvage.plan.transactions import CODE, Rows
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.runs import TXN_ABORT, TXN_COMMIT, ReplicaSurvey
from kafka_salvage.regions.verdict import Finding
from kafka_salvage.scan.batches import I8, I64, Bool
from kafka_salvage.scan.evidence import EvidenceFile
from kafka_salvage.scan.sidecars import load_snapshot, load_txn_index

Aborted = tuple[int, int, int]
"""(producer id, first offset, offset of the ABORT marker)."""

Snapshot = tuple[int, Mapping[int, int]]
"""Offset, and producer id -> first offset of its open transaction."""

Spans = tuple[I64, I64]
"""Starts and stops, ascending, disjoint."""

_OPEN, _UNKNOWN = CODE[Transaction.OPEN], CODE[Transaction.UNKNOWN]
_COMMITTED, _ABORTED = CODE[Transaction.COMMITTED], CODE[Transaction.ABORTED]
_OUTCOMES = {"commit": _COMMITTED, "abort": _ABORTED}
NOWHERE: Spans = (np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class Endings:
    """What is known of one partition's transactions besides its markers.

    Attributes:
        aborted: gives the entries of `.txnindex` files, and where each stands.
        decisions: producer id -> its transactions as the coordinator had them, oldest first.
        partition: (topic, partition).
        cluster_id: of the partition's copies; a coordinator of another cluster says nothing. None when not known.
        any_cluster: cluster ids mean nothing.
        given: offsets of the line that belong to a batch.
        snapshots: gives (offset, producer id -> first offset of its open transaction) of producer snapshots; None where no
            file can be missing unseen.
        bases: first offsets of the line's files, by their names.
        contradicted: `decide` adds the entries that believed batches contradict, where no file can be missing unseen.
    """

    aborted: Callable[[], Mapping[Aborted, EvidenceFile | None]]
    decisions: Mapping[int, tuple[Decision, ...]]
    partition: tuple[str, int]
    cluster_id: str | None = None
    any_cluster: bool = False
    given: Spans = NOWHERE
    snapshots: Callable[[], Sequence[Snapshot]] | None = None
    bases: Sequence[int] = ()
    contradicted: list[tuple[Aborted, EvidenceFile]] = field(default_factory=list)

    def decide(self, rows: Rows, codes: I8) -> I8:
        """The codes with what these witnesses decide."""
        places = self.aborted()
        if not len(codes) and not places:
            return codes
        made = codes.copy()
        undecided = np.isin(codes, (_OPEN, _UNKNOWN))
        across = (codes == _COMMITTED) & (self.snapshots is not None)
        if not undecided.any() and not across.any() and not places:
            return made
        entries = _by_producer(places)
        seams = self._seams() if across.any() else []
        order = np.argsort(rows.producer, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(rows.producer[order])) + 1) if len(order) else []
        of_producer = {int(rows.producer[mine[0]]): mine for mine in groups}
        for producer in sorted(of_producer.keys() | entries.keys()):
            mine = of_producer.get(producer, order[:0])
            if undecided[mine].any():
                asked = mine[undecided[mine]]
                _by_epochs(rows, mine, asked, made)
                self._by_coordinator(rows, asked, made)
            if producer in entries:
                for first, last in self._by_index(rows, mine, made, *entries[producer]):
                    file = places[producer, first, last]
                    if file is not None:
                        self.contradicted.append(((producer, first, last), file))
            if seams and across[mine].any():
                _by_snapshots(rows, mine[across[mine]], made, seams)
        return made

    def _by_coordinator(self, rows: Rows, asked: I64, codes: I8) -> None:
        """Witness 2, in place."""
        known = self.decisions.get(int(rows.producer[asked[0]]), ())
        ours = self.any_cluster or (self.cluster_id is not None and all(d.cluster_id == self.cluster_id for d in known))
        if not known or not ours:
            return
        for row in asked[np.isin(codes[asked], (_OPEN, _UNKNOWN))].tolist():
            same = [d for d in known if d.epochs[0] == int(rows.epoch[row])]
            here = [d for d in same if d.partitions is None or self.partition in d.partitions]
            named = any(d.partitions is not None for d in here)
            if named and len({d.outcome for d in here}) == 1 and all(d.sealed for d in same):
                codes[row] = _OUTCOMES.get(here[0].outcome, int(codes[row]))

    def _by_index(self, rows: Rows, mine: I64, codes: I8, first: I64, last: I64) -> Iterable[tuple[int, int]]:
        """Witness 3, in place; ``first`` and ``last`` are of the producer's entries, ascending. Gives wrong ones back."""
        fits, marked = self._fitting(rows, mine, first, last)
        undecided = mine[np.isin(codes[mine], (_OPEN, _UNKNOWN))]
        codes[undecided[_covered(rows, undecided, first[fits], last[fits])]] = _ABORTED
        if self.snapshots is not None:
            ended = mine[codes[mine] == _COMMITTED]
            unseen = fits & ~marked
            codes[ended[_covered(rows, ended, first[unseen], last[unseen])]] = _UNKNOWN
            return ()
        return zip(first[~fits].tolist(), last[~fits].tolist(), strict=True)

    def _fitting(self, rows: Rows, mine: I64, first: I64, last: I64) -> tuple[Bool, Bool]:
        """Entries that no believed batch contradicts, and those whose marker is on the line."""
        data, markers = mine[rows.is_data[mine]], mine[~rows.is_data[mine]]
        ends = rows.first[markers]
        low, high = np.searchsorted(ends, first), np.searchsorted(ends, last)
        fits = (first < last) & (low == high)  # no other end in between
        if len(data):
            for offset, begins in ((first, True), (last, False)):
                at = np.maximum(np.searchsorted(rows.first[data], offset, side="right") - 1, 0)
                within = (rows.first[data[at]] <= offset) & (offset <= rows.last[data[at]])
                fits &= ~(within & (rows.first[data[at]] < offset)) if begins else ~within
        marked = np.zeros(len(first), np.bool_)
        if len(markers):
            own = markers[np.minimum(high, len(markers) - 1)]
            marked = (rows.first[own] == last) & (rows.kind[own] == TXN_ABORT)
        starts, stops = self.given
        if len(starts):
            at = np.maximum(np.searchsorted(starts, last, side="right") - 1, 0)
            fits &= marked | ~((starts[at] <= last) & (last < stops[at]))
        return np.asarray(fits), np.asarray(marked)

    def _seams(self) -> list[Snapshot]:
        """Snapshots that lie where the line has nothing right before them; empty ones where files begin so without any."""
        told = list(self.snapshots()) if self.snapshots is not None else []
        known = {offset for offset, _ in told}
        told += [(base, {}) for base in sorted(set(self.bases)) if base not in known]
        starts, stops = self.given
        found: list[Snapshot] = []
        for offset, began in told:
            at = int(np.searchsorted(starts, offset - 1, side="right")) - 1
            if at >= 0 and int(stops[at]) < offset:
                found.append((offset, began))
        return found


def _by_producer(entries: Iterable[Aborted]) -> dict[int, tuple[I64, I64]]:
    """First and last offsets of the entries of each producer, ascending."""
    columns = np.array(sorted(entries), np.int64).reshape(-1, 3)
    found = {}
    for part in np.split(columns, np.flatnonzero(np.diff(columns[:, 0])) + 1):
        if len(part):
            found[int(part[0, 0])] = (part[:, 1], part[:, 2])
    return found


def _covered(rows: Rows, asked: I64, first: I64, last: I64) -> Bool:
    """Which rows lie wholly inside one of the entries, ``first`` ascending."""
    if not len(first):
        return np.zeros(len(asked), np.bool_)
    at = np.searchsorted(first, rows.first[asked], side="right") - 1
    reach = np.maximum.accumulate(last)
    return np.asarray((at >= 0) & (rows.last[asked] < reach[np.maximum(at, 0)]))


def _by_epochs(rows: Rows, mine: I64, asked: I64, codes: I8) -> None:
    """Witness 1, in place."""
    ended = mine[rows.is_data[mine] & np.isin(codes[mine], (_COMMITTED, _ABORTED))]
    began, after = rows.epoch[ended].astype(np.int64), rows.epoch[rows.ended[ended]].astype(np.int64)
    raised = np.unique(after[(codes[ended] == _COMMITTED) & (after == began + 1)])
    level = np.unique(began[after == began])  # ended as in version 1
    by_epoch: dict[int, list[int]] = {}
    for row in mine[~rows.is_data[mine]].tolist():
        by_epoch.setdefault(int(rows.epoch[row]), []).append(row)
    for row in asked.tolist():
        epoch = int(rows.epoch[row])
        at = int(np.searchsorted(raised, epoch, side="right"))
        if not 0 < at < len(raised):
            continue
        if ((raised[at - 1] <= level) & (level < raised[at])).any():
            continue
        own = by_epoch.get(epoch + 1, [])
        if len(own) == 1 and rows.first[own[0]] > rows.last[row]:
            codes[row] = _COMMITTED if int(rows.kind[own[0]]) == TXN_COMMIT else _ABORTED


def _by_snapshots(rows: Rows, asked: I64, codes: I8, seams: Sequence[Snapshot]) -> None:
    """Doubts committed rows whose marker lies behind a seam at which no such transaction was open, in place."""
    producer = int(rows.producer[asked[0]])
    for offset, began in seams:
        over = asked[(rows.last[asked] < offset) & (rows.first[rows.ended[asked]] >= offset)]
        since = began.get(producer, -1)
        codes[over[(since < 0) | (rows.last[over] < since)]] = _UNKNOWN


def aborted_in(surveys: Iterable[ReplicaSurvey], cuts: Sequence[int]) -> dict[Aborted, EvidenceFile | None]:
    """Entries of the `.txnindex` files of some copies, as far as each is on the line; not those of leftovers."""
    found: dict[Aborted, EvidenceFile | None] = {}
    for survey, cut in zip(surveys, cuts, strict=True):
        for segment in survey.segments:
            place = segment.segment
            file = place.txn_index if place.state is survey.replica.state else None
            entries = load_txn_index(file).value if file is not None else None
            base = place.base_offset or 0
            for e in entries or ():
                if base <= e.last_offset < cut:
                    found.setdefault((e.producer_id, e.first_offset, e.last_offset), file)
    return found


def index_findings(contradicted: Iterable[tuple[Aborted, EvidenceFile]]) -> list[Finding]:
    """One finding for each `.txnindex` with entries that the log contradicts."""
    of_file: dict[tuple[str, str], list[Aborted]] = {}
    for entry, file in contradicted:
        of_file.setdefault((file.source, file.path), []).append(entry)
    findings: list[Finding] = []
    for (source, path), entries in sorted(of_file.items()):
        producer, first, last = min(entries, key=lambda entry: entry[1:])
        count = f"{len(entries)} entr{'y names an aborted transaction' if len(entries) == 1 else 'ies name aborted transactions'}"
        message = f"{count} that the log contradicts, the first of producer {producer} at offsets {first}..{last}"
        where = OffsetRange(first, last + 1) if 0 <= first <= last else None
        findings.append(Finding("txn-index-disagrees", source, path, 0, 0, where, message))
    return findings


def open_in_snapshots(surveys: Iterable[ReplicaSurvey], cuts: Sequence[int]) -> list[Snapshot]:
    """What sound producer snapshots say, by offset, as far as each copy is on the line."""
    found: list[Snapshot] = []
    for survey, cut in zip(surveys, cuts, strict=True):
        for offset, file in survey.replica.snapshots:
            snapshot = load_snapshot(file).value if offset <= cut else None
            if snapshot is not None and snapshot.problem is None:
                found.append((offset, {e.producer_id: e.current_txn_first_offset for e in snapshot.entries}))
    return sorted(found, key=lambda one: one[0])
