"""Damage: recipes as text, applied to a file while the origin of every byte is kept.

One edit per line; ``#`` starts a comment. Places are original positions: a number, ``b3`` (start of batch 3), ``b3+17``,
``b3.stop``, ``b-1`` (the last one), ``end``; they are mapped through the edits before. Values are hex without blanks::

    xor PLACE HEX             set PLACE HEX            zero PLACE PLACE        cut PLACE
    insert PLACE HEX          pad PLACE COUNT          noise PLACE COUNT SEED  delete PLACE PLACE
    duplicate PLACE PLACE AT  splice PLACE FROM        scramble PLACE PLACE SEED
    field BATCH NAME VALUE    append HEX               grow COUNT
    graft PLACE FROM TO       cover PLACE FROM TO

``pad`` inserts zeros, ``grow`` appends them, ``noise`` inserts random bytes, ``scramble`` overwrites with random bytes,
``splice`` replaces everything from PLACE on by the other file from its byte FROM on, ``graft`` inserts and ``cover`` lays a
piece of the other file over what is there. ``field`` forges a header field
(base_offset, length, epoch, magic, crc, attributes, delta, count and the like): VALUE is a number, ``+n``, ``-n`` or ``^n``.
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tests.support.build import BatchInfo

CHANGED = -1
OTHER = 1 << 40
"""Origins from the second file of a splice are counted from here."""

V2_FIELDS = {
    "base_offset": (0, "q"),
    "length": (8, "i"),
    "epoch": (12, "i"),
    "magic": (16, "b"),
    "crc": (17, "I"),
    "attributes": (21, "h"),
    "delta": (23, "i"),
    "base_timestamp": (27, "q"),
    "max_timestamp": (35, "q"),
    "producer_id": (43, "q"),
    "producer_epoch": (51, "h"),
    "base_sequence": (53, "i"),
    "count": (57, "i"),
}
LEGACY_FIELDS = {
    "base_offset": (0, "q"),
    "length": (8, "i"),
    "crc": (12, "I"),
    "magic": (16, "b"),
    "attributes": (17, "b"),
    "key_length": (18, "i"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Damaged:
    """A damaged file.

    Attributes:
        data: its bytes.
        origin: for each byte the position it has in the original (`CHANGED` for new bytes).
    """

    data: bytes
    origin: npt.NDArray[np.int64]


class Workshop:
    """Applies edits one after another."""

    def __init__(self, data: bytes, infos: Sequence[BatchInfo], other: bytes = b"") -> None:
        self.data = bytearray(data)
        self.size = len(data)
        self.origin = np.arange(len(data), dtype=np.int64)
        self.infos = infos
        self.other = other

    def place(self, text: str) -> int:
        """Original position that a word means."""
        if text == "end":
            return self.size
        match = re.fullmatch(r"b(-?\d+)(\.stop)?([+-]\d+)?", text)
        if match is None:
            return int(text, 0)
        info = self.infos[int(match[1])]
        return (info.stop if match[2] else info.start) + int(match[3] or 0)

    def now(self, text: str) -> int:
        """Position in the file as it is now."""
        original = self.place(text)
        hits = np.flatnonzero(self.origin == original)
        if len(hits):
            return int(hits[0])
        before = np.flatnonzero((self.origin >= 0) & (self.origin < min(original, self.size)))
        return int(before[-1]) + 1 if len(before) else 0

    def overwrite(self, at: int, new: bytes) -> None:
        """Exchanges bytes; what stays equal keeps its origin."""
        new = new[: max(0, len(self.data) - at)]
        old = np.frombuffer(bytes(self.data[at : at + len(new)]), np.uint8)
        fresh = np.frombuffer(new, np.uint8)
        self.origin[at : at + len(new)][old != fresh] = CHANGED
        self.data[at : at + len(new)] = new

    def put(self, at: int, new: bytes, origin: npt.NDArray[np.int64] | None = None) -> None:
        """Inserts bytes."""
        self.data[at:at] = new
        came = np.full(len(new), CHANGED, np.int64) if origin is None else origin
        self.origin = np.concatenate([self.origin[:at], came, self.origin[at:]])

    def remove(self, start: int, stop: int) -> None:
        """Takes bytes out."""
        del self.data[start:stop]
        self.origin = np.concatenate([self.origin[:start], self.origin[stop:]])

    def forge(self, batch: int, name: str, value: str) -> None:
        """Changes one header field of a batch."""
        info = self.infos[batch]
        at, code = (V2_FIELDS if info.magic == 2 else LEGACY_FIELDS)[name]
        at += self.now(str(info.start))
        size = struct.calcsize(">" + code)
        if at + size > len(self.data):
            return
        old = struct.unpack(">" + code, bytes(self.data[at : at + size]))[0]
        if value[0] == "^":
            new = old ^ int(value[1:], 0)
        elif value[0] in "+-" and value[1:2].isdigit():
            new = old + int(value, 0)
        else:
            new = int(value.removeprefix("="), 0)
        self.overwrite(at, (new & ((1 << 8 * size) - 1)).to_bytes(size, "big"))

    def edit(self, verb: str, words: list[str]) -> None:
        """One line of a recipe."""
        if verb == "xor":
            at, mask = self.now(words[0]), bytes.fromhex(words[1])
            self.overwrite(at, bytes(a ^ b for a, b in zip(self.data[at : at + len(mask)], mask, strict=False)))
        elif verb == "set":
            self.overwrite(self.now(words[0]), bytes.fromhex(words[1]))
        elif verb == "zero":
            start, stop = self.now(words[0]), self.now(words[1])
            self.overwrite(start, bytes(max(0, stop - start)))
        elif verb == "scramble":
            start, stop = self.now(words[0]), self.now(words[1])
            self.overwrite(start, random.Random(int(words[2])).randbytes(max(0, stop - start)))
        elif verb == "cut":
            self.remove(self.now(words[0]), len(self.data))
        elif verb == "delete":
            self.remove(self.now(words[0]), max(self.now(words[0]), self.now(words[1])))
        else:
            self._grow(verb, words)

    def _grow(self, verb: str, words: list[str]) -> None:
        if verb == "insert":
            self.put(self.now(words[0]), bytes.fromhex(words[1]))
        elif verb == "pad":
            self.put(self.now(words[0]), bytes(int(words[1], 0)))
        elif verb == "noise":
            self.put(self.now(words[0]), random.Random(int(words[2])).randbytes(int(words[1], 0)))
        elif verb == "append":
            self.put(len(self.data), bytes.fromhex(words[0]))
        elif verb == "grow":
            self.put(len(self.data), bytes(int(words[0], 0)))
        elif verb == "duplicate":
            start, stop, at = (self.now(w) for w in words)
            self.put(at, bytes(self.data[start:stop]), self.origin[start:stop].copy())
        elif verb == "splice":
            at, begin = self.now(words[0]), int(words[1], 0)
            self.remove(at, len(self.data))
            self.put(at, self.other[begin:], np.arange(begin, len(self.other), dtype=np.int64) + OTHER)
        elif verb in ("graft", "cover"):
            at, begin, stop = self.now(words[0]), int(words[1], 0), min(int(words[2], 0), len(self.other))
            if verb == "cover":
                self.remove(at, min(at + stop - begin, len(self.data)))
            self.put(at, self.other[begin:stop], np.arange(begin, stop, dtype=np.int64) + OTHER)
        elif verb == "field":
            self.forge(int(words[0]), words[1], words[2])
        else:
            raise ValueError(f"no edit is called {verb!r}")


def damage(data: bytes, infos: Sequence[BatchInfo], recipe: str, other: bytes = b"") -> Damaged:
    """Applies a recipe."""
    shop = Workshop(data, infos, other)
    for line in recipe.splitlines():
        words = line.split("#", 1)[0].split()
        if words:
            shop.edit(words[0], words[1:])
    return Damaged(bytes(shop.data), shop.origin)
