"""Kernel: a function that becomes machine code at its first call, which is kept on disk for the next run.

Strategy: kernels are compiled lazily; importing a module of this folder compiles nothing, and where their machine code lies in the
cache (see `image`) neither Numba nor LLVM is imported. The cache directory is named after all that the code depends on: this
folder's sources with every helper that a kernel inlines and every constant it freezes, the versions of Numba and LLVM, what
they are told in the environment, and the processor, since one directory may serve different machines. Where the cache cannot
be read or written, things go on without it: never an error, never a warning.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from kafka_salvage.vector import image
from kafka_salvage.vector.names import PARTS

F = TypeVar("F", bound=Callable[..., Any])

CACHE_VARIABLE = "KAFKA_SALVAGE_CACHE"
CRC_VARIABLE = "KAFKA_SALVAGE_CRC"
_SETTINGS = Path(".numba_config.yaml")
"""Numba reads it, in the directory that a process is born in."""
_PROCESSORS = Path("/proc/cpuinfo")
_TELLING = ("vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU ")
"""How lines begin that say which processor it is."""

KERNELS: dict[str, Callable[..., Any]] = {}
"""Every kernel whose module is imported, by its name."""
ORIGIN: dict[str, str] = {}
"""How each kernel that can be called came here: ``kept``, ``made beside`` (by another process) or ``made here``."""


def _disabled() -> bool:
    if _SETTINGS.is_file():  # rare: Numba itself is asked
        from kafka_salvage.vector import compiling

        return compiling.disabled()
    with contextlib.suppress(ValueError):
        return int(os.environ.get("NUMBA_DISABLE_JIT") or 0) != 0
    return False


COMPILED = not _disabled()
"""False under ``NUMBA_DISABLE_JIT=1``: kernels are then plain Python."""


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
    settings = _SETTINGS.read_bytes() if _SETTINGS.is_file() else b""
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
        return target
    except (OSError, RuntimeError):  # no home at all is a RuntimeError
        return None


def _forget_old(base: Path, kept: Path) -> None:
    """Removes kernels of other versions that nothing has added to for a month."""
    limit = time.time() - 30 * 86400
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


def _load(name: str, origin: str) -> image.Native | None:
    data = kept(name)
    if data is not None:
        with contextlib.suppress(ValueError, OSError):  # a torn or foreign file in the cache is a miss
            native = image.load(data, name)
            ORIGIN[name] = origin
            return native
    return None


_lock = threading.RLock()
"""Kernels are made one after the other."""


class _Missing:
    """A kernel whose machine code is not there yet."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self._name = name
        self._function = function
        self._native: Callable[..., Any] | None = None

    def __call__(self, *arguments: int) -> Any:
        native = self._native
        return (self._made() if native is None else native)(*arguments)

    def _made(self) -> Callable[..., Any]:
        with _lock:
            if self._native is None:
                self._native = _make(self._name, self._function)
                own = self._function.__globals__
                if own.get(self._function.__name__) is self:
                    own[self._function.__name__] = self._native
            return self._native


def _make(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Machine code of a kernel, from whoever is quickest."""
    native = _load(name, "made beside")
    if native is not None:
        return native
    from kafka_salvage.vector import compiling
    from kafka_salvage.vector.linking import UnlinkableError

    ORIGIN[name] = "made here"
    try:
        data = compiling.compile_image(function)
        native = image.load(data, name)
    except (UnlinkableError, ValueError, OSError):  # another Numba, or no memory for code of ours
        return compiling.compile_here(function)
    keep(name, data)
    return native


def kernel(function: F) -> F:
    """A kernel that Python calls, with integers: releases the GIL, cached on disk."""
    if not COMPILED:
        return function
    name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}-{function.__code__.co_firstlineno}"
    KERNELS[name] = function
    return cast(F, _load(name, "kept") or _Missing(name, function))


def inner(function: F) -> F:
    """A function that only kernels call: inlined by force. Python calls what stands in the source."""
    if COMPILED:
        PARTS.append((function, True))
    return function


def outlined(function: F) -> F:
    """A function that only kernels call and that is large or rare: never forced inline."""
    if COMPILED:
        PARTS.append((function, False))
    return function
