"""Polynomial: arithmetic modulo a CRC's generator, and the constants that the kernels are made of.

A *register* is a CRC without the inversions at both ends; it is the remainder of (message · x^32) modulo the generator. All
values are reflected as CRC-32C and zlib's CRC-32 have it: bit 31 is the coefficient of x^0, bit 0 that of x^31.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

ONE = 0x80000000
"""x^0 reflected."""
MASK = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Polynomial:
    """A generator of degree 32.

    Attributes:
        name: as CRCs are called.
        reflected: coefficients of x^0..x^31, reflected.
        order: smallest n > 0 with x^n = 1.
    """

    name: str
    reflected: int
    order: int

    def multiply(self, a: int, b: int) -> int:
        """Product of two modulo the generator."""
        product = 0
        while a:
            if a & ONE:
                product ^= b
            a = a << 1 & MASK
            b = b >> 1 ^ (self.reflected if b & 1 else 0)
        return product

    def power(self, exponent: int) -> int:
        """x^exponent modulo the generator; x has an inverse, so ``exponent`` may be negative."""
        result = ONE
        for bit in f"{exponent % self.order:b}":
            result = self.multiply(result, result)
            if bit == "1":  # once more x
                result = result >> 1 ^ (self.reflected if result & 1 else 0)
        return result

    def fold(self, bits: int) -> tuple[int, int]:
        """Multipliers (low, high half) that move a 128-bit register ``bits`` (at least 33) towards the end."""
        return self.power(bits + 31), self.power(bits - 33)

    def tables(self, count: int = 8) -> list[list[int]]:
        """``count`` tables of 256: entry i of table t is the register of byte i followed by t zero bytes."""
        first = []
        for value in range(256):
            for _ in range(8):
                value = value >> 1 ^ (self.reflected if value & 1 else 0)
            first.append(value)
        tables = [first]
        while len(tables) < count:
            tables.append([v >> 8 ^ first[v & 0xFF] for v in tables[-1]])
        return tables

    def packed_tables(self, count: int = 8) -> bytes:
        """`tables` as native uint32."""
        return b"".join(struct.pack("=256I", *table) for table in self.tables(count))

    def shift_tables(self, size: int) -> bytes:
        """Four tables of 256, native uint32: what each byte of a register becomes after ``size`` zero bytes."""
        move = self.power(8 * size)
        return struct.pack("=1024I", *(self.multiply(v << 8 * byte, move) for byte in range(4) for v in range(256)))

    def squares(self, count: int = 40, lead: int = 0) -> bytes:
        """x^(8 · 2^k - lead) for k below ``count``, native uint32: moves by 2^k bytes."""
        values, value, back = [], self.power(8), self.power(-lead)
        for _ in range(count):
            values.append(self.multiply(value, back))
            value = self.multiply(value, value)
        return struct.pack(f"={count}I", *values)

    def barrett(self) -> tuple[int, int]:
        """(quotient of x^96 without its top term, generator without its top term), each reflected in 64 bits."""
        generator = 1 << 32 | int(f"{self.reflected:032b}"[::-1], 2)
        remainder, quotient = 1 << 96, 0
        for bit in range(64, -1, -1):
            if remainder >> bit + 32 & 1:
                remainder ^= generator << bit
                quotient |= 1 << bit
        low = quotient & (1 << 64) - 1
        return int(f"{low:064b}"[::-1], 2), self.reflected << 32


CASTAGNOLI = Polynomial("CRC-32C", 0x82F63B78, (1 << 31) - 1)
ZLIB = Polynomial("CRC-32", 0xEDB88320, (1 << 32) - 1)
