"""Replay: records of the cluster's metadata log, applied one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kafka_salvage.metadata.image import BrokerImage, PartitionImage, TopicImage
from kafka_salvage.wire.cluster_metadata import read_record
from kafka_salvage.wire.schema import Decoded

TOPIC, BROKER = 2, 4
"""Resource types of configs."""

POLICY = "cleanup.policy"
_UNCHANGED = -2
_PARTITION_FIELDS = ("replicas", "isr", "directories")
_MOST_UNKNOWN = 1000


@dataclass(slots=True)
class _Topic:
    name: str
    topic_id: str
    partitions: dict[int, PartitionImage] = field(default_factory=dict)


@dataclass(slots=True)
class Replay:
    """State of a cluster while records are applied to it.

    Attributes:
        deleted: topics that were removed, by id.
        unknown: (offset, sentence) of records that were not understood or speak of what is not known.
        history: terms of leaders by (topic id, partition): epoch -> broker id. A snapshot does not take them away.
        policies: values that `cleanup.policy` had, by topic.
    """

    topics: dict[str, _Topic] = field(default_factory=dict)
    deleted: dict[str, TopicImage] = field(default_factory=dict)
    brokers: dict[int, BrokerImage] = field(default_factory=dict)
    controllers: set[int] = field(default_factory=set)
    features: dict[str, int] = field(default_factory=dict)
    configs: dict[tuple[int, str], dict[str, str]] = field(default_factory=dict)
    unknown: list[tuple[int, str]] = field(default_factory=list)
    unknown_total: int = 0
    history: dict[tuple[str, int], dict[int, int]] = field(default_factory=dict)
    policies: dict[str, list[str]] = field(default_factory=dict)
    _held: list[tuple[int, Decoded]] | None = None

    def apply(self, offset: int, value: bytes | None) -> None:
        """Applies one record; parts of a metadata transaction wait for its end."""
        record = read_record(value)
        if record.problem is not None:
            self._note(offset, record.problem)
        elif record.name == "BeginTransactionRecord":
            self._held = []
        elif record.name == "AbortTransactionRecord":
            self._held = None
        elif record.name == "EndTransactionRecord":
            held, self._held = self._held or [], None
            for at, each in held:
                self._change(at, each)
        elif self._held is not None:
            self._held.append((offset, record))
        else:
            self._change(offset, record)

    def discard(self) -> bool:
        """Gives up a metadata transaction without an end; gives whether there was one."""
        open_one, self._held = self._held is not None, None
        return open_one

    def forget(self) -> dict[str, TopicImage]:
        """Begins anew, as before a snapshot; gives the topics that were known. What is history stays."""
        known = {topic_id: self.topic(topic_id) for topic_id in self.topics}
        self.topics, self.brokers, self.controllers, self.features, self.configs = {}, {}, set(), {}, {}
        self._held = None
        return known

    def topic(self, topic_id: str) -> TopicImage:
        """A topic as a value."""
        one = self.topics[topic_id]
        configs = self.configs.get((TOPIC, one.name), {})
        partitions = {
            number: replace(partition, leaders=tuple(sorted(self.history.get((topic_id, number), {}).items())))
            for number, partition in sorted(one.partitions.items())
        }
        past = tuple(p for p in self.policies.get(one.name, []) if p != configs.get(POLICY))
        return TopicImage(one.name, topic_id, partitions, dict(sorted(configs.items())), past)

    def _note(self, offset: int, sentence: str) -> None:
        self.unknown_total += 1
        if len(self.unknown) < _MOST_UNKNOWN:
            self.unknown.append((offset, sentence))

    def _change(self, offset: int, record: Decoded) -> None:
        change = _CHANGES.get(record.name)
        if change is not None:
            change(self, offset, record.fields)

    def _topic_record(self, offset: int, fields: Mapping[str, Any]) -> None:
        self.topics[fields["topic_id"]] = _Topic(fields["name"], fields["topic_id"])
        self.deleted.pop(fields["topic_id"], None)

    def _remove_topic(self, offset: int, fields: Mapping[str, Any]) -> None:
        topic_id = fields["topic_id"]
        if topic_id not in self.topics:
            self._note(offset, f"removes the topic {topic_id}, which is not known")
            return
        self.deleted[topic_id] = self.topic(topic_id)
        self.configs.pop((TOPIC, self.topics.pop(topic_id).name), None)

    def _partition(self, offset: int, fields: Mapping[str, Any]) -> None:
        topic = self.topics.get(fields["topic_id"])
        if topic is None:
            self._note(offset, f"a partition of the topic {fields['topic_id']}, which is not known")
            return
        number, epoch, leader = fields["partition_id"], fields["leader_epoch"], fields["leader"]
        topic.partitions[number] = PartitionImage(
            partition=number,
            replicas=tuple(fields["replicas"]),
            isr=tuple(fields["isr"]),
            leader=leader,
            leader_epoch=epoch,
            directories=tuple(fields.get("directories") or ()),
            recovering=fields["leader_recovery_state"] == 1,
        )
        self.history.setdefault((topic.topic_id, number), {})[epoch] = leader

    def _partition_change(self, offset: int, fields: Mapping[str, Any]) -> None:
        topic = self.topics.get(fields["topic_id"])
        number = fields["partition_id"]
        before = topic.partitions.get(number) if topic else None
        if topic is None or before is None:
            self._note(offset, f"changes partition {number} of the topic {fields['topic_id']}, which is not known")
            return
        changed: dict[str, Any] = {
            name: tuple(fields[name]) for name in _PARTITION_FIELDS if fields.get(name) is not None
        }
        if fields["leader_recovery_state"] >= 0:
            changed["recovering"] = fields["leader_recovery_state"] == 1
        if fields["leader"] != _UNCHANGED:
            changed["leader"], changed["leader_epoch"] = fields["leader"], before.leader_epoch + 1
            self.history.setdefault((topic.topic_id, number), {})[before.leader_epoch + 1] = fields["leader"]
        topic.partitions[number] = replace(before, **changed)

    def _config(self, offset: int, fields: Mapping[str, Any]) -> None:
        key = (fields["resource_type"], fields["resource_name"])
        configs, name, value = self.configs.setdefault(key, {}), fields["name"], fields["value"]
        if value is None:
            configs.pop(name, None)
        else:
            configs[name] = value
        if key[0] == TOPIC and name == POLICY and value is not None:
            past = self.policies.setdefault(key[1], [])
            if value not in past:
                past.append(value)

    def _register(self, offset: int, fields: Mapping[str, Any]) -> None:
        self.brokers[fields["broker_id"]] = BrokerImage(
            broker_id=fields["broker_id"],
            endpoints=tuple(f"{e['name']}://{e['host']}:{e['port']}" for e in fields["endpoints"]),
            rack=fields["rack"],
            incarnation_id=fields["incarnation_id"],
            directories=tuple(fields.get("log_dirs") or ()),
            fenced=bool(fields["fenced"]),
        )

    def _unregister(self, offset: int, fields: Mapping[str, Any]) -> None:
        self.brokers.pop(fields["broker_id"], None)

    def _registration(self, offset: int, fields: Mapping[str, Any]) -> None:
        broker = self.brokers.get(fields["broker_id"])
        if broker is None:
            return
        changed: dict[str, Any] = {}
        if fields["fenced"]:
            changed["fenced"] = fields["fenced"] > 0
        if fields.get("log_dirs"):
            changed["directories"] = tuple(fields["log_dirs"])
        self.brokers[fields["broker_id"]] = replace(broker, **changed)

    def _fence(self, offset: int, fields: Mapping[str, Any], fenced: bool = True) -> None:
        if fields["id"] in self.brokers:
            self.brokers[fields["id"]] = replace(self.brokers[fields["id"]], fenced=fenced)

    def _unfence(self, offset: int, fields: Mapping[str, Any]) -> None:
        self._fence(offset, fields, fenced=False)

    def _feature(self, offset: int, fields: Mapping[str, Any]) -> None:
        if fields["feature_level"]:
            self.features[fields["name"]] = fields["feature_level"]
        else:
            self.features.pop(fields["name"], None)

    def _controller(self, offset: int, fields: Mapping[str, Any]) -> None:
        self.controllers.add(fields["controller_id"])

    def _no_controller(self, offset: int, fields: Mapping[str, Any]) -> None:
        self.controllers.discard(fields["controller_id"])


_CHANGES = {
    "TopicRecord": Replay._topic_record,
    "RemoveTopicRecord": Replay._remove_topic,
    "PartitionRecord": Replay._partition,
    "PartitionChangeRecord": Replay._partition_change,
    "ConfigRecord": Replay._config,
    "RegisterBrokerRecord": Replay._register,
    "UnregisterBrokerRecord": Replay._unregister,
    "BrokerRegistrationChangeRecord": Replay._registration,
    "FenceBrokerRecord": Replay._fence,
    "UnfenceBrokerRecord": Replay._unfence,
    "FeatureLevelRecord": Replay._feature,
    "RegisterControllerRecord": Replay._controller,
    "UnregisterControllerRecord": Replay._no_controller,
}
"""What does not concern data (quotas, credentials, access lists, producer ids) is read and passed over."""
