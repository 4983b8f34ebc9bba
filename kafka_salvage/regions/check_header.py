"""Check of headers: what the bytes between believed batches are, in Kafka's words where Kafka has any."""

from __future__ import annotations

import numpy as np

from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.context import Place
from kafka_salvage.regions.heads import TORN_HEAD, Head
from kafka_salvage.regions.verdict import Finding
from kafka_salvage.scan.walk import Stop, StopReason
from kafka_salvage.source.source import Source

SECTOR = 512
"""A run of zeros of this length is named by itself."""
_PIECE = 1 << 20


def stop_code(fact: Stop, torn: bool) -> str:
    """Finding code of the place where a walk stopped."""
    if torn and fact.reason in (StopReason.SHORT, StopReason.LENGTH_PAST_END):
        return "torn-tail"
    if fact.reason is StopReason.SHORT:
        return "garbage"
    return str(fact.reason.value)


def stop_sentence(fact: Stop, claim: int | None, magic: int | None, left: int) -> str:
    """What a reader meets there.

    Args:
        fact: where the walk stopped.
        claim: bytes that the header there claims for the whole batch; None where no header is.
        magic: its magic.
        left: bytes from there to the end of the file.
    """
    if fact.reason is StopReason.CRC_MISMATCH:
        return f"Record is corrupt (stored crc = {fact.stored}, computed crc = {fact.computed})"
    if fact.reason is StopReason.LENGTH_PAST_END:
        return f"the length claims a batch of {fact.size or claim or 0} bytes, but {left} are left"
    if fact.reason is StopReason.LENGTH_TOO_SMALL:
        return f"Found record size {0 if claim is None else claim - 12} smaller than minimum record overhead (14)"
    if fact.reason is StopReason.BAD_MAGIC:
        return f"Unknown magic {'?' if magic is None else magic}: no batch begins here"
    if fact.reason is StopReason.UNREADABLE:
        return "the disk refused to give these bytes"
    return f"{left} bytes are too few for a batch"


def claim_of(head: Head | None) -> tuple[int | None, int | None]:
    """Whole size and magic that a header tells."""
    return (None, None) if head is None else (head.size, head.magic)


def damage_findings(
    place: Place,
    source: Source,
    fact: Stop,
    head: Head | None,
    start: int,
    stop: int,
    torn: bool,
    lost: OffsetRange | None,
) -> list[Finding]:
    """Findings of one stretch of damage.

    Args:
        place: for findings.
        source: the file.
        fact: why the walk stopped at ``start``.
        head: the header there.
        start: first byte.
        stop: end.
        torn: it runs to the end of the data, so that a batch may be cut off.
        lost: offsets that it took; None when none is missing across it.
    """
    zeros = longest_zeros(source, start, stop)
    if zeros == (start, stop):
        return [place.finding("zero-fill", start, stop, f"{stop - start} zero bytes where a batch should be", lost)]
    detail: dict[str, int | str] = {}
    if fact.reason is StopReason.CRC_MISMATCH:
        detail = {"stored": fact.stored, "computed": fact.computed}
    sentence = stop_sentence(fact, *claim_of(head), source.size - start)
    code = stop_code(fact, torn)
    if lost is None and not torn and code != "unreadable":
        detail = {**detail, "reason": code}
        code = "garbage"
    found = [place.finding(code, start, stop, sentence, lost, **detail)]
    if zeros is not None and zeros[1] - zeros[0] >= SECTOR:
        size = zeros[1] - zeros[0]
        found.append(place.finding("zero-fill", *zeros, f"{size} zero bytes inside damaged bytes", lost))
    return found


def longest_zeros(source: Source, start: int, stop: int) -> tuple[int, int] | None:
    """The longest run of zeros in ``[start, stop)``; None when there is no zero."""
    best = (start, start)
    run = start
    for at in range(start, stop, _PIECE):
        piece = source.read(at, min(stop, at + _PIECE))
        other = np.flatnonzero(piece) + at
        if not len(other):
            continue
        edges = np.concatenate([[run - 1], other])
        gaps = np.diff(edges) - 1
        widest = int(np.argmax(gaps))
        if int(gaps[widest]) > best[1] - best[0]:
            best = (int(edges[widest]) + 1, int(edges[widest + 1]))
        run = int(other[-1]) + 1
    if stop - run > best[1] - best[0]:
        best = (run, stop)
    return best if best[1] > best[0] else None


def tail_offsets(
    head: Head | None, following: int, available: int, ceiling: int | None, reaches: bool
) -> tuple[OffsetRange, bool]:
    """Offsets that a damaged end of a log took, and whether it may be more.

    Args:
        head: the header that the damage begins with, if it is sane.
        following: the offset that should come first.
        available: bytes of that header that are there.
        ceiling: first offset of the next segment; None for the last one.
        reaches: the claim of the header ends with the data, or behind it.
    """
    if ceiling is not None:
        return OffsetRange(following, max(following, ceiling)), False
    if head is not None and head.is_v2 and available >= TORN_HEAD and head.last_offset >= following:
        # what is there of a whole batch is damaged somewhere: its delta counts if the record count agrees with it
        agrees = available < head.size or head.count == (head.delta or 0) + 1
        told = head.last_offset if agrees else head.offset + min(head.count or 0, (head.delta or 0) + 1) - 1
        return OffsetRange(following, max(told, following) + 1), not (agrees and reaches)
    if head is not None and not head.is_v2 and head.offset > following:
        # the header's own offset is the last one that it stands for
        return OffsetRange(following, head.offset + 1), True
    return OffsetRange(following, following + 1), True
