"""Taking: small batches of magic 2 that lie whole in memory one after another, a row for each.

Strategy: most batches that cost something by their number are small, and nothing is wrong with them. This loop knows nothing
else, so that it stays in registers; where it ends, whoever called it looks at one batch in full, and comes back.
"""

from __future__ import annotations

from kafka_salvage.vector.cache import inner
from kafka_salvage.vector.crc import castagnoli_batch
from kafka_salvage.vector.headers import OVERHEAD, write_row
from kafka_salvage.vector.pointers import load_be32, load_beu32, load_i8
from kafka_salvage.vector.summing import HEADED_MOST

LEAST = 64
"""Bytes of the smallest batch that is taken: more than a header, and what one register holds."""


@inner
def take(header: int, last: int, end: int, away: int, block: int, capacity: int, rows: int) -> tuple[int, int]:
    """Writes rows of small batches whose CRC agrees; gives the address behind the last one, and the rows there are.

    Args:
        header: address of the first one.
        last: address of the last byte at which one may begin.
        end: address behind the last byte that is there.
        away: address of the byte at position 0.
        block: address of the rows.
        capacity: rows that fit there.
        rows: rows that are there.
    """
    last = min(last, end - LEAST)
    while header <= last and rows < capacity:
        size = load_be32(header + 8) + OVERHEAD
        if size < LEAST or size > HEADED_MOST or header + size > end or load_i8(header + 16) != 2:
            break
        if castagnoli_batch(header, size) != load_beu32(header + 17):
            break
        write_row(header, header - away, block, capacity, rows)
        rows += 1
        header += size
    return header, rows
