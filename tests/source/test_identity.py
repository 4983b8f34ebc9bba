"""Identity: what of a file counts, and what cannot be told."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from kafka_salvage.source.files import FileSource
from kafka_salvage.source.identity import EDGE, identities_of, identity_of


def test_it_is_the_same_as_long_as_nothing_changes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(5 * EDGE))
    before = path.stat()
    first = identity_of(path)
    assert first == identity_of(path)
    assert path.stat().st_atime_ns == before.st_atime_ns
    assert first is not None
    assert first[:3] == [5 * EDGE, before.st_mtime_ns, before.st_ino]


@pytest.mark.parametrize("size", [1, EDGE, 2 * EDGE, 2 * EDGE + 1, 5 * EDGE])
def test_both_edges_are_looked_at(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    data = bytearray(os.urandom(size))
    path.write_bytes(data)
    before = path.stat()
    first = identity_of(path)
    for place in {0, min(size, EDGE) - 1, max(0, size - EDGE), size - 1}:
        data[place] ^= 1
        with path.open("r+b") as file:
            file.write(data)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert identity_of(path) != first, place
        data[place] ^= 1


def test_only_the_edges_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100 * EDGE))
    read: list[int] = []
    real = FileSource._pread

    def counting(self: FileSource, view: memoryview, position: int) -> int:
        read.append(len(view))
        return real(self, view, position)

    monkeypatch.setattr(FileSource, "_pread", counting)
    identity_of(path)
    assert sum(read) == 2 * EDGE


def test_what_cannot_be_read_is_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1000))
    whole = identity_of(path)

    def failing(self: FileSource, view: memoryview, position: int) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(FileSource, "_pread", failing)
    broken = identity_of(path)
    assert broken is not None
    assert broken != whole
    assert broken == identity_of(path)


def test_without_a_file_there_is_none(tmp_path: Path) -> None:
    assert identity_of(tmp_path / "nowhere") is None
    assert identity_of(tmp_path) is None
    (tmp_path / "file").write_bytes(b"x")
    assert identities_of({"a": tmp_path / "file", "b": tmp_path / "nowhere"}) is None
    assert set(identities_of({"a": tmp_path / "file"}) or ()) == {"a"}
