"""Base64: bytes to text in kernels, with AVX-512 where the CPU has byte permutes, else from a table of 4,096 pairs.

Strategy: ``encode(target, origin, size)`` reads exactly ``size`` bytes and returns the address behind the text. It may write up
to `SLACK` bytes behind that, so a target needs `text_size` and `SLACK` bytes.

The wide form: one permute brings each group of three bytes into a lane of four, a multi-shift cuts the lane into six-bit
pieces, a second permute looks the letters up: 48 bytes become 64.
"""

from __future__ import annotations

import ctypes
from base64 import b64encode
from typing import Any

from llvmlite import ir

from kafka_salvage.vector.cache import COMPILED, inner
from kafka_salvage.vector.pointers import (
    BYTE,
    LONG,
    embedded,
    load_be64,
    load_u8,
    load_u32,
    lowered,
    store_8,
    store_32,
    store_64,
)
from kafka_salvage.vector.target import target

SLACK = 64
ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
PAIRS = embedded(b"".join(bytes([a, b]) for a in ALPHABET for b in ALPHABET) + bytes(8))
"""The two letters of every twelve bits; padded, since an entry is loaded with the two bytes behind it."""
EQUALS = 0x3D
_B64 = ir.VectorType(BYTE, 64)


def wide_available() -> bool:
    """Whether the target has what the wide form needs (never found out by trying)."""
    architecture, _cpu, features = target()
    return COMPILED and architecture == "x86_64" and features.issuperset(("avx512f", "avx512bw", "avx512vbmi"))


def _call(builder: Any, name: str, operands: list[Any]) -> Any:
    kind = ir.FunctionType(_B64, [_B64, _B64])
    found = builder.module.globals.get(name)
    return builder.call(found or ir.Function(builder.module, kind, name), operands)


def _letters(builder: Any, block: Any) -> Any:
    order = [3 * (i // 4) + (1, 0, 2, 1)[i % 4] for i in range(64)]
    shifts = [10, 4, 22, 16, 42, 36, 54, 48] * 8
    spread = _call(builder, "llvm.x86.avx512.permvar.qi.512", [block, ir.Constant(_B64, order)])
    pieces = _call(builder, "llvm.x86.avx512.pmultishift.qb.512", [ir.Constant(_B64, shifts), spread])
    return _call(builder, "llvm.x86.avx512.permvar.qi.512", [ir.Constant(_B64, list(ALPHABET)), pieces])


def _emit_whole(builder: Any, args: list[Any]) -> None:
    target_, origin = (builder.inttoptr(a, _B64.as_pointer()) for a in args)
    builder.store(_letters(builder, builder.load(origin, align=1)), target_, align=1)


def _emit_part(builder: Any, args: list[Any]) -> None:
    bits = ir.VectorType(ir.IntType(1), 64)
    mask = builder.sub(builder.shl(ir.Constant(LONG, 1), args[2]), ir.Constant(LONG, 1))
    pointer = builder.inttoptr(args[1], _B64.as_pointer())
    kind = ir.FunctionType(_B64, [_B64.as_pointer(), ir.IntType(32), bits, _B64])
    name = "llvm.masked.load.v64i8.p0"
    load = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    zeros = ir.Constant(_B64, [0] * 64)
    block = builder.call(load, [pointer, ir.Constant(ir.IntType(32), 1), builder.bitcast(mask, bits), zeros])
    builder.store(_letters(builder, block), builder.inttoptr(args[0], _B64.as_pointer()), align=1)


def whole_block(target_: int, origin: int) -> None:
    """48 of the 64 bytes at ``origin`` (all of them are read) to 64 letters; the wide form only."""
    ctypes.memmove(target_, b64encode(ctypes.string_at(origin, 48)), 64)


def part_block(target_: int, origin: int, size: int) -> None:
    """``size`` bytes (below 64) to letters as if zeros followed; 64 letters are written; the wide form only."""
    ctypes.memmove(target_, b64encode(ctypes.string_at(origin, min(size, 48)).ljust(48, b"\0")), 64)


lowered(whole_block, _emit_whole, 2, gives=False)
lowered(part_block, _emit_part, 3, gives=False)


@inner
def _pad(target_: int, left: int, size: int) -> int:
    """Ends a text whose last ``left`` (0 to 2) bytes of ``size`` have no full group; gives the address behind it."""
    if left == 0:
        return target_
    if left == 1:
        store_8(target_ + 2, EQUALS)
    store_8(target_ + 3, EQUALS)
    return target_ + 4


@inner
def encode_wide(target_: int, origin: int, size: int) -> int:
    """Base64 of ``size`` bytes with wide registers; returns the address behind the text."""
    left = size
    while left >= 64:
        whole_block(target_, origin)
        target_ += 64
        origin += 48
        left -= 48
    if left > 48:
        part_block(target_, origin, left)
        target_ += 64
        origin += 48
        left -= 48
    if left > 0:
        part_block(target_, origin, left)
        groups = left // 3
        target_ = _pad(target_ + 4 * groups, left - 3 * groups, size)
    return target_


@inner
def encode_table(target_: int, origin: int, size: int) -> int:
    """Base64 of ``size`` bytes from the table of pairs; returns the address behind the text."""
    pairs = PAIRS()
    left = size
    while left >= 8:
        word = load_be64(origin)
        first = (load_u32(pairs + 2 * ((word >> 52) & 4095)) & 0xFFFF) | (
            (load_u32(pairs + 2 * ((word >> 40) & 4095)) & 0xFFFF) << 16
        )
        second = (load_u32(pairs + 2 * ((word >> 28) & 4095)) & 0xFFFF) | (
            (load_u32(pairs + 2 * ((word >> 16) & 4095)) & 0xFFFF) << 16
        )
        store_32(target_, first)
        store_32(target_ + 4, second)
        target_ += 8
        origin += 6
        left -= 6
    while left > 0:
        word = load_u8(origin) << 16
        if left > 1:
            word |= load_u8(origin + 1) << 8
        if left > 2:
            word |= load_u8(origin + 2)
        high = load_u32(pairs + 2 * (word >> 12)) & 0xFFFF
        store_64(target_, high | (load_u32(pairs + 2 * (word & 4095)) & 0xFFFF) << 16)
        if left < 3:
            return _pad(target_, left, size)
        target_ += 4
        origin += 3
        left -= 3
    return target_


encode = encode_wide if wide_available() else encode_table


def text_size(size: int) -> int:
    """Letters of ``size`` bytes."""
    return (size + 2) // 3 * 4
