"""Replica: which files form one copy of one partition, and the inventory of all sources."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kafka_salvage.errors import RequestError, SalvageError, SourceError
from kafka_salvage.scan.directories import Contents, arrange, only_node
from kafka_salvage.scan.evidence import (
    EvidenceFile,
    Inventory,
    LogDir,
    Replica,
    SegmentFile,
    SideFact,
    SourceRoot,
    State,
    TopicPartition,
    Use,
)
from kafka_salvage.scan.files import archive_refusal
from kafka_salvage.scan.given import Given, beside, looks_like_log_dir, name_sources, understand
from kafka_salvage.scan.layout import Layout, lay_out
from kafka_salvage.source.inventory import Identity, Lister, Nature
from kafka_salvage.wire.filenames import FileKind

__all__ = [
    "EvidenceFile",
    "Inventory",
    "LogDir",
    "Replica",
    "SegmentFile",
    "SideFact",
    "SourceRoot",
    "State",
    "TopicPartition",
    "Use",
    "duplicates_of_partition",
    "take_inventory",
]


def take_inventory(paths: Sequence[str | os.PathLike[str]]) -> Inventory:
    """What lies under the given PATHs, arranged as a broker would read it. Opens side files only.

    Args:
        paths: a broker's log dir, a tree that holds several, a partition directory or segment files; mixed, repeated,
            each perhaps ``NAME=PATH``. Their order has no influence.

    Raises:
        RequestError: a PATH does not exist, is empty, or holds nothing that Kafka wrote.
        SourceError: a PATH may not be listed.
    """
    given = understand(paths)
    layouts = _lay_out_all(given)
    nodes = {place: f"broker-{node}" for place, each in enumerate(layouts) if (node := only_node(each)) is not None}
    names = name_sources(given, nodes)
    finished = [arrange(layout, name) for layout, name in zip(layouts, names, strict=True)]
    for each, layout, done in zip(given, layouts, finished, strict=True):
        if _holds_metadata(done) and any(other.holds_kafka for other in layouts):
            continue
        if not layout.holds_kafka or _holds_side_files_only(layout, done):
            raise _refusal(each, done)
    sources = tuple(
        SourceRoot(name, each.root, tuple(done.log_dirs), tuple(sorted(each.picks.values())))
        for name, each, done in zip(names, given, finished, strict=True)
    )
    replicas = _with_whole_names([replica for done in finished for replica in done.replicas])
    return Inventory(
        sources=tuple(sorted(sources, key=lambda source: source.name)),
        replicas=tuple(sorted(replicas, key=lambda each: (each.topic, each.partition, each.source, each.path))),
        files=tuple(sorted((f for done in finished for f in done.files), key=lambda f: (f.source, f.path))),
    )


def duplicates_of_partition(inventory: Inventory) -> dict[TopicPartition, tuple[Replica, ...]]:
    """Partitions with several live copies, each with its copies.

    Copies of different clusters count as well: nothing here says which one is meant.
    """
    live: dict[TopicPartition, list[Replica]] = defaultdict(list)
    for replica in inventory.replicas:
        if replica.state is State.LIVE and replica.segments:
            live[replica.key].append(replica)
    return {key: tuple(copies) for key, copies in live.items() if len(copies) > 1}


def _lay_out_all(given: Sequence[Given]) -> list[Layout]:
    """Lists every source; what belongs to one is left alone by the others."""
    labels = [f"source {each.name}" if each.name else str(each.root) for each in given]
    seen: dict[Identity, str] = {}
    for each, label in zip(given, labels, strict=True):
        seen.update({identity: label for identity, pick in each.identities.items() if pick in each.picks})
    lister = Lister(_is_followed, seen)
    layouts = []
    for each, label in zip(given, labels, strict=True):
        trees = [lister.tree(place, pick, label) for pick, place in sorted(each.picks.items())]
        entries = [entry for tree in trees for entry in tree]
        known = {entry.path for entry in entries}
        layouts.append(lay_out(each.root, entries, [entry for entry in beside(each) if entry.path not in known]))
    return layouts


def _is_followed(place: Path, depth: int) -> bool:
    """Links to log dirs are followed; right below a source's root also those to partition directories and to
    directories of log dirs.
    """
    return looks_like_log_dir(place, 2 if depth == 1 else 1)


def _holds_side_files_only(layout: Layout, contents: Contents) -> bool:
    """Whether single files were given and none of them is a segment."""
    single = all(entry.nature is not Nature.DIRECTORY for entry in layout.entries)
    return single and not any(replica.segments for replica in contents.replicas)


def _holds_metadata(contents: Contents) -> bool:
    """Whether a source is the data of a ZooKeeper server, beside which brokers' directories are given."""
    return any(file.kind in (FileKind.ZOOKEEPER_SNAPSHOT, FileKind.ZOOKEEPER_LOG) for file in contents.files)


def _refusal(given: Given, contents: Contents) -> SalvageError:
    """Why a source that holds nothing that Kafka wrote cannot be read."""
    where = ", ".join(str(place) for place in sorted(given.picks.values()))
    for file in contents.files:
        if file.use is Use.UNREADABLE:
            return SourceError(
                f"{file.real} {file.reason}", source=where, advice="Run this as a user that may read it."
            )
    for file in contents.files:
        lead = f"{where} holds no Kafka files; " if given.whole else ""
        archive = archive_refusal(file.real, lead) if file.kind is FileKind.ARCHIVE else None
        if archive is not None:
            return archive
    if given.whole:
        return RequestError(
            f"{where} holds no Kafka files",
            causes=("Another directory was meant.", "The volume is not mounted there."),
            advice="Give a broker's log dir (it holds meta.properties and directories like orders-0), or .log files.",
        )
    return RequestError(
        f"{where} is no segment file",
        causes=("An index or checkpoint was given; `show` prints those.", "A segment was renamed."),
        advice="Give a .log file, a partition directory or a broker's log dir.",
    )


def _with_whole_names(replicas: list[Replica]) -> list[Replica]:
    """Restores topic names that Kafka cut short, from another copy with the same topic id."""
    whole: dict[str, set[str]] = defaultdict(set)
    for replica in replicas:
        if replica.topic_id and not replica.name_cut:
            whole[replica.topic_id].add(replica.topic)
    return [_with_whole_name(replica, whole) for replica in replicas]


def _with_whole_name(replica: Replica, whole: Mapping[str, set[str]]) -> Replica:
    fitting = {name for name in whole.get(replica.topic_id or "", ()) if name.startswith(replica.topic)}
    if not replica.name_cut or len(fitting) != 1:
        return replica
    return replace(replica, topic=fitting.pop(), name_cut=False)
