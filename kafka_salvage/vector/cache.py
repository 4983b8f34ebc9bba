"""Kernel: a function that becomes machine code at its first call, which is kept on disk for the next run.

Strategy: kernels are compiled lazily, in processes beside this one where that can be; importing a module of this folder compiles
nothing, and where the machine code lies in the store (see `image`) neither Numba nor LLVM is imported.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

from kafka_salvage.vector import image
from kafka_salvage.vector.names import KERNELS, PARTS, WORKER
from kafka_salvage.vector.store import SETTINGS, cache_directory, drop, has, keep, kept

F = TypeVar("F", bound=Callable[..., Any])

ORIGIN: dict[str, str] = {}
"""How each kernel that can be called came here: ``kept``, ``made beside`` (by another process) or ``made here``."""
_FOLDER = "kafka_salvage.vector."


def _disabled() -> bool:
    if SETTINGS.is_file():  # rare: Numba itself is asked
        from kafka_salvage.vector import compiling

        return compiling.disabled()
    with contextlib.suppress(ValueError):
        return int(os.environ.get("NUMBA_DISABLE_JIT") or 0) != 0
    return False


COMPILED = not _disabled()
"""False under ``NUMBA_DISABLE_JIT=1``: kernels are then plain Python."""


def _load(name: str, origin: str) -> image.Native | None:
    data = kept(name)
    if data is None:
        return None
    try:
        native = image.load(data, name)
    except (ValueError, OSError):  # a torn or foreign file in the cache is a miss
        drop(name)
        return None
    ORIGIN[name] = origin
    return native


_lock = threading.RLock()
"""One thread compiles at a time."""


class _Missing:
    """A kernel whose machine code is not there yet.

    Attributes:
        name: of the kernel.
    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        self._function = function
        self._native: Callable[..., Any] | None = None
        self._asked = threading.Lock()

    def __call__(self, *arguments: int) -> Any:
        native = self._native
        return (self.made() if native is None else native)(*arguments)

    def made(self) -> Callable[..., Any]:
        """The machine code, from now on in the place of this."""
        with self._asked:  # of threads that call it at the same time one has it compiled
            if self._native is None:
                if not (WORKER or has(self.name)) and self._function.__module__.startswith(_FOLDER):
                    from kafka_salvage.vector import workshop

                    workshop.make([[self.name]])
                with _lock:
                    self._native = _make(self.name, self._function)
                own = self._function.__globals__
                if own.get(self._function.__name__) is self:
                    own[self._function.__name__] = self._native
            return self._native


def ready(units: Iterable[Sequence[Callable[..., Any]]]) -> None:
    """Compiles kernels that will be called, several at a time, unless they are there; where nothing can be kept, each waits
    for its first call.

    Args:
        units: kernels; those of a unit share functions.
    """
    missing = [[each for each in unit if isinstance(each, _Missing)] for unit in units]
    if cache_directory() is None or not any(missing):
        return
    from kafka_salvage.vector import workshop

    workshop.make([[each.name for each in unit] for unit in missing])
    workshop.dismiss()
    for each in (each for unit in missing for each in unit):
        if has(each.name):
            each.made()


def _make(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Machine code of a kernel: as another process has left it by now, or from here."""
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


__all__ = ["COMPILED", "KERNELS", "ORIGIN", "cache_directory", "inner", "kernel", "outlined", "ready"]
