"""ReplayChoices: what the person decides about a replay, as one value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kafka_salvage.errors import RequestError
from kafka_salvage.plan.plan import Transaction

NOW = "now"
COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")
_LEGAL = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_ADDED = {"open": Transaction.OPEN, "unknown": Transaction.UNKNOWN, "aborted": Transaction.ABORTED}


def legal_topic(name: str) -> bool:
    """Whether a cluster would take a topic of this name."""
    return _LEGAL.fullmatch(name) is not None and name not in (".", "..")


@dataclass(frozen=True, slots=True)
class ReplayChoices:
    """The choices that what is sent, and how, depends on.

    Attributes:
        topic_map: old name -> new name; topics that are not in it keep theirs.
        include: transactions that are sent besides plain and committed ones: ``open``, ``unknown``, ``aborted``; and
            ``divergent``: branches that lost, each to a topic of its own.
        missing_timestamp: for records without one: ``now``, milliseconds, or None: such records are not sent.
        create_topics: make topics that are not there.
        replication_factor: of these; None leaves it to the broker.
        topic_configs: of these, over what was recovered.
        append: the target may hold records that are none of ours, before ours and between them.
        force: go on although the target would change or delete records.
        transactions: False never uses them.
        compression: codec of the batches that are sent; None leaves it to librdkafka's settings.
        batch_size: most bytes of such a batch; None chooses.
        rate: most bytes of keys, values and headers per second over all partitions; None does not bound it.
        chunk_bytes, chunk_records: a transaction ends when it has so many.
        jobs: partitions at a time.

    Raises:
        RequestError: a value is none of those allowed.
    """

    topic_map: Mapping[str, str] = field(default_factory=dict)
    include: frozenset[str] = frozenset()
    missing_timestamp: str | int | None = None
    create_topics: bool = False
    replication_factor: int | None = None
    topic_configs: Mapping[str, str] = field(default_factory=dict)
    append: bool = False
    force: bool = False
    transactions: bool = True
    compression: str | None = None
    batch_size: int | None = None
    rate: float | None = None
    chunk_bytes: int = 256 << 20
    chunk_records: int = 1 << 22
    jobs: int = 2

    def __post_init__(self) -> None:
        unknown = self.include - {*_ADDED, "divergent"}
        if unknown:
            raise RequestError(
                f"--include {min(unknown)}: a replay can add open, unknown, aborted and divergent records"
            )
        if isinstance(self.missing_timestamp, str) and self.missing_timestamp != NOW:
            raise RequestError(f"--missing-timestamp {self.missing_timestamp}: write now, or milliseconds since 1970")
        if isinstance(self.missing_timestamp, int) and self.missing_timestamp <= 0:
            raise RequestError("--missing-timestamp needs milliseconds above 0")
        if self.compression is not None and self.compression not in COMPRESSIONS:
            raise RequestError(
                f"there is no codec {self.compression!r}", advice=f"Choose one of {', '.join(COMPRESSIONS)}."
            )
        for old, new in self.topic_map.items():
            if not legal_topic(new):
                raise RequestError(f"--topic-map {old}={new}: Kafka takes no topic of this name")
        if len(set(self.topic_map.values())) != len(self.topic_map):
            raise RequestError("--topic-map sends two topics to one")
        if min(self.chunk_bytes, self.chunk_records, self.jobs) < 1:
            raise RequestError("the bounds of a transaction and the number of jobs are at least 1")

    @property
    def transactional(self) -> frozenset[Transaction]:
        """Labels of the records that are sent."""
        added = {_ADDED[name] for name in self.include if name in _ADDED}
        return frozenset({Transaction.NONE, Transaction.COMMITTED, *added})

    def target_of(self, topic: str) -> str:
        """The name of a topic on the target."""
        return self.topic_map.get(topic, topic)
