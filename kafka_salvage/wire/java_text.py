"""Text as Java's readers take it: lines, numbers, properties."""

from __future__ import annotations

import re

INT32_MAX, INT64_MAX = 2**31 - 1, 2**63 - 1

_NUMBER = re.compile(r"[+-]?\d{1,40}")
_LINE_END = re.compile(r"\r\n|\n|\r")
_SPACE = re.compile(r"[ \t\n\x0b\f\r]+")
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def parse_int(text: str, most: int) -> int | None:
    """A number as `Integer.parseInt` (``most`` = INT32_MAX) or `Long.parseLong` reads it; None if it is none."""
    if not _NUMBER.fullmatch(text):
        return None
    value = int(text)
    return value if -most - 1 <= value <= most else None


def lines_of(text: str) -> list[str]:
    """Lines as `BufferedReader.readLine` gives them: no empty one after the last line end."""
    lines = _LINE_END.split(text)
    if lines[-1] == "":
        lines.pop()
    return lines


def words_of(line: str) -> list[str]:
    r"""Words as `split("\\s+")` gives them: an empty one before leading space, none after trailing space."""
    words = _SPACE.split(line)
    while words and words[-1] == "":
        words.pop()
    return words or ([""] if line == "" else [])


def read_properties(text: str) -> dict[str, str] | str:
    r"""Keys and values as `Properties.load` reads them; a sentence when an escape is broken.

    Rules: `#` and `!` begin comments; `=`, `:` or space separate; a backslash at the end of a line continues it; `\u` and
    four hex digits are a character.
    """
    found: dict[str, str] = {}
    pending = ""
    for number, raw in enumerate(_LINE_END.split(text), 1):
        line = raw.lstrip(" \t\f")
        if not pending and (not line or line[0] in "#!"):
            continue
        pending += line
        if _ends_open(pending):
            pending = pending[:-1]
            continue
        broken = _add_property(found, pending)
        if broken:
            return f"line {number}: {broken}"
        pending = ""
    if pending:
        broken = _add_property(found, pending)
        if broken:
            return f"the last line: {broken}"
    return found


def _ends_open(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _add_property(found: dict[str, str], line: str) -> str | None:
    at = 0
    while at < len(line) and line[at] not in "=: \t\f":
        at += 2 if line[at] == "\\" else 1
    rest = line[at:].lstrip(" \t\f")
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(" \t\f")
    key, value = _unescape(line[:at]), _unescape(rest)
    if key is None or value is None:
        return "malformed \\uXXXX escape"
    found[key] = value
    return None


def _unescape(text: str) -> str | None:
    if "\\" not in text:
        return text
    out: list[str] = []
    at = 0
    while at < len(text):
        if text[at] != "\\":
            out.append(text[at])
            at += 1
        elif text[at + 1 : at + 2] == "u":
            digits = text[at + 2 : at + 6]
            if not re.fullmatch(r"[0-9a-fA-F]{4}", digits):
                return None
            out.append(chr(int(digits, 16)))
            at += 6
        else:
            following = text[at + 1 : at + 2]
            out.append(_ESCAPES.get(following, following))
            at += 2
    return "".join(out).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
