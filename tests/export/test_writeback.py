"""Writeback: hints to the disk change no byte, leave no room taken, and are given up where the system refuses them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kafka_salvage.export import writeback
from kafka_salvage.export.atomic import Stage

MIB = 1 << 20


def written(folder: Path, pieces: int) -> tuple[Path, bytes]:
    data = os.urandom(MIB)
    with Stage(folder / "out") as stage:
        file = stage.create("a/b", "jsonl")
        for _ in range(pieces):
            file.write(data)
        made = file.finish()
        stage.commit(last=())
    assert made.size == pieces * MIB
    assert made.sha256 == hashlib.sha256(data * pieces).hexdigest()
    return folder / "out" / "a" / "b", data * pieces


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writeback, "BEGIN", 2 * MIB)
    monkeypatch.setattr(writeback, "ROOM", 8 * MIB)
    monkeypatch.setattr(writeback, "BEHIND", 6 * MIB)


@pytest.mark.usefixtures("small")
def test_each_stretch_is_sent_once_and_room_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = writeback._system
    calls: list[tuple[str, tuple[int, ...]]] = []

    def spied(name: str, *types: Any) -> Any:
        function = real(name, *types)

        def call(descriptor: int, *arguments: int) -> int:
            calls.append((name, arguments))
            return 0 if function is None else function(descriptor, *arguments)

        return call

    monkeypatch.setattr(writeback, "_system", spied)
    path, data = written(tmp_path, 21)
    assert path.read_bytes() == data
    synced = [arguments for name, arguments in calls if name == "sync_file_range"]
    begun, waited = ([each[:2] for each in synced if each[2] == flag] for flag in (2, 1))
    assert begun == [(start * MIB, 2 * MIB) for start in range(0, 20, 2)]
    assert waited == [(start * MIB, 2 * MIB) for start in range(0, 14, 2)]
    ends = {2: 0, 1: 0}
    for start, size, flag in synced:
        ends[flag] = start + size
        assert ends[2] - ends[1] <= 8 * MIB  # so much was on its way at most, and only what was begun is waited for
        assert ends[1] <= ends[2]
    taken = [arguments for name, arguments in calls if name == "fallocate64"]
    assert taken == [(1, 4 * MIB, 8 * MIB), (1, 12 * MIB, 8 * MIB), (1, 20 * MIB, 8 * MIB)]
    assert path.stat().st_blocks * 512 < 22 * MIB


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("missing", [True, False])
def test_where_the_system_refuses_the_file_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: bool
) -> None:
    asked: list[str] = []

    def refusing(name: str, *types: type[object]) -> Any:
        asked.append(name)
        return None if missing else lambda *arguments: -1

    monkeypatch.setattr(writeback, "_system", refusing)
    path, data = written(tmp_path, 9)
    assert path.read_bytes() == data
    assert asked.count("fallocate64") == 1
    assert asked.count("sync_file_range") == 4  # looked up once for each piece


def test_small_files_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(name: str, *types: type[object]) -> Any:
        raise AssertionError(name)

    monkeypatch.setattr(writeback, "_system", never)
    path, data = written(tmp_path, 7)
    assert path.read_bytes() == data
