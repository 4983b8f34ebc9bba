"""Planning: a supply counted through, as the plan of a replay."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from kafka_salvage.errors import RequestError
from kafka_salvage.export.replay.choices import ReplayChoices, legal_topic
from kafka_salvage.export.replay.course import sizes_of
from kafka_salvage.export.replay.plan import PartitionReplay, ReplayPlan, TopicReplay
from kafka_salvage.export.replay.supply import Supply, SupplyLine, at_epoch, timeless, wanted_labels
from kafka_salvage.plan.plan import TRANSACTION_CODES
from kafka_salvage.progress import Progress
from kafka_salvage.scan.records import RecordTable

RECORD_OVERHEAD = 36
"""Most bytes that a record takes besides key, value and headers."""
HEADER_OVERHEAD = 10
DIVERGENT = ".divergent."
"""Between the topic and the source in the name of a branch that lost."""
BATCH_OVERHEAD = 61
_UNSEEN = frozenset(
    {"topic_id", "leader.replication.throttled.replicas", "follower.replication.throttled.replicas",
     "message.format.version", "message.downconversion.enable"}
)  # fmt: skip
"""Configs that say something of the old cluster's brokers; the last two are unknown to Kafka 4."""


def _goes_over(name: str) -> bool:
    """Whether a topic on the target gets this setting; those of Kafka's own tests do not."""
    return name not in _UNSEEN and not name.startswith("internal.")


def new_topic_of(line: SupplyLine, choices: ReplayChoices) -> str:
    """Name on the target; a losing branch has a topic of its own, so that nothing is mixed in."""
    if line.branch is None:
        return choices.target_of(line.topic)
    name = own_name(line.topic, line.branch)
    return choices.topic_map.get(name, name)


def own_name(topic: str, branch: str | None) -> str:
    """Name of a line in an offset map: its topic, or that of its branch."""
    return topic if branch is None else f"{topic}{DIVERGENT}{branch}"


class _Measure:
    """Counts of one line."""

    def __init__(self) -> None:
        self.records = self.size = self.timeless = self.at_epoch = self.largest = self.keyless = 0
        self.first: int | None = None
        self.last: int | None = None
        self.earliest: int | None = None
        self.latest: int | None = None
        self.left = Counter[str]()
        self._digests = [hashlib.sha256() for _ in range(4)]

    def add(self, table: RecordTable) -> None:
        """Takes records that are sent."""
        if not len(table):
            return
        size = sizes_of(table)
        headers = np.diff(table.header_first)
        self.records += len(table)
        self.size += int(size.sum())
        self.largest = max(
            self.largest, int((size + headers * HEADER_OVERHEAD).max()) + RECORD_OVERHEAD + BATCH_OVERHEAD
        )
        self.first = int(table.offset[0]) if self.first is None else self.first
        self.last = int(table.offset[-1])
        self.keyless += int((table.key_size < 0).sum())
        lacking = timeless(table)
        self.timeless += int(lacking.sum())
        self.at_epoch += int(at_epoch(table).sum())
        stamps = table.timestamp[~lacking]
        if len(stamps):
            low, high = int(stamps.min()), int(stamps.max())
            self.earliest = low if self.earliest is None else min(self.earliest, low)
            self.latest = high if self.latest is None else max(self.latest, high)
        for digest, column in zip(self._digests, (table.offset, table.timestamp, size, headers), strict=True):
            digest.update(np.ascontiguousarray(column, np.int64).data)

    @property
    def fingerprint(self) -> str:
        """Over offsets, timestamps and sizes: the same however the records were cut into tables."""
        return hashlib.sha256(b"".join(digest.digest() for digest in self._digests)).hexdigest()


def _measured(supply: Supply, line: SupplyLine, choices: ReplayChoices, progress: Progress) -> PartitionReplay:
    made, wanted = _Measure(), wanted_labels(choices)
    for piece in line.read():
        inside = wanted[piece.labels] == 1
        for code, count in enumerate(np.bincount(piece.labels[~inside], minlength=len(TRANSACTION_CODES)).tolist()):
            if count:
                made.left[str(TRANSACTION_CODES[code])] += count
        made.add(piece.table if inside.all() else piece.table.take(inside))
        progress.advance(int(len(piece.table) * supply.bytes_per_record), f"{line.topic}-{line.partition}")
        progress.found(records=len(piece.table))
    return PartitionReplay(
        topic=line.topic,
        partition=line.partition,
        branch=line.branch,
        new_topic=new_topic_of(line, choices),
        records=made.records,
        size=made.size,
        first=made.first,
        last=made.last,
        earliest=made.earliest,
        latest=made.latest,
        largest=made.largest,
        without_timestamp=made.timeless,
        at_epoch=made.at_epoch,
        left_out=dict(sorted(made.left.items())),
        gaps=supply.gaps(line),
        end=max(supply.end(line), -1 if made.last is None else made.last + 1, 0),
        fingerprint=made.fingerprint,
        keyless=made.keyless,
    )


def _topics(supply: Supply, partitions: Iterable[PartitionReplay]) -> Iterator[TopicReplay]:
    highest: dict[str, int] = {}
    origin: dict[str, str] = {}
    for each in partitions:
        highest[each.new_topic] = max(highest.get(each.new_topic, -1), each.partition)
        origin[each.new_topic] = each.topic
    for name in sorted(highest):
        told = supply.topic(origin[name])
        count = highest[name] + 1 if told is None else max(int(told["partitions"] or 0), highest[name] + 1)
        configs = {} if told is None else {k: str(v) for k, v in sorted(told["configs"].items()) if _goes_over(k)}
        yield TopicReplay(origin[name], name, count, configs)


def plan_of(supply: Supply, choices: ReplayChoices, *, jobs: int, progress: Progress) -> ReplayPlan:
    """Counts a supply through.

    Args:
        supply: what there is to send.
        choices: what the person decided.
        jobs: partitions at a time.
        progress: is told records.

    Raises:
        RequestError: two partitions would go to one place, or a topic has a name that no cluster takes.
        SourceError: bytes cannot be read again.
    """
    _refuse_names(supply, choices)
    progress.stage("plan the replay", supply.size)
    with ThreadPoolExecutor(jobs, thread_name_prefix="plan") as pool:
        partitions = list(pool.map(lambda line: _measured(supply, line, choices, progress), supply.lines))
    partitions.sort(key=lambda p: (p.new_topic, p.partition))
    topics = tuple(_topics(supply, partitions))
    made = ReplayPlan(supply.source, topics, tuple(partitions), choices, supply.notes, supply.exit_code, "")
    return replace(made, replay_id=_identity(made))


def _refuse_names(supply: Supply, choices: ReplayChoices) -> None:
    places: dict[tuple[str, int], str] = {}
    for line in supply.lines:
        name = new_topic_of(line, choices)
        if not legal_topic(name):
            raise RequestError(
                f"{name!r} is no name of a topic", advice=f"Give it another with --topic-map '{name}=NEW'."
            )
        other = places.setdefault((name, line.partition), line.topic)
        if other != line.topic:
            raise RequestError(f"{other}-{line.partition} and {line.topic}-{line.partition} would both go to {name}")
    unknown = (
        set(choices.topic_map)
        - {line.topic for line in supply.lines}
        - {f"{line.topic}.divergent.{line.branch}" for line in supply.lines}
    )
    if unknown:
        raise RequestError(
            f"--topic-map {min(unknown)}: no topic of this name is to be sent",
            advice=f"The topics are: {', '.join(sorted({line.topic for line in supply.lines})) or 'none'}.",
        )


def _identity(plan: ReplayPlan) -> str:
    """A name for what is sent where, whatever the target and the speed."""
    choices = plan.choices
    what = {
        "partitions": [[p.topic, p.partition, p.branch, p.new_topic, p.fingerprint] for p in plan.partitions],
        "include": sorted(choices.include),
        "missing_timestamp": choices.missing_timestamp,
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
