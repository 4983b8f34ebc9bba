"""Verdict and Finding: what is said of bytes, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from kafka_salvage.ranges import OffsetRange


class Verdict(StrEnum):
    """Verdicts of bytes; each byte of a segment file has exactly one."""

    INTACT = "intact"
    REPAIRED = "repaired"
    SUSPECT = "suspect"
    UNDECODABLE = "undecodable"
    DUPLICATE = "duplicate"
    DAMAGED = "damaged"
    FOREIGN = "foreign"
    BLANK = "blank"
    UNREADABLE = "unreadable"
    UNREAD = "unread"


QUARANTINED = frozenset({Verdict.DAMAGED, Verdict.FOREIGN, Verdict.SUSPECT, Verdict.UNDECODABLE})
"""Verdicts whose bytes a salvage keeps aside."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A fact with a code, a place and evidence. Ids are given when a report is written.

    Attributes:
        code: stable slug, described in docs/findings.md.
        source: display name of the source.
        path: file, relative to the source.
        start, stop: byte range in that file.
        offsets: log offsets concerned, None when unknown.
        message: one sentence, in Kafka's words where Kafka has any. Never payload bytes.
        detail: evidence: integers, strings, booleans, lists of them.
    """

    code: str
    source: str
    path: str
    start: int
    stop: int
    offsets: OffsetRange | None
    message: str
    detail: Mapping[str, Any] = field(default_factory=dict)
