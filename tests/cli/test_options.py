"""Options: what a person may write, and what becomes of it."""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from kafka_salvage.cli.main import group, run
from kafka_salvage.cli.options import ByteSize, Moment
from tests.cli.ground import clean, ks

Caught = pytest.CaptureFixture[str]
UTC = dt.UTC


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("123", 123), ("512MiB", 512 << 20), ("512 mb", 512 << 20), ("1.5G", 3 << 29), ("2TiB", 2 << 40), ("7k", 7 << 10)],
)  # fmt: skip
def test_sizes(text: str, count: int) -> None:
    assert ByteSize().convert(text, None, None) == count


@pytest.mark.parametrize("text", ["", "lots", "-1", "1e9", "5PB", "1 2", "0x10", "1,5G", "²"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no size"):
        ByteSize().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-01", dt.datetime(2024, 5, 1, tzinfo=UTC)),
        ("2024-05-01T12:30:00", dt.datetime(2024, 5, 1, 12, 30, tzinfo=UTC)),
        ("2024-05-01T12:30:00Z", dt.datetime(2024, 5, 1, 12, 30, tzinfo=UTC)),
        ("2024-05-01 12:30:00.250+02:00", dt.datetime(2024, 5, 1, 10, 30, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_moments(text: str, moment: dt.datetime) -> None:
    assert Moment().convert(text, None, None) == moment


@pytest.mark.parametrize("text", ["", "gestern", "2024-13-01", "01.05.2024", "1714521600"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no ISO 8601 date"):
        Moment().convert(text, None, None)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--topic-regex", "("], "is no regular expression"),
        (["--partition", "-1"], "--partition"),
        (["--from-offset", "x"], "--from-offset"),
        (["--jobs", "0"], "--jobs"),
        (["--memory", "much"], "is no size"),
        (["--include", "everything"], "everything"),
        (["--json", "no/such/dir/x"], "there is no such directory"),
        (["--json", "."], "is a directory"),
    ],
)
def test_what_is_refused(
    words: list[str], sentence: str, tmp_path: Path, capsys: Caught, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clean(tmp_path / "b")
    assert run(["check", "b", *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert sentence in said.err


def test_what_is_given_arrives_in_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def twin(paths: object, **flags: object) -> None:
        seen.update(flags, paths=paths)
        raise KeyboardInterrupt

    monkeypatch.setattr("kafka_salvage.api.salvage", twin)
    words = [
        "salvage",
        "x=a",
        "b",
        "--out",
        "o",
        "--topic",
        "t",
        "--topic",
        "u",
        "--partition",
        "3",
        "--isolation",
        "read_committed",
    ]
    words += ["--undecided", "strip", "--leader-epoch", "0", "--topic-id", "t=" + "A" * 22, "--encoding", "utf8"]
    words += [
        "--compress",
        "gzip",
        "--format",
        "jsonl",
        "--memory",
        "1G",
        "--include",
        "stray",
        "--strict",
        "--resume",
        "--force",
    ]
    assert run(words) == 130
    wanted = {
        "paths": ("x=a", "b"), "out": Path("o"), "topic": ("t", "u"), "partition": 3, "isolation": "read_committed",
        "undecided": "strip", "leader_epoch": 0, "topic_id": {"t": "A" * 22}, "encoding": "utf8", "compress": "gzip",
        "formats": ("jsonl",), "memory": 1 << 30, "include": ("stray",), "strict": True, "resume": True, "force": True,
        "internal": False, "prefer": None,
    }  # fmt: skip
    assert {name: seen[name] for name in wanted} == wanted


def test_every_option_is_explained() -> None:
    for command in group.commands.values():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{command.name} {parameter.name}"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process its peak")
def test_more_memory_than_was_promised_is_said(tmp_path: Path) -> None:
    root = clean(tmp_path / "b")
    few = ks("check", root, "--memory", "1M")
    assert few.returncode == 0
    assert "more than the 1 MiB of --memory" in few.stderr
    assert not ks("check", root).stderr
    assert not ks("check", root, "--memory", "1M", "-q").stderr
    lines = [json.loads(line) for line in ks("check", root, "--memory", "1M", "--log-json").stderr.splitlines()]
    assert "more than the 1 MiB" in next(line["message"] for line in lines if line["event"] == "memory")
