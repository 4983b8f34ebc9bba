"""Allocation: how the process holds memory, so that what is freed goes back to the system and the promise of --memory holds.

The GNU C library keeps blocks of up to 32 MiB for later once it has seen some of that size freed, in an arena for each thread. A table of
a few million rows that is long gone then still counts. Above `LARGE` every block is now the system's own, and goes back at once.

Some things are held whole whatever was promised: one batch and what it inflates to, what is known of the damages of one segment while
that is judged. Where they took more than the promise, that is said.
"""

from __future__ import annotations

import ctypes
import re
from contextlib import suppress
from pathlib import Path

LARGE = 4 << 20
"""Bytes; smaller blocks are used again and again by the reading of windows, where a fresh page each time would cost."""
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
_ARENAS = 2
_STATUS = Path("/proc/self/status")
_PEAK = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)
_MIB = 1 << 20
_promised: list[int] = []


def give_back() -> None:
    """Sets it for this process; where the C library knows nothing of it, nothing changes."""
    with suppress(OSError, AttributeError):
        adjust = ctypes.CDLL(None).mallopt
        adjust(_MMAP_THRESHOLD, LARGE)
        adjust(_ARENA_MAX, _ARENAS)


def promise(limit: int) -> int:
    """Remembers the bytes that a command was told to stay within; gives them back."""
    _promised[:] = [limit]
    return limit


def overrun() -> str | None:
    """A sentence where this process took more than was promised; None where it did not, or where the system does not tell."""
    # of this process alone: what getrusage tells begins with the size of the one that started it
    with suppress(OSError):
        found = _PEAK.search(_STATUS.read_text())
        peak = int(found[1]) << 10 if found else 0
        if _promised and peak > _promised[0]:
            return (
                f"Memory: up to {-(-peak // _MIB)} MiB were taken, more than the {_promised[0] // _MIB} MiB of --memory: "
                "the program itself takes 50 to 100, and a large batch, or very many damages in one segment, are held whole."
            )
    return None
