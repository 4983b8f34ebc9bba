"""Target: which CPU the kernels are compiled for, and which CRC kernels it can run.

A feature that is missing kills the process while it compiles (it cannot be caught), so the choice is made before anything is
compiled, by what Numba will compile for (``NUMBA_CPU_NAME`` and ``NUMBA_CPU_FEATURES`` are honoured), never by trying.
"""

from __future__ import annotations

import functools
import os

from kafka_salvage.vector.cache import COMPILED
from kafka_salvage.vector.names import WORKER
from kafka_salvage.vector.store import CRC_VARIABLE, keep_words, kept_words

VARIANTS = ("table", "sse42", "clmul", "avx512")
"""From the plainest to the fastest. ``sse42`` stands for any CPU with CRC instructions, aarch64 included."""

_NEEDS = {
    "x86_64": {
        "table": (),
        "sse42": ("sse4.2",),
        "clmul": ("sse4.2", "pclmul"),
        "avx512": ("sse4.2", "pclmul", "avx512f", "avx512bw", "avx512vl", "vpclmulqdq"),
    },
    "aarch64": {"table": (), "sse42": ("crc",), "clmul": ("crc", "aes")},
}


_FILE = "target"


def _words() -> tuple[str, str, str]:
    """What Numba compiles for, as the cache knows it: to ask takes longer than most of what the kernels do."""
    known = kept_words(_FILE) or _asked_beside()
    if known is not None:
        triple, cpu, features = known
        return triple, cpu, features
    from kafka_salvage.vector import compiling

    words = compiling.target_words()
    keep_words(_FILE, words)
    return words


def _asked_beside() -> tuple[str, ...] | None:
    """As a process says that will compile the kernels, so that this one need not import Numba."""
    if WORKER:
        return None
    from kafka_salvage.vector import workshop

    return workshop.target_words()


@functools.cache
def target() -> tuple[str, str, frozenset[str]]:
    """(architecture, CPU name, features) that Numba compiles for; a ``generic`` CPU has no features."""
    triple, cpu, features = _words()
    architecture = {"amd64": "x86_64", "arm64": "aarch64"}.get(triple.split("-")[0], triple.split("-")[0])
    return architecture, cpu, frozenset(f[1:] for f in features.split(",") if f.startswith("+"))


@functools.cache
def available() -> tuple[str, ...]:
    """The CRC variants that can be compiled here, from the plainest to the fastest."""
    if not COMPILED:
        return ("table",)
    architecture, cpu, features = target()
    if cpu == "generic" and not features:
        return ("table",)
    needs = _NEEDS.get(architecture, {"table": ()})
    return tuple(v for v in VARIANTS if v in needs and features.issuperset(needs[v]))


@functools.cache
def crc_variant() -> str:
    """The variant in use: the fastest one, or what ``KAFKA_SALVAGE_CRC`` says if the target can run it."""
    asked = os.environ.get(CRC_VARIABLE, "")
    return asked if asked in available() else available()[-1]
