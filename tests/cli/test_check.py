"""The command `check` as a person and a script run it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kafka_salvage.cli.main import run
from tests.cli.ground import clean, damaged, flip, ks, lay, leaning, long_length, tree
from tests.support.build import segment, segment_name

Caught = pytest.CaptureFixture[str]


def test_the_exit_code_and_the_first_line_say_the_same(tmp_path: Path, capsys: Caught) -> None:
    for make, code, line in (
        (clean, 0, "INTACT: every byte is intact or harmless; 80 records can be recovered."),
        (damaged, 3, "DATA LOST: 10 offsets lost; 70 records can be recovered."),
        (long_length, 6, "DAMAGED, NOTHING LOST: 10 offsets repaired as the CRC proves; 80 records can be recovered."),
        (leaning, 6, "NOTHING LOST, BUT LEFTOVERS ARE NEEDED: 20 offsets come from deleted segments (orders-0); "
                     "60 records can be recovered."),
    ):  # fmt: skip
        assert run(["check", str(make(tmp_path / make.__name__))]) == code
        assert capsys.readouterr().out.splitlines()[0] == line


def test_a_missing_segment_is_missing_and_not_lost(tmp_path: Path, capsys: Caught) -> None:
    root = clean(tmp_path / "b")
    lay(root / "orders-0", (60, segment(2, base=60)[0]))
    (root / "orders-0" / segment_name(40)).unlink()
    assert run(["check", str(root)]) == 3
    out = capsys.readouterr().out
    assert out.startswith("DATA MISSING: 20 offsets missing (in no file that is here); 80 records can be recovered.")
    assert "segment-missing" in out


def test_side_files_alone(tmp_path: Path, capsys: Caught) -> None:
    root = clean(tmp_path / "b")
    (root / "recovery-point-offset-checkpoint").write_bytes(b"\0" * 40)
    assert run(["check", str(root)]) == 6
    assert capsys.readouterr().out.startswith(
        "NOTHING LOST, SIDE FILES ARE DAMAGED: recovery-point-offset-checkpoint; 80 records can be recovered."
    )


@pytest.mark.parametrize(("brokers", "shared", "code"), [(2, True, 4), (3, True, 4), (3, False, 6)])
def test_two_clusters_are_named_as_such(tmp_path: Path, capsys: Caught, brokers: int, shared: bool, code: int) -> None:
    """Nobody's offsets disagree, and no side file is damaged: what is to be decided is which cluster is meant."""
    homes = [clean(tmp_path / f"b{number}", node=number) for number in range(brokers)]
    properties = homes[-1] / "meta.properties"
    lines = [line for line in properties.read_text().splitlines() if not line.startswith("cluster.id")]
    properties.write_text("\n".join([*lines, "cluster.id=zzzzzzzzzzzzzzzzzzzzzz"]) + "\n")
    if not shared:
        for name in ("orders-0", "payments-1"):
            (homes[-1] / name).rename(homes[-1] / f"their-{name}")
    assert run(["check", *map(str, homes)]) == code
    first, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith(
        "A PERSON MUST DECIDE: two clusters have partitions of the same name (orders-0, payments-1): --prefer NAME; "
        if shared
        else "NOTHING LOST, ANOTHER CLUSTER IS KEPT APART: their-orders-0, their-payments-1; "
    )


def test_two_topics_of_one_name_are_named_as_such(tmp_path: Path, capsys: Caught) -> None:
    homes = [clean(tmp_path / f"b{number}", node=number) for number in range(2)]
    for home, letter in zip(homes, "ab", strict=True):
        (home / "orders-0" / "partition.metadata").write_text(f"version: 0\ntopic_id: {letter * 21}A\n")
    assert run(["check", *map(str, homes)]) == 4
    first, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("A PERSON MUST DECIDE: two topics have the same name (orders-0): --prefer NAME; ")


def test_json_on_stdout_is_all_that_is_there(tmp_path: Path) -> None:
    root = damaged(tmp_path / "b")
    done = ks("check", root, "--json", "-", "-v", "--log-json")
    assert done.returncode == 3
    report = json.loads(done.stdout)
    assert report["schema"] == "kafka-salvage.report/1"
    assert report["summary"]["offsets"]["lost"] == 10
    messages = [json.loads(line) for line in done.stderr.splitlines()]
    assert messages[-1]["argv"][0] == "check"
    assert {m["event"] for m in messages[:-1]} <= {"stage", "progress", "end"}


def test_json_in_a_file_equals_json_on_stdout(tmp_path: Path, capsys: Caught) -> None:
    root = damaged(tmp_path / "b")
    assert run(["check", str(root), "--json", "-"]) == 3
    printed = capsys.readouterr().out
    place = tmp_path / "report.json"
    place.write_text("old")
    assert run(["check", str(root), "--json", str(place)]) == 3
    assert capsys.readouterr().out.startswith("DATA LOST")
    assert place.read_text() == printed
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "report.json"]


def test_the_report_is_the_same_for_any_number_of_jobs(tmp_path: Path, capsys: Caught) -> None:
    root = damaged(tmp_path / "b")
    said = []
    for jobs in ("1", "2", "7"):
        assert run(["check", str(root), "--deep", "--json", "-", "--jobs", jobs]) == 3
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] == said[2]


def test_maps_say_where_the_damage_lies(tmp_path: Path) -> None:
    root = damaged(tmp_path / "b")
    assert run(["check", str(root), "--mapfile", str(tmp_path / "maps")]) == 3
    found = tree(tmp_path / "maps")
    name = f"broker-1/orders-0/{segment_name(0)}.map"
    assert set(found) == {
        name,
        f"broker-1/orders-0/{segment_name(40)}.map",
        f"broker-1/payments-1/{segment_name(0)}.map",
    }
    _, infos = segment(4)
    rows = [line.split() for line in found[name].decode().splitlines() if not line.startswith("#")][1:]
    assert [(int(start, 16), int(size, 16), status) for start, size, status in rows] == [
        (0, infos[0].stop, "+"),
        (infos[1].start, infos[1].size, "-"),
        (infos[2].start, infos[3].stop - infos[2].start, "+"),
    ]


def test_filters_do_not_hide_what_is_selected(tmp_path: Path, capsys: Caught) -> None:
    root = damaged(tmp_path / "b")
    assert run(["check", str(root), "--topic", "payments"]) == 0
    assert run(["check", str(root), "--topic", "payments", "--topic", "orders"]) == 3
    assert run(["check", str(root), "--partition", "1"]) == 0
    assert run(["check", str(root), "--from-offset", "20", "--topic", "orders"]) == 0
    assert run(["check", str(root), "--to-offset", "11", "--topic", "orders"]) == 3
    capsys.readouterr()
    assert run(["check", str(root), "--from-datetime", "2100-01-01", "--json", "-"]) in (0, 3)
    assert json.loads(capsys.readouterr().out)["summary"]["records"]["intact"] == 0


def test_deep_finds_what_a_crc_cannot(tmp_path: Path, capsys: Caught) -> None:
    root = clean(tmp_path / "b")
    assert run(["check", str(root), "--deep"]) == 0
    assert "every record was read" in capsys.readouterr().out
    assert run(["check", str(root)]) == 0
    assert "--deep reads every record" in capsys.readouterr().out


def test_quiet_and_unread_streams_say_nothing_on_stderr(tmp_path: Path) -> None:
    root = damaged(tmp_path / "b")
    for words in ([], ["-q"], ["--progress"], ["--no-progress"]):
        assert ks("check", root, *words).stderr == "", words


def test_a_partition_a_segment_and_a_named_source(tmp_path: Path, capsys: Caught) -> None:
    root = damaged(tmp_path / "b")
    assert run(["check", str(root / "payments-1")]) == 0
    assert run(["check", str(root / "orders-0" / segment_name(40))]) == 0
    assert run(["check", f"rack={root}", "--json", "-"]) == 3
    lines = capsys.readouterr().out
    assert json.loads(lines[lines.index("{") :])["sources"][0]["name"] == "rack"


def test_a_broken_index_is_never_needed(tmp_path: Path, capsys: Caught) -> None:
    root = clean(tmp_path / "b")
    flip(root / "orders-0" / segment_name(0, "index"), 7)
    assert run(["check", str(root)]) == 6
    assert "index-disagrees" in capsys.readouterr().out
