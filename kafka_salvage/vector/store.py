"""Store: the directory that keeps what was compiled, for this version of all that it depends on.

Strategy: the directory is named after all that machine code depends on: this folder's sources with every helper that a kernel
inlines and every constant it freezes, the versions of Numba and LLVM, what they are told in the environment, and the processor,
since one directory may serve different machines. Where it cannot be read or written, things go on without it: never an
error, never a warning.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import shutil
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

CACHE_VARIABLE = "KAFKA_SALVAGE_CACHE"
CRC_VARIABLE = "KAFKA_SALVAGE_CRC"
SETTINGS = Path(".numba_config.yaml")
"""Numba reads it, in the directory that a process is born in."""
_PROCESSORS = Path("/proc/cpuinfo")
_TELLING = ("vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU ")
"""How lines begin that say which processor it is."""


def _processor() -> str:
    """What tells this processor from others; a part of ``/proc/cpuinfo``, or what LLVM says."""
    try:
        with _PROCESSORS.open(encoding="utf-8", errors="replace") as file:
            first = file.read(16384).partition("\n\n")[0]
        found = [line for line in first.splitlines() if line.startswith(_TELLING)]
    except OSError:
        found = []
    if any(line.startswith(("flags", "Features")) for line in found):
        return "\n".join(found)
    import llvmlite.binding as llvm

    return f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"


def _version(package: str) -> bytes:
    """What a package says about its version, read without importing it."""
    found = importlib.util.find_spec(package)
    places = [] if found is None else list(found.submodule_search_locations or ())
    return b"".join((Path(place) / "_version.py").read_bytes() for place in places)


@functools.cache
def _stamp() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    told = sorted(
        (name, text) for name, text in os.environ.items() if name.startswith("NUMBA_") or name == CRC_VARIABLE
    )
    versions = (_version("numba"), _version("llvmlite"), sys.version, sys.byteorder)
    settings = SETTINGS.read_bytes() if SETTINGS.is_file() else b""
    digest.update(repr((versions, told, settings, os.uname().machine, _processor())).encode())
    return digest.hexdigest()[:20]


@functools.cache
def cache_directory() -> Path | None:
    """Where compiled kernels are kept; None when that cannot be made (or ``KAFKA_SALVAGE_CACHE`` is empty)."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen == "":
        return None
    try:
        base = Path(chosen or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kafka-salvage")
        target = base / f"kernels-{_stamp()}"
        if not target.is_dir():
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            _forget_old(base, target)
        return target if os.access(target, os.X_OK) and (chosen or _trusted(target)) else None
    except (OSError, RuntimeError):  # no home at all is a RuntimeError
        return None


def _trusted(place: Path) -> bool:
    """Whether what lies there was put there by this user or by root: it is run, and ``sudo`` may leave us the home of another."""
    return not hasattr(os, "geteuid") or place.stat().st_uid in (0, os.geteuid())


def drop(name: str) -> None:
    """Removes a file of the cache that is not whole."""
    directory = cache_directory()
    if directory is not None:
        with contextlib.suppress(OSError):
            (directory / name).unlink()


def has(name: str) -> bool:
    """Whether the cache has a file of this name."""
    directory = cache_directory()
    with contextlib.suppress(OSError):  # permissions may change at any time
        return directory is not None and (directory / name).exists()
    return False


def _forget_old(base: Path, kept: Path) -> None:
    """Removes kernels of other versions that nothing has added to for a month."""
    limit = time.time() - 30 * 86400
    with contextlib.suppress(OSError):  # not ours to list, or another process forgets them at the same moment
        for directory in base.glob("kernels-*"):
            if directory != kept and directory.stat().st_mtime < limit:
                shutil.rmtree(directory, ignore_errors=True)


def keep(name: str, data: bytes) -> None:
    """Writes a file of the cache, at once or not at all."""
    directory = cache_directory()
    if directory is None:
        return
    with contextlib.suppress(OSError):  # disk full, directory gone: the kernel is there all the same
        made = directory / f"{name}.{os.getpid()}"
        try:
            made.write_bytes(data)
            made.replace(directory / name)
        finally:
            made.unlink(missing_ok=True)


def kept(name: str) -> bytes | None:
    """A file of the cache; None when there is none."""
    directory = cache_directory()
    if directory is None:
        return None
    with contextlib.suppress(OSError):
        return (directory / name).read_bytes()
    return None


def keep_words(name: str, words: Sequence[str]) -> None:
    """Writes a file of words, none of them with a line break in it."""
    text = "\n".join(words).encode()
    keep(name, text + b"\n%08x" % zlib.crc32(text))


def kept_words(name: str) -> tuple[str, ...] | None:
    """The words of such a file; None when there is none, or not a whole one."""
    text, _, crc = (kept(name) or b"").rpartition(b"\n")
    return tuple(text.decode().split("\n")) if crc == b"%08x" % zlib.crc32(text) else None
