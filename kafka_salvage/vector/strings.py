"""String: bytes as a JSON string in kernels, if they are UTF-8.

Strategy: sixteen plain ASCII characters at a time are copied as they are; everything else goes character by character,
checked after RFC 3629 (no overlong forms, no surrogates, nothing above U+10FFFF, nothing cut off) and escaped after RFC 8259:
quote, backslash and control characters, all else raw. Exactly the given bytes are read.
"""

from __future__ import annotations

import ctypes
from typing import Any

from llvmlite import ir

from kafka_salvage.vector.cache import inner, outlined
from kafka_salvage.vector.pointers import BYTE, LONG, embedded, load_u8, lowered, store_8, store_16

SLACK = 16
WORST = 6
"""Bytes of text that one byte may need."""
_B16 = ir.VectorType(BYTE, 16)


def _escapes() -> bytes:
    """For each byte: 0 = written raw, otherwise the letter behind the backslash (`u` for the long form)."""
    table = bytearray(256)
    table[:32] = b"u" * 32
    for byte, letter in {8: b"b", 9: b"t", 10: b"n", 12: b"f", 13: b"r", 0x22: b'"', 0x5C: b"\\"}.items():
        table[byte] = letter[0]
    return bytes(table)


_ESCAPES = embedded(_escapes())
_HEX = embedded(b"0123456789abcdef")


def plain_16(target: int, origin: int) -> int:
    """Copies sixteen bytes; 1 if all of them are printable ASCII and need no escape."""
    block = ctypes.string_at(origin, 16)
    ctypes.memmove(target, block, 16)
    return int(all(31 < byte < 128 and byte not in b'"\\' for byte in block))


def _emit_plain(builder: Any, args: list[Any]) -> Any:
    def same(byte: int) -> Any:
        return ir.Constant(_B16, [byte] * 16)

    block = builder.load(builder.inttoptr(args[1], _B16.as_pointer()), align=1)
    builder.store(block, builder.inttoptr(args[0], _B16.as_pointer()), align=1)
    odd = builder.icmp_signed("<", block, same(32))  # control characters, and all above ASCII
    for byte in (0x22, 0x5C):
        odd = builder.or_(odd, builder.icmp_unsigned("==", block, same(byte)))
    half = ir.IntType(16)
    none = builder.icmp_unsigned("==", builder.bitcast(odd, half), ir.Constant(half, 0))
    return builder.zext(none, LONG)


lowered(plain_16, _emit_plain, 2)


@outlined
def sequence(origin: int, stop: int) -> int:
    """Bytes of the well-formed UTF-8 sequence at ``origin`` that begins above ASCII; 0 if there is none."""
    first = load_u8(origin)
    if first < 0xC2 or first > 0xF4:
        return 0
    size = 2 + (1 if first >= 0xE0 else 0) + (1 if first >= 0xF0 else 0)
    if size > stop - origin:
        return 0
    low = 0xA0 if first == 0xE0 else (0x90 if first == 0xF0 else 0x80)
    high = 0x9F if first == 0xED else (0x8F if first == 0xF4 else 0xBF)
    second = load_u8(origin + 1)
    if second < low or second > high:
        return 0
    for more in range(2, size):
        if load_u8(origin + more) & 0xC0 != 0x80:
            return 0
    return size


@inner
def _character(target: int, byte: int) -> int:
    """Writes one ASCII character, escaped where JSON asks for it; the address behind it."""
    escape = load_u8(_ESCAPES() + byte)
    if escape == 0:
        store_8(target, byte)
        return target + 1
    store_8(target, 0x5C)
    store_8(target + 1, escape)
    if escape != 0x75:
        return target + 2
    store_16(target + 2, 0x3030)
    store_8(target + 4, load_u8(_HEX() + (byte >> 4)))
    store_8(target + 5, load_u8(_HEX() + (byte & 15)))
    return target + 6


@outlined
def quoted(target: int, origin: int, size: int) -> int:
    """Writes ``size`` bytes as a JSON string with its quotes; the address behind it, or 0 if they are not UTF-8.

    Up to ``WORST * size + 2 + SLACK`` bytes are touched, also when the answer is 0.
    """
    stop = origin + size
    store_8(target, 0x22)
    target += 1
    while origin < stop:
        if stop - origin >= 16 and plain_16(target, origin):
            origin += 16
            target += 16
            continue
        edge = min(origin + 16, stop)
        while origin < edge:
            byte = load_u8(origin)
            if byte < 128:
                target = _character(target, byte)
                origin += 1
                continue
            length = sequence(origin, stop)
            if length == 0:
                return 0
            for index in range(length):
                store_8(target + index, load_u8(origin + index))
            origin += length
            target += length
    store_8(target, 0x22)
    return target + 1
