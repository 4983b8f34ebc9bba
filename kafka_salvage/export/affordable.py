"""Affordable: how many partitions can be written at a time within the memory that was promised.

Measured with partitions of tiny and of large batches, all codecs, one to sixteen at a time. What a single batch of an unusual size
takes comes on top, once: decompression has a bound of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

MIB = 1 << 20
PROMISE = 512 * MIB
"""The default of ``--memory``."""
PROGRAM = 175 * MIB
"""The program with its kernels and tables, working on one segment."""
LIBRARIES = {"parquet": 110 * MIB, "arrow": 110 * MIB}
"""Once, whichever of these is written, and however many partitions at a time."""
EACH = {"segments": 9 * MIB, "jsonl": 16 * MIB, "parquet": 65 * MIB, "arrow": 55 * MIB}
"""For each partition that is written at the same time."""


NEWEST = 200 * MIB
"""For each partition whose newest record of each key is looked for, besides."""


def written_at_once(jobs: int, formats: Sequence[str], memory: int, *, newest: bool = False) -> int:
    """Partitions that may be written at a time: ``jobs``, or as many as ``memory`` bytes allow, at least one.

    Args:
        jobs: wanted.
        formats: names of sinks.
        memory: bytes.
        newest: only the newest record of each key is written.
    """
    once = PROGRAM + max((LIBRARIES.get(name, 0) for name in formats), default=0)
    each = sum(EACH.get(name, 0) for name in formats) + (NEWEST if newest else 0)
    return max(1, min(jobs, (memory - once) // each)) if each else jobs
