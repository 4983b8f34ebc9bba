"""Kernel: a function that Numba compiles at its first call and keeps on disk for the next run.

Strategy: kernels are compiled lazily; importing a module of this folder compiles nothing. The cache directory is named after
a hash of this folder's sources, since Numba's own key sees neither the helpers a kernel inlines nor the globals it freezes.
Where the cache cannot be read or written, things go on without it: never an error, never a warning.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite
import numba
from numba.core import types
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.runtime.nrt import rtsys

from kafka_salvage.vector.compiling import PIPELINES

F = TypeVar("F", bound=Callable[..., Any])

CACHE_VARIABLE = "KAFKA_SALVAGE_CACHE"
CRC_VARIABLE = "KAFKA_SALVAGE_CRC"
_njit: Any = numba.njit
_config: Any = numba.config
COMPILED = not _config.DISABLE_JIT
"""False under ``NUMBA_DISABLE_JIT=1``: kernels are then plain Python."""
_BARE = {"boundscheck": False, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


@functools.cache
def _stamp() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    versions = (numba.__version__, llvmlite.__version__, sys.version, os.environ.get(CRC_VARIABLE, ""))
    digest.update(repr(versions).encode())
    return digest.hexdigest()[:20]


@functools.cache
def cache_directory() -> Path | None:
    """Where compiled kernels are kept; None when that cannot be written (or ``KAFKA_SALVAGE_CACHE`` is empty)."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen == "":
        return None
    try:
        base = Path(chosen or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kafka-salvage")
        target = base / f"kernels-{_stamp()}"
        if not target.is_dir():
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            _forget_old(base, target)
        with tempfile.TemporaryFile(dir=target):
            return target
    except (OSError, RuntimeError):  # no home at all is a RuntimeError
        return None


def _forget_old(base: Path, kept: Path) -> None:
    """Removes kernels of other versions that nothing has added to for a month."""
    limit = time.time() - 30 * 86400
    for directory in base.glob("kernels-*"):
        if directory != kept and directory.stat().st_mtime < limit:
            shutil.rmtree(directory, ignore_errors=True)


class _Locator:
    """Tells Numba's cache where to look: always our directory, whatever the source file's time stamp."""

    def __init__(self, path: Path, line: int) -> None:
        self._path = path
        self._line = line

    def get_cache_path(self) -> str:
        return str(self._path)

    def ensure_cache_path(self) -> None:
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def get_source_stamp(self) -> str:
        return _stamp()

    def get_disambiguator(self) -> str:
        return str(self._line)

    @classmethod
    def from_function(cls, function: Any, _file: str) -> _Locator | None:
        directory = cache_directory()
        return None if directory is None else cls(directory, function.__code__.co_firstlineno)


class _Impl(CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012 # numba reads it from the class


class _KernelCache(FunctionCache):
    _impl_class = _Impl

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        # Numba would first load all that it can compile, which takes a third of the time to a process's first batch. Kernels
        # take and give integers only: of all that, their wrappers name nothing but functions of the runtime.
        with contextlib.suppress(Exception):  # a torn or foreign file in the cache is a miss
            rtsys.initialize(target_context)
            return self._load_overload(sig, target_context)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(Exception):  # disk full, directory gone: the kernel is compiled all the same
            super().save_overload(sig, data)


def _pipeline(which: int) -> dict[str, Any]:
    return {} if PIPELINES is None else {"pipeline_class": PIPELINES[which]}


def kernel(function: F) -> F:
    """A kernel that Python calls: releases the GIL, compiled once for its first types, cached on disk."""
    if not COMPILED:
        return function
    made: Any = _njit(nogil=True, boundscheck=False, error_model="numpy", **_pipeline(0))(function)
    if cache_directory() is not None:
        with contextlib.suppress(Exception):  # numba's internals moved: no cache, nothing worse
            made._cache = _KernelCache(made.py_func)
    return cast(F, made)


def _once(made: Any) -> Any:
    """Compiles a function once for integers: Numba would do it again for each constant that is passed to it."""
    template = made.get_call_template

    def get_call_template(args: Any, kws: Any) -> Any:
        return template(tuple(types.unliteral(a) for a in args), {k: types.unliteral(a) for k, a in kws.items()})

    made.get_call_template = get_call_template
    return made


def inner(function: F) -> F:
    """A function that only kernels call: inlined by force, no wrapper (calling it from compiled Python would crash)."""
    if not COMPILED:
        return function
    return cast(F, _once(_njit(forceinline=True, **_BARE, **_pipeline(1))(function)))


def outlined(function: F) -> F:
    """A function that only kernels call and that is large or rare: no wrapper, never forced inline."""
    if not COMPILED:
        return function
    return cast(F, _once(_njit(**_BARE, **_pipeline(1))(function)))
