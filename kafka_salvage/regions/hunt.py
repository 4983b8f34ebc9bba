"""Hunt: from one believed batch to the next, over whatever lies between.

1. Follow the walk; what stands at position 0 or at the end of a believed batch is believed.
2. Where it stops, ask for the host first (`hosts`), then for the first candidate behind that may be believed (`belief`).
3. What was passed over is remembered with its reason. Every step ends further on in the file than it began.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from kafka_salvage.regions.belief import Belief, Side, Why
from kafka_salvage.regions.crossed import Crossed
from kafka_salvage.regions.finder import Chain
from kafka_salvage.regions.ground import Ground, Lead
from kafka_salvage.regions.heads import Head
from kafka_salvage.regions.hosts import Host, Hosts
from kafka_salvage.regions.over import KEPT, Overs
from kafka_salvage.regions.proven import Proven
from kafka_salvage.regions.rows import Rows
from kafka_salvage.regions.runs import Patch
from kafka_salvage.regions.unfolding import fold_marks
from kafka_salvage.scan.ahead import Ahead
from kafka_salvage.scan.batches import I64, BatchTable, Bool
from kafka_salvage.scan.resync import Sanity
from kafka_salvage.scan.walk import Stop, stop_of
from kafka_salvage.vector.doubts import Over

_MOST_STEPS = 64
_MOST_RETURNS = 16
"""Times that the walk is taken back to what it went over, whatever that costs …"""
_MOST_AGAIN = 4
"""… and how many times the bytes of the file may be walked again, before it goes over nothing any more."""

MOST_WITNESSES = 4
"""Headers of one damage that speak for their offsets; a file full of headers must not outvote its batches."""


@dataclass
class Damage:
    """A stretch between believed batches.

    Attributes:
        start, stop: bytes.
        fact: why the walk stopped there.
        heads: sane headers in it that begin a condemned batch: the one at its start, and those its claim leads through.
        embedded: candidates in it that are payload, as (start, stop).
    """

    start: int
    stop: int
    fact: Stop
    heads: list[Head] = field(default_factory=list)
    embedded: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Candidates that are not believed but may be true.

    Attributes:
        batches: they.
        why: `Why.INNER` or `Why.OPEN`.
    """

    batches: BatchTable
    why: Why


@dataclass(frozen=True, slots=True)
class Passed:
    """Candidates on the way to the next anchored one.

    Attributes:
        start: first byte.
        batches: they.
        why: what is known of them already.
        chain: the whole chain, where its neighbours decide; None when it is decided.
    """

    start: int
    batches: BatchTable
    why: Why
    chain: Chain | None = None


@dataclass
class Haul:
    """What a hunt brought: facts and beliefs of one file, before offsets and epochs are judged.

    Simply damaged batches are in ``over``, everything else that lies between rows in ``damages``.
    """

    rows: Rows = field(default_factory=Rows)
    damages: list[Damage] = field(default_factory=list)
    over: Overs = field(default_factory=Overs.none)
    doubts: list[Doubt] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)
    hosts: list[Proven] = field(default_factory=list)
    uncorroborated: list[I64] = field(default_factory=list)
    first_stop: Stop | None = None


class Hunt:
    """Goes through one file.

    Args:
        ground: the file.
        ceiling: first offset of the next one; None without.
        strict: what nothing corroborates is not believed.
        progress: told of bytes that were passed.
        over: the walk may go over simply damaged batches; has no influence on the result.
    """

    def __init__(
        self,
        ground: Ground,
        ceiling: int | None,
        strict: bool,
        progress: Callable[[int], None],
        *,
        over: bool = True,
    ) -> None:
        self._ground = ground
        self._ceiling = ceiling
        self._strict = strict
        self._progress = progress
        self._reached = 0
        self._hosts = Hosts(ground, ceiling)
        self._belief = Belief(ground, self._hosts)
        self._haul = Haul(Rows(ground.size))
        marks = fold_marks(ground.index_positions, ground.size)
        self._ahead = Ahead(ground.source, Sanity(ground.base, ground.cap), marks, over=over)
        self._over: list[I64] = []
        self._returns = 0
        self._went_over = 0
        self._again = 0
        self._passed: deque[Passed] = deque()
        self._anchor: Chain | None = None

    def run(self) -> Haul:
        """Everything from position 0 to the end of the file; ordinary small batches share rows."""
        position = 0
        try:
            while position < self._ground.size:
                stop = self._follow(position)
                if self._haul.first_stop is None:
                    self._haul.first_stop = stop
                if stop.position >= self._ground.size:
                    break
                position = self._across(stop)
        finally:
            self._ahead.close()
        if self._over:
            self._haul.over = Overs(np.concatenate(self._over))
        return self._haul

    def _reach(self, position: int) -> None:
        """Tells bytes up to ``position``, each once, also where the walk is taken back."""
        if position > self._reached:
            self._progress(position - self._reached)
            self._reached = position

    def _take(self, table: BatchTable, counts: I64 | None = None) -> None:
        self._haul.rows.add(table, counts)
        self._belief.saw(table)

    def _follow(self, position: int) -> Stop:
        """Believes batches from ``position`` on until the walk stops, and goes over what is simply damaged."""
        over = []
        for block in self._ahead.walk(position):
            self._take(block.batches, block.counts)
            if block.passed is not None and len(block.passed):
                over.append(block.passed)
            if len(block.batches):
                self._reach(int(block.batches.stop[-1]))
            if block.stop is not None:
                return self._confirmed(np.concatenate(over), block.stop) if over else block.stop
        raise AssertionError("a walk ends with a stop")

    def _confirmed(self, over: I64, stop: Stop) -> Stop:
        """Where the walk stopped, or the first batch that it must not have gone over.

        What stands behind each of them is believed if another one follows there (its header is sane, higher, and leads to
        a batch), or if it fits between its neighbours. Behind the last one the search for candidates tells.
        """
        ground, rows, last = self._ground, self._haul.rows, int(over[-1, Over.POSITION])
        self._passed.clear()
        self._anchor = None
        if self._haul.first_stop is None:
            self._haul.first_stop = stop_of(over[0])
        crossed = Crossed(over, *rows.seen(int(over[0, Over.POSITION])), ground)
        told = Overs(over).told(crossed.rows, crossed.counts, lambda: self._claims(stop.position), ground.base)
        told |= crossed.undecodable | crossed.odd
        told[:-1] |= crossed.undecodable[1:]
        anchored = crossed.anchored()
        tail, right = int(np.flatnonzero(anchored)[-1]) + 1 if anchored.any() else 0, None
        open_ones = np.flatnonzero(~anchored & ~told)
        if tail < len(over) and not told.any() and self._fit(crossed, open_ones[open_ones < tail], anchored).all():
            ground.begin(last)
            anchored[-1], right, known = self._behind_last(crossed, stop)
            told[tail:] |= not known
            open_ones = np.flatnonzero(~anchored & ~told)
        elif tail < len(over):
            told[tail:] = True
            open_ones = open_ones[open_ones < tail]
        told[open_ones] = ~self._fit(crossed, open_ones, anchored, right)
        first = int(np.argmax(told)) if told.any() else len(over)
        self._keep(crossed, first, open_ones[open_ones < first])
        self._went_over += first
        if first == len(over):
            return stop
        rows.cut(int(crossed.start[first]))
        self._returns += first < len(over) - 1
        self._again += stop.position - int(crossed.start[first])
        if self._returns > _MOST_RETURNS and self._again > _MOST_AGAIN * self._ground.size:
            self._ahead.stay()
        return stop_of(over[first])

    def _keep(self, crossed: Crossed, count: int, uncorroborated: I64) -> None:
        """Keeps the first of what the walk went over."""
        over, haul = crossed.over[:count], self._haul
        self._over.append(over[~crossed.is_host[:count], :KEPT])
        hosts = crossed.hosts.first(int(crossed.is_host[:count].sum()))
        if len(hosts):
            haul.hosts.append(hosts)
            haul.patches += hosts.patches()
        haul.uncorroborated.append(crossed.ends(uncorroborated))

    def _fit(self, crossed: Crossed, some: I64, anchored: Bool, right: Side | None = None) -> Bool:
        """Whether chains that nothing anchors are believed all the same."""
        return crossed.fit(some, anchored, right, self._ceiling) & (not self._strict)

    def _behind_last(self, crossed: Crossed, stop: Stop) -> tuple[bool, Side | None, bool]:
        """Whether the chain behind the last one is anchored, else the neighbour behind it; and whether that is all there is to say."""
        ground, before = self._ground, self._haul.rows.last
        head = ground.head(stop.position)
        higher = head is not None and before is not None and head.offset > before["last_offset"]
        if stop.position < ground.data_stop and higher and ground.lead(stop.position) is not Lead.NOWHERE:
            return True, None, True
        last = len(crossed.over) - 1
        start, behind = int(crossed.start[last]), int(crossed.stop[last])
        damage = Damage(start, ground.size, stop_of(crossed.over[last]))
        anchor = self._first_anchored(damage, behind, crossed.left(last))
        passed = list(self._passed)
        self._passed.clear()
        if not passed:
            known = anchor is not None and anchor.start == behind
            return known, None, known
        known = passed[0].start == behind and passed[0].chain is not None
        return False, self._side(anchor), known

    def _side(self, anchor: Chain | None) -> Side | None:
        """The anchored chain as a neighbour."""
        if anchor is None:
            return None
        row = self._belief.resolved(anchor.batches.take(slice(0, 1))).row(0)
        return Side(row["position"], row["base_offset"], row["leader_epoch"], row["magic"])

    def _claims(self, position: int) -> list[int]:
        """A position, and where claims lead from there, one after another."""
        ends, at = [position], position
        while len(ends) <= _MOST_STEPS and (head := self._ground.head(at)) is not None and self._ground.sane(at):
            at = head.stop
            ends.append(at)
        return ends

    def _left(self) -> Side:
        last = self._haul.rows.last
        if last is None:
            return Side(0, self._ground.base)
        stop = last["position"] + last["size"]
        return Side(stop, last["last_offset"] + 1, last["leader_epoch"], last["magic"])

    def _across(self, stop: Stop) -> int:
        """Over the damage at ``stop``; gives the start of the next believed batch, or the size of the file."""
        ground = self._ground
        damage = Damage(stop.position, ground.size, stop)
        self._haul.damages.append(damage)
        if stop.position >= ground.data_stop:
            return ground.size
        ground.begin(stop.position)
        at = search = stop.position
        while True:
            host = self._hosts.proved(at)
            if host is not None:
                return self._accept_host(damage, host)
            head = ground.head(at)
            if head is not None and ground.sane(at) and len(damage.heads) < MOST_WITNESSES:
                damage.heads.append(head)
            extent = self._hosts.extent(at)
            if head is None or extent is None:
                search = at + 1
                break
            inside = self._hosts.inside(head, extent)
            self._name_embedded(damage, at + 1, extent if inside is None else inside)
            if inside is not None:
                return self._close(damage, inside)
            at = search = extent
            if at >= ground.data_stop or ground.is_candidate(at):
                break
        return self._search(damage, search)

    def _accept_host(self, damage: Damage, host: Host) -> int:
        self._haul.patches += host.patches
        fact = damage.fact if host.start == damage.start else Stop(host.start, damage.fact.reason)
        head = self._ground.head(host.start)
        claim, magic = (0, 0) if head is None else (head.size, head.magic)
        self._haul.hosts.append(Proven.one(host.batch.row(0), claim, magic, fact))
        self._take(host.batch)
        if host.start == damage.start:
            self._haul.damages.pop()
        damage.stop = host.start
        self._reach(host.stop)
        return host.stop

    def _close(self, damage: Damage, position: int) -> int:
        damage.stop = position
        self._reach(position)
        return position

    def _name_embedded(self, damage: Damage, start: int, stop: int) -> None:
        table = self._ground.finder.inside(start, stop)
        damage.embedded += zip(table.position.tolist(), table.stop.tolist(), strict=True)

    def _search(self, damage: Damage, search: int) -> int:
        """First believed batch from ``search`` on; what is passed over is named."""
        left = self._left()
        self._look_ahead(damage, search, left)
        anchor = self._anchor
        right = self._side(anchor)
        while self._passed:
            one = self._passed.popleft()
            why = one.why
            if one.chain is not None:
                why = self._belief.fits_between(one.chain, left, right, self._ceiling)
                if why is Why.UNCORROBORATED and not self._strict:
                    self._haul.uncorroborated.append(np.array([[one.chain.start, one.chain.end]]))
                    return self._close(damage, one.chain.start)
            if why is Why.EMBEDDED:
                damage.embedded += zip(one.batches.position.tolist(), one.batches.stop.tolist(), strict=True)
            else:
                batches = one.batches if one.chain is None else self._ground.finder.whole(one.chain)
                self._haul.doubts.append(Doubt(batches, Why.INNER if why is Why.INNER else Why.OPEN))
        self._anchor = None
        if anchor is None:
            return self._close(damage, self._ground.size)
        return self._close(damage, anchor.start)

    def _look_ahead(self, damage: Damage, search: int, left: Side) -> None:
        """Candidates from ``search`` on up to the first that is anchored; what an earlier look saw is not judged again."""
        while self._passed and self._passed[0].start < search:
            self._passed.popleft()
        first = self._passed[0].start if self._passed else self._anchor.start if self._anchor is not None else None
        if first is not None and first == self._ground.finder.following(search):
            return
        self._passed.clear()
        self._anchor = self._first_anchored(damage, search, left)

    def _first_anchored(self, damage: Damage, search: int, left: Side) -> Chain | None:
        finder, belief = self._ground.finder, self._belief
        at = finder.following(search)
        while at is not None:
            chain = finder.chain(at)
            named = self._ground.named_by_index(chain.batches.take(slice(0, 1)))
            why, count = Why.EMBEDDED, 0 if named else belief.embedded_prefix(chain, left)
            if not count and not named:
                why, count = Why.INNER, belief.inner_prefix(chain, damage.start, left)
            if count:
                head = chain.batches.take(slice(0, count))
                self._passed.append(Passed(at, head, why))
                at = finder.following(int(head.stop[-1]))
                continue
            if belief.is_anchored(chain, damage.start, left):
                return chain
            self._passed.append(Passed(at, chain.batches, Why.OPEN, chain))
            at = finder.following(chain.end)
        return None
