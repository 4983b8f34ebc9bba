"""Allocation: how the process holds memory, so that what is freed goes back to the system and the promise of --memory holds.

The GNU C library keeps blocks of up to 32 MiB for later once it has seen some of that size freed, in an arena for each thread. A table of
a few million rows that is long gone then still counts. Above `LARGE` every block is now the system's own, and goes back at once.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

LARGE = 4 << 20
"""Bytes; smaller blocks are used again and again by the reading of windows, where a fresh page each time would cost."""
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
_ARENAS = 2


def give_back() -> None:
    """Sets it for this process; where the C library knows nothing of it, nothing changes."""
    with suppress(OSError, AttributeError):
        adjust = ctypes.CDLL(None).mallopt
        adjust(_MMAP_THRESHOLD, LARGE)
        adjust(_ARENA_MAX, _ARENAS)
