"""ZooKeeper tree: what a cluster of the ZooKeeper era knew of its topics, replayed from the files that are there.

Steps: the newest snapshot whose seal agrees; then every log entry with a higher number, in order; a node that is there
already (or no longer) is no error, since snapshots are fuzzy. Without a sealed snapshot the logs are replayed from the
oldest on; if those do not reach back to the first transaction, what could be read of the newest snapshot is their ground.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kafka_salvage.errors import SourceError
from kafka_salvage.metadata.image import BrokerImage, ClusterImage, PartitionImage, TopicImage
from kafka_salvage.scan.replica import EvidenceFile
from kafka_salvage.source.opening import open_source
from kafka_salvage.wire import zookeeper as wire
from kafka_salvage.wire.compression.registry import GZIP, SNAPPY, CodecError, decompress
from kafka_salvage.wire.filenames import FileKind
from kafka_salvage.wire.zookeeper import Log, Node, Operation, Snapshot, Stat, Transaction

MOST = 256 << 20
"""Bytes read of one file; Kafka's part of a tree is a few megabytes."""

_KINDS = frozenset({FileKind.ZOOKEEPER_SNAPSHOT, FileKind.ZOOKEEPER_LOG})
_CODECS = {".gz": GZIP, ".snappy": SNAPPY}
_EPOCH_BITS = 32
_TOPICS, _CONFIGS, _BROKERS = "/brokers/topics/", "/config/topics/", "/brokers/ids/"


@dataclass(frozen=True, slots=True)
class Tree:
    """The nodes as they were after the last transaction that is there.

    Attributes:
        nodes: by path, the root is "".
        zxid: last transaction.
        notes: what is missing or damaged, one sentence each.
        seen: ids and contents of topics that any file knew: (name, id) -> (data, config data).
    """

    nodes: Mapping[str, Node]
    zxid: int
    notes: tuple[str, ...] = ()
    seen: Mapping[tuple[str, str | None], tuple[Mapping[str, Any], Mapping[str, str]]] = field(default_factory=dict)


def files_of(files: Iterable[EvidenceFile]) -> dict[tuple[str, str], list[EvidenceFile]]:
    """ZooKeeper's files by (source, directory)."""
    found: dict[tuple[str, str], list[EvidenceFile]] = {}
    for file in files:
        directory = file.path.rpartition("/")[0]
        if file.kind in _KINDS:
            found.setdefault((file.source, directory), []).append(file)
    return found


def read_tree(files: Sequence[EvidenceFile]) -> Tree:
    """Replays one ZooKeeper server's files; snapshots and logs may lie in different directories."""
    notes: list[str] = []
    snapshots, logs = [], []
    for file in sorted(files, key=lambda f: (f.source, f.path)):
        kind, zxid, extension = wire.parse_name(file.path.rpartition("/")[2]) or ("", 0, "")
        data = _read(file, extension, notes)
        if data is None:
            continue
        if kind == "snapshot":
            snapshots.append((zxid, file, wire.read_snapshot(data)))
        else:
            logs.append((zxid, file, wire.read_log(data)))
    snapshots.sort(key=lambda one: one[0])
    logs.sort(key=lambda one: one[0])
    notes += [f"{f.path}: {problem}" for _, f, one in snapshots for problem in one.problems]
    notes += [f"{f.path}: {problem}" for _, f, log in logs for problem in log.problems]
    zxid, ground = _ground(snapshots, logs, notes)
    grown = _Grown(dict(ground), zxid)
    seen = _Seen()
    for _, _, one in snapshots:
        seen.snapshot(one.nodes)
    grown.replay([log for _, _, log in logs], seen, notes)
    return Tree(grown.nodes, grown.zxid, tuple(notes), seen.topics)


def image_of(tree: Tree) -> ClusterImage:
    """A tree as cluster metadata; a chroot in front of Kafka's nodes is found by itself."""
    roots = sorted(p[: -len("/brokers/topics")] for p in tree.nodes if p.endswith("/brokers/topics"))
    root = roots[0] if roots else ""
    notes = list(tree.notes)
    if len(roots) > 1:
        notes.append(f"it holds {len(roots)} Kafka clusters; only {root or '/'} was read")
    nodes = {path[len(root) :]: node for path, node in tree.nodes.items() if path.startswith(root)}
    topics = [_topic(nodes, path.removeprefix(_TOPICS)) for path in sorted(nodes) if _is_child(path, _TOPICS)]
    living = {(topic.name, topic.topic_id) for topic in topics}
    deleted = [
        _from_data(name, data, configs, {})
        for (name, topic_id), (data, configs) in sorted(tree.seen.items(), key=lambda one: (one[0][0], one[0][1] or ""))
        if (name, topic_id) not in living
    ]
    cluster = _json(nodes.get("/cluster/id")).get("id")
    return ClusterImage(
        cluster_id=cluster if isinstance(cluster, str) else None,
        known_from="zookeeper",
        topics=tuple(topics),
        deleted=tuple(deleted),
        brokers=tuple(_brokers(nodes)),
        broker_configs={
            path.rpartition("/")[2]: _configs(nodes[path])
            for path in sorted(nodes)
            if _is_child(path, "/config/brokers/")
        },
        reach=tree.zxid,
        notes=tuple(notes),
    )


class _Seen:
    """Every topic that any file knew."""

    def __init__(self) -> None:
        self.topics: dict[tuple[str, str | None], tuple[Mapping[str, Any], Mapping[str, str]]] = {}
        self._configs: dict[str, Mapping[str, str]] = {}

    def snapshot(self, nodes: Mapping[str, Node]) -> None:
        for path in sorted(nodes):
            self.node(path, nodes[path].data)

    def node(self, path: str, data: bytes | None) -> None:
        head, _, name = path.rpartition("/")
        if head.endswith("/config/topics"):
            self._configs[name] = configs = _texts(_parse(data).get("config"))
            for key in [key for key in self.topics if key[0] == name]:
                self.topics[key] = self.topics[key][0], configs
        elif head.endswith("/brokers/topics"):
            content = _parse(data)
            topic_id = content.get("topic_id")
            if content:
                key = (name, topic_id if isinstance(topic_id, str) else None)
                self.topics[key] = content, self._configs.get(name, {})


class _Grown:
    """A tree while transactions are applied to it."""

    def __init__(self, nodes: dict[str, Node], zxid: int) -> None:
        self.nodes = nodes
        self.zxid = zxid
        self._owned: dict[int, set[str]] = {}
        for path, node in nodes.items():
            if node.stat.ephemeral_owner:
                self._owned.setdefault(node.stat.ephemeral_owner, set()).add(path)

    def replay(self, logs: Sequence[Log], seen: _Seen, notes: list[str]) -> None:
        before = None
        for log in logs:
            for transaction in log.transactions:
                zxid = transaction.zxid
                if before is not None and zxid > before + 1 and zxid >> _EPOCH_BITS == before >> _EPOCH_BITS:
                    notes.append(f"transactions 0x{before + 1:x} to 0x{zxid - 1:x} are in no log")
                before = zxid if before is None else max(before, zxid)
                for operation in wire.operations_of(transaction):
                    seen.node(operation.path, operation.data)
                    if zxid > self.zxid:
                        self._apply(transaction, operation)
                self.zxid = max(zxid, self.zxid)

    def _apply(self, transaction: Transaction, operation: Operation) -> None:
        kind, path = operation.type, operation.path
        if kind in wire.CREATES:
            self._create(transaction, operation)
        elif kind in wire.DELETES:
            self._delete(path, transaction.zxid)
        elif kind in wire.SETS and path in self.nodes:
            stat = self.nodes[path].stat
            stat = replace(stat, mzxid=transaction.zxid, mtime=transaction.time, version=operation.version)
            self.nodes[path] = Node(operation.data, stat)
        elif kind == wire.SET_ACL and path in self.nodes:
            node = self.nodes[path]
            self.nodes[path] = Node(node.data, replace(node.stat, aversion=operation.version))
        elif kind == wire.CLOSE_SESSION:
            for path in sorted(self._owned.pop(transaction.client_id, ())):
                self._delete(path, transaction.zxid)

    def _create(self, transaction: Transaction, operation: Operation) -> None:
        path, zxid = operation.path, transaction.zxid
        if path not in self.nodes:
            owner = transaction.client_id if operation.ephemeral else 0
            stat = Stat(zxid, zxid, transaction.time, transaction.time, 0, 0, 0, owner, zxid)
            self.nodes[path] = Node(operation.data, stat)
            if owner:
                self._owned.setdefault(owner, set()).add(path)
        parent = self.nodes.get(path.rpartition("/")[0])
        if parent is not None:
            count = parent.stat.cversion + 1 if operation.version < 0 else operation.version
            if count > parent.stat.cversion:
                stat = replace(parent.stat, cversion=count, pzxid=zxid)
                self.nodes[path.rpartition("/")[0]] = Node(parent.data, stat)

    def _delete(self, path: str, zxid: int) -> None:
        node = self.nodes.pop(path, None)
        if node is not None and node.stat.ephemeral_owner:
            self._owned.get(node.stat.ephemeral_owner, set()).discard(path)
        above = path.rpartition("/")[0]
        parent = self.nodes.get(above)
        if parent is not None and zxid > parent.stat.pzxid:
            self.nodes[above] = Node(parent.data, replace(parent.stat, pzxid=zxid))


def _ground(
    snapshots: Sequence[tuple[int, EvidenceFile, Snapshot]],
    logs: Sequence[tuple[int, EvidenceFile, Log]],
    notes: list[str],
) -> tuple[int, Mapping[str, Node]]:
    """(last transaction surely contained, nodes) to begin with."""
    sealed = [(zxid, one) for zxid, _, one in snapshots if one.sealed]
    if sealed:
        zxid, one = sealed[-1]
        first = next((t.zxid for _, _, log in logs for t in log.transactions if t.zxid > zxid), None)
        if first is not None and first > zxid + 1 and first >> _EPOCH_BITS == zxid >> _EPOCH_BITS:
            notes.append(f"transactions 0x{zxid + 1:x} to 0x{first - 1:x} are in no log")
        return zxid, one.nodes
    first = next((t.zxid for _, _, log in logs for t in log.transactions), None)
    if first is not None and first & ((1 << _EPOCH_BITS) - 1) == 1:
        return 0, {}
    if snapshots:
        notes.append("no snapshot is whole: what could be read of the newest one was taken")
        return snapshots[-1][0], snapshots[-1][2].nodes
    notes.append("there is no snapshot, and the logs do not reach back to the beginning")
    return 0, {}


def _read(file: EvidenceFile, extension: str, notes: list[str]) -> bytes | None:
    try:
        source = open_source(file.real, file.path)
    except SourceError as error:
        notes.append(error.message)
        return None
    try:
        data = source.read(0, min(source.size, MOST)).tobytes()
        if source.size > MOST:
            notes.append(f"{file.path}: only its first {MOST} bytes of {source.size} were read")
        if source.unreadable:
            notes.append(f"{file.path}: {len(source.unreadable)} ranges of it are unreadable")
        return decompress(_CODECS[extension], data, MOST, magic=2) if extension else data
    except CodecError as error:
        notes.append(f"{file.path}: {error}")
        return None
    finally:
        source.close()


def _is_child(path: str, above: str) -> bool:
    return path.startswith(above) and "/" not in path[len(above) :]


def _parse(data: bytes | None) -> dict[str, Any]:
    try:
        value = json.loads(data or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _json(node: Node | None) -> dict[str, Any]:
    return _parse(node.data) if node is not None else {}


def _texts(value: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in sorted(value.items())} if isinstance(value, dict) else {}


def _configs(node: Node | None) -> dict[str, str]:
    return _texts(_json(node).get("config"))


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(each for each in value if isinstance(each, int)) if isinstance(value, list) else ()


def _topic(nodes: Mapping[str, Node], name: str) -> TopicImage:
    states = {
        path.split("/")[5]: _json(node)
        for path, node in nodes.items()
        if path.startswith(f"{_TOPICS}{name}/partitions/") and path.endswith("/state") and path.count("/") == 6
    }
    return _from_data(name, _json(nodes[_TOPICS + name]), _configs(nodes.get(_CONFIGS + name)), states)


def _from_data(
    name: str, data: Mapping[str, Any], configs: Mapping[str, str], states: Mapping[str, Mapping[str, Any]]
) -> TopicImage:
    topic_id = data.get("topic_id")
    assigned = data.get("partitions")
    partitions = {}
    for number, replicas in (assigned if isinstance(assigned, dict) else {}).items():
        if not str(number).isdecimal():
            continue
        state = states.get(str(number), {})
        leader, epoch = state.get("leader"), state.get("leader_epoch")
        leader = leader if isinstance(leader, int) else -1
        epoch = epoch if isinstance(epoch, int) else -1
        partitions[int(number)] = PartitionImage(
            partition=int(number),
            replicas=_numbers(replicas),
            isr=_numbers(state.get("isr")),
            leader=leader,
            leader_epoch=epoch,
            leaders=((epoch, leader),) if epoch >= 0 else (),
            recovering=state.get("leader_recovery_state") == 1,
        )
    return TopicImage(
        name=name,
        topic_id=topic_id if isinstance(topic_id, str) else None,
        partitions=dict(sorted(partitions.items())),
        configs=dict(configs),
    )


def _brokers(nodes: Mapping[str, Node]) -> Iterable[BrokerImage]:
    for path in sorted(nodes):
        number = path.removeprefix(_BROKERS)
        if _is_child(path, _BROKERS) and number.isdecimal():
            data = _json(nodes[path])
            endpoints = data.get("endpoints")
            rack = data.get("rack")
            yield BrokerImage(
                broker_id=int(number),
                endpoints=tuple(str(e) for e in endpoints) if isinstance(endpoints, list) else (),
                rack=rack if isinstance(rack, str) else None,
            )
