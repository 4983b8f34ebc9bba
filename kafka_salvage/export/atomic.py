"""Stage: the output directory while it is being made; nothing in it looks finished before it is.

Strategy:

1. Files are written below ``OUT/.partial/``, hashed on the way, synced and closed.
2. `Stage.commit` moves them to their places one by one (a rename on one file system is atomic), documents last, so that
   `SHA256SUMS` stands only beside a complete rescue. A kill before leaves `.partial`, which never looks finished.
3. Whatever fails, `Stage.discard` removes `.partial`. Every parent of a target is checked to be a real directory of ours:
   a link planted in the output directory leads nowhere.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from kafka_salvage.errors import DestinationError, InvariantError
from kafka_salvage.export.receipt import WrittenFile
from kafka_salvage.source.source import U8

PARTIAL = ".partial"
BUFFER = 1 << 18
_HOLE = 1 << 16

Buffer = bytes | bytearray | memoryview | U8

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_SENTENCES: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", "Free space, or give --out on a larger disk, and run the same command again."),
    errno.EDQUOT: ("the quota is used up", "Raise the quota, or give --out elsewhere, and run the same command again."),
    errno.EROFS: ("it is mounted read-only", "Give --out on a disk that can be written."),
    errno.EACCES: ("this user may not write there", "Give --out where this user may write."),
    errno.EPERM: ("this user may not write there", "Give --out where this user may write."),
    errno.EFBIG: ("the file system allows no file of that size", "Give --out on another file system."),
    errno.EIO: ("the device reports an input/output error", "Give --out on another disk."),
    errno.ENAMETOOLONG: ("its path is too long", "Give an --out that is nearer to the root."),
}


def destination_error(path: str, error: OSError) -> DestinationError:
    """The exception for an operating system error while writing ``path``."""
    reason, advice = _SENTENCES.get(error.errno or 0, (error.strerror or str(error), "Check the output disk."))
    causes = ("The estimate of the output was too low.", "Another program writes to the same disk.")
    return DestinationError(
        f"{path} could not be written: {reason}",
        target=path,
        causes=causes if error.errno in _FULL else (),
        advice=advice,
    )


class StagedFile:
    """One file on its way.

    Args:
        stage: gets the finished file.
        path: relative to the output directory.
        format_: name of the sink, for the manifest.
    """

    def __init__(self, stage: Stage, path: str, format_: str) -> None:
        self.path = path
        self.size = 0
        self._stage = stage
        self._format = format_
        self._hash = hashlib.sha256()
        self._sparse = False
        self._real = stage.staging / path
        try:
            self._real.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = self._real.open("xb", buffering=BUFFER)
        except OSError as error:
            raise destination_error(path, error) from error

    def write(self, data: Buffer) -> None:
        """Appends bytes.

        Raises:
            DestinationError: the file is removed.
        """
        view = (data.data if isinstance(data, np.ndarray) else memoryview(data)).cast("B")
        if not len(view):
            return
        self._hash.update(view)
        try:
            self._file.write(view)
        except OSError as error:
            self.abort()
            raise destination_error(self.path, error) from error
        self.size += len(view)

    def write_sparse(self, data: U8) -> None:
        """Appends bytes; whole blocks of zeros become holes where the file system has them."""
        for at in range(0, len(data), _HOLE):
            block = data[at : at + _HOLE]
            if len(block) == _HOLE and not np.any(block):
                self._hash.update(block.data)
                self._seek(len(block))
            else:
                self.write(np.ascontiguousarray(block))

    def _seek(self, count: int) -> None:
        try:
            self._file.seek(count, os.SEEK_CUR)
        except OSError as error:
            self.abort()
            raise destination_error(self.path, error) from error
        self.size += count
        self._sparse = True

    def finish(self, *, records: int = 0, batches: int = 0) -> WrittenFile:
        """Syncs and closes; the file waits for `Stage.commit`.

        Raises:
            DestinationError: the file is removed.
        """
        try:
            if self._sparse:
                self._file.truncate(self.size)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            self.abort()
            raise destination_error(self.path, error) from error
        made = WrittenFile(self.path, self._format, self.size, self._hash.hexdigest(), records, batches)
        self._stage.close(self, made)
        return made

    def abort(self) -> None:
        """Closes and removes the file."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._real.unlink()
        self._stage.close(self, None)


class Stage:
    """The output directory while it is being made.

    Args:
        out: made when it is not there; what an earlier run staged in it is removed.

    Raises:
        DestinationError: it could not be made.
    """

    def __init__(self, out: Path) -> None:
        self._made_out = not out.exists()
        try:
            out.mkdir(parents=True, exist_ok=True)
            self.out = out.resolve(strict=True)
            self.staging = self.out / PARTIAL
            _remove(self.staging)
            self.staging.mkdir()
        except OSError as error:
            raise destination_error(str(out), error) from error
        self._files: dict[str, WrittenFile] = {}
        self._open: set[StagedFile] = set()
        self._checked: set[Path] = {self.out}
        self._lock = threading.Lock()

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is not None:
            self.discard()

    @property
    def files(self) -> tuple[WrittenFile, ...]:
        """Finished files, sorted by path."""
        return tuple(self._files[path] for path in sorted(self._files))

    def create(self, path: str, format_: str) -> StagedFile:
        """A new file at ``path`` (relative, ``/`` between parts, of encoded components only).

        Raises:
            DestinationError: it could not be made.
            InvariantError: the path leaves the output directory, or was made before.
        """
        parts = path.split("/")
        if any(part in ("", ".", "..") for part in parts) or parts[0] == PARTIAL or path in self._files:
            raise InvariantError(f"{path!r} is no place for an output file", stage="export.atomic")
        file = StagedFile(self, path, format_)
        with self._lock:
            self._open.add(file)
        return file

    def write(self, path: str, format_: str, data: bytes, *, records: int = 0) -> WrittenFile:
        """A whole small file."""
        file = self.create(path, format_)
        file.write(data)
        return file.finish(records=records)

    def close(self, file: StagedFile, made: WrittenFile | None) -> None:
        """Remembers a finished file, or forgets one that failed."""
        with self._lock:
            self._open.discard(file)
            if made is not None:
                self._files[made.path] = made

    def commit(self, last: Iterable[str]) -> None:
        """Moves every finished file to its place; those in ``last`` at the end, in that order.

        Raises:
            DestinationError: a place could not be taken.
        """
        tail = [path for path in last if path in self._files]
        ends = set(tail)
        order = [path for path in sorted(self._files) if path not in ends] + tail
        directories = {self.out}
        for place, path in enumerate(order):
            if place == len(order) - len(tail):
                _sync(directories)
            directories.add(self._move(path))
        _sync(directories)
        self.discard()

    def _move(self, path: str) -> Path:
        target = self.out / path
        try:
            self._make_parents(target.parent)
            (self.staging / path).replace(target)
        except OSError as error:
            raise destination_error(path, error) from error
        return target.parent

    def _make_parents(self, directory: Path) -> None:
        """Makes directories below the output one by one; a link or a file in the way is refused."""
        if directory in self._checked:
            return
        self._make_parents(directory.parent)
        with suppress(FileExistsError):
            directory.mkdir()
        if not stat.S_ISDIR(directory.lstat().st_mode):
            raise DestinationError(
                f"{directory.relative_to(self.out)} in the output directory is a link or a file, not a directory",
                target=str(directory),
                advice="Give an --out that is empty.",
            )
        self._checked.add(directory)

    def discard(self) -> None:
        """Removes what is staged, and the output directory when this run made it and it is empty."""
        for file in tuple(self._open):
            file.abort()
        with suppress(OSError):
            _remove(self.staging)
        if self._made_out:
            with suppress(OSError):
                self.out.rmdir()


def _remove(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        shutil.rmtree(path)
    else:
        path.unlink()


def _sync(directories: Iterable[Path]) -> None:
    for directory in sorted(directories):
        with suppress(OSError):  # some file systems refuse to sync a directory; the files themselves are synced
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
