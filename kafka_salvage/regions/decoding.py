"""Decoding of a few batches for the judge: offsets of wrappers, and whether a batch decodes wholly."""

from __future__ import annotations

import numpy as np

from kafka_salvage.scan.batches import I8, BatchTable
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.records import Outcome, validate
from kafka_salvage.source.source import Source


def decode_all(source: Source, table: BatchTable, limits: Limits) -> tuple[BatchTable, I8, dict[int, str]]:
    """The batches with the offsets of wrappers resolved, the `Outcome` of each, and a sentence where it is not OK."""
    parts, outcomes, sentences = [], [], {}
    row = 0
    for piece in validate(source, table, limits):
        parts.append(piece.batches)
        outcomes.append(piece.outcome)
        sentences.update({row + at: text for at, text in piece.detail.items()})
        row += len(piece.outcome)
    outcome = np.concatenate(outcomes) if outcomes else np.full(len(table), Outcome.OK, np.int8)
    return (BatchTable.concat(parts) if parts else table), outcome, sentences


def resolve_wrappers(source: Source, table: BatchTable, limits: Limits) -> BatchTable:
    """The batches with base offset and count of wrappers filled in, where they inflate."""
    which = np.flatnonzero(table.is_wrapper)
    if not len(which):
        return table
    inner = decode_all(source, table.take(which), limits)[0]
    base, count = table.base_offset.copy(), table.record_count.copy()
    base[which], count[which] = inner.base_offset, inner.record_count
    return table.replace(base_offset=base, record_count=count)
