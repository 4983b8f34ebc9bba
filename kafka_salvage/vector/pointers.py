"""Pointer: loads, stores and system calls on bare addresses, in kernels and (slowly) in plain Python.

Strategy: each name is an ordinary Python function over ``ctypes`` *and* an LLVM lowering, so that a kernel runs unchanged
under ``NUMBA_DISABLE_JIT=1``. Addresses, lengths and loaded values are all int64 (user-space addresses fit), which keeps
Numba from widening to float64 and each kernel at one specialisation. Nothing here knows a bound: a length must be checked
before it becomes an address.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir

from kafka_salvage.vector import names
from kafka_salvage.vector.names import Emit

BYTE, HALF, WORD, LONG = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)


def lowered(function: Callable[..., Any], emit: Emit, operands: int, *, gives: bool = True) -> None:
    """Says what stands in a kernel where ``function`` is called with integers.

    Args:
        function: the Python twin; kernels call it by its name.
        emit: builds the instructions, from int64 to int64.
        operands: how many integers it takes.
        gives: False of a procedure.
    """
    names.lower(function, emit, (names.LONG,) * operands, names.LONG if gives else names.VOID)


def _load(kind: ir.IntType, swap: bool, signed: bool) -> Emit:
    def emit(builder: Any, args: list[Any]) -> Any:
        value = builder.load(builder.inttoptr(args[0], kind.as_pointer()), align=1)
        value = builder.bswap(value) if swap else value
        if kind is LONG:
            return value
        return builder.sext(value, LONG) if signed else builder.zext(value, LONG)

    return emit


def _store(kind: ir.IntType) -> Emit:
    def emit(builder: Any, args: list[Any]) -> None:
        value = args[1] if kind is LONG else builder.trunc(args[1], kind)
        builder.store(value, builder.inttoptr(args[0], kind.as_pointer()), align=1)

    return emit


def load_u8(address: int) -> int:
    """The byte there, 0..255."""
    return ctypes.c_uint8.from_address(address).value


def load_i8(address: int) -> int:
    """The signed byte there."""
    return ctypes.c_int8.from_address(address).value


def load_be16(address: int) -> int:
    """The signed big-endian int16 there, unaligned."""
    return int.from_bytes(ctypes.string_at(address, 2), "big", signed=True)


def load_be32(address: int) -> int:
    """The signed big-endian int32 there, unaligned."""
    return int.from_bytes(ctypes.string_at(address, 4), "big", signed=True)


def load_beu32(address: int) -> int:
    """The unsigned big-endian uint32 there, unaligned (a CRC)."""
    return int.from_bytes(ctypes.string_at(address, 4), "big")


def load_be64(address: int) -> int:
    """The signed big-endian int64 there, unaligned."""
    return int.from_bytes(ctypes.string_at(address, 8), "big", signed=True)


def load_u32(address: int) -> int:
    """The unsigned native uint32 there (an entry of a table)."""
    return ctypes.c_uint32.from_address(address).value


def load_i16(address: int) -> int:
    """The native int16 there."""
    return ctypes.c_int16.from_address(address).value


def load_i32(address: int) -> int:
    """The native int32 there."""
    return ctypes.c_int32.from_address(address).value


def load_i64(address: int) -> int:
    """The native int64 there."""
    return ctypes.c_int64.from_address(address).value


def store_8(address: int, value: int) -> None:
    """Writes the low byte of ``value``."""
    ctypes.c_uint8.from_address(address).value = value & 0xFF


def store_16(address: int, value: int) -> None:
    """Writes the low 16 bits of ``value``, native order."""
    ctypes.c_uint16.from_address(address).value = value & 0xFFFF


def store_32(address: int, value: int) -> None:
    """Writes the low 32 bits of ``value``, native order."""
    ctypes.c_uint32.from_address(address).value = value & 0xFFFFFFFF


def store_64(address: int, value: int) -> None:
    """Writes ``value``, native order."""
    ctypes.c_int64.from_address(address).value = value


def copy(target: int, origin: int, size: int) -> None:
    """Copies ``size`` bytes; the ranges may overlap."""
    ctypes.memmove(target, origin, size)


def pread(descriptor: int, address: int, size: int, position: int) -> int:
    """``pread(2)`` into memory: bytes read, 0 at the end of the file, -1 on any error (errno is lost)."""
    try:
        return os.preadv(descriptor, [(ctypes.c_uint8 * size).from_address(address)], position)
    except OSError:
        return -1


def _emit_move(builder: Any, args: list[Any]) -> None:
    pointer = BYTE.as_pointer()
    move = builder.module.declare_intrinsic("llvm.memmove", [pointer, pointer, LONG])
    target, origin = (builder.inttoptr(a, pointer) for a in args[:2])
    builder.call(move, [target, origin, args[2], ir.Constant(ir.IntType(1), 0)])


def _emit_pread(builder: Any, args: list[Any]) -> Any:
    kind = ir.FunctionType(LONG, [WORD, BYTE.as_pointer(), LONG, LONG])
    function = builder.module.globals.get("pread") or ir.Function(builder.module, kind, "pread")
    target = builder.inttoptr(args[1], BYTE.as_pointer())
    return builder.call(function, [builder.trunc(args[0], WORD), target, args[2], args[3]])


lowered(load_u8, _load(BYTE, swap=False, signed=False), 1)
lowered(load_i8, _load(BYTE, swap=False, signed=True), 1)
lowered(load_be16, _load(HALF, swap=True, signed=True), 1)
lowered(load_be32, _load(WORD, swap=True, signed=True), 1)
lowered(load_beu32, _load(WORD, swap=True, signed=False), 1)
lowered(load_be64, _load(LONG, swap=True, signed=True), 1)
lowered(load_u32, _load(WORD, swap=False, signed=False), 1)
lowered(load_i16, _load(HALF, swap=False, signed=True), 1)
lowered(load_i32, _load(WORD, swap=False, signed=True), 1)
lowered(load_i64, _load(LONG, swap=False, signed=True), 1)
lowered(store_8, _store(BYTE), 2, gives=False)
lowered(store_16, _store(HALF), 2, gives=False)
lowered(store_32, _store(WORD), 2, gives=False)
lowered(store_64, _store(LONG), 2, gives=False)
lowered(copy, _emit_move, 3, gives=False)
lowered(pread, _emit_pread, 4)


def embedded(data: bytes | Callable[[], bytes]) -> Callable[[], int]:
    """A function that gives the address of a constant, in kernels (part of the code) and in Python.

    Args:
        data: the constant, or what makes it: that is asked when the constant is needed first.
    """
    kept: list[npt.NDArray[np.uint8]] = []

    def whole() -> bytes:
        return data if isinstance(data, bytes) else data()

    def address() -> int:
        if not kept:
            made = whole()
            place = aligned_buffer(len(made), 64)
            place[:] = np.frombuffer(made, np.uint8)
            kept.append(place)
        return address_of(kept[0])

    def emit(builder: Any, _args: list[Any]) -> Any:
        made = whole()
        kind = ir.ArrayType(BYTE, len(made))
        value = ir.GlobalVariable(builder.module, kind, builder.module.get_unique_name("embedded"))
        value.linkage, value.global_constant, value.align = "internal", True, 64
        value.initializer = ir.Constant(kind, bytearray(made))
        return builder.ptrtoint(value, LONG)

    lowered(address, emit, 0)
    return address


def address_of(array: npt.NDArray[Any]) -> int:
    """Address of an array's first byte (plain Python only; keep the array alive while a kernel uses it)."""
    place: int = array.__array_interface__["data"][0]
    return place


def aligned_buffer(size: int, alignment: int = 4096) -> npt.NDArray[np.uint8]:
    """``size`` uninitialised bytes whose first one is aligned, with 64 bytes of slack behind."""
    raw = np.empty(size + alignment + 64, np.uint8)
    skip = -address_of(raw) % alignment
    return raw[skip : skip + size]
