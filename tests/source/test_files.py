"""FileSource against the operating system: flags, failing sectors, files that change, holes."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from kafka_salvage.errors import SourceError
from kafka_salvage.ranges import ByteRange
from kafka_salvage.source.files import FileSource
from kafka_salvage.source.opening import open_source
from tests.support.faulty import FaultySource


def _content(size: int) -> bytes:
    """Bytes computed from their position, none of them zero."""
    return bytes((position * 31 + position // 251) % 255 + 1 for position in range(size))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "evidence"
    path.write_bytes(_content(200_000))
    return path


def test_reads_any_range_and_clips_at_the_end(file: Path) -> None:
    content = _content(200_000)
    with FileSource(file) as source:
        assert source.size == 200_000
        assert source.read(0, 10).tobytes() == content[:10]
        assert source.read(123_456, 123_500).tobytes() == content[123_456:123_500]
        assert source.read(199_990, 200_500).tobytes() == content[199_990:]
        assert source.read(200_000, 200_010).tobytes() == b""
        assert source.read(300_000, 300_010).tobytes() == b""
        buffer = np.full(20, 7, np.uint8)
        assert source.read_into(199_995, buffer) == 5
        assert buffer.tobytes() == content[199_995:] + bytes([7]) * 15
        assert source.unreadable == ()


def test_is_opened_read_only_and_closed_on_exec(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags: list[int] = []
    real = os.open

    def spy(path: str, flag: int, *rest: int) -> int:
        flags.append(flag)
        return real(path, flag, *rest)

    monkeypatch.setattr(os, "open", spy)
    with FileSource(file) as source:
        assert os.pread(source.fileno(), 3, 0) == _content(3)
    assert flags
    for flag in flags:
        assert flag & os.O_ACCMODE == os.O_RDONLY
        assert not flag & (os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        assert flag & os.O_CLOEXEC
        assert flag & os.O_NONBLOCK
    assert flags[0] & os.O_NOATIME


def test_falls_back_when_the_access_time_may_not_be_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain user who does not own the file gets EPERM for O_NOATIME; root never does, so it is simulated."""
    real = os.open
    tried: list[bool] = []

    def strict(path: str, flag: int, *rest: int) -> int:
        tried.append(bool(flag & os.O_NOATIME))
        if flag & os.O_NOATIME:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))
        return real(path, flag, *rest)

    monkeypatch.setattr(os, "open", strict)
    with FileSource(file) as source:
        assert source.read(0, 4).tobytes() == _content(4)
    assert tried == [True, False]


def test_no_permission_is_a_sentence_with_causes_and_advice(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, flag: int, *rest: int) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(SourceError, match="may not be read by this user") as caught:
        open_source(file, "orders-0/0.log")
    assert caught.value.source == "orders-0/0.log"
    assert caught.value.causes
    assert caught.value.advice


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        open_source(tmp_path / "none")
    with pytest.raises(SourceError, match="is a directory, not a regular file"):
        open_source(tmp_path)


def test_a_pipe_and_a_device_are_refused_without_being_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    opened: list[str] = []
    monkeypatch.setattr(os, "open", lambda path, *rest: opened.append(str(path)))
    with pytest.raises(SourceError, match="named pipe"):
        open_source(tmp_path / "pipe")
    with pytest.raises(SourceError, match="character device"):
        open_source("/dev/null")
    assert opened == []


def test_a_pipe_that_takes_the_file_s_place_does_not_block(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the opening the path may become a pipe; opening one for reading blocks without O_NONBLOCK."""
    real = os.open
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(os, "open", lambda path, flag, *rest: real(tmp_path / "pipe", flag))
    with pytest.raises(SourceError, match="named pipe"):
        open_source(file)


@pytest.mark.parametrize(
    ("bad", "lost"),
    [
        ((100_000, 100_001), (99_840, 100_352)),  # one byte costs its sector of 512
        ((0, 1), (0, 512)),
        ((199_999, 200_000), (199_680, 200_000)),
        ((65_536, 131_072), (65_536, 131_072)),
        ((65_530, 65_540), (65_024, 66_048)),
    ],
)
def test_what_cannot_be_read_is_zeros_and_named_to_the_sector(
    file: Path, bad: tuple[int, int], lost: tuple[int, int]
) -> None:
    content = bytearray(_content(200_000))
    content[slice(*lost)] = bytes(lost[1] - lost[0])
    source = FaultySource(file, [bad])
    buffer = np.full(200_000, 7, np.uint8)
    assert source.read_into(0, buffer) == 200_000
    assert buffer.tobytes() == bytes(content)
    assert source.unreadable == (ByteRange(*lost),)


def test_a_bad_sector_is_asked_for_only_once(file: Path) -> None:
    source = FaultySource(file, [(50_000, 50_001)])
    source.read(0, 200_000)
    source.calls.clear()
    source.read(0, 200_000)
    assert source.calls == [(0, 49_664), (50_176, 149_824)]
    assert source.unreadable == (ByteRange(49_664, 50_176),)


def test_a_wholly_dead_file_ends_in_a_bounded_number_of_tries(file: Path) -> None:
    source = FaultySource(file, [(0, 200_000)])
    assert not source.read(0, 200_000).any()
    assert source.unreadable == (ByteRange(0, 200_000),)
    assert len(source.calls) <= 200_000 // 512 + 200_000 // 4096 + 200_000 // 65536 + 10


def test_short_reads_are_completed(file: Path) -> None:
    source = FaultySource(file, [], short=7_777)
    assert source.read(10, 150_000).tobytes() == _content(200_000)[10:150_000]


def test_a_file_that_shrinks_gives_zeros_and_says_so(file: Path) -> None:
    with FileSource(file) as source:
        os.truncate(file, 120_000)
        assert source.size == 200_000
        assert source.read(110_000, 200_000).tobytes() == _content(120_000)[110_000:] + bytes(80_000)
        assert source.unreadable == (ByteRange(120_000, 200_000),)


def test_a_file_that_grows_keeps_the_size_it_had(file: Path) -> None:
    with FileSource(file) as source:
        with file.open("ab") as writer:
            writer.write(b"more")
        assert source.size == 200_000
        assert len(source.read(199_000, 300_000)) == 1_000


def test_threads_read_through_one_source(file: Path) -> None:
    content = _content(200_000)
    wrong: list[int] = []
    source = FaultySource(file, [(150_000, 150_001)])

    def work(first: int) -> None:
        starts = range(first, 140_000, 4_000)
        wrong.extend(s for s in starts if source.read(s, s + 1_000).tobytes() != content[s : s + 1_000])
        source.read(149_000, 151_000)

    threads = [threading.Thread(target=work, args=(n * 1_000,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert source.unreadable == (ByteRange(149_504, 150_016),)


def test_holes_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as writer:
        writer.truncate(64 << 20)
        writer.seek(32 << 20)
        writer.write(b"data")
    with FileSource(path) as source:
        parts = list(source.data_ranges())
        assert any(part.contains(32 << 20) for part in parts)
        if len(parts) == 1 and parts[0].size == 64 << 20:
            pytest.skip("this file system keeps no holes")
        assert sum(part.size for part in parts) <= 2 << 20
        assert list(source.data_ranges(40 << 20)) == []
        assert list(source.data_ranges((32 << 20) + 1, (32 << 20) + 3)) == [ByteRange((32 << 20) + 1, (32 << 20) + 3)]


def test_a_file_that_is_stored_whole_is_not_asked_for_its_holes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dense"
    path.write_bytes(_content(1 << 20))
    os.sync()  # a file system may count blocks only once they are written
    asked: list[int] = []

    def spy(descriptor: int, position: int, how: int) -> int:
        asked.append(position)
        return position

    monkeypatch.setattr(os, "lseek", spy)
    with FileSource(path) as source:
        if os.fstat(source.fileno()).st_blocks * 512 < 1 << 20:
            pytest.skip("this file system stores it in fewer bytes")
        assert list(source.data_ranges()) == [ByteRange(0, 1 << 20)]
        assert list(source.data_ranges(7, 9)) == [ByteRange(7, 9)]
        assert list(source.data_ranges(1 << 20)) == []
    assert asked == []


def test_a_file_system_without_holes_gives_everything(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, position: int, how: int) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    with file.open("r+b") as writer:
        writer.truncate(100_000)
        writer.truncate(200_000)  # what follows is not stored, so that there is a question
    monkeypatch.setattr(os, "lseek", refuse)
    with FileSource(file) as source:
        assert list(source.data_ranges(5)) == [ByteRange(5, 200_000)]


def test_closing_twice_is_no_error(file: Path) -> None:
    source = FileSource(file)
    source.close()
    source.close()
    assert source.fileno() == -1
