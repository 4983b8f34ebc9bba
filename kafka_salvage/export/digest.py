"""Digest: the SHA-256 of a file, summed beside the work that makes it."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

BESIDE = 1 << 20
"""A file is summed beside the work once it has grown to this; below, a thread costs more than it gives."""
_WAITING = 4
"""Most pieces that wait to be summed."""
_PIECE = 1 << 20

Wait = Callable[[], object]


def _done() -> None:
    """Nothing to wait for."""


class Digest:
    """SHA-256 of bytes that come in order.

    Args:
        beside: large files are summed in a thread of their own (hashlib lets others run meanwhile).
    """

    def __init__(self, *, beside: bool) -> None:
        self._hash = hashlib.sha256()
        self._beside = beside
        self._size = 0
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[None]] = deque()

    def add(self, data: memoryview) -> Wait:
        """Adds bytes. They must stay as they are until the returned function has come back."""
        self._size += len(data)
        if self._pool is None:
            if not self._beside or self._size < BESIDE:
                self._hash.update(data)
                return _done
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="digest")
        while len(self._waiting) >= _WAITING:
            self._waiting.popleft().result()
        future = self._pool.submit(self._hash.update, data)
        self._waiting.append(future)
        return future.result

    def hexdigest(self) -> str:
        """Of everything so far; more may follow."""
        while self._waiting:
            self._waiting.popleft().result()
        return self._hash.hexdigest()

    def close(self) -> None:
        """Ends the thread; a second call does nothing."""
        pool, self._pool, self._beside = self._pool, None, False
        if pool is not None:
            pool.shutdown()


def digest_of(path: Path, size: int) -> Digest | None:
    """The digest of a file's first ``size`` bytes; None when it is shorter, is no regular file, or cannot be read."""
    made = Digest(beside=False)
    buffer = np.empty(_PIECE, np.uint8).data
    try:
        if path.is_symlink() or not path.is_file():
            return None
        with path.open("rb", buffering=0) as file:
            left = size
            while left:
                got = file.readinto(buffer[: min(left, _PIECE)])
                if not got:
                    return None
                made.add(buffer[:got])
                left -= got
    except OSError:
        return None
    return made
