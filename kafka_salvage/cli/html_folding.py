"""Folding: long lists made short enough for a page, without losing what they add up to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

EXACT = (1 << 53) - 1
"""The largest integer that a browser's number holds exactly; larger ones go as text."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a page holds at most; what is beyond is counted on the page, and whole in the JSON report.

    Attributes:
        partitions, segments, findings: rows of each table, the worst first.
        spans: ranges of all ledgers, before those of the longest ledgers are folded.
        regions: regions of all segments, likewise.
        given: ranges that tell which copy gave what, likewise.
        copies: copies of one partition.
        heads: hex views.
        words: characters of one text.
    """

    partitions: int = 20_000
    segments: int = 20_000
    findings: int = 5_000
    spans: int = 150_000
    regions: int = 300_000
    given: int = 100_000
    copies: int = 16
    heads: int = 400
    words: int = 320


def allowance(sizes: Iterable[int], budget: int) -> int:
    """The largest length that all lists may have so that together they stay within ``budget``; at least 1."""
    ordered = sorted(sizes)
    left = budget
    for place, size in enumerate(ordered):
        share = left // (len(ordered) - place)
        if size > share:
            return max(share, 1)
        left -= size
    return max(ordered[-1] if ordered else 1, 1)


def folded(rows: Sequence[T], most: int) -> list[Sequence[T]]:
    """Neighbouring rows in at most ``most`` groups of about the same number."""
    size = max(-(-len(rows) // most), 1)
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def spread(groups: Sequence[Sequence[T]], most: int) -> list[T]:
    """At most ``most`` rows of all groups: the first of each, as many of each as of the others."""
    kept = allowance((len(group) for group in groups), most)
    return [row for group in groups for row in group[:kept]][:most]


def exact(value: int | None) -> Any:
    """An integer as a browser reads it without rounding: a number, or text where its numbers end."""
    return value if value is None or -EXACT <= value <= EXACT else str(value)
