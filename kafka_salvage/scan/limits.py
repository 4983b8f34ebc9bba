"""Limits: what a decoder may allocate for one batch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on decompression; whichever allows less for a batch holds, but never less than the floor.

    Attributes:
        ratio: output bytes per stored byte.
        floor: output that is always allowed, bytes.
        cap: absolute maximum of output per batch, bytes.
        batch: largest batch that is believed from its header alone, bytes.
    """

    ratio: int = 1024
    floor: int = 64 << 20
    cap: int = 256 << 20
    batch: int = (1 << 31) - 1

    def allowed(self, stored: int) -> int:
        """Bytes that ``stored`` bytes may inflate to."""
        return min(max(stored * self.ratio, self.floor), self.cap)
