"""The page cache is told of what is read from the disk, and of nothing that is in memory; no byte read depends on it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kafka_salvage.source import paging
from kafka_salvage.source.files import FileSource

SIZE = 1 << 20
Told = list[tuple[int, int, int]]
WILLNEED, DONTNEED = os.POSIX_FADV_WILLNEED, os.POSIX_FADV_DONTNEED


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "0.log"
    made.write_bytes(os.urandom(SIZE))
    return made


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """What `posix_fadvise` was told: (start, size, advice)."""
    seen: Told = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, start, size, advice: seen.append((start, size, advice)))
    monkeypatch.setattr(paging, "_fetched", 0)
    return seen


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes every look into memory end with an error number."""

    def answers(number: int) -> None:
        original = os.preadv

        def look(descriptor: int, buffers: Any, offset: int, flags: int = 0) -> int:
            if flags:
                raise OSError(number, os.strerror(number))
            return original(descriptor, buffers, offset)

        monkeypatch.setattr(os, "preadv", look)

    return answers


def test_a_file_in_memory_is_left_alone(path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "SHARE", 0.0)
    path.read_bytes()
    with FileSource(path) as source:
        source.expect(0, SIZE)
    assert [one for one in told if one[2] in (WILLNEED, DONTNEED)] == []


def test_what_is_on_the_disk_is_fetched_once(path: Path, told: Told, disk: Callable[[int], None]) -> None:
    disk(errno.EAGAIN)
    with FileSource(path) as source:
        source.expect(0, SIZE // 2)
        source.expect(0, SIZE // 2)
        source.expect(SIZE // 2, 2 * SIZE)
        source.expect(SIZE, SIZE)
        assert source.read(0, SIZE).tobytes() == path.read_bytes()
    halves = [(0, SIZE // 2, WILLNEED), (SIZE // 2, SIZE // 2, WILLNEED)]
    assert [one for one in told if one[2] in (WILLNEED, DONTNEED)] == halves


def test_it_is_dropped_only_where_memory_would_be_filled(
    path: Path, told: Told, disk: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk(errno.EAGAIN)
    monkeypatch.setattr(paging, "_memory", lambda: 3 * SIZE)
    drops = []
    for _ in range(3):
        with FileSource(path) as source:
            source.expect(0, SIZE)
        drops.append([one for one in told if one[2] == DONTNEED])
    assert [len(some) for some in drops] == [0, 1, 2]  # half of the memory is filled by the second file
    assert drops[-1][0] == (0, 0, DONTNEED)


@pytest.mark.parametrize("number", [errno.EIO, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_disk_that_cannot_tell_is_read_as_it_comes(
    path: Path, told: Told, disk: Callable[[int], None], number: int
) -> None:
    disk(number)
    with FileSource(path) as source:
        source.expect(0, SIZE)
        assert np.array_equal(source.read(0, SIZE), np.frombuffer(path.read_bytes(), np.uint8))
        source.close()
        source.expect(0, SIZE)
    assert [one for one in told if one[2] in (WILLNEED, DONTNEED)] == []
