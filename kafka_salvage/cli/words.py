"""Words: numbers, sizes, names and quoted arguments as a person reads and types them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from kafka_salvage.cli.exits import safe


def number(value: int) -> str:
    """1234567 as 1,234,567."""
    return f"{value:,}"


def size(count: float) -> str:
    """Bytes for people: 1.2 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def plural(count: int, noun: str) -> str:
    """3 records, 1 record."""
    return f"{number(count)} {noun}" if count == 1 else f"{number(count)} {noun}{'es' if noun.endswith('ch') else 's'}"


def listed(names: Sequence[str], most: int = 3, width: int = 48) -> str:
    """A, b, c and 4 more; each name in at most ``width`` characters."""
    shown = ", ".join(short(safe(name), width) for name in names[:most])
    return f"{shown} and {number(len(names) - most)} more" if len(names) > most else shown


def short(text: str, width: int) -> str:
    """Text of at most ``width`` characters: the middle is left out."""
    if len(text) <= width:
        return text
    tail = (width - 1) * 2 // 3
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def clipped(text: str, width: int) -> str:
    """Text of at most ``width`` characters: the end is left out."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def quoted(argument: str | os.PathLike[str]) -> str:
    """An argument as it can be pasted into a shell (bash, zsh, ksh where it holds control characters or odd bytes)."""
    text = os.fspath(argument)
    if text.isprintable() and _is_text(text):
        return shlex.quote(text)
    escaped = "".join(_escaped(character) for character in text)
    return f"$'{escaped}'"


def _is_text(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable() and _is_text(character):
        return character
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
