"""Offset checkpoints of a log dir, taken and refused as Kafka does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.wire.checkpoints import CheckpointEntry, read_checkpoint, write_checkpoint


def test_entries() -> None:
    found = read_checkpoint(b"0\n2\norders 3 118234\na-b-1 0 7\n")
    assert found.problem is None
    assert found.offsets == {("orders", 3): 118234, ("a-b-1", 0): 7}


@pytest.mark.parametrize("data", [b"", b"0", b"0\n", b"0\n0\n", b"0\r\n0\r\n"])
def test_empty_files_hold_nothing_and_are_fine(data: bytes) -> None:
    found = read_checkpoint(data)
    assert (found.entries, found.problem) == ((), None)


@pytest.mark.parametrize(
    "data", [b"0\n1\na 0 1", b"0\r\n1\r\na 0 1\r\n", b"+0\n1\na\t 0   1 \n", "0\n1\na ٠ ١\n".encode()]
)
def test_what_java_also_takes(data: bytes) -> None:
    assert read_checkpoint(data).offsets == {("a", 0): 1}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"1\n0\n", "version 1 is not known"),
        (b"\n0\n", "version is no number"),
        (b"\x00\x00\x00", "version is no number"),
        (b"0\nx\n", "number of entries is no number"),
        (b"0\n2\na 0 1\n", "promises 2 entries, there are 1"),
        (b"0\n1\na 0 1\nb 0 1\n", "promises 1 entries, there are 2"),
        (b"0\n-1\n", "promises -1 entries"),
        (b"0\n1\na 0\n", "line 3 is no entry"),
        (b"0\n1\na 0 1 2\n", "line 3 is no entry"),
        (b"0\n1\na x 1\n", "line 3 is no entry"),
        (b"0\n1\n a 0 1\n", "line 3 is no entry"),
        (b"0\n1\na 0 9223372036854775808\n", "line 3 is no entry"),
        (b"0\n1\na 2147483648 1\n", "line 3 is no entry"),
        (b"0\n1\na 0 1_0\n", "line 3 is no entry"),
        (b"0\n1\na 0 1\n\n", "line 4 is no entry"),
        (b"0\n2\na 0 1\n\x00\x00\x00\x00", "line 4 is no entry"),
        (b"0\n1\n\xff 0 1\n", "not UTF-8"),
    ],
)
def test_what_kafka_refuses(data: bytes, words: str) -> None:
    found = read_checkpoint(data)
    assert found.entries == ()
    assert found.problem is not None
    assert words in found.problem


def test_whole_lines_of_a_refused_file_are_kept_apart() -> None:
    torn = read_checkpoint(b"0\n4\na 0 100\nb 0 200\nc 0 30")
    assert torn.entries == ()
    assert torn.salvaged == (CheckpointEntry("a", 0, 100), CheckpointEntry("b", 0, 200))


@given(
    st.lists(
        st.builds(
            CheckpointEntry,
            st.sampled_from(["a", "a-b", "x.y_z"]),
            st.integers(0, 2**31 - 1),
            st.integers(-1, 2**63 - 1),
        )
    )
)
def test_written_ones_read_back(entries: list[CheckpointEntry]) -> None:
    assert list(read_checkpoint(write_checkpoint(entries)).entries) == entries
