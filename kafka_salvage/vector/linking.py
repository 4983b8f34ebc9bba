"""Linker: the object code of one kernel, which LLVM wrote for any place in memory, made into an image.

Strategy: sections are laid behind each other; what one says about another by distance is written in; what lies outside gets a
slot for its address, and a jump through it for who calls it. Only what LLVM writes for these kernels on 64-bit x86 is known.

Source: ELF-64 Object File Format 1.5; System V ABI, AMD64 supplement 1.0, section 4.4.1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from kafka_salvage.vector.image import ENTRY, pack

_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QIIq")
_X86_64 = 62
_PROGBITS, _SYMTAB, _RELA, _NOBITS = 1, 2, 4, 8
_KEPT = 2
"""Flag of sections that belong in memory."""
_ABSOLUTE, _DISTANCE, _CALL, _DISTANCE_64 = 1, 2, 4, 24
_BY_SLOT = (9, 41, 42)
_RESERVED = 0xFF00
_JUMP = b"\xff\x25"
"""Jumps to where a slot says, which lies so far behind the next instruction."""


class UnlinkableError(Exception):
    """Object code of another kind than this linker knows."""


@dataclass
class _Laid:
    """The image as it grows."""

    code: bytearray = field(default_factory=bytearray)
    outside: list[tuple[int, str]] = field(default_factory=list)
    inside: list[tuple[int, int]] = field(default_factory=list)
    slots: dict[str | int, int] = field(default_factory=dict)
    jumps: dict[str, int] = field(default_factory=dict)

    def align(self, size: int) -> int:
        self.code += bytes(-len(self.code) % max(size, 1))
        return len(self.code)

    def slot(self, target: str | int) -> int:
        """Where the address of a symbol outside, or of a place inside, will stand."""
        if target not in self.slots:
            self.slots[target] = self.align(8)
            self.code += bytes(8)
            if isinstance(target, str):
                self.outside.append((self.slots[target], target))
            else:
                self.inside.append((self.slots[target], target))
        return self.slots[target]

    def jump(self, target: str) -> int:
        """A place to call that goes on to a symbol outside."""
        if target not in self.jumps:
            slot = self.slot(target)
            self.jumps[target] = place = self.align(16)
            self.code += _JUMP + struct.pack("<i", slot - place - 6)
        return self.jumps[target]


def _name(table: bytes, place: int) -> str:
    return table[place : table.index(b"\0", place)].decode()


def link(data: bytes) -> bytes:
    """The image of an object.

    Raises:
        UnlinkableError: the object is of another kind.
    """
    if data[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<H", data, 18)[0] != _X86_64:
        raise UnlinkableError("not ELF for 64-bit x86")
    table, width, count, names_at = struct.unpack_from("<Q10xHHH", data, 40)
    sections = [_SECTION.unpack_from(data, table + at * width) for at in range(count)]
    names = _contents(data, sections[names_at])
    laid, places = _Laid(), {}
    for number, section in enumerate(sections):
        name, kind, flags, size, alignment = _name(names, section[0]), section[1], section[2], section[5], section[8]
        if flags & _KEPT and kind in (_PROGBITS, _NOBITS) and not name.startswith(".eh_frame"):
            places[number] = laid.align(alignment)
            laid.code += bytes(size) if kind == _NOBITS else _contents(data, section)
    symbols = next(section for section in sections if section[1] == _SYMTAB)
    strings = _contents(data, sections[symbols[6]])
    targets = [
        _target(_SYMBOL.unpack_from(data, at), strings, places) for at in range(symbols[4], symbols[4] + symbols[5], 24)
    ]
    for section in sections:
        if section[1] == _RELA and section[7] in places:
            for at in range(section[4], section[4] + section[5], _RELOCATION.size):
                _relocate(laid, places[section[7]], _RELOCATION.unpack_from(data, at), targets)
    entry = next((t for name, t in targets if name == ENTRY and isinstance(t, int)), None)
    if entry is None:
        raise UnlinkableError("no entry")
    return pack(bytes(laid.code), entry, laid.outside, laid.inside)


def _contents(data: bytes, section: tuple[int, ...]) -> bytes:
    return data[section[4] : section[4] + section[5]]


def _target(symbol: tuple[int, ...], strings: bytes, places: dict[int, int]) -> tuple[str, int | str | None]:
    """(name, place in the image, name outside of it, or None: nothing that could be meant)."""
    name, _, _, section, value, _ = symbol
    text = _name(strings, name)
    if section == 0:
        return text, text or None
    return text, places[section] + value if section < _RESERVED and section in places else None


def _relocate(laid: _Laid, base: int, relocation: tuple[int, ...], targets: list[tuple[str, int | str | None]]) -> None:
    offset, kind, symbol, addend = relocation
    place, (name, target) = base + offset, targets[symbol]
    if target is None:
        raise UnlinkableError(f"a reference to {name!r}, which is in no section that is kept")
    if kind in _BY_SLOT:
        struct.pack_into("<i", laid.code, place, laid.slot(target) + addend - place)
    elif kind in (_DISTANCE, _CALL):
        meant = laid.jump(target) if isinstance(target, str) else target
        struct.pack_into("<i", laid.code, place, meant + addend - place)
    elif kind == _DISTANCE_64 and isinstance(target, int):
        struct.pack_into("<q", laid.code, place, target + addend - place)
    elif kind == _ABSOLUTE and isinstance(target, int):
        laid.inside.append((place, target + addend))
    else:
        raise UnlinkableError(f"a reference of kind {kind} to {name!r}")
