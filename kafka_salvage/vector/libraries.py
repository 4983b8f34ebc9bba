"""Library: the C functions of installed codec packages, for kernels to call by address.

Strategy: the packages' extension modules export the functions of the codec libraries that they were built with, whose C
interfaces have not changed for many years. A kernel that calls them inflates batch after batch without coming back to Python
for each. What cannot be found has address 0; its batches then go through the package's Python interface, or zlib.
"""

from __future__ import annotations

import ctypes
import importlib.util
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from kafka_salvage.vector.columns import I64
from kafka_salvage.vector.pointers import LONG, lowered

GZIP, LZ4, ZSTD = 1, 3, 4
"""Codec ids that have a function here."""
_SOURCES: dict[int, tuple[str, str, str, str]] = {
    GZIP: (
        "deflate._deflate",
        "libdeflate_gzip_decompress_ex",
        "libdeflate_alloc_decompressor",
        "libdeflate_free_decompressor",
    ),
    LZ4: ("lz4.block._block", "LZ4_decompress_safe", "", ""),
    ZSTD: ("zstandard._cffi", "ZSTD_decompressDCtx", "ZSTD_createDCtx", "ZSTD_freeDCtx"),
}
"""Codec: extension module, function, and what makes and frees its context."""


def call(arguments: int) -> int:
    """Calls a C function.

    Args:
        arguments: address of int64[8]: the function's address and seven integers or addresses; a function that takes fewer
            does not look at the others.

    Returns:
        The 64 bits it returns; of a function that returns an int, the low 32 count.
    """
    values = (ctypes.c_int64 * 8).from_address(arguments)
    function = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 7)(values[0])
    return int(function(*values[1:]))


def _emit_call(builder: Any, args: list[Any]) -> Any:
    pointer = builder.inttoptr(args[0], LONG.as_pointer())
    values = [builder.load(builder.gep(pointer, [ir.Constant(LONG, n)]), align=8) for n in range(8)]
    kind = ir.FunctionType(LONG, [LONG] * 7)
    return builder.call(builder.inttoptr(values[0], kind.as_pointer()), values[1:])


lowered(call, _emit_call, 1)


class _Found:
    """The function of one codec."""

    def __init__(self, module: str, function: str, make: str, free: str) -> None:
        spec = importlib.util.find_spec(module)  # not imported: it may need what the functions do not
        if spec is None or spec.origin is None:
            raise ImportError(module)
        library = ctypes.CDLL(spec.origin)
        self.address = _address(library, function)
        self._make: Callable[[], int | None] | None = None
        self._free: Callable[[int], object] | None = None
        if make:
            maker, freer = getattr(library, make), getattr(library, free)
            maker.restype, maker.argtypes = ctypes.c_void_p, []
            freer.restype, freer.argtypes = ctypes.c_size_t, [ctypes.c_void_p]
            self._make, self._free = maker, freer

    def context(self) -> int:
        """A new context; 0 when the library needs none."""
        if self._make is None:
            return 0
        made = self._make()
        if not made:
            raise MemoryError
        return made

    def free(self, context: int) -> None:
        """Gives a context back."""
        if self._free is not None and context:
            self._free(context)


def _address(library: Any, name: str) -> int:
    found = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    if not found:
        raise ImportError(name)
    return found


_lock = threading.Lock()
_found: dict[int, _Found | None] = {}
_local = threading.local()


def _find(codec: int) -> _Found | None:
    with _lock:
        if codec not in _found:
            try:
                _found[codec] = _Found(*_SOURCES[codec])
            except (ImportError, OSError, AttributeError):  # not installed, or built in another way
                _found[codec] = None
        return _found[codec]


class Calls:
    """Functions and contexts for one thread.

    Attributes:
        table: int64[16]: for each codec id its function (0 when there is none), and eight places further its context.
    """

    def __init__(self) -> None:
        self.table: I64 = np.zeros(16, np.int64)
        self._owned: list[tuple[_Found, int]] = []
        for codec in _SOURCES:
            found = _find(codec)
            if found is not None:
                self.table[codec] = found.address
                self.table[codec + 8] = found.context()
                self._owned.append((found, int(self.table[codec + 8])))

    def __del__(self) -> None:
        for found, context in self._owned:
            found.free(context)


def calls() -> Calls:
    """This thread's functions and contexts; a context is never used by two threads."""
    known: Calls | None = getattr(_local, "calls", None)
    if known is None:
        known = _local.calls = Calls()
    return known
