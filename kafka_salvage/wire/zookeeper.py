"""ZooKeeper's files: snapshots of its tree, and logs of its transactions.

Strategy: both readers take the bytes of one file and never raise: what cannot be read ends as a sentence in ``problems``.
A snapshot is believed when its first seal agrees (Adler-32 of all bytes before it). In a log each entry has a checksum of
its own; behind a damaged one the reader looks for the next entry whose checksum agrees.

Source: ZooKeeper's `zookeeper.jute`, `FileSnap.java`, `FileTxnLog.java`, `DataTree.java`.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field

from kafka_salvage.wire.layout import Field, Layout
from kafka_salvage.wire.messages import Cursor, Cut

FILE_HEADER_LAYOUT = Layout(
    "zookeeper_file_header",
    "ZooKeeper file header",
    (
        Field("magic", "int32", "`ZKSN` (snapshot) or `ZKLG` (log)"),
        Field("version", "int32", "2"),
        Field("dbid", "int64", "-1 in snapshots, 0 in logs"),
    ),
    "`FileHeader` in `zookeeper.jute`",
)
STAT_LAYOUT = Layout(
    "zookeeper_stat",
    "ZooKeeper node state",
    (
        Field("czxid", "int64", "transaction that created the node"),
        Field("mzxid", "int64", "transaction that changed it last"),
        Field("ctime", "int64", "ms"),
        Field("mtime", "int64", "ms"),
        Field("version", "int32", "changes of the data"),
        Field("cversion", "int32", "children that were created"),
        Field("aversion", "int32", "changes of the access list"),
        Field("ephemeral_owner", "int64", "session whose end removes the node; 0 for none"),
        Field("pzxid", "int64", "transaction that changed the children last"),
    ),
    "`StatPersisted` in `zookeeper.jute`",
)
TXN_LAYOUT = Layout(
    "zookeeper_txn_header",
    "ZooKeeper transaction header",
    (
        Field("client_id", "int64", "session"),
        Field("cxid", "int32", "request of that session"),
        Field("zxid", "int64", "number of the transaction; the upper half counts leaders"),
        Field("time", "int64", "ms"),
        Field("type", "int32", "1 create, 2 delete, 5 setData, 7 setACL, 14 multi, -11 closeSession, …"),
    ),
    "`TxnHeader` in `zookeeper.jute`",
    "In a log it stands behind an int64 Adler-32 of the transaction and its int32 length; the byte `B` ends each entry.",
)

SNAPSHOT_MAGIC, LOG_MAGIC = b"ZKSN", b"ZKLG"
CREATES = {1: "create", 15: "create", 19: "container", 21: "ttl"}
DELETES = (2, 20)
SETS = (5, 16)
SET_ACL, CHECK, MULTI, CREATE_SESSION, CLOSE_SESSION, ERROR = 7, 13, 14, -10, -11, -1

_NAME = re.compile(r"(snapshot|log)\.([0-9a-f]{1,16})(\.gz|\.snappy)?")
_NOT_ZERO = re.compile(rb"[^\0]")
_DEEPEST = 4
_SEARCH = 4
"""How many times its own size a log may be summed in search of entries behind damage."""


@dataclass(frozen=True, slots=True)
class Stat:
    """State of a node, as stored; see `STAT_LAYOUT`."""

    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    ephemeral_owner: int
    pzxid: int


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the tree: its data (None: none) and state."""

    data: bytes | None
    stat: Stat


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot's nodes.

    Attributes:
        nodes: by path; the root is "".
        sealed: the checksum behind the last node agrees: nothing is missing or changed.
        problems: why it could not be read to its seal.
    """

    nodes: dict[str, Node]
    sealed: bool
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """What a transaction does.

    Attributes:
        type: as stored.
        path: the node, "" where the type has none.
        data: new data (creations and changes).
        version: of a change: the new one; of a creation: the parent's count of children, -1 when not stored.
        ephemeral: the node belongs to the session.
        children: parts of a multi.
    """

    type: int
    path: str = ""
    data: bytes | None = None
    version: int = -1
    ephemeral: bool = False
    children: tuple[Operation, ...] = ()


@dataclass(frozen=True, slots=True)
class Transaction:
    """One entry of a log."""

    position: int
    client_id: int
    zxid: int
    time: int
    operation: Operation


@dataclass(slots=True)
class Log:
    """A log's entries, in file order, and what is wrong with it."""

    transactions: list[Transaction] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def parse_name(name: str) -> tuple[str, int, str] | None:
    """(``snapshot`` or ``log``, zxid, extension) of a file name; None when it is none of ZooKeeper's."""
    match = _NAME.fullmatch(name)
    return (match[1], int(match[2], 16), match[3] or "") if match else None


def read_snapshot(data: bytes) -> Snapshot:
    """The nodes of a snapshot (inflated, where it was compressed)."""
    if data[:4] != SNAPSHOT_MAGIC:
        return Snapshot({}, False, ("it does not begin as a snapshot does",))
    cursor, nodes = Cursor(data, FILE_HEADER_LAYOUT.size), dict[str, Node]()
    try:
        for _ in range(_count(cursor, 12)):  # sessions
            cursor.take(12)
        for _ in range(_count(cursor, 12)):
            cursor.int64()
            _acl(cursor)
        while (path := _string(cursor)) != "/":
            content = cursor.nullable_bytes()
            cursor.int64()
            nodes[path] = Node(content, Stat(*STAT_LAYOUT.read(cursor.take(STAT_LAYOUT.size))))
        end = cursor.position
        stored = cursor.int64()
    except Cut as error:
        return Snapshot(nodes, False, (f"it cannot be read to its end: {error}",))
    computed = zlib.adler32(memoryview(data)[:end])
    if stored != computed:
        return Snapshot(nodes, False, (f"its checksum is {stored}, its bytes give {computed}",))
    return Snapshot(nodes, True)


def read_log(data: bytes) -> Log:
    """The entries of a transaction log."""
    log = Log()
    if data[:4] != LOG_MAGIC:
        log.problems.append("it does not begin as a log does")
        return log
    position, budget = FILE_HEADER_LAYOUT.size, _SEARCH * len(data)
    end = len(data.rstrip(b"\0"))  # files are preallocated; the last byte of an entry is none of the zeros
    while position < end:
        entry = _entry(data, position)
        if entry is not None:
            if isinstance(entry, Transaction):
                log.transactions.append(entry)
            else:
                log.problems.append(entry)
            position += 12 + int.from_bytes(data[position + 8 : position + 12], "big") + 1
            continue
        found, cost = _next_entry(data, position + 1, end, budget)
        budget -= cost
        log.problems.append(f"bytes {position} to {found} are no entry")
        position = found
    return log


def _entry(data: bytes, position: int) -> Transaction | str | None:
    """The entry at a position, a sentence for one that is whole but not understood, or None when none is there."""
    checksum = int.from_bytes(data[position : position + 8], "big", signed=True)
    length = int.from_bytes(data[position + 8 : position + 12], "big", signed=True)
    stop = position + 12 + length
    if length < TXN_LAYOUT.size or stop + 1 > len(data) or data[stop] != 0x42:
        return None
    if zlib.adler32(memoryview(data)[position + 12 : stop]) != checksum:
        return None
    body = Cursor(data[position + 12 : stop])
    client, _, zxid, time, kind = TXN_LAYOUT.read(body.take(TXN_LAYOUT.size))
    try:
        return Transaction(position, client, zxid, time, _operation(kind, body, 0))
    except Cut as error:
        return f"the entry at {position} (zxid 0x{zxid:x}, type {kind}) is not understood: {error}"


def _next_entry(data: bytes, position: int, end: int, budget: int) -> tuple[int, int]:
    """Where the next whole entry begins (``end`` without one), and how many bytes were summed for that."""
    cost, at = 0, data.find(b"\0\0\0\0", position, end)
    while at >= 0 and cost < budget:
        if not any(data[at : at + 12]):  # a checksum and a length are never both zero: go to where they may begin
            changed = _NOT_ZERO.search(data, at + 12)
            at = data.find(b"\0\0\0\0", max(at + 1, changed.start() - 11 if changed else end), end)
            continue
        length = int.from_bytes(data[at + 8 : at + 12], "big", signed=True)
        stop = at + 12 + length
        if length >= TXN_LAYOUT.size and stop < len(data) and data[stop] == 0x42:
            cost += length
            if zlib.adler32(memoryview(data)[at + 12 : stop]) == int.from_bytes(data[at : at + 8], "big"):
                return at, cost
        at = data.find(b"\0\0\0\0", at + 1, end)
    return end, cost


def _operation(kind: int, cursor: Cursor, depth: int) -> Operation:
    if kind in CREATES:
        return _creation(kind, cursor)
    if kind in DELETES:
        return Operation(kind, _string(cursor))
    if kind in SETS:
        return Operation(kind, _string(cursor), cursor.nullable_bytes(), cursor.int32())
    if kind == SET_ACL:
        path = _string(cursor)
        _acl(cursor)
        return Operation(kind, path, None, cursor.int32())
    if kind == CLOSE_SESSION:
        return Operation(kind)  # its nodes are known by their owner; newer releases list them, too
    if kind == MULTI:
        if depth > _DEEPEST:
            raise Cut("transactions too deep")
        parts = []
        for _ in range(_count(cursor, 8)):
            part = cursor.int32()
            parts.append(_operation(part, Cursor(cursor.nullable_bytes() or b""), depth + 1))
        return Operation(kind, children=tuple(parts))
    return Operation(kind)  # sessions, checks, errors: nothing in the tree changes


def _creation(kind: int, cursor: Cursor) -> Operation:
    path, content = _string(cursor), cursor.nullable_bytes()
    _acl(cursor)
    ephemeral = CREATES[kind] == "create" and cursor.boolean()
    return Operation(kind, path, content, cursor.int32() if cursor.left >= 4 else -1, ephemeral)


def _string(cursor: Cursor) -> str:
    return (cursor.nullable_bytes() or b"").decode("utf-8", "surrogateescape")


def _count(cursor: Cursor, smallest: int) -> int:
    count = cursor.int32()
    if count * smallest > cursor.left:
        raise Cut(f"{count} entries before {cursor.position}, {cursor.left} bytes are left")
    return max(count, 0)


def _acl(cursor: Cursor) -> None:
    for _ in range(_count(cursor, 12)):
        cursor.int32()
        cursor.nullable_bytes()
        cursor.nullable_bytes()


def operations_of(transaction: Transaction) -> tuple[Operation, ...]:
    """What a transaction does: the parts of a multi one by one, nothing of a failed one."""
    operation = transaction.operation
    if operation.type != MULTI:
        return (operation,)
    return () if any(part.type == ERROR for part in operation.children) else operation.children
