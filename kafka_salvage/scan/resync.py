"""Resync: where batches stand after the walk stopped. Facts only: a candidate is a sane header whose CRC holds."""

from __future__ import annotations

from dataclasses import dataclass

from kafka_salvage.scan.batches import I64, BatchTable
from kafka_salvage.source.source import Source


@dataclass(frozen=True, slots=True)
class Sanity:
    """What a header must satisfy to be worth a CRC (section 8 of the contract, "sane header").

    Attributes:
        base_offset: lowest base offset; sane is ``[base_offset, base_offset + 2**31)``.
        max_size: largest whole batch in bytes.
    """

    base_offset: int
    max_size: int


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What a range of bytes holds.

    Attributes:
        batches: candidates (sane header, CRC holds), by position; may overlap each other.
        claim_position, claim_size, claim_offset: sane headers whose CRC does not hold, or whose end lies past the range's
            file end (then size is what the header claims).
    """

    batches: BatchTable
    claim_position: I64
    claim_size: I64
    claim_offset: I64


def find_candidates(source: Source, start: int, stop: int, file_stop: int, sanity: Sanity) -> Candidates:
    """All candidates and sane claims whose first byte lies in ``[start, stop)``; they may reach up to ``file_stop``.

    Linear in the bytes, also when headers are forged: running CRCs at block boundaries are combined.
    """
    raise NotImplementedError  # the scan work package
