"""Check of records: do batches whose CRC holds also inflate and parse, and what do their records say of offsets.

Shallow, only batches are decoded whose offsets or meaning lie inside: 0/1 wrappers, batches with holes, control batches.
"""

from __future__ import annotations

import numpy as np

from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.context import Place
from kafka_salvage.regions.judged import INTACT, UNDECODABLE, Judged
from kafka_salvage.scan.batches import I64, BatchTable
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.records import Outcome, Validated, validate
from kafka_salvage.source.patched import PatchedSource
from kafka_salvage.source.source import Source

CODE_OF = {
    Outcome.CODEC_MISSING: "codec-missing",
    Outcome.INFLATE_FAILED: "inflate-failed",
    Outcome.INFLATE_LIMIT: "inflate-limit",
    Outcome.RECORD_MALFORMED: "record-malformed",
    Outcome.COUNT_MISMATCH: "count-mismatch",
    Outcome.UNKNOWN_CODEC: "bad-attributes",
}

_FAR = 1 << 62
"""An offset above every offset inside a wrapper."""


def rows_to_decode(table: BatchTable, deep: bool) -> I64:
    """Which rows must be decoded."""
    if deep:
        return np.arange(len(table))
    span = table.last_offset - table.base_offset + 1
    holes = (table.magic >= 2) & (table.record_count < span) & (table.record_count > 0)
    return np.flatnonzero(table.is_wrapper | holes | table.is_control)


def check_records(judged: Judged, source: Source, place: Place, limits: Limits, deep: bool) -> None:
    """Decodes, fills in what only the records know, and names what does not decode.

    Args:
        judged: rows; wrappers get their first offset, magic-0 wrappers the last one that their records prove.
        source: the file with the proved hosts laid over.
        place: for findings.
        limits: bounds on decompression.
        deep: decode all rows.
    """
    table = judged.table
    which = rows_to_decode(table, deep)
    if judged.counts is not None:  # stretches of ordinary batches are decoded elsewhere
        which = which[judged.counts[which] == 1]
    if not len(which):
        return
    base, last, count = table.base_offset, table.last_offset, table.record_count
    if table.is_wrapper.any():
        base, last, count = base.copy(), last.copy(), count.copy()
    done = 0
    for piece in validate(source, table if len(which) == len(table) else table.take(which), limits):
        rows = which[done : done + len(piece.outcome)]
        done += len(rows)
        good = piece.batches.is_wrapper & (piece.outcome == Outcome.OK)
        if good.any():
            base[rows[good]] = piece.batches.base_offset[good]
            last[rows[good]] = piece.batches.last_offset[good]
            count[rows[good]] = piece.batches.record_count[good]
        _control_types(judged, piece, rows)
        for row in np.flatnonzero(piece.outcome != Outcome.OK).tolist():
            _undecodable(judged, place, int(rows[row]), Outcome(int(piece.outcome[row])), piece.detail.get(row, ""))
    judged.table = table.replace(base_offset=base, last_offset=last, record_count=count)
    _reread_wrappers(judged, source, limits)


def _reread_wrappers(judged: Judged, source: Source, limits: Limits) -> None:
    """Magic-1 wrappers that do not decode only because their own offset, which no CRC covers, is below the last one inside."""
    table = judged.table
    failed = (judged.verdict == UNDECODABLE) & table.is_wrapper & (table.magic == 1)
    for row in np.flatnonzero(failed).tolist():
        position = int(table.position[row])
        moved = PatchedSource(source, [(position, _FAR.to_bytes(8, "big"))])
        one = table.take(slice(row, row + 1)).replace(offset=np.array([_FAR]), last_offset=np.array([_FAR]))
        for piece in validate(moved, one, limits):
            if int(piece.outcome[0]) == Outcome.OK:
                batch, shift = piece.batches, int(table.offset[row]) - _FAR
                table.base_offset[row] = int(batch.base_offset[0]) + shift
                table.last_offset[row] = int(batch.last_offset[0]) + shift
                table.record_count[row] = int(batch.record_count[0])
                judged.verdict[row] = INTACT
                judged.findings = [f for f in judged.findings if f.start != position]


def _control_types(judged: Judged, piece: Validated, rows: I64) -> None:
    known = piece.control_type >= 0
    if known.any():
        judged.control_type[rows[known]] = np.minimum(piece.control_type[known], 127)


def _undecodable(judged: Judged, place: Place, row: int, outcome: Outcome, sentence: str) -> None:
    judged.verdict[row] = UNDECODABLE
    facts = judged.table.row(row)
    start = facts["position"]
    first = facts["base_offset"]
    if bool(judged.table.is_wrapper[row]) and row:
        # a wrapper that does not inflate hides its first offset: it follows the batch before
        first = min(first, max(int(judged.table.last_offset[row - 1]) + 1, 0))
        if start == int(judged.table.stop[row - 1]):
            judged.table.base_offset[row] = first
    judged.findings.append(
        place.finding(
            CODE_OF[outcome],
            start,
            start + facts["size"],
            sentence or f"the batch does not decode ({outcome.name.lower().replace('_', ' ')})",
            OffsetRange(min(first, facts["last_offset"]), facts["last_offset"] + 1),
            codec=facts["attributes"] & 7,
            magic=facts["magic"],
        )
    )
