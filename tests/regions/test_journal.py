"""Journal: torn and changed lines do not count, what is no journal is left alone, one run at a time."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kafka_salvage.errors import DestinationError, RequestError
from kafka_salvage.regions.journal import Journal, make_line, read_line

VALUES = {"a": {"n": 1}, "b": [1, 2, "ü\udcff"], "c": None}


def written(path: Path) -> bytes:
    with Journal(path, resume=False) as journal:
        for key, value in VALUES.items():
            journal.append("thing", key, value)
    return path.read_bytes()


def found(path: Path) -> dict[str, object]:
    with Journal(path, resume=True) as journal:
        return {key: journal.find("thing", key) for key in journal.keys("thing")}


def test_every_line_is_json_with_its_own_checksum(tmp_path: Path) -> None:
    lines = written(tmp_path / "state").splitlines(keepends=True)
    assert len(lines) == 4
    assert json.loads(lines[1])["line"] == ["thing", "a", {"n": 1}]
    for line in lines:
        assert len(json.loads(line)["sum"]) == 16
        for place in range(len(line)):
            changed = bytearray(line)
            changed[place] ^= 1
            assert read_line(bytes(changed)) is None, place


def test_what_was_told_is_found_again_and_the_last_word_counts(tmp_path: Path) -> None:
    written(tmp_path / "state")
    with Journal(tmp_path / "state", resume=True) as journal:
        journal.append("thing", "a", {"n": np.int64(2)})
        journal.append("other", "a", True)
        assert journal.find("thing", "a") == {"n": 2}
        assert journal.find("nothing", "a") is None
        assert len(journal) == 4
    assert found(tmp_path / "state") == {**VALUES, "a": {"n": 2}}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(cut=st.integers(0, 400))
def test_a_cut_costs_the_torn_line_only(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "state"
    path.unlink(missing_ok=True)
    whole = written(path)
    cut = min(cut, len(whole))
    path.write_bytes(whole[:cut])
    lines = whole[:cut].count(b"\n")
    expected = dict(list(VALUES.items())[: max(0, lines - 1)])
    assert found(path) == expected
    with Journal(path, resume=True) as journal:
        journal.append("thing", "d", 4)
    assert found(path) == {**expected, "d": 4}


def test_a_changed_line_in_the_middle_does_not_count_and_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "state"
    data = bytearray(written(path))
    data[data.index(b'"n":1') + 4] = ord("7")
    path.write_bytes(data)
    assert found(path) == {key: VALUES[key] for key in "bc"}


@pytest.mark.parametrize("content", [b"precious", b"precious\n", make_line("header", "", {"schema": "x"}), b"\0" * 99])
def test_another_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state"
    path.write_bytes(content)
    for resume in (False, True):
        with pytest.raises(RequestError, match=r"no state|there already"):
            Journal(path, resume=resume)
    assert path.read_bytes() == content


def test_what_is_there_is_not_begun_anew_by_accident(tmp_path: Path) -> None:
    whole = written(tmp_path / "state")
    with pytest.raises(RequestError, match="there already"):
        Journal(tmp_path / "state", resume=False)
    assert (tmp_path / "state").read_bytes() == whole
    (tmp_path / "state").write_bytes(b"")
    assert written(tmp_path / "state") == whole


def test_a_directory_or_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(RequestError, match="regular"):
            Journal(path, resume=True)
    with pytest.raises(DestinationError):
        Journal(tmp_path / "nowhere" / "state", resume=False)


def test_two_runs_do_not_share_one(tmp_path: Path) -> None:
    written(tmp_path / "state")
    with (
        Journal(tmp_path / "state", resume=True),
        pytest.raises(RequestError, match="another run"),
    ):
        Journal(tmp_path / "state", resume=True)
    found(tmp_path / "state")


def test_a_full_disk_keeps_what_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    journal = Journal(path, resume=False)
    journal.append("thing", "a", 1)
    real = os.write

    def half(file: int, data: bytes) -> int:
        if len(data) < 40:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(DestinationError, match="No space") as caught:
        journal.append("thing", "b", 2)
    assert "--resume" in caught.value.advice
    monkeypatch.undo()
    journal.append("thing", "c", 3)
    assert journal.find("thing", "c") == 3
    journal.close()
    assert found(path) == {"a": 1, "c": 3}


def test_it_is_synced_about_once_a_second_and_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    now = [1000.0]
    monkeypatch.setattr("kafka_salvage.regions.journal.time.monotonic", lambda: now[0])
    with Journal(tmp_path / "state", resume=False) as journal:
        monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_size))
        journal.append("thing", "a", 1)
        assert synced == []
        now[0] += 1.5
        journal.append("thing", "b", 2)
        two = (tmp_path / "state").stat().st_size
        assert synced == [two]
        journal.append("thing", "c", 3)
        assert synced == [two]
    assert synced == [two, (tmp_path / "state").stat().st_size]
