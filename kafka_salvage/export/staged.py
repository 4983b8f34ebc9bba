"""StagedFile: one output file on its way, hashed while it is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from kafka_salvage.export.digest import Digest, Wait
from kafka_salvage.export.receipt import WrittenFile
from kafka_salvage.export.refusals import destination_error
from kafka_salvage.export.writeback import Writeback
from kafka_salvage.source.source import U8

BUFFER = 1 << 18
_HOLE = 1 << 16

Buffer = bytes | bytearray | memoryview | U8


def _view(data: Buffer) -> memoryview:
    return (data.data if isinstance(data, np.ndarray) else memoryview(data)).cast("B")


class Owner(Protocol):
    """Who has files made."""

    @property
    def staging(self) -> Path:
        """Where files lie until they are committed."""
        ...

    @property
    def beside(self) -> bool:
        """Whether files may be hashed in threads of their own."""
        ...

    def settle(self, file: StagedFile, made: WrittenFile, then: Callable[[WrittenFile], None] | None) -> None:
        """Takes a whole file, sees to it that it reaches the disk, and then does ``then``."""
        ...

    def forget(self, file: StagedFile) -> None:
        """Is told of a file that failed."""
        ...


class StagedFile:
    """One file on its way.

    Args:
        owner: gets the finished file.
        path: relative to the output directory.
        format_: name of the sink, for the manifest.
        begun: size and digest of what an interrupted run wrote of it; what lies behind is cut off.

    Raises:
        DestinationError: it could not be opened.
    """

    def __init__(self, owner: Owner, path: str, format_: str, begun: tuple[int, Digest] | None = None) -> None:
        self.path = path
        self.format = format_
        self.size, self._digest = begun or (0, Digest(beside=owner.beside))
        self._kept = self.size
        self._owner = owner
        self._sparse = False
        self._real = owner.staging / path
        try:
            self._real.parent.mkdir(parents=True, exist_ok=True)
            self._file: Any = self._real.open("r+b" if begun else "xb", buffering=BUFFER)
            if begun:
                self._file.truncate(self.size)
                self._file.seek(self.size)
            self._writeback = Writeback(self._file.fileno(), self.size)
        except OSError as error:
            raise destination_error(path, error) from error

    def write(self, data: Buffer) -> None:
        """Appends bytes; the caller may change them afterwards.

        Raises:
            DestinationError: the file is removed, or cut back to its last checkpoint.
        """
        wait = self.write_later(data)
        if not isinstance(data, bytes):  # bytes never change: they may be summed later
            wait()

    def write_later(self, data: Buffer) -> Wait:
        """Appends bytes, which must stay as they are until the returned function has come back.

        Raises:
            DestinationError: as for `write`.
        """
        view = _view(data)
        wait = self._digest.add(view)
        try:
            self._file.write(view)
            self.size += len(view)
            if not self._sparse:
                self._writeback.grown(self.size)
        except OSError as error:
            self.abort()
            raise destination_error(self.path, error) from error
        return wait

    def write_sparse(self, data: U8) -> None:
        """Appends bytes; whole blocks of zeros become holes where the file system has them."""
        for at in range(0, len(data), _HOLE):
            block = data[at : at + _HOLE]
            if len(block) == _HOLE and not np.any(block):
                self._digest.add(_view(block))()
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

    @contextmanager
    def lent(self) -> Iterator[Path]:
        """Where the new file lies, for a writer that opens it by itself; what it has written is then summed from there.

        Raises:
            DestinationError: as for `write`.
        """
        try:
            yield self._real
            piece = np.empty(BUFFER, np.uint8).data
            with self._real.open("rb", buffering=0) as made:
                while got := made.readinto(piece):
                    self._digest.add(piece[:got])()
                    self.size += got
            self._file.seek(self.size)
        except OSError as error:
            self.abort()
            raise destination_error(self.path, error) from error

    def checkpoint(self) -> dict[str, Any]:
        """Syncs what was written, and tells what an interrupted run needs to go on behind it.

        Raises:
            DestinationError: as for `write`.
        """
        digest = self._digest.hexdigest()
        try:
            self._flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            self.abort()
            raise destination_error(self.path, error) from error
        self._kept = self.size
        return {"path": self.path, "format": self.format, "size": self.size, "sha256": digest}

    def _flush(self) -> None:
        if self._sparse:
            self._file.truncate(self.size)
        self._file.flush()
        self._writeback.over(self.size)

    def finish(
        self, *, records: int = 0, batches: int = 0, then: Callable[[WrittenFile], None] | None = None
    ) -> WrittenFile:
        """Ends the file; it is synced, perhaps later, and waits for `Stage.commit`.

        Args:
            records: data records inside.
            batches: batches inside.
            then: is called with it once the file is on the disk, perhaps by another thread.

        Raises:
            DestinationError: the file is removed.
        """
        digest = self._digest.hexdigest()
        self._digest.close()
        try:
            self._flush()
            self._file = self._file.detach()  # its buffer is free while it waits
        except OSError as error:
            self.abort()
            raise destination_error(self.path, error) from error
        made = WrittenFile(self.path, self.format, self.size, digest, records, batches)
        self._owner.settle(self, made, then)
        return made

    def send(self) -> None:
        """Begins to write the pages of a whole file to the disk; waits for nothing.

        Raises:
            DestinationError: the file is removed.
        """
        self._tell_disk(self._writeback.send)

    def sent(self) -> None:
        """Comes back when what was begun has been written.

        Raises:
            DestinationError: the file is removed.
        """
        self._tell_disk(self._writeback.sent)

    def _tell_disk(self, what: Callable[[], None]) -> None:
        try:
            what()
        except OSError as error:
            self.abort()
            raise destination_error(self.path, error) from error

    def sync(self) -> None:
        """Sees to it that the file is on the disk, and closes it.

        Raises:
            DestinationError: the file is removed.
        """
        try:
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            self.abort()
            raise destination_error(self.path, error) from error

    def abort(self) -> None:
        """Closes the file and removes it, or cuts it back to its last checkpoint."""
        self._digest.close()
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            if self._kept:
                os.truncate(self._real, self._kept)
            else:
                self._real.unlink()
        self._owner.forget(self)
