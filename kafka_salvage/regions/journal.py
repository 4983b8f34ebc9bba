"""Journal: what an interrupted run has finished, so that the next one goes on from there.

Strategy: one JSON line per finished thing, appended, each with a checksum of its own, synced about once a second. A line that
was torn by a kill, or changed since, does not count: what it told is simply done again. Values are read from the file when
they are asked for; in memory is only where they lie. The file is locked while it is open.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from kafka_salvage.errors import DestinationError, RequestError

SCHEMA = "kafka-salvage.state/1"
SYNC_SECONDS = 1.0
_HEAD, _MIDDLE, _END = b'{"sum":"', b'","line":', b"}\n"
_DIGITS = 16
_BODY = len(_HEAD) + _DIGITS + len(_MIDDLE)
_NO_ACCESS_TIME = getattr(os, "O_NOATIME", 0)

Key = tuple[str, str]


def _plain(value: object) -> int | bool:
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.bool_):
        return bool(value)
    raise TypeError(f"{type(value).__name__} has no place in a journal")


def _sum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:_DIGITS].encode()


def make_line(kind: str, key: str, value: Any) -> bytes:
    """One line: the checksum, then kind, key and value."""
    body = json.dumps([kind, key, value], separators=(",", ":"), default=_plain).encode("ascii")
    return b"".join((_HEAD, _sum(body), _MIDDLE, body, _END))


def read_line(line: bytes) -> list[Any] | None:
    """Kind, key and value; None when the checksum does not agree."""
    body = line[_BODY : -len(_END)]
    if not line.endswith(_END) or line != b"".join((_HEAD, _sum(body), _MIDDLE, body, _END)):
        return None
    made: list[Any] = json.loads(body)
    return made


def refused(path: Path, error: OSError) -> DestinationError:
    """The exception for an operating system error while the journal is written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return DestinationError(
        f"the state {path} could not be written: {error.strerror or error}",
        target=str(path),
        advice="Free space and run the same command again with --resume." if full else "Keep it on another disk.",
    )


class Journal:
    """What is finished, by kind and key; the last line about a thing counts.

    Args:
        path: the file; made when it is not there.
        resume: go on with what is in it; otherwise it must be empty or absent.

    Raises:
        RequestError: it is no journal, is not empty, or another run has it open.
        DestinationError: it cannot be written.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.path = path
        self._places: dict[Key, tuple[int, int]] = {}
        self._lock = threading.Lock()
        size = self._look(resume) if path.exists() else 0
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise refused(path, error) from error
        try:
            self._own()
            self._size = size
            os.ftruncate(self._file, size)
            if not size:
                self._write(make_line("header", "", {"schema": SCHEMA}))
                self._settle_directory()
            self._synced = time.monotonic()
        except OSError as error:
            os.close(self._file)
            raise refused(path, error) from error
        except BaseException:
            os.close(self._file)
            raise

    def _look(self, resume: bool) -> int:
        """Reads what is there, without writing; gives the bytes that are worth keeping."""
        try:
            if not stat.S_ISREG(self.path.stat().st_mode):
                raise RequestError(f"the state {self.path} is no regular file", advice="Give another --state.")
            with self.path.open("rb") as file:
                if not file.read(1):
                    return 0
                if not resume:
                    raise RequestError(
                        f"the state {self.path} is there already",
                        advice="Give --resume to go on with it, or remove it to begin anew.",
                    )
                file.seek(0)
                return self._index(file)
        except OSError as error:
            raise refused(self.path, error) from error

    def _index(self, lines: Iterator[bytes]) -> int:
        at = 0
        for number, line in enumerate(lines):
            whole = line.endswith(b"\n")
            entry = read_line(line) if whole else None
            if number == 0 and (entry is None or entry[0] != "header" or entry[2].get("schema") != SCHEMA):
                if not whole and make_line("header", "", {"schema": SCHEMA}).startswith(line):
                    return 0
                raise RequestError(
                    f"{self.path} is no state of this program",
                    causes=("It is another file.", "It was made by another version."),
                    advice="Give another --state, or remove it to begin anew.",
                )
            if not whole:
                break
            if entry is not None:
                self._places[entry[0], entry[1]] = (at, len(line))
            at += len(line)
        return at

    def _own(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RequestError(
                f"another run is writing the state {self.path}", advice="Wait for it, or give another --state."
            ) from error
        except OSError:  # a file system without locks: two runs at once are then the person's own care
            return

    def _settle_directory(self) -> None:
        os.fsync(self._file)
        with suppress(OSError):
            directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def _write(self, line: bytes) -> None:
        left = memoryview(line)
        while left:
            left = left[os.write(self._file, left) :]
        self._size += len(line)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._places) - (("header", "") in self._places)

    def keys(self, kind: str) -> list[str]:
        """Keys of a kind, in the order of their first lines."""
        with self._lock:
            return [key for one, key in self._places if one == kind]

    def find(self, kind: str, key: str) -> Any | None:
        """The value that was told last; None when there is none, or the file changed under it."""
        with self._lock:
            place = self._places.get((kind, key))
        if place is None:
            return None
        line = os.pread(self._file, place[1], place[0])
        entry = read_line(line)
        return None if entry is None or entry[:2] != [kind, key] else entry[2]

    def append(self, kind: str, key: str, value: Any) -> None:
        """Tells that a thing is finished.

        Args:
            kind: what sort of thing.
            key: which one.
            value: plain JSON values.

        Raises:
            DestinationError: it could not be written; what was told before stands.
        """
        line = make_line(kind, key, value)
        try:
            with self._lock:
                at = self._size
                try:
                    self._write(line)
                except OSError:
                    self._size = at
                    with suppress(OSError):
                        os.ftruncate(self._file, at)
                    raise
                self._places[kind, key] = (at, len(line))
                due = time.monotonic() - self._synced >= SYNC_SECONDS
                if due:
                    self._synced = time.monotonic()
            if due:
                os.fsync(self._file)
        except OSError as error:
            raise refused(self.path, error) from error

    def close(self) -> None:
        """Syncs and closes; a second call does nothing."""
        with self._lock:
            file, self._file = self._file, -1
        if file >= 0:
            with suppress(OSError):
                os.fsync(file)
            os.close(file)
