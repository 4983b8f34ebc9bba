"""Paging: what the page cache is told of a file, so that the disk works ahead and evidence does not push out everything else.

Strategy:

1. Before a part of a file is read, a few bytes of it are asked for without waiting. Where they are in memory already, nothing
   is told: a warm file costs nothing, and is not dropped either, since it was not we who brought it there.
2. Otherwise the kernel is told to fetch the part, and reads it while the one before is still computed.
3. What was fetched that way is dropped when the file is closed, once that is more than the machine's memory can keep:
   evidence far larger than memory would only push out its own beginning, and what other programs need.
"""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import dataclass, field

SHARE = 0.5
"""Part of the machine's memory that evidence may fill before it is dropped behind the reader."""
_SPOTS = 4
_NO_WAIT = getattr(os, "RWF_NOWAIT", 0)
_CAN_TELL = bool(_NO_WAIT) and hasattr(os, "posix_fadvise")
_lock = threading.Lock()
_fetched = 0


@dataclass(slots=True)
class Paging:
    """What one open file was told.

    Attributes:
        descriptor: of the file.
        fetched: bytes that were not in memory when they were asked for.
    """

    descriptor: int
    fetched: int = 0
    _told: set[int] = field(default_factory=set)

    def expect(self, start: int, stop: int) -> None:
        """Says that these bytes are read soon; the same start is told once.

        Args:
            start: first byte.
            stop: end, inside the file.
        """
        global _fetched
        if not _CAN_TELL or stop <= start or start in self._told:
            return
        self._told.add(start)
        try:
            if self._is_here(start, stop):
                return
            os.posix_fadvise(self.descriptor, start, stop - start, os.POSIX_FADV_WILLNEED)
        except OSError:  # a file system that cannot tell: it is read as it comes
            return
        with _lock:
            _fetched += stop - start
            self.fetched += stop - start

    def _is_here(self, start: int, stop: int) -> bool:
        """Whether a few bytes of a range are in memory."""
        one = bytearray(1)
        for spot in range(_SPOTS):
            try:
                os.preadv(self.descriptor, [one], start + (stop - 1 - start) * spot // (_SPOTS - 1), _NO_WAIT)
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno == errno.EIO:  # whoever reads it will tell
                    return True
                raise
        return True

    def leave(self) -> None:
        """The file is about to be closed: its bytes are dropped if they would fill the memory."""
        if not self.fetched or _fetched < SHARE * _memory():
            return
        try:
            os.posix_fadvise(self.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError:
            return


def _memory() -> int:
    """Bytes of memory that the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
