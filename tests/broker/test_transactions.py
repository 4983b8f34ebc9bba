"""Transactions on a real broker: what a consumer with `read_committed` sees, live and of what was rescued."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import kafka_salvage
from tests.broker.loading import Record, consumed, partitions, put
from tests.broker.transacting import Played, play
from tests.support.bases import parse
from tests.support.broker import Cluster

pytestmark = pytest.mark.broker

TOPIC, PLAIN = "pay", "plain"
ABORT, COMMIT = 0, 1
LOG = f"{0:020d}.log"


@dataclass(frozen=True)
class Scene:
    """A broker that was stopped, what it showed before, and the same broker with what was rescued.

    Attributes:
        played: by partition, what was produced and what became of it.
        live: by partition, offsets that a consumer with `read_committed` saw before the stop.
        plain: what a consumer saw of a topic without transactions.
        before: its directory as it was stopped.
        rescue: made of a copy in which markers are destroyed, and of three damaged copies of the plain topic.
    """

    cluster: Cluster
    played: dict[int, Played]
    live: dict[int, list[int]]
    plain: dict[int, Record]
    before: Path
    rescue: Path


def markers(data: bytes) -> list[tuple[int, int, int]]:
    """(position, producer id, type) of each marker."""
    found = []
    for info in parse(data):
        (attributes,) = struct.unpack_from(">h", data, info.start + 21)
        if attributes & 0x20:
            (producer,) = struct.unpack_from(">q", data, info.start + 43)
            assert data[info.start + 65] == 8  # a key of four bytes: version and type
            found.append((info.start, producer, struct.unpack_from(">h", data, info.start + 68)[0]))
    return found


def destroy_aborts(path: Path) -> int:
    """Destroys every ABORT marker whose producer commits something later; returns how many."""
    data = bytearray(path.read_bytes())
    ends = markers(bytes(data))
    doomed = [
        at for at, producer, kind in ends
        if kind == ABORT and any(p == producer and k == COMMIT and after > at for after, p, k in ends)
    ]  # fmt: skip
    for at in doomed:
        data[at + 30] ^= 0xFF
    path.write_bytes(data)
    return len(doomed)


def rescued(before: Path, place: Path) -> Path:
    """A rescue of what is damaged in three ways."""
    homes = [shutil.copytree(before, place / f"copy-{number}") for number in (1, 2, 3)]
    for number, home in enumerate(homes):
        path = home / f"{PLAIN}-0" / LOG
        data = bytearray(path.read_bytes())
        infos = parse(bytes(data))
        assert len(infos) >= 9
        for info in infos[number::3][:3]:  # each copy has other holes
            data[info.stop - 2] ^= 1
        path.write_bytes(data[: infos[-1].start + 70] if number == 0 else data)
    for number in (0, 1):
        for home in homes:
            assert destroy_aborts(home / f"{TOPIC}-{number}" / LOG) >= 3
            if number == 1:
                (home / f"{TOPIC}-1" / f"{0:020d}.txnindex").unlink()
    out = place / "out"
    sources = [f"copy-{number}={home}" for number, home in enumerate(homes)]
    kafka_salvage.salvage(sources, out=out, formats=["segments", "jsonl"], topic=[TOPIC, PLAIN])
    return out


@pytest.fixture(scope="module")
def scene(kafka: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    place = tmp_path_factory.mktemp("transactions")
    with Cluster(place / "cluster") as cluster:
        cluster.start()
        cluster.create_all({TOPIC: 2, PLAIN: 1})
        played = play(cluster, TOPIC, 2)
        for start in range(0, 60, 5):
            cluster.produce(PLAIN, 0, [{"key": b"%d" % n, "value": b"v" * 40} for n in range(start, start + 5)])
        live = {n: [m.offset() for m in cluster.consume(TOPIC, n, "read_committed")] for n in played}
        plain = consumed(cluster, PLAIN, 0)
        cluster.first.stop()
        before = shutil.copytree(cluster.first.data, place / "before")
        rescue = rescued(before, place)
        put(rescue, cluster.first.data)
        cluster.first.start()
        yield Scene(cluster, played, live, plain, before, rescue)


def exported(out: Path, number: int) -> dict[int, tuple[str, str]]:
    """Offset of each record in the JSONL -> its key and its label."""
    with (out / "jsonl" / TOPIC / f"{number}.jsonl").open() as stream:
        rows = [json.loads(line) for line in stream]
    return {row["offset"]: (row["key"], row["_salvage"]["transaction"]) for row in rows}


def test_the_export_agrees_with_a_live_consumer_up_to_the_last_stable_offset(scene: Scene, tmp_path: Path) -> None:
    out = tmp_path / "out"
    receipt = kafka_salvage.salvage(
        [scene.before], out=out, formats=["jsonl"], encoding="utf8", isolation="read_committed", topic=TOPIC
    )
    assert receipt.exit_code == 0
    for number, played in scene.played.items():
        found = exported(out, number)
        assert [offset for offset in found if offset < played.stable] == scene.live[number]
        # behind it, what a live consumer would still wait for
        wanted = [offset for offset in sorted(played.fates) if played.fates[offset] in ("none", "committed")]
        assert list(found) == wanted
        assert len(wanted) > len(scene.live[number])
        assert {offset: key.encode() for offset, (key, _) in found.items()} == {o: played.keys[o] for o in wanted}


def test_every_label_is_what_became_of_the_record(scene: Scene, tmp_path: Path) -> None:
    kafka_salvage.salvage([scene.before], out=tmp_path / "out", formats=["jsonl"], topic=TOPIC)
    for number, played in scene.played.items():
        labels = {offset: label for offset, (_, label) in exported(tmp_path / "out", number).items()}
        assert labels == played.fates
    assert {"none", "committed", "aborted", "open"} == set(scene.played[0].fates.values())


def test_both_versions_are_there(scene: Scene) -> None:
    """A marker of version 2 has another epoch than its data."""
    data = (scene.before / f"{TOPIC}-0" / LOG).read_bytes()
    versions: set[int] = set()
    epochs: dict[int, int] = {}
    for info in parse(data):
        producer, epoch = struct.unpack_from(">qh", data, info.start + 43)
        if info.start in {at for at, _, _ in markers(data)}:
            versions.add(epoch - epochs.get(producer, epoch))
        elif producer >= 0:
            epochs[producer] = epoch
    assert versions == {0, 1}


@pytest.mark.parametrize("number", [0, 1])
def test_with_abort_markers_destroyed_no_aborted_record_is_ever_shown(scene: Scene, number: int) -> None:
    """Partition 0 kept its `.txnindex`, partition 1 lost it."""
    played = scene.played[number]
    read = {message.offset() for message in scene.cluster.consume(TOPIC, number, "read_committed")}
    assert not {offset for offset in read if played.fates[offset] not in ("none", "committed")}
    labels = {offset: label for offset, (_, label) in exported(scene.rescue, number).items()}
    assert not {offset for offset, label in labels.items() if label == "committed" and played.fates[offset] != label}
    assert read == {offset for offset, label in labels.items() if label in ("none", "committed")}
    lost_ends = {offset for offset, label in labels.items() if played.fates[offset] == "aborted" and label == "unknown"}
    assert bool(lost_ends) == (number == 1)


def test_segments_of_three_damaged_copies_are_read_at_their_old_offsets(scene: Scene) -> None:
    assert f"{PLAIN}-0" in partitions(scene.rescue)
    assert consumed(scene.cluster, PLAIN, 0) == scene.plain
