"""Check of CRCs: a second, independent witness before a batch is condemned."""

from __future__ import annotations

from kafka_salvage.errors import InvariantError
from kafka_salvage.regions.heads import CRC_AT, CRC_FROM, Head
from kafka_salvage.source.source import Source
from kafka_salvage.vector import crc as kernels
from kafka_salvage.wire import checksum

FIRST_BY_CRCMOD = 64
"""Condemned batches of a run that the slow third implementation looks at too."""
_PIECE = 1 << 20


class CrcWitness:
    """Looks again at batches that the fast kernels condemn.

    Args:
        source: the file.
        thorough: crcmod looks at every one, not only at the first.
        budget: bytes that may be read again; hostile claims that overlap must not cost more than the file does.
    """

    def __init__(self, source: Source, thorough: bool, budget: int) -> None:
        self._source = source
        self._thorough = thorough
        self._budget = budget
        self.seen = 0

    def condemns(self, head: Head, by_table: int = -1) -> bool:
        """Whether the CRC of a header's whole claim really does not hold.

        Args:
            head: the header.
            by_table: the sum by tables, where it is known already.

        Raises:
            InvariantError: the implementations disagree.
        """
        if head.stop > self._source.size or head.size > self._budget:
            return True
        self._budget -= head.size
        magic = 2 if head.is_v2 else max(head.magic, 0)
        start = head.position + CRC_FROM[min(magic, 2)]
        stored = int.from_bytes(head.raw[CRC_AT[min(magic, 2)] :][:4], "big")
        table = self._by_table(start, head.stop, head.is_v2) if by_table < 0 else by_table
        by_crcmod = self._thorough or self.seen < FIRST_BY_CRCMOD
        self.seen += 1
        if table == stored or (by_crcmod and head.size <= _PIECE and self._by_crcmod(start, head) != table):
            raise InvariantError(
                f"the CRC at {head.position} is {stored:#x} by one implementation and not by another",
                stage="regions.check_crc",
                where=(head.position, head.stop),
            )
        return True

    def _by_table(self, start: int, stop: int, castagnoli: bool) -> int:
        add = kernels.crc32c_table if castagnoli else kernels.crc32_table
        value = 0
        for at in range(start, stop, _PIECE):
            value = add(self._source.read(at, min(stop, at + _PIECE)), value)
        return value

    def _by_crcmod(self, start: int, head: Head) -> int:
        data = self._source.read(start, head.stop).tobytes()
        return checksum.crc32c(data) if head.is_v2 else checksum.crc32(data)
