"""Key hashes: 122 bits that stand for a key, from arrays, without a Python object per record.

Strategy: multilinear hashing over the field of 2^61 - 1, twice, with coefficients drawn anew in every run: two different keys
of the same size class collide with a probability of 2^-122, whoever wrote them. Keys above `LONGEST` bytes, which are
rare, go through BLAKE2 one by one.

Source: Carter and Wegman, "Universal classes of hash functions" (1979).
"""

from __future__ import annotations

import hashlib
import os

import numpy as np
import numpy.typing as npt

from kafka_salvage.scan.batches import I64
from kafka_salvage.scan.records import RecordTable

U64 = npt.NDArray[np.uint64]

LONGEST = 256
"""Bytes of a key that is hashed with others; larger ones go one by one."""
_CLASSES = (16, 32, 64, LONGEST)
_PIECE = 1 << 22
"""Bytes of padded keys at a time."""
_PRIME = np.uint64((1 << 61) - 1)
_WORD = np.uint64(32)
_LOW = np.uint64((1 << 32) - 1)


class KeyHasher:
    """Hashes keys; two hashers never agree."""

    def __init__(self) -> None:
        random = np.random.default_rng(int.from_bytes(os.urandom(32), "big"))
        self._secret = os.urandom(32)
        self._factors = random.integers(1, int(_PRIME), (2, LONGEST // 4 + 1), np.uint64)

    def hashes(self, table: RecordTable) -> tuple[U64, U64]:
        """Two words per record; null keys count as empty."""
        size = np.maximum(table.key_size.astype(np.int64), 0)
        first, second = np.zeros(len(table), np.uint64), np.zeros(len(table), np.uint64)
        low = -1
        for high in _CLASSES:
            rows = np.flatnonzero((size > low) & (size <= high))
            for at in range(0, len(rows), _PIECE // high):
                some = rows[at : at + _PIECE // high]
                words = _words(table, some, size[some], high)
                first[some], second[some] = (_sum(words, size[some], self._factors[which]) for which in (0, 1))
            low = high
        for row in np.flatnonzero(size > LONGEST).tolist():
            start = int(table.key_start[row])
            digest = hashlib.blake2b(
                table.data[start : start + int(size[row])].tobytes(), digest_size=16, key=self._secret
            ).digest()
            first[row], second[row] = np.frombuffer(digest, np.uint64) >> np.uint64(3)
        return first, second


def _words(table: RecordTable, rows: I64, size: I64, width: int) -> U64:
    """Keys as little-endian words of 32 bits, zeros behind their ends; shape (rows, width / 4)."""
    place = np.arange(width)
    at = table.key_start[rows][:, None] + place
    inside = place < size[:, None]
    padded = np.zeros((len(rows), width), np.uint8)
    padded[inside] = table.data[at[inside]]
    return padded.view("<u4").astype(np.uint64)


def _sum(words: U64, size: I64, factors: U64) -> U64:
    """Sum of the words, and of the size, times the factors, modulo 2^61 - 1."""
    total = _product(size.astype(np.uint64), factors[-1])
    for at in range(words.shape[1]):
        total = _reduced(total + _product(words[:, at], factors[at]))
    return total


def _product(word: U64, factor: np.uint64) -> U64:
    """A word of 32 bits times a factor of 61, modulo 2^61 - 1."""
    high = word * (factor >> _WORD)  # below 2^61; times 2^32 is a rotation by 32 of 61 bits
    turned = ((high << _WORD) & _PRIME) | (high >> np.uint64(29))
    return _reduced(turned + _reduced(word * (factor & _LOW)))


def _reduced(value: U64) -> U64:
    """The same modulo 2^61 - 1 (0 may show as 2^61 - 1)."""
    return (value & _PRIME) + (value >> np.uint64(61))
