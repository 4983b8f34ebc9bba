"""Bad input: each kind gets one clear sentence or a finding, the right exit code, and never a traceback."""

from __future__ import annotations

import gzip
import json
import os
import tarfile
from pathlib import Path

import pytest

from kafka_salvage import api
from kafka_salvage.cli.main import run
from kafka_salvage.progress import Progress
from tests.cli.ground import clean, damaged, flip, lay
from tests.support.build import segment, segment_name
from tests.support.truth import digest

Caught = pytest.CaptureFixture[str]


def refused(words: list[str], caught: Caught, *sentences: str) -> None:
    """The command ends with code 2, one sentence on stderr that holds ``sentences``, nothing on stdout."""
    assert run(words) == 2
    said = caught.readouterr()
    assert said.out == ""
    assert said.err.startswith("Error: ")
    assert "Traceback" not in said.err
    assert len(said.err.splitlines()) <= 4
    for sentence in sentences:
        assert sentence in said.err


VERBS = (["check"], ["salvage", "--out", "rescued"], ["show"])


@pytest.mark.parametrize("verb", VERBS, ids=["check", "salvage", "show"])
class TestEveryVerb:
    """What every verb answers alike."""

    @pytest.fixture(autouse=True)
    def there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    def test_a_missing_path(self, verb: list[str], capsys: Caught) -> None:
        refused([*verb, "nowhere"], capsys, "nowhere does not exist", "do: ")

    def test_a_part_of_the_path_is_a_file(self, verb: list[str], capsys: Caught) -> None:
        Path("file").write_bytes(b"x")
        refused([*verb, "file/orders-0"], capsys, "does not exist")

    def test_a_file_where_a_directory_is_meant(self, verb: list[str], capsys: Caught) -> None:
        Path("notes.txt").write_bytes(b"hello\n")
        refused([*verb, "notes.txt"], capsys, "notes.txt")

    def test_an_empty_directory(self, verb: list[str], capsys: Caught) -> None:
        Path("empty").mkdir()
        refused([*verb, "empty"], capsys, "empty is an empty directory", "not mounted")

    def test_a_directory_without_kafka_files(self, verb: list[str], capsys: Caught) -> None:
        Path("photos").mkdir()
        Path("photos/one.jpg").write_bytes(b"\xff\xd8\xff")
        refused([*verb, "photos"], capsys, "photos holds no ")

    def test_a_loop_of_links(self, verb: list[str], capsys: Caught) -> None:
        Path("a").symlink_to("b")
        Path("b").symlink_to("a")
        refused([*verb, "a"], capsys, "leads back to itself")

    def test_a_pipe_and_a_device(self, verb: list[str], capsys: Caught) -> None:
        os.mkfifo("pipe")
        refused([*verb, "pipe"], capsys, "pipe is a named pipe")
        refused([*verb, "/dev/null"], capsys, "/dev/null is a character device")

    def test_an_empty_argument(self, verb: list[str], capsys: Caught) -> None:
        refused([*verb, ""], capsys, "PATH is empty")

    def test_archives_are_answered_with_what_opens_them(self, verb: list[str], capsys: Caught) -> None:
        Path("copy.log.gz").write_bytes(gzip.compress(b"x" * 99))
        refused([*verb, "copy.log.gz"], capsys, "is a gzip archive", f"gzip -dk {Path.cwd()}/copy.log.gz")
        with tarfile.open("copy.tar.gz", "w:gz") as archive:
            archive.add("copy.log.gz")
        refused([*verb, "copy.tar.gz"], capsys, "is a gzip archive", f"tar -xf {Path.cwd()}/copy.tar.gz")
        with tarfile.open("copy", "w") as archive:
            archive.add("copy.log.gz")
        refused([*verb, "copy"], capsys, "is a tar archive", f"tar -xf {Path.cwd()}/copy")

    def test_names_cannot_speak_to_the_terminal(self, verb: list[str], capsys: Caught) -> None:
        refused([*verb, "x\x1b[2J\ny"], capsys, "x\\x1b[2J\\ny does not exist")


def test_a_topic_that_is_not_there(tmp_path: Path, capsys: Caught) -> None:
    refused(["check", str(clean(tmp_path / "b")), "--topic", "nix"], capsys, "no partition under the sources matches")


def test_a_source_that_is_not_there_cannot_be_preferred(tmp_path: Path, capsys: Caught) -> None:
    refused(
        ["check", str(clean(tmp_path / "b")), "--prefer", "b7"],
        capsys,
        "--prefer b7: no source",
        "The names are: broker-1",
    )


def test_segments_of_no_bytes_are_no_damage(tmp_path: Path, capsys: Caught) -> None:
    lay(tmp_path / "orders-0", (0, b""))
    assert run(["check", str(tmp_path)]) == 0
    assert "orders-0" in capsys.readouterr().out


def test_a_name_that_is_no_number_is_a_finding_and_its_records_come_out(tmp_path: Path, capsys: Caught) -> None:
    (lay(tmp_path / "orders-0", (0, segment(2)[0])) / "old.log").write_bytes(segment(2, base=20)[0])
    assert run(["check", str(tmp_path), "--json", "-"]) == 6
    report = json.loads(capsys.readouterr().out)
    assert [f["path"] for f in report["findings"] if f["code"] == "name-disagrees"] == ["orders-0/old.log"]
    assert report["summary"]["records"]["intact"] == 40


def test_what_is_no_file_is_listed_and_never_opened(tmp_path: Path, capsys: Caught) -> None:
    root = clean(tmp_path / "b")
    os.mkfifo(root / "orders-0" / "note")
    (root / "loop").symlink_to("loop")
    (root / "again").symlink_to("orders-0")
    assert run(["check", str(root), "--json", "-"]) == 0
    files = {f["path"]: f["reason"] for f in json.loads(capsys.readouterr().out)["files"] if f["use"] == "ignored"}
    assert "named pipe, never opened" in files["orders-0/note"]
    assert "leads back to itself" in files["loop"]
    assert "a symbolic link, not followed" in files["again"]


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_what_is_no_file_and_has_a_segments_name_does_not_pass_for_intact(
    kind: str, tmp_path: Path, capsys: Caught
) -> None:
    root = clean(tmp_path / "b")
    place = root / "orders-0" / segment_name(60)
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("/dev/zero")
    assert run(["check", str(root)]) == 5
    out = capsys.readouterr().out
    assert out.startswith("NOT ALL COULD BE READ: 1 segment file could not be opened (orders-0/")
    assert "80 records" in out


class Meddler(Progress):
    """Changes a file when a stage begins, after it was looked at and before it is read."""

    def __init__(self, place: Path, stage: str, data: bytes) -> None:
        self.place, self.name, self.data = place, stage, data

    def stage(self, name: str, total: int) -> None:
        if name == self.name:
            self.place.write_bytes(self.data)


def test_a_file_that_shrinks_before_it_is_read(tmp_path: Path) -> None:
    place = clean(tmp_path / "b") / "orders-0" / segment_name(40)
    report = api.check(tmp_path / "b", progress=Meddler(place, "check", segment(2, base=40)[0][:500]))
    assert report.exit_code in (3, 5)
    assert report.to_dict()["summary"]["records"]["intact"] == 60


def test_a_file_that_grows_before_it_is_read(tmp_path: Path) -> None:
    place = clean(tmp_path / "b") / "orders-0" / segment_name(40)
    report = api.check(tmp_path / "b", progress=Meddler(place, "check", segment(9, base=40)[0]))
    document = report.to_dict()
    assert document["summary"]["records"]["intact"] >= 80
    for entry in document["segments"]:
        assert [r["start"] for r in entry["regions"][1:]] == [r["stop"] for r in entry["regions"][:-1]]
        assert entry["regions"][-1]["stop"] == entry["size"]


def test_a_file_that_shrinks_before_it_is_written_is_said_and_is_code_5(tmp_path: Path) -> None:
    data, infos = segment(2, base=40)
    place = clean(tmp_path / "b") / "orders-0" / segment_name(40)
    meddler = Meddler(place, "write", data[: infos[1].start + 5])
    receipt = api.salvage(tmp_path / "b", out=tmp_path / "out", progress=meddler)
    assert receipt.exit_code == 5
    assert [(s.path, s.stop) for s in receipt.shortfalls] == [("orders-0/" + place.name, len(data))]
    assert (tmp_path / "out" / "segments" / "orders-0" / place.name).read_bytes() == data[: infos[0].stop]


def test_a_report_is_never_written_among_evidence(tmp_path: Path, capsys: Caught) -> None:
    root = damaged(tmp_path / "b")
    (tmp_path / "link").symlink_to(root)
    before = digest(root)
    for target in (root / "report.json", tmp_path / "link" / "x.json", root / "orders-0" / segment_name(0)):
        refused(["check", str(root), "--json", str(target)], capsys, "lies inside the source")
    refused(["check", str(root), "--mapfile", str(tmp_path / "link" / "maps")], capsys, "lies inside the source")
    refused(["check", str(root), "--mapfile", str(tmp_path)], capsys, "lies inside")
    assert digest(root) == before


def test_an_output_is_never_written_among_evidence(
    tmp_path: Path, capsys: Caught, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = damaged(tmp_path / "b")
    (tmp_path / "link").symlink_to(root)
    before = digest(root)
    monkeypatch.chdir(root)
    for target in ("out", f"{tmp_path}/link/out", f"{tmp_path}/other/../b/out", "../link/orders-0/deep/out", "."):
        refused(["salvage", ".", "--out", target], capsys, "inside")
    refused(["salvage", str(root), "--out", str(tmp_path)], capsys, "inside the output directory")
    assert digest(root) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "link"]


def test_an_output_that_is_not_empty(tmp_path: Path, capsys: Caught) -> None:
    root = clean(tmp_path / "b")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("keep")
    (tmp_path / "file").write_text("keep")
    (tmp_path / "loop").symlink_to("loop")
    refused(["salvage", str(root), "--out", str(tmp_path / "out")], capsys, "is not empty", "--force")
    refused(["salvage", str(root), "--out", str(tmp_path / "out"), "--resume"], capsys, "not made by a salvage")
    refused(["salvage", str(root), "--out", str(tmp_path / "file")], capsys, "is not a directory")
    refused(["salvage", str(root), "--out", str(tmp_path / "loop")], capsys, "leads nowhere")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine"]


def test_topics_with_odd_names_are_shown_escaped(tmp_path: Path, capsys: Caught) -> None:
    place = lay(tmp_path / "b" / "ev\x1b[31mil\n\u202e-0", (0, segment(2)[0])) / segment_name(0)
    flip(place, 100)
    assert run(["check", str(tmp_path / "b"), "-v"]) == 3
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "\u202e" not in said.out + said.err
    assert "ev\\x1b[31mil\\n\\u202e-0" in said.out
    assert "\nil" not in said.out


def test_names_that_are_no_text_are_shown_and_reported(tmp_path: Path, capsys: Caught) -> None:
    directory = Path(os.fsdecode(os.fsencode(tmp_path / "b") + b"/\xff\xfe-0"))
    lay(directory, (0, segment(2)[0]))
    assert run(["check", str(tmp_path / "b")]) == 0
    assert "\\xff\\xfe-0" in capsys.readouterr().out
    assert run(["check", str(tmp_path / "b"), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["topics"][0]["name"] == "\\xff\\xfe"
