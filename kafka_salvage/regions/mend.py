"""Mend: repairs of base offset and leader epoch that the neighbours prove, and what cannot be mended.

Every repair keeps its finding, with the bytes before and after.
"""

from __future__ import annotations

import struct

import numpy as np

from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.check_epochs import EpochsAround, outlying_epochs
from kafka_salvage.regions.check_offsets import END
from kafka_salvage.regions.context import Place
from kafka_salvage.regions.judged import DUPLICATE, INTACT, REPAIRED, SUSPECT, Judged
from kafka_salvage.regions.moved import CODE, EPOCH_AT, Aged, Moved
from kafka_salvage.regions.repeated import ENOUGH
from kafka_salvage.regions.runs import Patch
from kafka_salvage.regions.slots import Standing, slots
from kafka_salvage.scan.batches import I64, U32, BatchTable, Bool
from kafka_salvage.source.source import Source

_COMPARE = 1 << 20
_NEIGHBOURS = "its neighbours, which leave exactly one place"


class Mender:
    """Repairs rows of one file.

    Args:
        judged: rows and verdicts; changed in place.
        place: for findings.
        low: first offset that the file may hold; None when its name is not believed.
        high: first offset of the next file; None without.
        data_stop: where the file's data ends.
    """

    def __init__(self, judged: Judged, place: Place, low: int | None, high: int | None, data_stop: int) -> None:
        self._judged = judged
        self._place = place
        self._low = low
        self._high = high
        self._data_stop = data_stop
        self._first_bytes: dict[int, bytes] = {}
        self._standing: Standing | None = None

    def prove_wrappers(self) -> None:
        """Wrappers whose own records prove the offset: all of magic 0; of magic 1 those with 0, which means "as inside"."""
        table = self._judged.table
        proved = table.is_wrapper & (table.offset != table.last_offset)
        for row in np.flatnonzero(proved).tolist():
            self._put(row, int(table.last_offset[row]), "its last message, which the CRC covers")

    def outliers(self, chain: Bool, source: Source, held: Bool, gapless: bool | None) -> int:
        """Rows off the chain: one is a duplicate, fits exactly one place, or is suspect.

        Args:
            chain: rows that are on it.
            source: the file.
            held: rows of the chain that more than their own header holds there.
            gapless: whether the log has no gaps, so that one of its rows may lie beside them; None while nobody knows.

        Returns:
            How many groups of rows fit only in a log without gaps; they are suspect unless it is known to be one.
        """
        off = np.flatnonzero(~chain)
        unsure = 0
        judged = self._judged
        copies = Copies(judged.table, chain, judged.table.crc[off], judged.table.offset[off], source)
        copied = copies.among(judged.table, off)
        judged.verdict[off[copied]] = DUPLICATE
        on, off = np.flatnonzero(chain), off[~copied]
        heads = np.flatnonzero(np.append(True, np.diff(off) > 1)) if len(off) else off
        tails = np.append(heads[1:], len(off))
        at = 0
        while at < len(heads):
            fits, first = self._slots(off, heads[at:], tails[at:], on)
            until = len(heads)
            for number in (at + np.flatnonzero(~fits)).tolist():
                found, moved = self._unfit(off[heads[number] : tails[number]].tolist(), on, held, gapless)
                unsure += found
                if moved:  # what is believed has changed
                    until = number + 1
                    break
            put = np.flatnonzero(fits[: until - at])
            self._move_all(off[heads[at + put]], first[put])
            at = until
        return unsure

    def _slots(self, off: I64, heads: I64, tails: I64, on: I64) -> tuple[Bool, I64]:
        """Which groups are one row that has exactly one place, and its first offset."""
        fits, first = np.zeros(len(heads), np.bool_), np.zeros(len(heads), np.int64)
        alone = np.flatnonzero(tails - heads == 1)
        rows = off[heads[alone]]
        judged = self._judged
        fits[alone], first[alone] = slots(judged.table, rows, self._among(on), self._low, self._high, self._data_stop)
        if self._first_bytes:
            fits[alone] &= ~np.isin(rows, list(self._first_bytes))
        return fits, first

    def _unfit(self, group: list[int], on: I64, held: Bool, gapless: bool | None) -> tuple[bool, bool]:
        """One group of rows: whether it fits with a neighbour only, and whether that neighbour was moved."""
        if self._put_in_place(group, on):
            return False, False
        row = None if gapless is False else self._liar_beside(group, on, held)
        moved = row is not None and gapless is True and self._put_in_place(sorted([row, *group]), on[on != row])
        if not moved:
            self._suspect(group, on)
        return row is not None, moved

    def _liar_beside(self, group: list[int], on: I64, held: Bool) -> int | None:
        """The neighbour that leaves a group too little, where both fill exactly what lies around them."""
        room = self._room(group, on)
        if room is None or not 0 < room[1] - room[0] < sum(self._span(row) for row in group):
            return None  # with no offset between them, the two may have changed places
        if self._elsewhere(group, on) is not None:
            return None  # bytes that were moved, from the end of the log, too
        for row in self._neighbours(group[0], on):
            if row is not None and not held[row] and self._only_place([*group, row], on[on != row]) is not None:
                return row
        return None

    def _neighbours(self, row: int, on: I64) -> tuple[int | None, int | None]:
        at = int(np.searchsorted(on, row))
        return (int(on[at - 1]) if at else None), (int(on[at]) if at < len(on) else None)

    def _room(self, group: list[int], on: I64) -> tuple[int, int] | None:
        """Offsets ``[low, high)`` between the neighbours of a group, if both touch it."""
        table = self._judged.table
        before, _ = self._neighbours(group[0], on)
        _, behind = self._neighbours(group[-1], on)
        start, stop = int(table.position[group[0]]), self._stop(group[-1])
        if before is not None:
            low = int(table.last_offset[before]) + 1 if self._stop(before) == start else None
        else:
            low = self._low if start == 0 else None
        if behind is not None:
            high = int(table.base_offset[behind]) if int(table.position[behind]) == stop else None
        else:
            high = self._high if stop >= self._data_stop else None
        inner = np.array(group)
        if low is None or high is None:
            return None
        together = table.position[inner[:-1]] + table.size[inner[:-1]] == table.position[inner[1:]]
        return (low, high) if together.all() else None

    def _stop(self, row: int) -> int:
        """Position behind a row, without those of all others."""
        table = self._judged.table
        return int(table.position[row]) + int(table.size[row])

    def _among(self, on: I64) -> Standing:
        """What is known of the rows that the others are held against, asked once for all of them."""
        if self._standing is None or self._standing.on is not on:
            self._standing = Standing(self._judged.table, on)
        return self._standing

    def _only_place(self, group: list[int], on: I64) -> int | None:
        """First offset of the one place that the neighbours leave a group; None when they leave another, or it has one."""
        room = self._room(sorted(group), on)
        if room is None or room[1] - room[0] != sum(self._span(row) for row in group) or self._has_a_place(group, on):
            return None
        return room[0]

    def _put_in_place(self, group: list[int], on: I64) -> bool:
        at = self._only_place(group, on)
        if at is None:
            return False
        for row in group:
            span = self._span(row)
            self._move(row, at + span - 1, _NEIGHBOURS)
            at += span
        return True

    def _has_a_place(self, group: list[int], on: I64) -> bool:
        """Whether records prove the offsets, or they are free elsewhere in the file: then the bytes were moved."""
        table = self._judged.table
        if bool((table.is_wrapper[group] & (table.magic[group] == 0)).any()):
            return True
        free = self._elsewhere(group, on)
        return free is not None and len(on) > 0 and free.stop < self._among(on).top

    def _move(self, row: int, last: int, witness: str) -> None:
        """Gives a row another place by its last offset."""
        table = self._judged.table
        if self._standing is not None and self._standing.has(row):
            self._standing = None
        table.base_offset[row] = last - self._span(row) + 1
        table.last_offset[row] = last
        self._put(row, int(table.base_offset[row]) if int(table.magic[row]) >= 2 else last, witness)

    def _move_all(self, rows: I64, first: I64) -> None:
        """Gives rows the places that their neighbours leave them."""
        judged, table = self._judged, self._judged.table
        last = first + (table.last_offset[rows] - table.base_offset[rows])
        old, new = table.offset[rows], np.where(table.magic[rows] >= 2, first, last)
        table.base_offset[rows], table.last_offset[rows], table.offset[rows] = first, last, new
        verdict = judged.verdict[rows]
        judged.verdict[rows] = np.where(verdict == INTACT, REPAIRED, verdict)
        start = table.position[rows]
        before, after = (column.astype(">i8").tobytes() for column in (old, new))
        for at, row, place in zip(range(0, 8 * len(rows), 8), rows.tolist(), start.tolist(), strict=True):
            patch = Patch(place, before[at : at + 8], after[at : at + 8])
            self._first_bytes[row] = patch.before
            judged.patches.append(patch)
        moved = Moved(old, new, start, start + table.size[rows], first, last + 1)
        if len(rows) < ENOUGH:
            judged.findings.extend(
                moved.finding(self._place, at, before[8 * at :][:8], _NEIGHBOURS) for at in range(len(rows))
            )
        else:
            judged.say(moved.sheet(self._place, _NEIGHBOURS))

    def _span(self, row: int) -> int:
        """Offsets that a row stands for; its own offsets may be so absurd that they wrap."""
        table = self._judged.table
        return (int(table.last_offset[row]) - int(table.base_offset[row])) % (1 << 64) + 1

    def _put(self, row: int, offset: int, witness: str) -> None:
        """Exchanges the offset field."""
        judged, table = self._judged, self._judged.table
        old, start = int(table.offset[row]), int(table.position[row])
        before, after = self._first_bytes.get(row, struct.pack(">q", old)), struct.pack(">q", offset)
        if row in self._first_bytes:  # moved a second time: one patch tells both
            judged.patches = [patch for patch in judged.patches if patch.position != start]
            judged.forget(CODE, start)
        table.offset[row] = offset
        judged.mark_repaired(row)
        self._first_bytes[row] = before
        judged.patches.append(Patch(start, before, after))
        numbers = old, offset, start, self._stop(row), int(table.base_offset[row]), int(table.last_offset[row]) + 1
        moved = Moved(*(np.array([number], np.int64) for number in numbers))
        judged.findings.append(moved.finding(self._place, 0, before, witness))

    def _suspect(self, group: list[int], on: I64) -> None:
        """Rows that follow each other and fit nowhere for certain."""
        judged, table = self._judged, self._judged.table
        before, _ = self._neighbours(group[0], on)
        _, behind = self._neighbours(group[-1], on)
        low = int(table.last_offset[before]) + 1 if before is not None else self._low
        high = int(table.base_offset[behind]) if behind is not None else self._high
        first, last = int(table.base_offset[group[0]]), int(table.last_offset[group[-1]])
        hole = OffsetRange(low, high) if low is not None and high is not None and low < high else None
        if hole is None:
            hole = self._elsewhere(group, on)
        if hole is None and low is not None and behind is None and high is None:
            hole = OffsetRange(low, low + sum(self._span(row) for row in group))
        if hole is not None and hole.stop > END:
            hole = OffsetRange(min(hole.start, END - 1), END)
        judged.verdict[group] = SUSPECT
        judged.holes[group[0]] = hole
        backwards = low is not None and first < low
        code = (
            "offset-backwards" if backwards else "offset-overlap" if high is not None and last >= high else "offset-gap"
        )
        what = (
            f"offsets {first}..{last} do" if len(group) == 1 else f"offsets of {len(group)} batches, {first} first, do"
        )
        message = f"{what} not fit between {low} and {high if high is not None else 'the end'}"
        detail = {"first_offset": first, "last_offset": last, "batches": len(group)}
        start, stop = int(table.position[group[0]]), self._stop(group[-1])
        judged.findings.append(self._place.finding(code, start, stop, message, hole, **detail))

    def _elsewhere(self, group: list[int], on: I64) -> OffsetRange | None:
        """The offsets that the rows have themselves, where their neighbours leave none: free, and inside the log or next."""
        table = self._judged.table
        first, last = int(table.base_offset[group].min()), int(table.last_offset[group].max())
        among = self._among(on)
        top = among.top if len(on) else self._low
        if top is not None and self._high is None:
            top += max(0, int(table.position[group[0]]) - among.stop)  # a record takes a byte at least
        inside = last < self._high if self._high is not None else top is None or first <= top
        free = inside and (self._low or 0) <= first <= last and not among.takes(first, last)
        return OffsetRange(first, last + 1) if free else None

    def doubt(self, group: list[int]) -> None:
        """Rows that follow each other and leave a gap to a batch they touch, in a log without gaps."""
        on = np.flatnonzero(self._judged.placed)
        on = on[~np.isin(on, group)]
        if not self._put_in_place(group, on):
            self._suspect(group, on)

    def epochs(self, known: EpochsAround, doubted: I64) -> None:
        """Leader epochs that neither their neighbours nor the checkpoint confirm.

        Args:
            known: what the copy says of epochs.
            doubted: rows whose epoch field lies between damaged bytes.
        """
        judged, table = self._judged, self._judged.table
        rows = np.flatnonzero(judged.placed & (table.magic >= 2))
        epochs, first = table.leader_epoch[rows], table.base_offset[rows]
        doubtful = np.isin(rows, doubted) if len(doubted) else np.zeros(len(rows), np.bool_)
        wrong = outlying_epochs(epochs, first, known, doubtful)
        if not len(wrong):
            return
        judged.table = table.replace(leader_epoch=table.leader_epoch.copy())
        good = np.delete(np.arange(len(rows)), wrong)
        places = np.searchsorted(good, wrong)
        put = np.empty(len(wrong), np.int64)
        for number, (at, place) in enumerate(zip(wrong.tolist(), places.tolist(), strict=True)):
            low = int(epochs[good[place - 1]]) if place else known.low
            high = int(epochs[good[place]]) if place < len(good) else known.high
            put[number] = known.between(low, high, int(first[at]))
        other = np.flatnonzero(put != epochs[wrong])
        self._set_epochs(rows[wrong[other]], put[other])

    def _set_epochs(self, rows: I64, epochs: I64) -> None:
        judged, table = self._judged, self._judged.table
        old, start = table.leader_epoch[rows].astype(np.int64), table.position[rows]
        table.leader_epoch[rows] = epochs
        before, after = (column.astype(">i4").tobytes() for column in (old, epochs))
        for at, place in zip(range(0, 4 * len(rows), 4), start.tolist(), strict=True):
            judged.patches.append(Patch(place + EPOCH_AT, before[at : at + 4], after[at : at + 4]))
        verdict = judged.verdict[rows]
        judged.verdict[rows] = np.where(verdict == INTACT, REPAIRED, verdict)
        stop, behind = start + table.size[rows], table.last_offset[rows] + 1
        aged = Aged(old, epochs, start, stop, table.base_offset[rows], behind)
        if len(rows) < ENOUGH:
            judged.findings.extend(aged.finding(self._place, at) for at in range(len(rows)))
        else:
            judged.say(aged.sheet(self._place))


class Copies:
    """Finds believed batches that hold the same bytes as others; one comparison for each question.

    Args:
        table: all batches.
        among: those that count as the original.
        wanted: CRCs that will be asked for.
        offsets: first eight bytes that will be asked for.
        source: the file.
    """

    def __init__(self, table: BatchTable, among: Bool, wanted: U32, offsets: I64, source: Source) -> None:
        rows = np.flatnonzero(among & np.isin(table.offset, offsets))
        rows = rows[np.isin(table.crc[rows], wanted)]
        keys = zip(table.offset[rows].tolist(), table.crc[rows].tolist(), table.size[rows].tolist(), strict=True)
        self._places: dict[tuple[int, int, int], int] = {}
        for key, position in zip(keys, table.position[rows].tolist(), strict=True):
            self._places.setdefault(key, position)
        self._offsets = table.offset[rows]
        self._source = source

    def among(self, table: BatchTable, rows: I64) -> Bool:
        """Which rows of ``table`` are copies, see `has`."""
        copied = np.zeros(len(rows), np.bool_)
        possible = np.isin(table.offset[rows], self._offsets) if len(self._offsets) else copied
        for at in np.flatnonzero(possible).tolist():
            copied[at] = self.has(table, int(rows[at]))
        return copied

    def has(self, table: BatchTable, row: int) -> bool:
        """Whether one of the originals stands elsewhere and holds the same bytes as a row of ``table``."""
        size, at = int(table.size[row]), int(table.position[row])
        place = self._places.get((int(table.offset[row]), int(table.crc[row]), size))
        return place is not None and place != at and _equal(self._source, at, place, size)


def _equal(source: Source, one: int, other: int, size: int) -> bool:
    for at in range(0, size, _COMPARE):
        stop = min(size, at + _COMPARE)
        if not np.array_equal(source.read(one + at, one + stop), source.read(other + at, other + stop)):
            return False
    return True
