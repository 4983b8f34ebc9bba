"""Resync: where batches stand after the walk stopped. Facts only: a candidate is a sane header whose CRC holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kafka_salvage.scan.batches import I64, BatchTable, Bool
from kafka_salvage.scan.running import COVERED, RangeCrc, crc_of
from kafka_salvage.source.source import Source

__all__ = ["Candidates", "RangeCrc", "Sanity", "crc_of", "find_candidates", "header_row", "odd_rows", "sane_header"]
_LONGEST_HEADER = 61
_SPAN = 1 << 31
_CODECS_LEGACY, _CODECS, _KNOWN_BITS = 3, 4, 0x7F


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
        claims_omitted: claims beyond the most that are kept (hostile input only).
    """

    batches: BatchTable
    claim_position: I64
    claim_size: I64
    claim_offset: I64
    claims_omitted: int = 0


WINDOW = 4 << 20
_HEADERS = 1 << 16
_MOST_CLAIMS = 1 << 22


def find_candidates(
    source: Source,
    start: int,
    stop: int,
    file_stop: int,
    sanity: Sanity,
    *,
    running: RangeCrc | None = None,
    window: int = WINDOW,
    most_claims: int = _MOST_CLAIMS,
) -> Candidates:
    """All candidates and sane claims whose first byte lies in ``[start, stop)``; they may reach up to ``file_stop``.

    Linear in the bytes, also when headers are forged: running CRCs at block boundaries are combined.

    Args:
        source: where bytes come from.
        start: first byte looked at.
        stop: end of the search.
        file_stop: no candidate reaches beyond; usually the end of the file.
        sanity: what a header must satisfy.
        running: running CRCs over at least ``[start, file_stop)``, shared by several searches of one file, which keeps them
            linear together. Made afresh when None.
        window: bytes looked at at a time; has no influence on the result.
        most_claims: claims kept, the first ones; further ones are counted only (24 bytes of memory each).
    """
    end = min(file_stop, source.size)
    search = _Search(source, end, sanity, RangeCrc(source, min(start, end), end) if running is None else running)
    claims_room = most_claims
    tables, claims, omitted = [], [], 0
    for position in range(start, min(stop, end), window):
        for table, claim in search.look(position, min(position + window, stop, end)):
            tables.append(table)
            claims.append(claim[:, :claims_room])
            omitted += max(0, claim.shape[1] - claims_room)
            claims_room = max(0, claims_room - claim.shape[1])
    joined: I64 = np.concatenate(claims, axis=1) if claims else np.empty((3, 0), np.int64)
    return Candidates(BatchTable.concat(tables), joined[0], joined[1], joined[2], omitted)


class _Search:
    """One search under way; knows the source, the end of the file, and the running CRCs."""

    def __init__(self, source: Source, end: int, sanity: Sanity, running: RangeCrc) -> None:
        self._source = source
        self._end = end
        self._sanity = sanity
        self._running = running

    def look(self, start: int, stop: int) -> Iterator[tuple[BatchTable, I64]]:
        """(candidates, claims as rows position, size, offset) of one window, in pieces of bounded size."""
        from kafka_salvage.vector import finding
        from kafka_salvage.vector.pointers import address_of, aligned_buffer

        buffer = aligned_buffer(min(stop + _LONGEST_HEADER, self._end) - start)
        buffer[self._source.read_into(start, buffer) :] = 0
        away = address_of(buffer) - start
        positions = np.empty(_HEADERS, np.int64)
        limits = self._end, self._sanity.base_offset, self._sanity.max_size
        while start < stop:
            count = finding.find(away + start, start, stop, *limits, address_of(positions), _HEADERS)
            if count:
                yield self._divide(away, positions[:count].copy())
            if count < _HEADERS:
                return
            start = int(positions[count - 1]) + 1

    def _divide(self, away: int, positions: I64) -> tuple[BatchTable, I64]:
        """Tells candidates from claims among sane headers; ``position + away`` is a header's address."""
        from kafka_salvage.vector import finding
        from kafka_salvage.vector.pointers import address_of

        count = len(positions)
        sizes, offsets = np.empty(count, np.int64), np.empty(count, np.int64)
        magics, stored = np.empty(count, np.int8), np.empty(count, np.uint32)
        columns = (address_of(column) for column in (sizes, offsets, magics, stored))
        finding.describe(away, address_of(positions), count, *columns)
        holds = positions + sizes <= self._end
        for castagnoli, covered in ((True, COVERED[2]), (False, COVERED[0])):
            chosen = np.flatnonzero(holds & ((magics == 2) == castagnoli))
            starts, stops = positions[chosen] + covered, positions[chosen] + sizes[chosen]
            holds[chosen] = self._running.many(castagnoli, starts, stops) == stored[chosen]
        for hole in self._source.unreadable:
            holds &= (positions >= hole.stop) | (positions + sizes <= hole.start)
        lies = ~holds
        return _rows(away, positions[holds]), np.stack([positions[lies], sizes[lies], offsets[lies]])


def _rows(away: int, positions: I64) -> BatchTable:
    from kafka_salvage.vector import finding, headers
    from kafka_salvage.vector.pointers import address_of

    capacity = len(positions) + -len(positions) % 8
    block = headers.new_block(capacity)
    finding.write_rows(away, address_of(positions), len(positions), address_of(block), capacity)
    return BatchTable(**headers.columns_of(block, capacity, len(positions)))


def header_row(header: bytes, position: int) -> BatchTable:
    """The row of one batch, from its header alone; what it says is not checked.

    Args:
        header: at least as many bytes as its magic's header has, at most 61.
        position: of the batch.
    """
    from kafka_salvage.vector.pointers import address_of

    data = np.frombuffer(header.ljust(_LONGEST_HEADER + 3, b"\0"), np.uint8)
    return _rows(address_of(data) - position, np.array([position], np.int64))


def odd_rows(table: BatchTable, sanity: Sanity) -> Bool:
    """Batches whose header is not sane: a walk takes them by their CRC, and a search does not find them.

    Args:
        table: rows of a walk; of messages of magic 0 and 1 the key's size is not asked.
        sanity: what a header must satisfy.
    """
    beyond = table.offset - np.int64(sanity.base_offset)
    odd = (table.offset < sanity.base_offset) | (beyond < 0) | (beyond >= _SPAN) | (table.size > sanity.max_size)
    legacy = (table.magic < 2) & (table.codec > _CODECS_LEGACY)
    delta = table.last_offset - table.offset
    wrong = (table.leader_epoch < -1) | ((table.attributes & ~_KNOWN_BITS) != 0) | (table.codec > _CODECS)
    wrong |= (delta < 0) | (table.record_count < 0) | (table.record_count > delta + 1)
    return np.asarray(odd | legacy | ((table.magic >= 2) & wrong))


def sane_header(data: bytes, readable: int, sanity: Sanity) -> bool:
    """Whether one header is sane, in plain Python.

    Args:
        data: bytes from the header's start, at least 61, or all that the file has.
        readable: bytes from there to the end of the file.
        sanity: what it must satisfy.
    """
    from kafka_salvage.vector import headers

    return headers.sane_header(data, readable, sanity.base_offset, sanity.max_size)
