"""Control records: markers and those of the KRaft log, by the reference's bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.wire.control import (
    ControlKey,
    ControlType,
    Marker,
    read_control_key,
    read_kraft_value,
    read_marker,
)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("00000000", ControlKey(0, 0, ControlType.ABORT)),
        ("00000001", ControlKey(0, 1, ControlType.COMMIT)),
        ("00000006", ControlKey(0, 6, ControlType.KRAFT_VOTERS)),
        ("00030001", ControlKey(3, 1, ControlType.COMMIT)),
        ("00000007", ControlKey(0, 7, ControlType.UNKNOWN)),
        ("0000ffff", ControlKey(0, -1, ControlType.UNKNOWN)),
        ("0000000100", ControlKey(0, 1, ControlType.COMMIT)),
    ],
)
def test_keys(key: str, expected: ControlKey) -> None:
    assert read_control_key(bytes.fromhex(key)) == expected


def test_what_is_no_key() -> None:
    assert read_control_key(None) is None
    assert read_control_key(b"\x00\x00\x00") is None
    assert read_control_key(bytes.fromhex("ffff0001")) is None


def test_markers() -> None:
    assert read_marker(bytes.fromhex("000000000009")) == Marker(0, 9)
    assert read_marker(bytes.fromhex("00000000000900")) == Marker(0, 9)
    assert read_marker(bytes(5)) is None
    assert read_marker(None) is None


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        (ControlType.LEADER_CHANGE, "00000000000102000000010002000000010000", {"version": 0, "leader_id": 1, "voters": [1], "granting_voters": [1]}),
        (ControlType.SNAPSHOT_HEADER, "00000000015d3ef7980000", {"version": 0, "last_contained_log_timestamp": 1500000000000}),
        (ControlType.SNAPSHOT_FOOTER, "000000", {"version": 0}),
        (ControlType.KRAFT_VERSION, "0000000100", {"version": 0, "kraft_version": 1}),
        (
            ControlType.KRAFT_VOTERS,
            "0000" "02" "00000003" + "00" * 15 + "01" "02" "0450" "4c54" "0268" "2384" "00" "00000001" "00" "00" "00",
            {
                "version": 0,
                "voters": [
                    {
                        "voter_id": 3,
                        "voter_directory_id": "A" * 21 + "Q",
                        "endpoints": [{"name": "PLT", "host": "h", "port": 9092}],
                        "kraft_version_feature": [0, 1],
                    }
                ],
            },
        ),
    ],
)  # fmt: skip
def test_kraft_values(type_: ControlType, value: str, expected: dict[str, object]) -> None:
    found = read_kraft_value(type_, bytes.fromhex(value))
    assert found.problem is None
    assert found.fields == expected


def test_kraft_values_that_are_cut_or_too_long() -> None:
    whole = bytes.fromhex("00000000000102000000010002000000010000")
    for stop in range(len(whole)):
        assert read_kraft_value(ControlType.LEADER_CHANGE, whole[:stop]).problem is not None
    assert read_kraft_value(ControlType.LEADER_CHANGE, whole + b"\x00").problem is not None
    assert read_kraft_value(ControlType.LEADER_CHANGE, None).problem is not None
    assert read_kraft_value(ControlType.COMMIT, whole).problem is not None


@given(st.sampled_from(sorted(ControlType)), st.binary(max_size=80))
def test_nothing_raises(type_: ControlType, value: bytes) -> None:
    read_kraft_value(type_, value)
    read_control_key(value)
    read_marker(value)
