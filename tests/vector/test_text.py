"""Tests of rendered lines: read back with Python's own JSON and base64."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.errors import InvariantError
from kafka_salvage.vector.columns import HEADER_COLUMNS, RECORD_COLUMNS
from kafka_salvage.vector.text import TRANSACTIONS, jsonl_lines, shown_lines

KEYS = ["topic", "partition", "offset", "timestamp", "timestampType", "key", "value", "headers", "_salvage"]
SALVAGE = [
    "source", "file", "position", "verdict", "leaderEpoch", "producerId", "producerEpoch", "sequence", "transaction",
]  # fmt: skip
VERDICTS = [b"intact", b"repaired", b"suspect"]
TYPES = {-1: "NoTimestampType", 0: "CreateTime", 1: "LogAppendTime"}
AWKWARD = [
    b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff", b"\x80", b"\xbf", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc3\x28",
    b"\xe2\x28\xa1", b"\xe2\x82\x28", b"\xf0\x28\x8c\xbc", b"\xf0\x90\x28\xbc", b"\xf0\x28\x8c\x28", b"\xf4\x8f\xbf\xbf", b"\xed\x9f\xbf",
    b"\xee\x80\x80", b"\xef\xbf\xbf", b"\xe0\xa0\x80", b"\xc2\x80", b"\xdf\xbf", b"\xf0\x90\x80\x80", b"\x00", b"\x7f", b'"', b"\\", b"\x1f",
]  # fmt: skip


@dataclass
class Columns:
    """Columns as a record table has them, made from plain values."""

    rows: list[dict[str, Any]]
    data: Any = None
    columns: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        data = bytearray(b"~")
        columns: dict[str, list[int]] = {name: [] for name in (RECORD_COLUMNS | HEADER_COLUMNS)}
        columns["header_first"].append(0)

        def add(what: str, blob: bytes | None) -> None:
            columns[f"{what}_start"].append(len(data))
            columns[f"{what}_size"].append(-1 if blob is None else len(blob))
            data.extend(blob or b"")

        for row in self.rows:
            for name in ("batch", "offset", "timestamp", "timestamp_type", "sequence"):
                columns[name].append(row[name])
            add("key", row["key"])
            add("value", row["value"])
            for key, value in row["headers"]:
                add("header_key", key)
                add("header_value", value)
            columns["header_first"].append(len(columns["header_key_size"]))
        self.columns = {n: np.array(columns[n], k) for n, k in (RECORD_COLUMNS | HEADER_COLUMNS).items()}
        self.data = np.frombuffer(bytes(data), np.uint8)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["columns"][name]
        except KeyError:
            raise AttributeError(name) from None


def provenance(batches: int) -> dict[str, Any]:
    at = np.arange(batches)
    return {
        "position": at * 4_000_000_000,
        "leader_epoch": at * 3 - 1,
        "producer_id": (1 << 62) - at,
        "producer_epoch": at * 300 - 1,
        "verdict": at % len(VERDICTS),
        "transaction": at % len(TRANSACTIONS),
    }


def lines(table: Columns, batches: int = 5, **more: Any) -> list[str]:
    arguments: dict[str, Any] = {
        "topic": b'"t\\"x"',
        "partition": 12,
        "source": '"bröker"'.encode(),
        "file": b'"' + b"f" * 90 + b'"',
        "verdicts": VERDICTS,
    }
    text = b"".join(piece.tobytes() for piece in jsonl_lines(table, **(arguments | provenance(batches) | more)))
    assert text.endswith(b"\n") or not table.rows
    return text.decode().split("\n")[:-1]


def rendered(blob: bytes | None, utf8: bool) -> Any:
    if blob is None:
        return None
    if not utf8:
        return base64.b64encode(blob).decode()
    try:
        return blob.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(blob).decode()}


def expected(row: dict[str, Any], utf8: bool, batches: int = 5) -> dict[str, Any]:
    at, more = row["batch"], provenance(batches)
    return {
        "topic": 't"x',
        "partition": 12,
        "offset": row["offset"],
        "timestamp": None if row["timestamp_type"] < 0 else row["timestamp"],
        "timestampType": TYPES[row["timestamp_type"]],
        "key": rendered(row["key"], utf8),
        "value": rendered(row["value"], utf8),
        "headers": [{"key": rendered(k, True), "value": rendered(v, utf8)} for k, v in row["headers"]],
        "_salvage": {
            "source": "bröker",
            "file": "f" * 90,
            "position": int(more["position"][at]),
            "verdict": VERDICTS[int(more["verdict"][at])].decode(),
            "leaderEpoch": int(more["leader_epoch"][at]),
            "producerId": int(more["producer_id"][at]),
            "producerEpoch": int(more["producer_epoch"][at]),
            "sequence": row["sequence"],
            "transaction": TRANSACTIONS[int(more["transaction"][at])].decode(),
        },
    }


def check(rows: list[dict[str, Any]], utf8: bool) -> None:
    got = lines(Columns(rows), utf8=utf8)
    assert len(got) == len(rows)
    for line, row in zip(got, rows, strict=True):
        read = json.loads(line)
        assert read == expected(row, utf8)
        assert list(read) == KEYS
        assert list(read["_salvage"]) == SALVAGE
        assert line == json.dumps(expected(row, utf8), ensure_ascii=False, separators=(",", ":"))


int64 = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1), st.integers(-12, 12), st.sampled_from([10**n for n in range(19)])
)
text = st.one_of(
    st.text(max_size=60).map(str.encode),
    st.text(alphabet='abc "\\\n\té€😀\x00\x7f', max_size=60).map(str.encode),
    st.binary(max_size=70),
    st.integers(0, 400).map(lambda n: b"x" * n),
    st.tuples(st.integers(0, 40), st.sampled_from(AWKWARD), st.integers(0, 20)).map(
        lambda t: b"a" * t[0] + t[1] + b"b" * t[2]
    ),
)
row = st.fixed_dictionaries(
    {
        "batch": st.integers(0, 4),
        "offset": int64,
        "timestamp": int64,
        "timestamp_type": st.sampled_from((-1, 0, 1)),
        "sequence": st.integers(-1, (1 << 31) - 1),
        "key": st.one_of(st.none(), text),
        "value": st.one_of(st.none(), text),
        "headers": st.lists(st.tuples(text, st.one_of(st.none(), text)), max_size=3),
    }
)
PLAIN: dict[str, Any] = {
    "batch": 0, "offset": 0, "timestamp": 0, "timestamp_type": 0, "sequence": -1, "key": None, "value": b"", "headers": [],
}  # fmt: skip


@given(st.lists(row, max_size=8), st.booleans())
def test_a_json_reader_reads_back_what_was_there(rows: list[dict[str, Any]], utf8: bool) -> None:
    check(rows, utf8)


@pytest.mark.parametrize("piece", AWKWARD, ids=lambda b: b.hex())
@pytest.mark.parametrize("before", [0, 1, 15, 16, 17])
def test_what_is_utf8_is_decided_as_python_does(piece: bytes, before: int) -> None:
    blob = b"a" * before + piece
    check([PLAIN | {"key": blob, "value": blob + b"b" * 20, "headers": [(blob, blob)]}], utf8=True)


def test_every_pair_of_bytes() -> None:
    blobs = [bytes((a, b)) for a in range(0, 256, 3) for b in range(256)] + [bytes([a]) for a in range(256)]
    check([PLAIN | {"value": blob} for blob in blobs], utf8=True)
    check([PLAIN | {"value": blob} for blob in blobs[::7]], utf8=False)


def test_every_length_up_to_four_blocks() -> None:
    blob = bytes(range(256))
    check([PLAIN | {"key": blob[:n], "value": blob[256 - n :]} for n in range(257)], utf8=False)


@pytest.mark.parametrize("digits", range(1, 20))
def test_integers_at_their_edges(digits: int) -> None:
    numbers = [10 ** (digits - 1), 10**digits - 1, -(10 ** (digits - 1)), 1 - 10**digits]
    numbers = [n for n in numbers if -(1 << 63) <= n < 1 << 63] + [(1 << 63) - 1, -(1 << 63), 0]
    check([PLAIN | {"offset": n, "timestamp": n} for n in numbers], utf8=False)


def test_text_that_outgrows_the_first_buffer() -> None:
    check(
        [PLAIN | {"offset": n, "value": b"\x01" * 3000, "headers": [(b"\x02" * 999, None)] * 9} for n in range(60)],
        True,
    )


@pytest.mark.parametrize("size", [1, 700, 5000, 1 << 20])
def test_pieces_hold_whole_lines_and_keep_their_memory(size: int) -> None:
    rows = [PLAIN | {"batch": n // 30, "offset": n, "value": b"v" * (n % 7) * 300} for n in range(99)]
    arguments: dict[str, Any] = {
        "topic": b'"t"',
        "partition": 1,
        "source": b'"s"',
        "file": b'"f"',
        "verdicts": VERDICTS,
    }
    pieces = list(jsonl_lines(Columns(rows), piece=size, **arguments, **provenance(5)))
    texts = [piece.tobytes() for piece in pieces]
    assert all(text.endswith(b"\n") for text in texts)
    assert max(len(text) for text in texts) <= max(size, 5000)
    assert size > 1 or len(texts) == 99
    assert size < 1 << 20 or len(texts) == 1
    read = [json.loads(line) for line in b"".join(texts).splitlines()]
    assert [line["offset"] for line in read] == list(range(99))
    assert [line["_salvage"]["position"] for line in read] == [n // 30 * 4_000_000_000 for n in range(99)]


@given(st.lists(row, max_size=8), st.sampled_from((1, 900, 1 << 20)))
def test_a_listing_has_each_batch_before_its_records(rows: list[dict[str, Any]], size: int) -> None:
    rows = sorted(rows, key=lambda r: int(r["batch"]))
    between = [b'{"batch":%d}\n' % n * (n % 3) for n in range(5)]
    pieces = shown_lines(
        Columns(rows), file=b'"a/b"', position=np.arange(5) * 9_000_000_000, between=between, piece=size
    )
    got = b"".join(piece.tobytes() for piece in pieces)
    wanted, told = b"", 0
    for r in rows:
        wanted += b"".join(between[told : r["batch"] + 1])
        told = max(told, r["batch"] + 1)
        plain = expected(r, False)
        line = {
            "type": "record",
            "file": "a/b",
            "offset": r["offset"],
            "timestamp": plain["timestamp"],
            "timestampType": plain["timestampType"],
            "sequence": r["sequence"],
            "position": r["batch"] * 9_000_000_000,
            "key": plain["key"],
            "value": plain["value"],
            "headers": plain["headers"],
        }
        wanted += json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    assert got == wanted + b"".join(between[told:])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("batch", 5),
        ("batch", -1),
        ("key_start", -1),
        ("key_size", 1 << 30),
        ("value_start", 1 << 62),
        ("value_size", 99),
        ("timestamp_type", 2),
        ("header_first", -3),
        ("header_first", 7),
        ("header_key_start", -9),
        ("header_key_size", 50),
        ("header_value_start", 1 << 61),
        ("header_value_size", 50),
    ],
)
def test_a_column_that_points_outside_is_our_bug(column: str, value: int) -> None:
    table = Columns([PLAIN | {"key": b"k", "headers": [(b"h", b"v")]}] * 2)
    table.columns[column][1 if column != "header_first" else 2] = value
    with pytest.raises(InvariantError, match="record 1 points outside"):
        lines(table)


def test_columns_of_different_lengths_are_our_bug() -> None:
    table = Columns([PLAIN] * 2)
    table.columns["sequence"] = table.columns["sequence"][:1]
    with pytest.raises(InvariantError, match="different lengths"):
        lines(table)
    with pytest.raises(InvariantError, match="record 0 points outside"):
        lines(Columns([PLAIN]), verdict=[9] * 5)
