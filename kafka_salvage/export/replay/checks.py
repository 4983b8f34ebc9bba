"""Check: what of a target stands against a replay, said before the first record is sent.

A *problem* stops a replay: the cluster would refuse. A *harm* stops it unless it is forced: the cluster would take the records
and change or delete them. A *warning* is said. Every sentence names the setting and the command that changes it.

Source: Kafka's `TopicConfig` and `ServerTopicConfigSynonyms` (names of a topic's settings, and of the broker's defaults).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from kafka_salvage.export.replay.plan import PartitionReplay, ReplayPlan, TopicReplay
from kafka_salvage.export.replay.target import Description

_DEFAULTS = {
    "max.message.bytes": "message.max.bytes",
    "segment.bytes": "log.segment.bytes",
    "message.timestamp.type": "log.message.timestamp.type",
    "message.timestamp.before.max.ms": "log.message.timestamp.before.max.ms",
    "message.timestamp.after.max.ms": "log.message.timestamp.after.max.ms",
    "message.timestamp.difference.max.ms": "log.message.timestamp.difference.max.ms",
    "retention.ms": "log.retention.ms",
    "retention.bytes": "log.retention.bytes",
    "cleanup.policy": "log.cleanup.policy",
    "min.insync.replicas": "min.insync.replicas",
}
_HOUR, _MINUTE = 3_600_000, 60_000


class Severity(StrEnum):
    """How much a check weighs."""

    PROBLEM = "problem"
    HARM = "harm"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that stands against a replay.

    Attributes:
        topic: on the target; empty for the whole cluster.
        advice: what to do, a command where there is one.
    """

    severity: Severity
    topic: str
    message: str
    advice: str

    def to_dict(self) -> dict[str, str]:
        """Plain values."""
        return {
            "severity": str(self.severity), "topic": self.topic, "message": self.message, "advice": self.advice
        }  # fmt: skip


def checks_of(plan: ReplayPlan, found: Description, address: str, now: int) -> tuple[Check, ...]:
    """Everything that stands against a plan.

    Args:
        plan: what is to be sent.
        found: what the cluster has.
        address: of the cluster, for commands.
        now: milliseconds.
    """
    made: list[Check] = []
    for topic in plan.topics:
        partitions = [p for p in plan.partitions if p.new_topic == topic.new_topic]
        made += _TopicChecks(plan, topic, partitions, found, address, now).all()
    if plan.without_timestamp and plan.choices.missing_timestamp is None:
        made.append(
            Check(
                Severity.PROBLEM,
                "",
                f"{plan.without_timestamp:,} records have no timestamp that could be sent",
                "Give --missing-timestamp now, or --missing-timestamp MS.",
            )
        )
    return tuple(made)


class _TopicChecks:
    """The checks of one topic."""

    def __init__(
        self,
        plan: ReplayPlan,
        topic: TopicReplay,
        partitions: list[PartitionReplay],
        found: Description,
        address: str,
        now: int,
    ) -> None:
        self._plan, self._topic, self._partitions = plan, topic, partitions
        self._name, self._address, self._now = topic.new_topic, address, now
        self._there = found.topics.get(self._name)
        self._found = found
        new = None if self._there is not None else topic.to_create(plan.choices)
        self._new_configs: Mapping[str, str] = {} if new is None else new.configs

    def _get(self, name: str) -> str | None:
        """The value that holds, or will hold, for the topic; None when it is not known."""
        if self._there is not None:
            return None if self._there.configs is None else self._there.configs.get(name)
        if name in self._new_configs:
            return self._new_configs[name]
        defaults = self._found.broker_configs
        if defaults is None:
            return None
        value = defaults.get(_DEFAULTS[name])
        if name == "retention.ms" and value is None:
            for key, unit in (("log.retention.minutes", _MINUTE), ("log.retention.hours", _HOUR)):
                if defaults.get(key):
                    return str(int(defaults[key]) * unit) if int(defaults[key]) >= 0 else "-1"
        return value

    def _number(self, name: str) -> int | None:
        value = self._get(name)
        try:
            return None if value is None else int(value)
        except ValueError:
            return None

    def _alter(self, setting: str) -> str:
        if self._there is None:
            return f"Give --topic-config {setting}."
        return (
            f"kafka-configs --bootstrap-server {self._address} --alter --entity-type topics --entity-name {self._name} "
            f"--add-config {setting}"
        )

    def _check(self, severity: Severity, message: str, advice: str) -> Check:
        return Check(severity, self._name, message, advice)

    def all(self) -> Iterator[Check]:
        """Every check."""
        if self._there is None and not self._plan.choices.create_topics:
            yield self._check(
                Severity.PROBLEM,
                "the topic is not there",
                f"Give --create-topics, or: kafka-topics --bootstrap-server {self._address} --create --topic {self._name} "
                f"--partitions {self._topic.partitions} --config retention.ms=-1",
            )
            return
        if self._there is not None:
            yield from self._counts(self._there.partitions)
            if self._there.configs is None:
                yield self._check(
                    Severity.WARNING,
                    "its settings may not be read: limits and retention were not checked",
                    "Allow DescribeConfigs on the topic, or look yourself.",
                )
        yield from self._sizes()
        yield from self._timestamps()
        yield from self._deletion()
        yield from self._replicas()

    def _counts(self, there: int) -> Iterator[Check]:
        highest = max((p.partition for p in self._partitions), default=-1) + 1
        if there < highest:
            yield self._check(
                Severity.PROBLEM,
                f"it has {there} partition{'' if there == 1 else 's'}, and records of partition {highest - 1} are to be sent",
                f"kafka-topics --bootstrap-server {self._address} --alter --topic {self._name} --partitions "
                f"{self._topic.partitions}",
            )
        elif there != self._topic.partitions:
            yield self._check(
                Severity.WARNING,
                f"it has {there} partitions, and the old topic had {self._topic.partitions} as far as is known: producers "
                "may send new records of a key to another partition than its old ones",
                "Replay into a topic with as many partitions.",
            )

    def _sizes(self) -> Iterator[Check]:
        largest = max((p.largest for p in self._partitions), default=0)
        for name in ("max.message.bytes", "segment.bytes"):
            limit = self._number(name)
            if limit is None or largest <= limit:
                continue
            packed = self._plan.choices.compression not in (None, "none")
            yield self._check(
                Severity.WARNING if packed else Severity.PROBLEM,
                f"{name} is {limit:,}, and the largest record takes up to {largest:,} bytes"
                + (" before it is compressed" if packed else ""),
                self._alter(f"{name}={largest + 1024}"),
            )

    def _timestamps(self) -> Iterator[Check]:
        if self._get("message.timestamp.type") == "LogAppendTime":
            yield self._check(
                Severity.HARM,
                "message.timestamp.type is LogAppendTime: the cluster would overwrite every timestamp with the present",
                self._alter("message.timestamp.type=CreateTime"),
            )
            return
        earliest = min((p.earliest for p in self._partitions if p.earliest is not None), default=None)
        latest = max((p.latest for p in self._partitions if p.latest is not None), default=None)
        for name, age in (
            ("message.timestamp.before.max.ms", None if earliest is None else self._now - earliest),
            ("message.timestamp.after.max.ms", None if latest is None else latest - self._now),
            (
                "message.timestamp.difference.max.ms",
                None if earliest is None or latest is None else max(self._now - earliest, latest - self._now),
            ),
        ):
            limit = self._number(name)
            if limit is not None and age is not None and age > limit:
                of = latest if "after" in name else earliest
                yield self._check(
                    Severity.PROBLEM,
                    f"{name} is {limit:,}: the cluster would refuse records of {_day(of)}",
                    self._alter(f"{name}=9223372036854775807"),
                )

    def _deletion(self) -> Iterator[Check]:
        policy = self._get("cleanup.policy") or "delete"
        if "compact" in policy:
            keyless = sum(p.keyless for p in self._partitions)
            yield self._check(
                Severity.PROBLEM if keyless else Severity.WARNING,
                f"cleanup.policy is {policy}: the cluster would refuse {keyless:,} record{'' if keyless == 1 else 's'} without a key"
                if keyless
                else f"cleanup.policy is {policy}: the cluster will keep the latest record of each key only",
                self._alter("cleanup.policy=delete"),
            )
        if "delete" not in policy:
            return
        retention = self._number("retention.ms")
        earliest = min((p.earliest for p in self._partitions if p.earliest is not None), default=None)
        if retention is not None and retention >= 0 and earliest is not None and earliest < self._now - retention:
            yield self._check(
                Severity.HARM,
                f"retention.ms is {retention:,} ({_span(retention)}): the cluster would delete records as old as {_day(earliest)} soon after they arrive",
                self._alter("retention.ms=-1"),
            )
        most = self._number("retention.bytes")
        largest = max((p.size for p in self._partitions), default=0)
        if most is not None and 0 <= most < largest:
            yield self._check(
                Severity.HARM,
                f"retention.bytes is {most:,}, and a partition gets {largest:,} bytes: the cluster would delete the oldest",
                self._alter("retention.bytes=-1"),
            )

    def _replicas(self) -> Iterator[Check]:
        factor, least = self._plan.choices.replication_factor, self._number("min.insync.replicas")
        if self._there is None and factor is not None and least is not None and least > factor:
            yield self._check(
                Severity.PROBLEM,
                f"min.insync.replicas would be {least}, and the replication factor {factor}: no record could be sent",
                f"Give --topic-config min.insync.replicas={factor}, or a larger --replication-factor.",
            )
        if self._there is None and factor is not None and factor > self._found.brokers:
            yield self._check(
                Severity.PROBLEM,
                f"--replication-factor {factor}, and the cluster has {self._found.brokers} broker"
                f"{'' if self._found.brokers == 1 else 's'}",
                "Give a smaller --replication-factor.",
            )


def _day(moment: int | None) -> str:
    try:
        return dt.datetime.fromtimestamp((moment or 0) / 1000, dt.UTC).strftime("%Y-%m-%d")
    except (OverflowError, OSError, ValueError):
        return f"timestamp {moment}"


def _span(milliseconds: int) -> str:
    hours = milliseconds / _HOUR
    return f"{hours / 24:.4g} days" if hours >= 48 else f"{hours:.4g} hours"
