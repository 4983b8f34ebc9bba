"""Verification: what was done to a rescue is found and named, and nothing else is."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import kafka_salvage
from kafka_salvage.errors import RequestError
from kafka_salvage.export.verification import FileStatus, Verification, verify_rescue
from kafka_salvage.plan.policy import Include, Isolation, Policy, Selection
from tests.export.scenes import json_lines, tree
from tests.export.test_fixtures import CLEAN, SCENES, damaged

FORMATS = ["segments", "jsonl", "parquet", "arrow"]
LOG = "segments/orders-0/00000000000000000250.log"
KINDS = {
    "segments": LOG,
    "checkpoint": "segments/orders-0/leader-epoch-checkpoint",
    "jsonl": "jsonl/orders/0.jsonl",
    "parquet": "parquet/orders/0/part-00000.parquet",
    "arrow": "arrow/orders/0.arrow",
    "quarantine": "quarantine/index.jsonl",
    "report": "report.json",
    "manifest": "manifest.json",
}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pristine")
    kafka_salvage.salvage(damaged(root), out=root / "out", formats=FORMATS)
    return root / "out"


@pytest.fixture
def out(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "out"))


def wrong(found: Verification) -> dict[str, FileStatus]:
    return {check.path: check.status for check in found.files if check.status is not FileStatus.OK}


def resum(out: Path, *paths: str) -> None:
    """Makes manifest and sums agree with files that were changed, as if the writer had made them so."""
    manifest = json.loads((out / "manifest.json").read_bytes())
    for entry in manifest["outputs"]:
        if entry["path"] in paths:
            data = (out / entry["path"]).read_bytes()
            entry["size"], entry["sha256"] = len(data), hashlib.sha256(data).hexdigest()
    (out / "manifest.json").write_text(json.dumps(manifest))
    resum_only(out, "manifest.json", *paths)


def resum_only(out: Path, *paths: str) -> None:
    lines = (out / "SHA256SUMS").read_text().splitlines()
    sums = {line[66:]: line[:64] for line in lines}
    for path in paths:
        sums[path] = hashlib.sha256((out / path).read_bytes()).hexdigest()
    (out / "SHA256SUMS").write_text("".join(f"{sums[path]}  {path}\n" for path in sorted(sums)))


def change_manifest(out: Path, change: Callable[[Any], None]) -> None:
    manifest = json.loads((out / "manifest.json").read_bytes())
    change(manifest)
    (out / "manifest.json").write_text(json.dumps(manifest))
    resum_only(out, "manifest.json")


def sentences(found: Verification, path: str) -> str:
    return " | ".join(reason for place, _, reason in found.disagreements if place == path)


def test_an_untouched_rescue_agrees(pristine: Path) -> None:
    before = tree(pristine)
    found = verify_rescue(pristine)
    assert (found.exit_code, found.disagreements) == (0, ())
    assert {check.path for check in found.files} == set(before)
    assert tree(pristine) == before
    expected = {("orders", 0): None, ("v1-none", 0): None, ("v0-gzip", 1): None, ("mixed-none", 0): None}
    assert {(line.topic, line.partition) for line in found.lines} == set(expected)
    for line in found.lines:
        lines = json_lines((pristine / f"jsonl/{line.topic}/{line.partition}.jsonl").read_bytes())
        assert (line.records, line.first, line.last) == (len(lines), lines[0]["offset"], lines[-1]["offset"])


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("flags", [{}, {"compress": "gzip"}, {"compress": "zstd", "isolation": "read_committed"}])
def test_rescues_of_real_brokers_agree(scene: str, flags: dict[str, str], tmp_path: Path) -> None:
    brokers = [path for path in (CLEAN / scene).iterdir() if path.name.startswith("broker")]
    kafka_salvage.salvage(brokers, out=tmp_path / "out", formats=FORMATS, **flags)  # type: ignore[arg-type]
    found = verify_rescue(tmp_path / "out", jobs=2)
    assert found.disagreements == ()
    assert {line.format for line in found.lines} == set(FORMATS)


@pytest.mark.parametrize(
    "flags",
    [
        {"from_offset": 300, "to_offset": 900},
        {"from_datetime": "2024-01-01T00:00:00", "to_datetime": "2024-01-01T00:10:00"},
        {"include": ["trimmed", "suspect"]},
        {"topic": "payments", "undecided": "strip", "leader_epoch": 0},
        {"undecided": "keep"},
    ],
)
def test_rescues_that_are_narrowed_agree(flags: dict[str, Any], tmp_path: Path) -> None:
    kafka_salvage.salvage(CLEAN / "cluster" / "broker-1", out=tmp_path / "out", formats=FORMATS, **flags)
    assert verify_rescue(tmp_path / "out").disagreements == ()


@pytest.mark.parametrize("path", KINDS.values(), ids=KINDS.keys())
def test_one_flipped_byte_is_found(out: Path, path: str) -> None:
    data = bytearray((out / path).read_bytes())
    data[len(data) // 2] ^= 0x04
    (out / path).write_bytes(data)
    found = verify_rescue(out)
    assert wrong(found) == {path: FileStatus.DAMAGED}
    assert found.exit_code == 3
    assert "SHA-256" in sentences(found, path)


@pytest.mark.parametrize("path", KINDS.values(), ids=KINDS.keys())
def test_a_file_that_is_gone_is_found(out: Path, path: str) -> None:
    (out / path).unlink()
    found = verify_rescue(out)
    assert wrong(found) == {path: FileStatus.MISSING}
    assert found.exit_code == 3


@pytest.mark.parametrize("path", KINDS.values(), ids=KINDS.keys())
def test_a_file_cut_short_is_found(out: Path, path: str) -> None:
    data = (out / path).read_bytes()
    (out / path).write_bytes(data[: len(data) * 2 // 3])
    found = verify_rescue(out)
    assert wrong(found) == {path: FileStatus.DAMAGED}


@pytest.mark.parametrize("path", ["extra", "jsonl/orders/1.jsonl", "segments/orders-0/00000000000000009999.log"])
def test_a_file_too_many_is_found(out: Path, path: str) -> None:
    (out / path).write_bytes(b"")
    found = verify_rescue(out)
    assert wrong(found) == {path: FileStatus.UNLISTED}
    assert found.exit_code == 3


def test_only_the_run_block_may_change(out: Path) -> None:
    (out / "run.json").write_text("{}")
    assert verify_rescue(out).exit_code == 0
    (out / "run.json").unlink()
    assert verify_rescue(out).exit_code == 0


def test_a_link_in_place_of_a_file_is_found(out: Path, tmp_path: Path) -> None:
    (out / KINDS["jsonl"]).rename(tmp_path / "elsewhere")
    (out / KINDS["jsonl"]).symlink_to(tmp_path / "elsewhere")
    assert wrong(verify_rescue(out)) == {KINDS["jsonl"]: FileStatus.DAMAGED}


def test_sums_that_are_gone_leave_the_manifest_to_go_by(out: Path) -> None:
    (out / "SHA256SUMS").unlink()
    assert wrong(verify_rescue(out)) == {"SHA256SUMS": FileStatus.MISSING}


def test_a_damaged_line_of_sums_is_found(out: Path) -> None:
    text = (out / "SHA256SUMS").read_text().splitlines()
    (out / "SHA256SUMS").write_text("\n".join(["nonsense", *text[1:]]) + "\n")
    found = wrong(verify_rescue(out))
    assert found == {"SHA256SUMS": FileStatus.DAMAGED, text[0][66:]: FileStatus.DAMAGED}


@pytest.mark.parametrize("path", [LOG, KINDS["jsonl"], KINDS["parquet"], KINDS["arrow"]])
def test_a_count_that_the_manifest_has_wrong_is_found(out: Path, path: str) -> None:
    def change(manifest: Any) -> None:
        for entry in manifest["outputs"]:
            entry["records"] += entry["path"] == path

    change_manifest(out, change)
    found = verify_rescue(out)
    assert wrong(found) == {path: FileStatus.DAMAGED}
    assert "manifest counts" in sentences(found, path)


def test_a_line_that_the_manifest_counts_wrong_is_found(out: Path) -> None:
    def change(manifest: Any) -> None:
        for line in manifest["partitions"]:
            if line["topic"] == "orders":
                line["outputs"]["arrow"]["records"] -= 1

    change_manifest(out, change)
    found = verify_rescue(out)
    assert found.exit_code == 3
    assert [line.path for line in found.lines if line.reasons] == ["arrow/orders/0.arrow"]


def test_an_output_that_the_manifest_lost_is_found(out: Path) -> None:
    def change(manifest: Any) -> None:
        manifest["outputs"] = [entry for entry in manifest["outputs"] if not entry["path"].startswith("parquet/orders")]
        for line in manifest["partitions"]:
            if line["topic"] == "orders":
                del line["outputs"]["parquet"]

    change_manifest(out, change)
    found = verify_rescue(out)
    assert "orders-0: nothing of it was written as parquet" in sentences(found, "manifest.json")


def drop_a_line(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:50] + lines[51:]))


def turn_a_line(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3], lines[4] = lines[4], lines[3]
    path.write_bytes(b"".join(lines))


def move_a_line(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    row = json.loads(lines[-1])
    row["offset"] += 1_000_000
    path.write_bytes(b"".join([*lines[:-1], json.dumps(row).encode() + b"\n"]))


def cut_a_batch(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: -5 - int.from_bytes(data[8:12], "big") // 2])


def lose_a_batch(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[12 + int.from_bytes(data[8:12], "big") :])


def other_partition(path: Path) -> None:
    table = pq.read_table(path)
    place = table.schema.get_field_index("partition")
    pq.write_table(table.set_column(place, table.field(place), pa.array([7] * len(table), pa.int32())), path)


def lose_a_row(path: Path) -> None:
    pq.write_table(pq.read_table(path).slice(1), path)


def lose_a_column(path: Path) -> None:
    pq.write_table(pq.read_table(path).drop_columns(["headers"]), path)


@pytest.mark.parametrize(
    ("path", "change", "word"),
    [
        (KINDS["jsonl"], drop_a_line, "records are in it"),
        (KINDS["jsonl"], turn_a_line, "not behind the one before"),
        (KINDS["jsonl"], move_a_line, "none that the report says"),
        (LOG, cut_a_batch, "no batch at byte"),
        (LOG, lose_a_batch, "records are in it"),
        (KINDS["parquet"], other_partition, "another partition"),
        (KINDS["parquet"], lose_a_row, "records are in it"),
        (KINDS["parquet"], lose_a_column, "columns"),
    ],
)
def test_what_hashes_cannot_tell_is_found(out: Path, path: str, change: Callable[[Path], None], word: str) -> None:
    change(out / path)
    resum(out, path)
    found = verify_rescue(out)
    assert found.exit_code == 3
    assert word in " | ".join(reason for _, _, reason in found.disagreements)
    assert {place for place, _, _ in found.disagreements} <= {path, str(Path(path).parent)}


def test_a_report_that_does_not_add_up_is_found(out: Path) -> None:
    report = json.loads((out / "report.json").read_bytes())
    report["partitions"][0]["records"]["data"] += 1
    (out / "report.json").write_text(json.dumps(report))
    resum(out, "report.json")
    found = verify_rescue(out)
    assert found.exit_code == 3
    assert "records are counted" in sentences(found, "report.json")
    assert all(
        "report counts" in " ".join(line.reasons)
        for line in found.lines
        if line.topic == report["partitions"][0]["topic"]
    )


def test_a_file_that_cannot_be_read_is_no_damage(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.file_digest

    def failing(file: Any, name: str) -> Any:
        if file.name.endswith(".arrow"):
            raise OSError(5, "Input/output error")
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", failing)
    found = verify_rescue(out)
    assert set(wrong(found).values()) == {FileStatus.UNREADABLE}
    assert found.exit_code == 5


def test_what_is_no_rescue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no directory"):
        verify_rescue(tmp_path / "none")
    with pytest.raises(RequestError, match="no rescue"):
        verify_rescue(tmp_path)
    (tmp_path / ".partial").mkdir()
    with pytest.raises(RequestError, match="never finished"):
        verify_rescue(tmp_path)


def test_the_number_of_workers_changes_nothing(out: Path) -> None:
    (out / KINDS["jsonl"]).write_bytes(b"x")
    (out / "extra").write_bytes(b"")
    assert verify_rescue(out, jobs=1).to_dict() == verify_rescue(out, jobs=4).to_dict()


def test_policies_that_narrow_have_these_names() -> None:
    assert {str(each) for each in Include} >= {"suspect", "trimmed"}
    assert str(Isolation.READ_COMMITTED) == "read_committed"
    assert Policy(selection=Selection(from_offset=1)).selection.narrows_records
