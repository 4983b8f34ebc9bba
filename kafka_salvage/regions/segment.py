"""Survey of one segment: from what was seen of its bytes to its map, in the order in which the rules depend on each other.

1. Hunt: walk, hosts, candidates (what is a batch of this log?).
2. Records: wrappers and batches with holes are decoded for their offsets, with ``deep`` everything.
3. Offsets, then leader epochs: what the CRC does not cover.
4. The map, the indexes, and the summary; the table of batches is given up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import numpy as np

from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions import check_offsets, check_zeros, stretches, unfolding
from kafka_salvage.regions.barren import map_without_batches
from kafka_salvage.regions.check_crc import FIRST_BY_CRCMOD, CrcWitness
from kafka_salvage.regions.check_epochs import EpochsAround
from kafka_salvage.regions.check_indexes import check_indexes
from kafka_salvage.regions.check_records import check_records
from kafka_salvage.regions.context import Place, SegmentContext, SurveyOptions
from kafka_salvage.regions.ground import Ground
from kafka_salvage.regions.hunt import Haul, Hunt
from kafka_salvage.regions.index import Index
from kafka_salvage.regions.judged import INTACT, REPAIRED, Judged
from kafka_salvage.regions.mend import Mender
from kafka_salvage.regions.proven import Proven
from kafka_salvage.regions.repeated import ENOUGH, repeated
from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.regions.shapes import in_order
from kafka_salvage.regions.summary import make_facts, make_runs, make_transactions
from kafka_salvage.regions.terrain import Terrain
from kafka_salvage.regions.verdict import Finding
from kafka_salvage.scan.batches import I64, Bool
from kafka_salvage.scan.replica import SegmentFile
from kafka_salvage.scan.walk import StopReason
from kafka_salvage.source.patched import PatchedSource
from kafka_salvage.source.source import Source
from kafka_salvage.vector.distinct import distinct

MANY = 1 << 18
"""Rows of a segment that is judged while no other such is: each rule needs some memory for each row."""
_MANY_AT_ONCE = threading.RLock()
_WITNESS_READS = 4
_JUMPS = 4
"""Batches at the end of a file, each with a gap before it, that are looked at."""


def survey_of(
    seen: stretches.Stretches,
    ground: Ground,
    segment: SegmentFile,
    context: SegmentContext,
    options: SurveyOptions,
    progress: Callable[[int], None],
    index: Index,
) -> SegmentSurvey:
    """The judgement of what a walk has seen; it walks again where rows that were parted may not tell what the file would."""
    named = index.positions, index.offsets
    if stretches.is_quiet(seen, ground, segment.base_offset, context) and (
        not options.deep or stretches.all_decode(seen, ground.source, options.limits, progress)
    ):
        shallow = replace(options, deep=False)
        judged = Judged.of(unfolding.copied(seen.table))
        judge = _Judge(ground, judged, seen.haul(ground.size), segment, context, shallow)
        ground.use_index(*(np.append(kept, all_of[-1:]) for kept, all_of in zip(seen.index, named, strict=True)))
        survey = judge.survey(replace(index, positions=seen.index[0], offsets=seen.index[1]))
        if not survey.patches and seen.holds(judged):
            return stretches.with_counts(survey, seen.table.position, seen.counts)
        ground.use_index(*named)
    haul = seen.hauled(ground)
    if haul is None:
        haul = Hunt(
            ground, context.next_base, options.strict, _behind(0 if options.deep else seen.stop.position, progress)
        ).run()
        seen = replace(seen, parted=None)
    rows = _unfolded(ground, haul, options)
    for turn in range(unfolding.ROUNDS + 1):
        judged = Judged.of(rows.copy(), rows.counts)
        judged.patches += haul.patches
        survey = _Judge(ground, judged, haul, segment, context, options).survey(index)
        said = rows.stretches & ((judged.verdict != INTACT) | (turn == unfolding.ROUNDS - 1))
        if turn == unfolding.ROUNDS or not said.any():
            break
        rows.unfold(said)
    if not seen.holds(judged):
        ground.use_index(*named)
        return survey_of(stretches.again(ground), ground, segment, context, options, progress, index)
    return stretches.with_counts(survey, rows.table.position, rows.counts)


def _unfolded(ground: Ground, haul: Haul, options: SurveyOptions) -> unfolding.Folded:
    """The rows of a hunt, with one for each batch that a rule may ask for."""
    rows = unfolding.Folded(ground.source, haul.rows.table(), haul.rows.counts)
    if int(rows.counts.sum()) <= unfolding.ALL:
        rows.unfold(rows.stretches)
        return rows
    heads, over = [head for damage in haul.damages for head in damage.heads], haul.over
    doubts = [doubt.batches for doubt in haul.doubts]
    claimed = np.array([(h.offset, h.last_offset) for h in heads], np.int64).reshape(-1, 2)
    first = np.concatenate([claimed[:, 0], over.claims[0], *(d.base_offset for d in doubts)])
    last = np.concatenate([claimed[:, 1], over.claims[1], *(d.last_offset for d in doubts)])
    odd, parted = rows.beside_odd(first, last)
    if options.deep:
        bad = rows.undecodable(options.limits)
        odd, parted = odd | bad, parted & ~bad
    rows.unfold(odd, parted)
    return rows


def _behind(position: int, progress: Callable[[int], None]) -> Callable[[int], None]:
    """Progress that begins at a position which was reported already."""
    left = position

    def tell(count: int) -> None:
        nonlocal left
        known = min(left, count)
        left -= known
        if count > known:
            progress(count - known)

    return tell


class _Judge:
    """Rules 4 to 6 and the map, on the rows that a hunt brought."""

    def __init__(
        self,
        ground: Ground,
        judged: Judged,
        haul: Haul,
        segment: SegmentFile,
        context: SegmentContext,
        options: SurveyOptions,
    ) -> None:
        self._ground = ground
        self._judged = judged
        self._haul = haul
        self._segment = segment
        self._context = context
        self._options = options
        self._place = Place.of(segment)
        self._base = segment.base_offset
        self._proven = Proven.together(haul.hosts)
        self._jump = False
        self._loose = 0

    def survey(self, index: Index) -> SegmentSurvey:
        with _MANY_AT_ONCE if len(self._judged.table) > MANY else nullcontext():
            return self._survey(index)

    def _survey(self, index: Index) -> SegmentSurvey:
        judged, ground, haul = self._judged, self._ground, self._haul
        regions = None
        if not len(judged.table) and haul.first_stop is not None and not haul.doubts:
            regions = map_without_batches(ground, self._place, haul.first_stop, self._context, self._base, judged)
        self._second_witness()
        backwards = self._offsets()
        self._hosts()
        self._name()
        self._uncorroborated()
        named = ground.entries(judged.table) if ground.index_positions is index.positions else None
        late = check_indexes(self._segment, index, judged, ground.size, named)
        if regions is None:
            regions = Terrain(ground, judged, haul, self._context, self._place, self._base).build(late)
        else:
            judged.findings.extend(late)
        return SegmentSurvey(
            self._segment,
            regions,
            make_runs(judged),
            make_transactions(judged),
            tuple(sorted(judged.patches, key=lambda p: p.position)),
            in_order(judged.findings),
            replace(make_facts(judged, ground, haul.first_stop, backwards, self._jump), loose=self._loose),
        )

    def _second_witness(self) -> None:
        witness = CrcWitness(self._ground.source, self._options.deep, _WITNESS_READS * self._ground.size)
        over = self._haul.over
        over.confirm_sums()
        condemned = over.condemned[: None if self._options.deep else FIRST_BY_CRCMOD]
        for start, by_table in over.witnessed(distinct(condemned, over.unwitnessed)):
            head = self._ground.head(start)
            if head is not None:
                witness.condemns(head, by_table)
        for damage in self._haul.damages:
            if damage.fact.reason is StopReason.CRC_MISMATCH:
                head = self._ground.head(damage.start)
                if head is not None and 0 <= head.magic <= 2:
                    witness.condemns(head)

    def _offsets(self) -> bool:
        """Rules 4 and 5; gives whether the batches, as they lie, go backwards somewhere."""
        judged, ground, haul, options = self._judged, self._ground, self._haul, self._options
        source: Source = ground.source
        if haul.patches:
            source = PatchedSource(source, [(patch.position, patch.after) for patch in haul.patches])
        check_records(judged, source, self._place, options.limits, options.deep)
        backwards = check_offsets.overlap_rows(judged.table)
        low, high = check_offsets.believe_names(judged.table, self._base, self._context.next_base)
        if high is None and self._context.next_base is not None:
            self._context = replace(self._context, next_base=None)
        mender = Mender(judged, self._place, low, high, ground.data_stop)
        mender.prove_wrappers()
        agrees = ground.index_confirms(judged.table)
        denied = self._denied(agrees)
        anchors = check_offsets.Anchors(low, high, agrees, denied)
        heads = [head for damage in haul.damages for head in damage.heads]
        over = haul.over
        witnesses = check_offsets.Witnesses.of(heads, over.claims)
        chain = check_offsets.on_chain(judged.table, witnesses, anchors)
        gapless = None if self._context.compacted is None else not self._context.compacted
        unsure = 0 if chain.all() else mender.outliers(chain, ground.source, agrees, gapless)
        row = check_offsets.jumps_ahead(judged.table, judged.placed, low)
        self._jump = row is not None
        starts = np.array([damage.stop for damage in haul.damages if damage.stop < ground.size], np.int64)
        starts = np.sort(np.concatenate([starts, over.stop]))
        loose = check_offsets.loose_rows(judged.table, judged.placed, starts, agrees)
        unheld = check_offsets.unheld_row(judged.table, judged.placed, agrees, witnesses)
        if unheld is not None and not any(unheld in group for group in loose):
            loose.append([unheld])
        self._loose = len(loose) + unsure
        if self._context.compacted is False:
            for group in loose:
                mender.doubt(group)
        for _ in range(_JUMPS if self._context.compacted is False else 0):
            if row is None or agrees[row] or self._ends_the_log(row):
                break
            mender.doubt([row])
            row = check_offsets.jumps_ahead(judged.table, judged.placed, low)
        context = self._context
        lines = tuple(sorted(context.epochs or ()))
        mender.epochs(EpochsAround(lines, context.epoch_low, context.epoch_high), self._doubted_epochs())
        return backwards

    def _doubted_epochs(self) -> I64:
        """Rows whose epoch field lies between repaired bytes, or behind zeros that may have run into it."""
        starts = self._proven.start[self._proven.doubtful_epochs()]
        return np.searchsorted(self._judged.table.position, starts).astype(np.int64)

    def _ends_the_log(self, row: int) -> bool:
        """Whether another file says that the offset behind this row comes next."""
        following = int(self._judged.table.last_offset[row]) + 1
        return following in (self._context.next_base, self._context.reached)

    def _denied(self, agrees: Bool) -> Bool:
        """Rows whose base offset is not believed whatever the chain says."""
        judged, ground = self._judged, self._ground
        # a neighbour that follows on is the better witness: bytes may have moved since the index was written
        contradicted = ground.index_contradicts(judged.table) & ~check_offsets.dense_rows(judged.table)
        if int(contradicted.sum()) > int(agrees.sum()):
            contradicted[:] = False
        denied: Bool = contradicted | self._zeroed_hosts()
        over = self._haul.over
        stops = np.array(
            [d.stop for d in self._haul.damages if ground.zeros_before(d.stop) >= check_zeros.ZEROS], np.int64
        )
        stops = np.concatenate([stops, over.stop[over.zeros_behind >= check_zeros.ZEROS]])
        rows = np.searchsorted(judged.table.position, stops)
        rows, stops = rows[rows < len(judged.table)], stops[rows < len(judged.table)]
        rows = rows[(judged.table.position[rows] == stops) & ~agrees[rows]]
        denied[rows[check_zeros.may_have_changed(judged.table, rows, self._base or 0)]] = True
        return denied

    def _zeroed_hosts(self) -> Bool:
        """Repaired batches in whose header zeros run from the base offset into the length: a name or a neighbour must agree."""
        table = self._judged.table
        starts = self._proven.start[self._proven.doubtful_offsets()]
        alone = len(table) == 1 and self._context.compacted is not True and int(table.base_offset[0]) == self._base
        found = np.zeros(len(table), np.bool_)
        found[np.searchsorted(table.position, starts)] = not alone
        return found & ~check_offsets.dense_rows(table) if len(starts) else found

    def _hosts(self) -> None:
        """Findings of hosts that a length or a magic proved."""
        judged, proven = self._judged, self._proven
        table, rows = judged.table, np.searchsorted(judged.table.position, proven.start)
        changed = rows[proven.relength | proven.remagic]
        verdict = judged.verdict[changed]
        judged.verdict[changed] = np.where(verdict < REPAIRED, REPAIRED, verdict)
        where = table.base_offset[rows], table.last_offset[rows] + 1
        if len(proven) < ENOUGH:
            judged.findings.extend(proven.findings(self._place, *where, self._ground.size))
        else:
            judged.say(proven.sheet(self._place, *where, self._ground.size))

    def _uncorroborated(self) -> None:
        """Findings of batches that fit between two damaged stretches."""
        edges = np.concatenate([np.empty((0, 2), np.int64), *self._haul.uncorroborated])

        def make(at: int) -> Finding:
            why = "nothing but its offsets and epochs proves its place"
            start, stop = edges[at].tolist()
            return self._place.finding("uncorroborated", start, stop, why)

        count = len(edges)
        if count < ENOUGH:
            self._judged.findings.extend(make(at) for at in range(count))
            return
        self._judged.say(repeated(np.zeros(count, np.int64), make, lambda _, rows: list(edges[rows].T)))

    def _name(self) -> None:
        """Whether the file's name fits what is in it."""
        table = self._judged.table
        placed = table.base_offset[self._judged.placed]
        size = self._ground.size
        if self._base is None:
            self._judged.findings.append(self._place.finding("name-disagrees", 0, size, "the file's name is no offset"))
        elif len(placed) and int(placed.min()) < self._base:
            message = f"offset {int(placed.min())} lies below the file's name: a broker refuses to start over it"
            self._judged.findings.append(
                self._place.finding("name-disagrees", 0, size, message, OffsetRange(int(placed.min()), self._base))
            )
