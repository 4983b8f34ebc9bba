"""Document: the report as one versioned JSON document (section 5 of the contract), and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring as _quoted
from typing import Any, Generic, TypeVar

from kafka_salvage.errors import RequestError
from kafka_salvage.regions.compact import Compact

SCHEMA = "kafka-salvage.report/1"
"""Readers ignore unknown keys; a changed meaning makes it ``/2``."""


T = TypeVar("T")
_PIECE = 1 << 16
"""Characters that are given at a time, about."""
_SHORT = 64
"""Entries of a list that are made to text together."""
_CONSTANTS = {True: "true", False: "false", None: "null"}


class Rows(Sequence[Any], Generic[T]):
    """Entries of the document that are made while they are looked at: there may be millions.

    Args:
        values: what they are about.
        entry: makes one.
    """

    __slots__ = ("_entry", "_values")

    def __init__(self, values: Sequence[T], entry: Callable[[T], Any]) -> None:
        self._values = values
        self._entry = entry

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return map(self._entry, self._values)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._entry(value) for value in self._values[index]]
        return self._entry(self._values[index])


def entries(values: Sequence[T], entry: Callable[[T], Any]) -> Sequence[Any]:
    """An entry of each value: a list, or `Rows` where the values are packed."""
    return Rows(values, entry) if isinstance(values, Compact) else [entry(value) for value in values]


def whole(value: Any) -> Any:
    """The same with all entries made, as plain lists."""
    if isinstance(value, dict):
        made = {name: whole(each) for name, each in value.items()}
        return made if any(made[name] is not value[name] for name in value) else value
    if isinstance(value, Rows):
        return list(value)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        listed = [whole(each) for each in value]
        return listed if any(one is not other for one, other in zip(listed, value, strict=True)) else value
    return value


def dumps(document: Mapping[str, Any]) -> str:
    """The document as text: keys sorted, integers exact, valid Unicode, a newline at the end."""
    return "".join(text_of(document))


def text_of(document: Mapping[str, Any]) -> Iterator[str]:
    """The same piece by piece: a report of millions of damages is larger than memory."""
    waiting: list[str] = []
    size = 0
    for word in _words(document, 0):
        waiting.append(word)
        size += len(word)
        if size >= _PIECE:
            yield "".join(waiting)
            waiting, size = [], 0
    yield "".join(waiting) + "\n"


def _words(value: Any, level: int) -> Iterator[str]:
    """Text of a value that stands so deep; of what is large piece by piece."""
    if isinstance(value, Mapping) and value:
        lead = "{\n" + " " * (level + 1)
        for name in sorted(value):
            yield f"{lead}{_name(name)}: "
            yield from _words(value[name], level + 1)
            lead = ",\n" + " " * (level + 1)
        yield "\n" + " " * level + "}"
    elif isinstance(value, (list, tuple, Rows)) and len(value) and (isinstance(value, Rows) or _holds(value)):
        lead = "[\n" + " " * (level + 1)
        for each in value:
            yield lead
            yield from _words(each, level + 1) if _long(each) else (_word(each, level + 1),)
            lead = ",\n" + " " * (level + 1)
        yield "\n" + " " * level + "]"
    else:
        yield _word(value if not isinstance(value, Rows) else [], level)


def _name(key: Any) -> str:
    return _quoted(key) if isinstance(key, str) else f'"{json.dumps(key)}"'


def _holds(value: Sequence[Any]) -> bool:
    return isinstance(value[0], (Mapping, list, tuple))


def _long(value: Any) -> bool:
    """Whether a value has so many parts that it is not made to text as a whole."""
    parts = value.values() if isinstance(value, Mapping) else ()
    return any(isinstance(each, Rows) or (isinstance(each, (list, dict)) and len(each) > _SHORT) for each in parts)


def _word(value: Any, level: int) -> str:
    """Text of a value as a whole, as the standard library writes it with an indent of one."""
    kind = type(value)
    if kind is int:
        return str(value)
    if kind is str:
        return _quoted(value)
    if value is None or kind is bool:
        return _CONSTANTS[value]
    if kind is dict and value:
        pad = ",\n" + " " * (level + 1)
        inner = pad.join([f"{_name(name)}: {_word(value[name], level + 1)}" for name in sorted(value)])
        return f"{{{pad[1:]}{inner}{pad[1:-1]}}}"
    if (kind is list or kind is tuple) and value:
        pad = ",\n" + " " * (level + 1)
        return f"[{pad[1:]}{pad.join([_word(each, level + 1) for each in value])}{pad[1:-1]}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def loads(text: str) -> dict[str, Any]:
    """Reads a document.

    Raises:
        RequestError: it is no report of this version.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise RequestError(f"this is no JSON document: {error}") from error
    found = document.get("schema") if isinstance(document, dict) else None
    if found != SCHEMA:
        raise RequestError(
            f"this is no report of the version {SCHEMA} (schema: {found!r})",
            advice="Use the version of kafka-salvage that wrote it.",
        )
    return dict(document)
