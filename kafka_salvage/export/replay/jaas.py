"""JAAS entry: the user and password of a Java client, read from `sasl.jaas.config` as Kafka's own parser reads it.

Source: `JaasConfig.java`, which is `java.io.StreamTokenizer` with `-`, `_` and `$` as word characters. A sentence of an error
never holds a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

_FLAGS = frozenset({"required", "requisite", "sufficient", "optional"})
_SHOWN = ("username", "password", "tokenauth")
_ESCAPES = {"a": "\x07", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_DIGITS, _OCTAL = frozenset("0123456789.-"), frozenset("01234567")


@dataclass(frozen=True, slots=True)
class JaasEntry:
    """One login module with its options.

    Attributes:
        module: class name.
        options: name -> value; may hold secrets, and is not shown.
    """

    module: str
    options: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Token:
    """A word (``text``; None for a number, which Java takes for no word) or a single character (``mark``)."""

    text: str | None = None
    mark: str = ""


def read_jaas(text: str) -> JaasEntry | str:
    """The one entry; a sentence when there is none, several, or a broken one."""
    tokens = list(_tokens(text))
    if not tokens or tokens[0].text is None:
        return "it names no login module"
    if len(tokens) < 2 or (tokens[1].text or "").lower() not in _FLAGS:
        return "no control flag (required, requisite, sufficient, optional) follows the login module"
    options: dict[str, str] = {}
    at = 2
    while at < len(tokens) and tokens[at].mark != ";":
        name = tokens[at].text
        value = tokens[at + 2].text if at + 2 < len(tokens) else None
        if name is None or tokens[at + 1 : at + 2] != [_Token(mark="=")] or value is None:
            shown = name if name in _SHOWN else "an option"  # any other may be a piece of a password
            return f"the value of {shown} is missing, or is no word and not in quotes"
        options[name] = value
        at += 3
    if at >= len(tokens):
        return "it does not end with a semicolon"
    if at + 1 < len(tokens):
        return "it has more than one entry"
    return JaasEntry(tokens[0].text, options)


def _is_word(char: str) -> bool:
    return (char.isascii() and (char.isalnum() or char in "_$-")) or char >= "\xa0"


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        char = text[at]
        if char <= " ":
            at += 1
        elif char == "/":
            at = _behind_comment(text, at)
        elif char in "\"'":
            word, at = _quoted(text, at)
            yield _Token(word)
        elif char in _DIGITS and (length := _number(text, at)):
            at += length
            yield _Token()
        elif _is_word(char) and char != "-":
            stop = at
            while stop < len(text) and (_is_word(text[stop]) or text[stop] == "."):
                stop += 1
            yield _Token(text[at:stop])
            at = stop
        else:
            yield _Token(mark=char)
            at += 1


def _behind_comment(text: str, at: int) -> int:
    """A slash always begins a comment: to the end of the line, or of `/* */`."""
    if text[at : at + 2] == "/*":
        end = text.find("*/", at + 2)
        return len(text) if end < 0 else end + 2
    ends = [place for place in (text.find("\n", at), text.find("\r", at)) if place >= 0]
    return min(ends, default=len(text))


def _number(text: str, at: int) -> int:
    """Characters of the number that begins here: a sign, digits, at most one point; 0 when it is none."""
    stop, points = at + (text[at] == "-"), 0
    while stop < len(text) and ((text[stop].isascii() and text[stop].isdigit()) or (text[stop] == "." and not points)):
        points += text[stop] == "."
        stop += 1
    return stop - at if text[at] != "-" or stop > at + 1 else 0


def _quoted(text: str, at: int) -> tuple[str, int]:
    """The string that begins with the quote here, and where the text goes on; a line end ends it too."""
    quote, out, at = text[at], list[str](), at + 1
    while at < len(text) and text[at] != quote and text[at] not in "\r\n":
        if text[at] != "\\" or at + 1 == len(text):
            out.append(text[at])
            at += 1
            continue
        char = text[at + 1]
        if char in _OCTAL:
            digits = _octal(text, at + 1)
            out.append(chr(int(digits, 8)))
            at += 1 + len(digits)
        else:
            out.append(_ESCAPES.get(char, char))
            at += 2
    return "".join(out), at + (at < len(text) and text[at] == quote)


def _octal(text: str, at: int) -> str:
    """One to three octal digits; three only when the first is at most 3."""
    most = 3 if text[at] <= "3" else 2
    stop = at
    while stop < min(len(text), at + most) and text[stop] in _OCTAL:
        stop += 1
    return text[at:stop]
