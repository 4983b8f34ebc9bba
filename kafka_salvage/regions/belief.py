"""Belief: which of the candidates behind damage are batches of this log, and which are somebody's payload.

The CRC proves what a batch holds, not where it belongs. Rules 2 and 3 of the section on belief, asked of whole chains:

2. Never believed: a chain that its own total length precedes is a record's value; an uncompressed 0/1 message after damage
   in a file that holds wrappers of the same magic may be the inside of a damaged compressed set.
3. Believed: what an index entry names; what meets the end of the data, a believed batch, a proved host, or a sane header
   that leads on; and, named `uncorroborated`, what fits between two damaged stretches by offsets and epochs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from kafka_salvage.regions.decoding import resolve_wrappers
from kafka_salvage.regions.finder import Chain
from kafka_salvage.regions.ground import Ground, Lead
from kafka_salvage.regions.hosts import Hosts
from kafka_salvage.scan.batches import BatchTable

HEADERS = (26, 34, 61)
"""Bytes of the header of a message of magic 0 and 1, its empty key and value included, and of a v2 batch."""
LONE_DAMAGE = 26
"""A lone 0/1 message that ends the data needs fewer bytes of damage before it: no message header fits into them."""
FEW_GUESTS = 3
"""Batches at the end of a torn tail that may be its payload."""
MOST_GUESTS = 64 << 20
"""A value that holds batches is no larger; four bytes before a batch that tell more are chance."""
_MOST_STEPS = 64
"""Sane headers followed behind a chain, to see whether the length before it means them too."""


class Why(Enum):
    """Why candidates are not believed, or are."""

    EMBEDDED = "embedded"
    INNER = "inner"
    OPEN = "open"
    COPY = "copy"
    BELIEVED = "believed"
    UNCORROBORATED = "uncorroborated"


@dataclass(frozen=True, slots=True)
class Side:
    """A believed neighbour across damage.

    Attributes:
        position: where its bytes end (left) or begin (right).
        offset: next offset (left) or first offset (right).
        epoch: leader epoch; -1 unknown.
        magic: -1 for the file's own edge.
    """

    position: int
    offset: int
    epoch: int = -1
    magic: int = -1

    @property
    def is_edge(self) -> bool:
        """The beginning of the file, not a batch."""
        return self.magic < 0


class Belief:
    """Judges chains of one file."""

    def __init__(self, ground: Ground, hosts: Hosts) -> None:
        self._ground = ground
        self._hosts = hosts
        self._wrappers: set[int] | None = None
        self._known_wrappers: set[int] = set()
        self._resolved: dict[int, BatchTable] = {}

    def saw(self, table: BatchTable) -> None:
        """Tells of believed batches: which magics have wrappers here."""
        wrappers = table.is_wrapper
        if wrappers.any():
            self._known_wrappers.update(np.unique(table.magic[wrappers]).tolist())

    def embedded_prefix(self, chain: Chain, left: Side) -> int:
        """How many batches at the head of the chain are one record's value, by the length before them or the torn host."""
        start = chain.start
        before = self._ground.source.read(max(0, start - 5), start).tobytes()
        ends = chain.batches.stop - start
        if len(before) >= 4:
            told = int.from_bytes(before[-4:], "big", signed=True)
            at = int(np.searchsorted(ends, told))
            if told > 0 and at < len(ends) and int(ends[at]) == told:
                return at + 1
            if told > int(ends[-1]) and self._is_boundary(chain, start + told):
                return len(ends)
        # a v2 record goes on behind its value with a header count: nothing touches there, but its own torn or damaged members
        for told in _varints_before(before):
            short = told < 1 << 13 and left.magic not in (-1, 2)
            if not short and told >= chain.end - start and self._is_boundary(chain, start + told):
                return len(ends)
        return self._torn_prefix(chain, left)

    def _is_boundary(self, chain: Chain, position: int) -> bool:
        """Whether a batch of the chain's unsearched rest begins there, or a sane header's claim behind it ends there."""
        if position < chain.end:
            return chain.rest > 0 and self._ground.is_candidate(position)
        if position == chain.end:
            return True
        return position - chain.start <= MOST_GUESTS and self._claims_lead_to(chain, position)

    def _claims_lead_to(self, chain: Chain, position: int) -> bool:
        """Whether claims of sane headers that follow a chain one after another end there; the last may be torn."""
        at = chain.end
        for _ in range(_MOST_STEPS):
            head = self._ground.head(at)
            if head is None or at >= position or not self._ground.sane(at):
                break
            at = head.stop
        return at == position

    def inner_prefix(self, chain: Chain, damage_start: int, left: Side) -> int:
        """How many messages at the head of the chain may come from the inside of a damaged wrapper."""
        table = chain.batches
        magic = int(table.magic[0])
        if magic > 1 or bool(table.is_wrapper[0]) or not self._file_has_wrappers(magic, chain):
            return 0
        if len(self._ground.finder.claims_ending_at(chain.start, damage_start)) or self._led_to(
            damage_start, chain.start
        ):
            return 0
        other = np.flatnonzero((table.magic != magic) | table.is_wrapper)
        plain = int(other[0]) if len(other) else len(table)
        if int(table.offset[0]) == left.offset and plain < len(table):
            behind = self.resolved(table.take(slice(plain, plain + 1)))
            if int(table.last_offset[plain - 1]) + 1 == int(behind.base_offset[0]):
                return 0
        return plain

    def _led_to(self, damage_start: int, position: int) -> bool:
        ground = self._ground
        at = damage_start
        while at < position and ground.sane(at):
            head = ground.head(at)
            if head is None:
                return False
            at = head.stop
        return at == position

    def _file_has_wrappers(self, magic: int, chain: Chain) -> bool:
        """Whether the file holds a wrapper of this magic; the rest of the file is looked at once at most."""
        if magic in self._known_wrappers:
            return True
        if self._wrappers is None:
            self._wrappers = set()
            at: int | None = chain.start
            while at is not None:
                one = self._ground.finder.chain(at)
                self._wrappers |= one.wrappers
                at = self._ground.finder.following(one.end)
        return magic in self._wrappers

    def resolved(self, table: BatchTable) -> BatchTable:
        """A few batches with the offsets of wrappers filled in."""
        return resolve_wrappers(self._ground.source, table, self._ground.limits)

    def edge(self, chain: Chain) -> tuple[int, int]:
        """First offset and next offset of a chain."""
        return int(self.resolved(chain.batches.take(slice(0, 1))).base_offset[0]), chain.last_offset + 1

    def is_anchored(self, chain: Chain, damage_start: int, left: Side) -> bool:
        """Rules 3 (i) and (iii)."""
        ground = self._ground
        if chain.named or (len(ground.index_positions) and ground.named_by_index(self._near_index(chain))):
            return True
        end = chain.end
        if end >= ground.data_stop:
            return self._may_end_the_data(chain, damage_start, left)
        head = ground.head(end)
        if head is not None and head.offset > chain.last_offset and ground.lead(end) is not Lead.NOWHERE:
            return True
        return self._hosts.proved(end) is not None

    def _near_index(self, chain: Chain) -> BatchTable:
        """The members that an index entry names by position, resolved."""
        table, named = chain.batches, self._ground.index_positions
        at = np.minimum(np.searchsorted(named, table.position), len(named) - 1)
        return self.resolved(table.take(np.flatnonzero(named[at] == table.position)))

    def _torn_prefix(self, chain: Chain, left: Side) -> int:
        """How many batches are the payload of a torn one: a few at the end of the data, with offsets that it claims itself.

        A header that does not go on from the batch before is no witness; many batches are more than a payload.
        """
        ground = self._ground
        head = ground.head(left.position)
        if head is None or len(chain) > FEW_GUESTS or chain.end < ground.data_stop or not ground.sane(left.position):
            return 0
        torn = head.stop > ground.size and head.offset == left.offset
        return len(chain.batches) if torn and self.edge(chain)[0] <= head.last_offset else 0

    def _may_end_the_data(self, chain: Chain, damage_start: int, left: Side) -> bool:
        if len(chain) > 1 or int(chain.batches.magic[0]) > 1:
            return True
        return chain.start - damage_start < LONE_DAMAGE or self.edge(chain)[0] > left.offset

    def fits_between(self, chain: Chain, left: Side, right: Side | None, ceiling: int | None) -> Why:
        """Rule 3 (iv).

        A host needs room for its header, and so does a batch that was lost: a chain so near behind its left neighbour that
        no header fits between is nobody's payload; offsets that are free where no header fits are no sign of a loss.
        """
        first, following = self.edge(chain)
        header = HEADERS[int(chain.batches.magic.min())]
        near = chain.start - left.position < HEADERS[0] and first == left.offset
        if right is None and len(chain) < 2 and not near:
            return Why.OPEN
        if not near and (first == left.offset or (right is not None and following == right.offset)):
            return Why.EMBEDDED
        if first < left.offset or (right is not None and following > right.offset):
            return Why.OPEN
        if not near and chain.start - left.position < header:
            return Why.OPEN
        if right is not None and following < right.offset and right.position - chain.end < header:
            return Why.OPEN
        if ceiling is not None and following > ceiling:
            return Why.OPEN
        lowest, highest = chain.epochs
        if highest >= 0 and (lowest < left.epoch or (right is not None and 0 <= right.epoch < highest)):
            return Why.OPEN
        return Why.UNCORROBORATED


def _varints_before(before: bytes) -> list[int]:
    """Sizes that a varint at the end of these bytes may tell, zigzag or plain."""
    found = []
    for start in range(len(before) - 1, -1, -1):
        if start < len(before) - 1 and before[start] < 0x80:
            break
        value = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(before[start:]))
        if before[-1] < 0x80:
            found += [value, value >> 1] if not value & 1 else [value]
    return [size for size in found if size > 0]
