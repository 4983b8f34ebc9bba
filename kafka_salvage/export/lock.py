"""Lock: one run at a time in an output directory."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from kafka_salvage.errors import RequestError

NAME = "lock"


class Lock:
    """Holds ``directory/lock`` until it is given back, or the process ends however it ends.

    Args:
        directory: exists.

    Raises:
        RequestError: another run holds it.
        OSError: the file cannot be made.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / NAME
        self._file = -1
        while self._file < 0:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
            try:
                self._take(file)
            except BaseException:
                os.close(file)
                raise
            if self._still(file):
                self._file = file
            else:  # a run that ended just now has removed it
                os.close(file)

    def _take(self, file: int) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RequestError(
                f"another run is writing to {self.path.parent.parent}",
                advice="Wait until it has ended, or give another --out.",
            ) from error
        except OSError:  # a file system without locks: two runs at once are then the person's own care
            return

    def _still(self, file: int) -> bool:
        """Whether the file that is locked is still the one at the path."""
        try:
            return os.path.samestat(os.fstat(file), self.path.lstat())
        except OSError:
            return False

    def release(self, *, remove: bool = False) -> None:
        """Gives it back, and removes the file if told; a second call does nothing."""
        file, self._file = self._file, -1
        if file < 0:
            return
        if remove:
            with suppress(OSError):
                self.path.unlink()
        os.close(file)
