"""Image: the machine code of one kernel as a file, and how it becomes a function that Python calls.

Strategy: an image is what a linker would make of the kernel's object code: instructions and constants that may lie anywhere,
since they find each other by distance. What lies elsewhere (the C library, the interpreter) they reach by slots, which are
filled when the image is brought into memory: so nothing in a file depends on where a process has its libraries. To bring one
in needs neither Numba nor LLVM, which would take longer to import than most of what the kernels do.

Code for a processor that `linking` does not know stays as LLVM wrote it, and LLVM brings it in.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

ENTRY = "kafka_salvage_entry"
"""Symbol of the function that the interpreter calls, in object code."""
_LINKED, _OBJECT = b"KSimage1", b"KSobject"
_HEADER = struct.Struct("<8sI5I")
"""Kind; CRC-32 of all behind it; bytes of code, entry, slots for outside, slots for inside, bytes of names."""
_READ_EXECUTE = 1 | 4
_FASTCALL = 0x80

Native = Callable[..., Any]


class _Method(ctypes.Structure):
    """``PyMethodDef``."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


_kept: list[Any] = []
"""What functions point to: they live as long as the process."""


def pack(code: bytes, entry: int, outside: Sequence[tuple[int, str]], inside: Sequence[tuple[int, int]]) -> bytes:
    """The file of a linked image.

    Args:
        code: instructions and constants; to lie at the beginning of a page.
        entry: where the function begins.
        outside: slots of eight bytes, and the symbols whose addresses go there.
        inside: slots of eight bytes, and the places in the code whose addresses go there.
    """
    names = "\0".join(name for _, name in outside).encode()
    slots = [slot for slot, _ in outside] + [word for pair in inside for word in pair]
    rest = struct.pack(f"<{len(slots)}I", *slots) + names + code
    sizes = struct.pack("<5I", len(code), entry, len(outside), len(inside), len(names))
    return _LINKED + struct.pack("<I", zlib.crc32(sizes + rest)) + sizes + rest


def pack_object(data: bytes) -> bytes:
    """The file of object code that is not linked."""
    sizes = struct.pack("<5I", len(data), 0, 0, 0, 0)
    return _OBJECT + struct.pack("<I", zlib.crc32(sizes + data)) + sizes + data


def load(data: bytes, name: str) -> Native:
    """A function that Python calls, from an image.

    Raises:
        ValueError: this is no image, or not a whole one.
        OSError: the system gives no memory that code may lie in.
    """
    if len(data) < _HEADER.size or data[:8] not in (_LINKED, _OBJECT):
        raise ValueError("no image")
    _, crc, size, entry, outside, inside, letters = _HEADER.unpack_from(data)
    if zlib.crc32(memoryview(data)[12:]) != crc:
        raise ValueError("a torn image")
    if data[:8] == _OBJECT:
        return _callable(_by_llvm(data[_HEADER.size :]), name)
    count = outside + 2 * inside
    slots = struct.unpack_from(f"<{count}I", data, _HEADER.size)
    begin = _HEADER.size + 4 * count
    names = data[begin : begin + letters].decode().split("\0")
    memory = mmap.mmap(-1, -(-size // mmap.PAGESIZE) * mmap.PAGESIZE)
    memory[:size] = data[begin + letters :]
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for slot, symbol in zip(slots[:outside], names, strict=False):
        struct.pack_into("=Q", memory, slot, _outside(symbol))
    for slot, place in zip(slots[outside::2], slots[outside + 1 :: 2], strict=True):
        struct.pack_into("=Q", memory, slot, address + place)
    _protect(address, len(memory))
    _kept.append(memory)
    return _callable(address + entry, name)


def _outside(symbol: str) -> int:
    return ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, symbol))


def _protect(address: int, size: int) -> None:
    change = ctypes.CDLL(None, use_errno=True).mprotect
    change.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    if change(address, size, _READ_EXECUTE):
        raise OSError(ctypes.get_errno(), "no memory for code")


def _by_llvm(data: bytes) -> int:
    """Address of the entry of object code that LLVM brings in."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(data))
    engine.finalize_object()
    _kept.append(engine)
    return int(engine.get_function_address(ENTRY))


def _callable(address: int, name: str) -> Native:
    """The interpreter's own object for a C function."""
    method = _Method(name.encode(), address, _FASTCALL, None)
    _kept.append(method)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    made: Native = make(ctypes.addressof(method), None, None)
    return made
