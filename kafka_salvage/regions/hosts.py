"""Host: the batch that damage begins in, judged before anything inside it is looked at.

1. With another length (64 ends at most) or another magic put in the CRC holds and the batch decodes wholly: it is proved,
   and nothing inside is searched.
2. Its header is sane and its claim leads to a candidate or the end of the data: it is damaged as a whole. What is believed
   inside all the same is what a guest cannot be.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kafka_salvage.regions.decoding import decode_all
from kafka_salvage.regions.finder import Chain
from kafka_salvage.regions.ground import END_SLACK, Ground, Lead
from kafka_salvage.regions.heads import CRC_AT, CRC_FROM, MIN_LENGTH, OVERHEAD, Head, is_sane, parse_head
from kafka_salvage.regions.proven import LENGTH_AT, MAGIC_AT
from kafka_salvage.regions.runs import Patch
from kafka_salvage.scan.batches import I64, U32, BatchTable
from kafka_salvage.scan.records import Outcome
from kafka_salvage.scan.resync import header_row
from kafka_salvage.scan.running import crc32_moved
from kafka_salvage.source.patched import PatchedSource
from kafka_salvage.vector.crc import crc32

MOST_ENDS = 64
_MEMBERS = 8
"""Batches at the head of a chain of which each may be the first that is no guest."""
_GOES_ON = -1
_REMEMBERED = 1 << 12


@dataclass(frozen=True, slots=True)
class Host:
    """A batch that a repair proves.

    Attributes:
        batch: one row, as it reads with the patches laid over.
        patches: the bytes exchanged; empty when the header was right and only the walk refused it.
    """

    batch: BatchTable
    patches: tuple[Patch, ...]

    @property
    def start(self) -> int:
        """First byte."""
        return int(self.batch.position[0])

    @property
    def stop(self) -> int:
        """Position behind it."""
        return int(self.batch.stop[0])


class Hosts:
    """Answers rule 1 for any position of one file, once each.

    Args:
        ground: the file.
        ceiling: first offset of the next file, the batch at the end of the last claim; None without.
    """

    def __init__(self, ground: Ground, ceiling: int | None = None) -> None:
        self._ground = ground
        self._ceiling = ceiling
        self._proved: dict[int, Host | None] = {}
        self._ends_of: dict[int, tuple[tuple[int, ...], int | None]] = {}

    def proved(self, position: int) -> Host | None:
        """The host that begins at ``position``, if a length or a magic proves it."""
        if position not in self._proved:
            self._proved[position] = self._prove(position)
        return self._proved[position]

    def _prove(self, position: int) -> Host | None:
        head = self._ground.head(position)
        if head is None or position >= self._ground.data_stop:
            return None
        ends = self._ends(head)
        while group := next(ends, None):
            for end, magic in self._fitting(head, group):
                host = self._decoded(head, end, magic)
                if host is not None:
                    return host
        return None

    def _ends(self, head: Head) -> Iterator[list[int]]:
        """Ends worth a CRC, in two groups: the claimed one and starts of the next batches; then what lies further off."""
        ground = self._ground
        low, seen, group = head.position + OVERHEAD + MIN_LENGTH[0], set[int](), list[int]()
        for number, possible in enumerate(self._possible_ends(head)):
            for end in possible:
                if end not in seen and low <= end <= ground.size and len(seen) < MOST_ENDS:
                    seen.add(end)
                    group.append(end)
            if group and (number == 0 or len(seen) >= MOST_ENDS):
                yield group
                group = []
            if len(seen) >= MOST_ENDS:
                return
        if group:
            yield group

    def _possible_ends(self, head: Head) -> Iterator[Sequence[int]]:
        """The claimed end; starts of candidates and ends of chains up to the first that goes on; without one, the data's."""
        ground = self._ground
        at = ground.finder.following(head.position + 1)
        group = [head.stop]
        if at is not None:
            # most hosts end where they say or where the next one begins: how far its chain goes is asked later
            yield [*group, *ground.finder.members(at, _MEMBERS)]
            group = []
        while at is not None:
            ends, at = self._chain_ends(at)
            yield ends
            if at == _GOES_ON:
                return
        yield [*group, ground.size, *range(ground.data_stop, min(ground.data_stop + END_SLACK, ground.size) + 1)]

    def _chain_ends(self, start: int) -> tuple[tuple[int, ...], int | None]:
        """Where a host may end at a chain, and the next chain's start; remembered, since many hosts ask for the same."""
        known = self._ends_of.get(start)
        if known is not None:
            return known
        ground = self._ground
        chain = ground.finder.chain(start)
        members = chain.batches.position[:_MEMBERS].tolist()
        if chain.end < ground.data_stop and (ground.named_by_index(chain.batches) or self._goes_on(chain)):
            made: tuple[tuple[int, ...], int | None] = (*members,), _GOES_ON
        else:
            following = ground.finder.following(chain.end) if chain.end < ground.data_stop else None
            made = (*members, chain.end), following
        if len(self._ends_of) > _REMEMBERED:
            self._ends_of.clear()
        self._ends_of[start] = made
        return made

    def _goes_on(self, chain: Chain) -> bool:
        """Whether a sane header with a higher offset follows the chain, and its claim leads on: no payload ends so."""
        behind = self._ground.head(chain.end)
        higher = behind is not None and behind.offset > chain.last_offset
        return higher and self._ground.lead(chain.end) is not Lead.NOWHERE

    def _fitting(self, head: Head, ends: list[int]) -> list[tuple[int, int]]:
        """(end, magic) for which the stored CRC would hold, in the order of the ends, the magic that is there first."""
        sums, at = self._ground.sums(), head.position
        stops = np.array(ends, np.int64)
        found: dict[int, set[int]] = {}
        for magic in (2, 1, 0):
            stored = int.from_bytes(head.raw[CRC_AT[magic] : CRC_AT[magic] + 4], "big")
            long_enough = stops - at >= MIN_LENGTH[magic] + OVERHEAD
            if len(head.raw) < CRC_AT[magic] + 4 or not long_enough.any() or not self._may_be(head, magic, ends):
                continue
            chosen = stops[long_enough]
            starts = np.full(len(chosen), at + CRC_FROM[magic], np.int64)
            if magic == 2:
                computed = sums.many(True, starts, chosen)
            else:
                # the magic itself is covered: it is put in by its effect on the sum, which depends on the length behind it
                computed = sums.many(False, starts, chosen)
                if head.magic != magic:
                    computed = computed ^ self._effects(head, magic, chosen - starts - 1)
            for end in chosen[computed == stored].tolist():
                found.setdefault(end, set()).add(magic)
        return [
            (end, magic)
            for end in ends
            for magic in sorted(found.get(end, ()), key=lambda one: (one != head.magic, -one))
        ]

    def _may_be(self, head: Head, magic: int, ends: list[int]) -> bool:
        """Whether the header would be sane with this magic and the largest of these lengths; then no sum need be made."""
        size = min(max(ends) - head.position, self._ground.cap) - OVERHEAD
        raw = (
            head.raw[:LENGTH_AT]
            + struct.pack(">i", size)
            + head.raw[12:MAGIC_AT]
            + bytes([magic])
            + head.raw[MAGIC_AT + 1 :]
        )
        fresh = parse_head(raw, head.position)
        return fresh is not None and is_sane(fresh, fresh.offset, self._ground.cap)

    @staticmethod
    def _effects(head: Head, magic: int, behind: I64) -> U32:
        """What exchanging the magic changes in CRC-32, for each number of bytes behind it."""
        return crc32_moved(crc32(bytes([head.raw[MAGIC_AT]])) ^ crc32(bytes([magic])), behind)

    def _decoded(self, head: Head, end: int, magic: int) -> Host | None:
        """The host, if it also decodes wholly."""
        ground, at = self._ground, head.position
        length, kind = struct.pack(">i", end - at - OVERHEAD), struct.pack(">b", magic)
        raw = head.raw[:LENGTH_AT] + length + head.raw[12:MAGIC_AT] + kind + head.raw[MAGIC_AT + 1 :]
        fresh = parse_head(raw, at)
        # its base offset is not asked here: it lies outside the CRC and is judged with its neighbours'
        if fresh is None or not is_sane(fresh, fresh.offset, ground.cap):
            return None
        patches = [
            Patch(at + place, head.raw[place : place + len(new)], new)
            for place, new in ((LENGTH_AT, length), (MAGIC_AT, kind))
            if head.raw[place : place + len(new)] != new
        ]
        if any(hole.start < end and at < hole.stop for hole in ground.source.unreadable):
            return None
        patched = PatchedSource(ground.source, [(p.position, p.after) for p in patches])
        resolved, outcome, _ = decode_all(patched, header_row(raw, at), ground.limits)
        if int(outcome[0]) != Outcome.OK:
            return None
        return Host(resolved, tuple(patches))

    def extent(self, position: int) -> int | None:
        """End of the batch that a sane header at ``position`` claims, if that claim leads on."""
        ground = self._ground
        head = ground.head(position)
        if head is None or ground.lead(position) not in (Lead.CANDIDATE, Lead.DATA_END):
            return None
        return head.stop

    def inside(self, head: Head, extent: int) -> int | None:
        """Start of what is believed inside a damaged host that ends at ``extent``; None when nothing is."""
        ground = self._ground
        table = ground.finder.inside(head.position + 1, extent)
        table = table.take(table.stop <= extent)
        if not len(table):
            return None
        named = np.flatnonzero(ground.index_agrees(decode_all(ground.source, table, ground.limits)[0]))
        if len(named):  # the claim is no more than a claim: the host ended there, or before
            extent = int(table.position[named[0]])
            first = self._up_to(head, table, extent)
            return extent if first is None else first
        return self._up_to(head, table, extent)

    def _up_to(self, head: Head, table: BatchTable, extent: int) -> int | None:
        """Start of a chain that ends where the claim ends and that no guest can be."""
        start, first = extent, None
        while True:
            ending = np.flatnonzero((table.stop == start) & (table.position < start))
            if not len(ending):
                break
            row = decode_all(self._ground.source, table.take(ending[:1]), self._ground.limits)[0]
            if not head.is_v2 and first is not None and int(row.last_offset[0]) + 1 != first:
                break
            start, first = int(row.position[0]), int(row.base_offset[0])
            if not head.is_v2 and first == head.last_offset + 1:
                break
        if start == extent:
            return None
        if head.is_v2:
            return start
        return start if first == head.last_offset + 1 and self._meets(table, start, extent) else None

    def _meets(self, table: BatchTable, start: int, extent: int) -> bool:
        """Whether the chain from ``start`` reaches exactly the offset of the batch at ``extent``."""
        ground = self._ground
        ending = table.take(np.flatnonzero(table.stop == extent)[:1])
        if extent >= ground.data_stop:
            return int(ending.last_offset[0]) + 1 == self._ceiling
        behind = ground.finder.inside(extent, extent + 1)
        if not len(behind):
            return False
        behind = decode_all(ground.source, behind, ground.limits)[0]
        return int(ending.last_offset[0]) + 1 == int(behind.base_offset[0])
