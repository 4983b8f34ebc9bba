"""Quarantine: every byte that was not believed, and an account that adds up."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from kafka_salvage.plan.policy import Policy, Selection
from kafka_salvage.regions.runs import Patch
from kafka_salvage.regions.verdict import Verdict
from tests.export.scenes import Piece, Scene, json_lines, tree
from tests.support.build import Build

FILE = "quarantine/broker-1/orders-0/00000000000000000000.log"


def mixed(tmp_path: Path) -> tuple[Scene, bytes, Piece]:
    """A file with every verdict."""
    build = Build()
    for _ in range(8):
        build.v2(3)
    data, infos = build.done()
    data += bytes(100)
    verdicts = {
        infos[1].start: Verdict.SUSPECT,
        infos[2].start: Verdict.UNDECODABLE,
        infos[3].start: Verdict.DUPLICATE,
        infos[5].start: Verdict.REPAIRED,
        infos[6].start: Verdict.UNREADABLE,
        infos[7].start: Verdict.FOREIGN,
        infos[-1].stop: Verdict.BLANK,
    }
    at = infos[5].start
    patch = Patch(at, b"\x7f", data[at : at + 1])
    data = data[:at] + b"\x7f" + data[at + 1 :]
    piece = Piece(data, [info for place, info in enumerate(infos) if place != 4], verdicts, (patch,))
    return Scene(tmp_path / "src").add([piece]), data, piece


def test_every_byte_is_in_the_output_in_the_quarantine_or_named_harmless(tmp_path: Path) -> None:
    scene, data, piece = mixed(tmp_path)
    out = tmp_path / "out"
    scene.write(out)
    made = tree(out)
    index = json_lines(made["quarantine/index.jsonl"])
    kept = {(entry["start"], entry["stop"]): entry for entry in index}
    total = 0
    for region in scene.partitions[0].replicas[0].segments[0].regions:
        raw = data[region.start : region.stop]
        if region.verdict in (Verdict.DAMAGED, Verdict.FOREIGN, Verdict.SUSPECT, Verdict.UNDECODABLE):
            entry = kept.pop((region.start, region.stop))
            assert entry["in_account"]
            assert made[entry["file"]] == raw
            assert entry["sha256"] == hashlib.sha256(raw).hexdigest()
            assert entry["file"] == f"{FILE}/{region.start}-{region.stop}.{region.verdict}"
            total += len(raw)
        elif region.verdict is Verdict.INTACT:
            assert raw in made[f"segments/orders-0/{0:020d}.log"]
            total += len(raw)
        else:
            total += region.size
    assert total == len(data)
    (repaired,) = kept.values()  # the original bytes, outside the sum
    assert repaired["verdict"] == "repaired"
    assert not repaired["in_account"]
    assert made[repaired["file"]][:1] == b"\x7f"
    assert piece.patches[0].position == repaired["start"]


def test_the_index_is_sorted_and_names_offsets(tmp_path: Path) -> None:
    scene, _, _ = mixed(tmp_path)
    scene.write(tmp_path / "out")
    index = json_lines((tmp_path / "out/quarantine/index.jsonl").read_bytes())
    assert [entry["start"] for entry in index] == sorted(entry["start"] for entry in index)
    assert index[0]["offsets"] == [3, 6]
    assert {entry["path"] for entry in index} == {"orders-0/00000000000000000000.log"}


def test_without_damage_there_is_no_quarantine(tmp_path: Path) -> None:
    data, infos = Build().v2(3).done()
    Scene(tmp_path / "src").add([Piece(data, infos)]).write(tmp_path / "out")
    assert not (tmp_path / "out" / "quarantine").exists()


def test_large_zeros_take_no_space_and_are_all_there(tmp_path: Path) -> None:
    data, infos = Build().v2(3).done()
    data += bytes(5 << 20) + b"end" + bytes(1 << 20)
    Scene(tmp_path / "src").add([Piece(data, infos)]).write(tmp_path / "out")
    file = tmp_path / "out" / f"{FILE}/{infos[-1].stop}-{len(data)}.damaged"
    assert file.read_bytes() == data[infos[-1].stop :]
    assert file.stat().st_blocks * 512 < 1 << 20


def test_only_selected_partitions_are_quarantined(tmp_path: Path) -> None:
    scene, _, _ = mixed(tmp_path)
    data, infos = Build().v2(3).done()
    scene.add([Piece(data + b"x", infos)], topic="other")
    scene.write(tmp_path / "out", Policy(selection=Selection(topics=frozenset({"other"}))))
    index = json_lines((tmp_path / "out/quarantine/index.jsonl").read_bytes())
    assert [entry["path"] for entry in index] == ["other-0/00000000000000000000.log"]


@pytest.mark.parametrize("source", ["index.jsonl", "..", "a/b", "\x1b[31m", "ü"])
def test_names_of_sources_are_made_safe(tmp_path: Path, source: str) -> None:
    data, infos = Build().v2(3).done()
    scene = Scene(tmp_path / "src", source=source).add([Piece(data + b"x", infos)])
    scene.write(tmp_path / "out")
    (entry,) = json_lines((tmp_path / "out/quarantine/index.jsonl").read_bytes())
    assert entry["source"] == source
    assert (tmp_path / "out" / entry["file"]).read_bytes() == b"x"
    assert entry["file"].isascii()
