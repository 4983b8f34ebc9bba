"""Exit codes: one table, and what is said for each error."""

from __future__ import annotations

import errno
from pathlib import Path

import click
import pytest

from kafka_salvage.cli import exits
from kafka_salvage.cli.exits import Exit, code_of, explain, safe
from kafka_salvage.cli.main import run
from kafka_salvage.errors import DestinationError, InvariantError, MissingExtraError, RequestError, SourceError
from tests.cli.ground import clean

Caught = pytest.CaptureFixture[str]


def test_the_codes_are_those_that_scripts_know() -> None:
    assert {int(code) for code in Exit} == {0, 2, 3, 4, 5, 6, 70, 130}
    assert set(exits.MEANINGS) == set(Exit)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequestError("no"), 2),
        (SourceError("no"), 5),
        (DestinationError("no"), 5),
        (MissingExtraError("no", install="pip install x"), 5),
        (InvariantError("no", stage="scan"), 70),
        (ZeroDivisionError("no"), 70),
        (KeyboardInterrupt(), 130),
        (click.exceptions.Abort(), 130),
        (OSError(errno.ENOSPC, "No space left on device"), 5),
        (MemoryError(), 5),
    ],
)
def test_each_error_has_its_code(error: BaseException, code: int) -> None:
    assert code_of(error) == code
    assert all(line.isprintable() for line in explain(error))


def test_an_error_is_a_sentence_its_causes_and_what_to_do() -> None:
    error = RequestError("it is\x1b[2J not there", causes=("A.", "B."), advice="Do C.")
    assert explain(error) == ["Error: it is\\x1b[2J not there", "  likely: A.", "  likely: B.", "  do: Do C."]


def test_a_bug_names_stage_and_place_and_asks_for_a_report(
    tmp_path: Path, capsys: Caught, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise InvariantError("3 is not 4", stage="regions.map", where=(5, 9))

    root = clean(tmp_path / "b")
    monkeypatch.setattr("kafka_salvage.integrity.asking.make_plan", broken)
    assert run(["check", str(root)]) == 70
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "This is a bug in kafka_salvage: InvariantError: 3 is not 4"
    assert said[1].startswith("  place: integrity/asking.py:")
    assert said[2:] == [
        "  stage: regions.map, bytes 5..9",
        "  please report it with the command line and this text; -vv shows the whole traceback",
    ]
    assert run(["check", str(root), "-vv"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_a_traceback_is_shown_only_when_it_is_asked_for(tmp_path: Path, capsys: Caught) -> None:
    for words, wanted in (([], False), (["-v"], False), (["-vv"], True), (["-v", "-v"], True), (["-qvv"], True)):
        assert run(["check", str(tmp_path / "none"), *words]) == 2
        said = capsys.readouterr().err
        assert ("Traceback" in said) is wanted, words
        assert "does not exist" in said


def test_usage_goes_to_stderr_in_two_lines(capsys: Caught) -> None:
    for words in (
        ["check"],
        ["check", "--nix", "x"],
        ["salvage", "x"],
        ["frob"],
        ["check", "x", "--partition", "\x1b"],
    ):
        assert run(words) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("Error: ")
        assert len(said.err.splitlines()) == 2
        assert "\x1b" not in said.err


def test_help_and_version_go_to_stdout(capsys: Caught) -> None:
    for words in (["--help"], ["-h"], ["check", "--help"], ["salvage", "-h"], ["show", "--help"], ["--version"]):
        assert run(words) == 0
        said = capsys.readouterr()
        assert said.err == ""
        assert "kafka-salvage" in said.out


def test_an_interrupt_anywhere_is_130(tmp_path: Path, capsys: Caught, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    root = clean(tmp_path / "b")
    for place in ("take_inventory", "make_plan", "make_report", "survey_replica"):
        with monkeypatch.context() as patch:
            module = "integrity.asking" if place in ("make_plan", "survey_replica") else "api"
            patch.setattr(f"kafka_salvage.{module}.{place}", interrupted)
            assert run(["check", str(root)]) == 130
            assert run(["salvage", str(root), "--out", str(tmp_path / "out" / place)]) == 130
        said = capsys.readouterr()
        assert said.out == ""
        assert "Interrupted. " in said.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and not {".partial", "b"} & set(path.parts)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcödé 数", "plain ünïcödé 数"),
        ("a\nb\tc\x1b[0m", "a\\nb\\tc\\x1b[0m"),
        ("\u202eright\u2066", "\\u202eright\\u2066"),
        ("\udcff\udc80", "\\xff\\x80"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        (7, "7"),
    ],
)
def test_nothing_speaks_to_the_terminal(text: object, shown: str) -> None:
    assert safe(text) == shown
