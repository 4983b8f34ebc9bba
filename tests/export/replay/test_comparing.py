"""Comparisons of record tables against plain dicts of records."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.export.replay.comparing import Comparing, Counts, Part
from kafka_salvage.export.replay.offset_map import OffsetMap, OffsetMapBuilder
from kafka_salvage.scan.records import RecordTable
from tests.export.replay.tables import Row, table

small = st.sampled_from([None, b"", b"a", b"ab", b"b", b"abc"])
names = st.sampled_from([b"h", b"", b"\xff"])


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Row], list[Row], dict[int, int]]:
    """Rows of a rescue, rows of a cluster (by new offsets), and the map old -> new."""
    ours: list[Row] = []
    theirs: list[Row] = []
    mapped: dict[int, int] = {}
    old = new = 0
    for _ in range(draw(st.integers(0, 25))):
        old += draw(st.sampled_from([1, 1, 1, 2, 5]))
        new += draw(st.sampled_from([1, 1, 2]))
        row = Row(
            old,
            draw(st.sampled_from([5, 6])),
            draw(small),
            draw(small),
            tuple(draw(st.lists(st.tuples(names, small), max_size=2))),
            label=draw(st.sampled_from(["none", "none", "committed", "aborted"])),
        )
        fate = draw(st.sampled_from(["kept"] * 6 + ["changed", "missing", "not sent", "unexpected", "unknown"]))
        if fate != "unknown":
            ours.append(row)
        if fate == "unexpected":
            theirs.append(replace(row, offset=new))
            new += 1
        if fate != "not sent":
            mapped[old] = new
        if fate in ("kept", "unexpected", "unknown"):
            theirs.append(replace(row, offset=new))
        if fate == "changed":
            other = draw(
                st.sampled_from(
                    [
                        replace(row, key=draw(small)),
                        replace(row, value=draw(small)),
                        replace(row, timestamp=7),
                        replace(row, headers=tuple(draw(st.lists(st.tuples(names, small), max_size=2)))),
                    ]
                )
            )
            theirs.append(replace(other, offset=new))
    return ours, theirs, mapped


def parts(rows: list[Row], cuts: list[int]) -> Iterator[Part]:
    """A rescue's side: with each record whether every replay sends it."""
    at = 0
    for made in pieces(rows, cuts):
        usual = [row.label in ("none", "committed") for row in rows[at : at + len(made)]]
        yield made, np.array(usual, np.bool_)
        at += len(made)


def pieces(rows: list[Row], cuts: list[int]) -> Iterator[RecordTable]:
    edges = [0, *sorted({cut % (len(rows) + 1) for cut in cuts}), len(rows)]
    for start, stop in itertools.pairwise(edges):
        yield table(rows[start:stop])


def naive(ours: list[Row], theirs: list[Row], mapped: dict[int, int]) -> Counts:
    counts = Counts()
    there = {row.offset: row for row in theirs}
    for row in ours:
        new = mapped.get(row.offset)
        if new is None:
            if row.label in ("none", "committed"):
                counts.not_sent += 1
            else:
                counts.left_out += 1
        elif new not in there:
            counts.missing += 1
        elif replace(there[new], offset=row.offset, label=row.label) == row:
            counts.equal += 1
        else:
            counts.differing += 1
    held = {row.offset for row in ours}
    back = {new: old for old, new in mapped.items()}
    counts.unexpected = sum(1 for row in theirs if back.get(row.offset) not in held)
    return counts


def mapping(mapped: dict[int, int]) -> OffsetMap:
    builder = OffsetMapBuilder()
    old, new = np.array(list(mapped), np.int64), np.array(list(mapped.values()), np.int64)
    builder.add("t", 0, old, "t", 0, new)
    return builder.map()


@given(cases(), st.lists(st.integers(0, 30), max_size=4), st.lists(st.integers(0, 30), max_size=4))
def test_it_counts_what_a_dict_of_records_counts(
    case: tuple[list[Row], list[Row], dict[int, int]], cuts: list[int], others: list[int]
) -> None:
    ours, theirs, mapped = case
    if not mapped:
        return
    found = Comparing(mapping(mapped).partitions["t", 0]).compare(parts(ours, cuts), pieces(theirs, others))
    expected = naive(ours, theirs, mapped)
    shown = found.differences
    found.differences = []
    assert found == expected
    wrong = expected.differing + expected.missing + expected.not_sent + expected.unexpected
    assert len(shown) == min(wrong, 20)


def one(ours: Row, theirs: Row) -> Counts:
    return Comparing(mapping({5: 9}).partitions["t", 0]).compare(parts([ours], []), iter([table([theirs])]))


def test_fields_that_differ_are_named_and_no_bytes_are_shown() -> None:
    ours = Row(5, key=b"secret", value=None, headers=((b"a", b"secret"), (b"a", None)))
    cases = {
        "key": replace(ours, offset=9, key=b"secreT"),
        "value": replace(ours, offset=9, value=b""),
        "headers": replace(ours, offset=9, headers=((b"a", b"secret"), (b"a", b""))),
        "timestamp": replace(ours, offset=9, timestamp=1),
        "timestamp, key": replace(ours, offset=9, timestamp=1, key=None),
    }
    for what, theirs in cases.items():
        counts = one(ours, theirs)
        assert [(d.offset, d.new_offset, d.what) for d in counts.differences] == [(5, 9, what)]
        assert "ecre" not in str(counts.to_dict())
    swapped = replace(ours, offset=9, headers=tuple(reversed(ours.headers)))
    assert one(ours, swapped).differing == 1


def test_a_record_without_a_timestamp_may_have_been_given_one() -> None:
    counts = one(Row(5, timestamp=-1, kind=-1), Row(9, timestamp=123))
    assert (counts.equal, counts.retimed) == (1, 1)
    counts = one(Row(5, timestamp=100), Row(9, timestamp=123))
    assert (counts.equal, counts.differing) == (0, 1)


def test_names_of_headers_are_compared_as_far_as_a_client_shows_them() -> None:
    ours = Row(5, headers=((b"a\0b", b"1"), (b"c", b"2")))
    assert one(ours, Row(9, headers=((b"a", b"1"), (b"c", b"2")))).equal == 1
    assert one(ours, Row(9, headers=((b"ab", b"1"), (b"c", b"2")))).differing == 1
    assert one(ours, Row(9, headers=((b"a", b"1"), (b"", b"2")))).differing == 1
