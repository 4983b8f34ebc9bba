"""Schema: the declaration of one versioned message of Kafka's coordinators and controllers, and its reader.

Strategy: a `Schema` lists fields in wire order with the versions that have them; `read` walks it over a `Cursor`. The answer
is a `Decoded` with every field by name, or with the problem; a schema is never read past the end, and nothing may be left.

Source: the JSON schemas under `*/src/main/resources/*/message/`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kafka_salvage.wire.messages import Cursor, Cut
from kafka_salvage.wire.uuids import uuid_text

LATEST = 32767
MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Part:
    """One field.

    Attributes:
        name: in snake case.
        type: a method of `Cursor`, `bytes`, or "" for a struct of ``parts``.
        since, until: versions that have it.
        many: an array of them.
        nullable: null is legal.
        tag: number in the tagged section; -1 when written in line.
        default: value of a tagged field that is absent.
        parts: fields of a struct.
    """

    name: str
    type: str = ""
    since: int = 0
    until: int = LATEST
    many: bool = False
    nullable: bool = False
    tag: int = -1
    default: Any = None
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Schema:
    """One message.

    Attributes:
        name: Kafka's name of it.
        parts: fields in wire order.
        newest: last version that is known.
        flexible: first version in the flexible encoding.
    """

    name: str
    parts: tuple[Part, ...]
    newest: int = 0
    flexible: int = 0


@dataclass(frozen=True, slots=True)
class Decoded:
    """A message's fields.

    Attributes:
        name: Kafka's name of the message, "" when not known.
        version: as stored.
        fields: by name, ids as text, bytes as bytes; empty when there is a problem.
        problem: why it could not be read; None if it could.
    """

    name: str
    version: int
    fields: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None


def read(schema: Schema, version: int, cursor: Cursor) -> Decoded:
    """The message from the cursor's position to the end of its bytes; never raises."""
    if not 0 <= version <= schema.newest:
        return Decoded(schema.name, version, {}, f"version {version} of {schema.name} is not known")
    cursor.flexible = version >= schema.flexible
    try:
        fields = _struct(schema.parts, version, cursor, 0)
        cursor.end()
    except Cut as error:
        return Decoded(schema.name, version, {}, f"{schema.name} version {version}: {error}")
    return Decoded(schema.name, version, fields)


def read_versioned(schemas: tuple[Schema, ...], value: bytes) -> Decoded:
    """A message that begins with its int16 version, by the first schema that fits to the end."""
    first: Decoded | None = None
    for schema in schemas:
        cursor = Cursor(value)
        try:
            version = cursor.int16()
        except Cut as error:
            return Decoded(schema.name, -1, {}, str(error))
        found = read(schema, version, cursor)
        if found.problem is None:
            return found
        first = first or found
    return first or Decoded("", -1, {}, "no schema for it")


def _struct(parts: tuple[Part, ...], version: int, cursor: Cursor, depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise Cut("structs too deep")
    found: dict[str, Any] = {}
    tagged: dict[int, Part] = {}
    for part in parts:
        if not part.since <= version <= part.until:
            continue
        if part.tag >= 0:
            tagged[part.tag] = part
            found[part.name] = part.default
        else:
            found[part.name] = _value(part, version, cursor, depth)
    for tag, data in cursor.tags().items():
        known = tagged.get(tag)
        if known is None:
            found.setdefault("unknown_tags", {})[tag] = data
            continue
        inner = Cursor(data, flexible=True)
        found[known.name] = _value(known, version, inner, depth)
        inner.end()
    return found


def _value(part: Part, version: int, cursor: Cursor, depth: int) -> Any:
    def one() -> Any:
        return _one(part, version, cursor, depth)

    if part.many:
        return cursor.nullable_array(one) if part.nullable else cursor.array(one)
    return one()


def _one(part: Part, version: int, cursor: Cursor, depth: int) -> Any:
    if part.parts:
        if part.nullable and not part.many and cursor.uvarint() == 0:
            return None
        return _struct(part.parts, version, cursor, depth + 1)
    if part.type == "string":
        return cursor.nullable_string() if part.nullable and not part.many else cursor.string()
    if part.type == "bytes":
        return cursor.nullable_bytes() if part.nullable and not part.many else cursor.blob()
    if part.type == "uuid":
        return uuid_text(cursor.uuid())
    return getattr(cursor, part.type)()
