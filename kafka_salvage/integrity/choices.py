"""Choice: what the flags of a verb mean, before anything is read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TypedDict

from kafka_salvage.errors import RequestError
from kafka_salvage.plan.policy import Include, Isolation, Policy, Selection, Undecided
from kafka_salvage.progress import Progress
from kafka_salvage.scan.limits import Limits


class Flags(TypedDict, total=False):
    """Choices that the verbs share; the names are those of the command line."""

    topic: str | Sequence[str]
    topic_regex: str | None
    partition: int | None
    from_offset: int | None
    to_offset: int | None
    from_datetime: dt.datetime | str | None
    to_datetime: dt.datetime | str | None
    internal: bool
    include: Sequence[str]
    prefer: str | None
    same_cluster: bool
    strict: bool
    isolation: str
    undecided: str
    leader_epoch: int | None
    topic_id: Mapping[str, str]
    show_secrets: bool
    jobs: int | None
    memory: int
    inflate_ratio: int
    inflate_cap: int
    progress: Progress | None


def limits_of(flags: Flags) -> Limits:
    """Bounds of decompression."""
    memory = flags.get("memory", 512 << 20)
    return Limits(ratio=flags.get("inflate_ratio", 1024), cap=min(flags.get("inflate_cap", 256 << 20), memory // 2))


def _milliseconds(moment: dt.datetime | str | None) -> int | None:
    if moment is None:
        return None
    at = dt.datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    at = at if at.tzinfo else at.replace(tzinfo=dt.UTC)
    return (at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)


def make_policy(flags: Flags) -> Policy:
    """The choices as one value.

    Raises:
        RequestError: a value is none of those allowed.
    """
    topic = flags.get("topic", ())
    selection = Selection(
        topics=frozenset([topic] if isinstance(topic, str) else topic),
        topic_regex=flags.get("topic_regex"),
        partition=flags.get("partition"),
        from_offset=flags.get("from_offset"),
        to_offset=flags.get("to_offset"),
        from_timestamp=_milliseconds(flags.get("from_datetime")),
        to_timestamp=_milliseconds(flags.get("to_datetime")),
        internal=flags.get("internal", False),
    )
    try:
        return Policy(
            selection=selection,
            include=frozenset(Include(name) for name in flags.get("include", ())),
            isolation=Isolation(flags.get("isolation", "read_uncommitted")),
            undecided=Undecided(flags.get("undecided", "withhold")),
            prefer=flags.get("prefer"),
            same_cluster=flags.get("same_cluster", False),
            strict=flags.get("strict", False),
            leader_epoch=flags.get("leader_epoch"),
            topic_ids=dict(flags.get("topic_id", {})),
            show_secrets=flags.get("show_secrets", False),
        )
    except ValueError as error:
        raise RequestError(str(error)) from error
