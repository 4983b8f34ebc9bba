"""`partition.metadata`."""

from __future__ import annotations

import pytest

from kafka_salvage.wire.partition_metadata import read_partition_metadata, write_partition_metadata
from kafka_salvage.wire.uuids import read_uuid, uuid_text

ID = "wzKMjUNmQzOGLL8GSkwmkw"


def test_an_id() -> None:
    found = read_partition_metadata(f"version: 0\ntopic_id: {ID}".encode())
    assert (found.version, found.topic_id, found.problem) == (0, ID, None)
    assert write_partition_metadata(ID) == f"version: 0\ntopic_id: {ID}".encode()
    assert read_partition_metadata(f"version: 0\r\ntopic_id: {ID}\r\n".encode()).topic_id == ID


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"version: 0\n",
        b"version:0\ntopic_id: wzKMjUNmQzOGLL8GSkwmkw",
        b"version: -1\ntopic_id: wzKMjUNmQzOGLL8GSkwmkw",
        b"version: x\ntopic_id: wzKMjUNmQzOGLL8GSkwmkw",
        b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA",
        b"version: 0\ntopic_id: short",
        b"version: 0\ntopic_id: wzKMjUNmQzOGLL8GSkwmk\xff",
        bytes(45),
    ],
)
def test_what_kafka_refuses(data: bytes) -> None:
    found = read_partition_metadata(data)
    assert found.problem is not None
    assert found.topic_id is None


def test_ids() -> None:
    assert uuid_text(bytes(16)) == "A" * 22
    assert uuid_text(bytes(15) + b"\x01") == "A" * 21 + "Q"
    assert read_uuid("A" * 21 + "Q") == bytes(15) + b"\x01"
    assert read_uuid("A" * 21 + "+") is None
    assert read_uuid("A" * 23) is None
