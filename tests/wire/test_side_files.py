"""Every reader of a side file, on anything: values and a sentence, never an exception."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.wire.checkpoints import read_checkpoint
from kafka_salvage.wire.clean_shutdown import read_clean_shutdown
from kafka_salvage.wire.epoch_checkpoint import read_epoch_checkpoint
from kafka_salvage.wire.foreign import identify
from kafka_salvage.wire.meta_properties import read_meta_properties
from kafka_salvage.wire.offset_index import read_offset_index
from kafka_salvage.wire.partition_metadata import read_partition_metadata
from kafka_salvage.wire.producer_snapshot import read_producer_snapshot
from kafka_salvage.wire.quorum_state import read_quorum_state
from kafka_salvage.wire.time_index import read_time_index
from kafka_salvage.wire.txn_index import read_txn_index

READERS: dict[str, Callable[[bytes], Any]] = {
    "offset checkpoint": read_checkpoint,
    "epoch checkpoint": read_epoch_checkpoint,
    "clean shutdown": read_clean_shutdown,
    "meta.properties": read_meta_properties,
    "partition.metadata": read_partition_metadata,
    "quorum-state": read_quorum_state,
    "offset index": read_offset_index,
    "time index": read_time_index,
    "txn index": read_txn_index,
    "producer snapshot": read_producer_snapshot,
}
GOOD: dict[str, bytes] = {
    "offset checkpoint": b"0\n2\norders 3 118234\na-b 0 7\n",
    "epoch checkpoint": b"0\n2\n1 0\n2 10\n",
    "clean shutdown": b'{"version":0,"brokerEpoch":78}',
    "meta.properties": b"#\n#Mon\nversion=1\ncluster.id=x\nnode.id=2\ndirectory.id=wzKMjUNmQzOGLL8GSkwmkw\n",
    "partition.metadata": b"version: 0\ntopic_id: wzKMjUNmQzOGLL8GSkwmkw",
    "quorum-state": b'{"clusterId":"","leaderId":3,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,'
    b'"currentVoters":[{"voterId":3}],"data_version":0}',
    "offset index": bytes.fromhex("00000005000010000000000900002000"),
    "time index": bytes.fromhex("0000015d3ef79800000000050000015d3ef7980100000009"),
    "txn index": bytes.fromhex("00000000000000000007000000000000000000000000000000010000000000000002"),
    "producer snapshot": bytes.fromhex(
        "0001b5b4ed6a000000010000000000000007000000000000000000000000000000000000000001d1a94a2000ffffffff0000000000000000"
    ),
}
named = pytest.mark.parametrize("name", READERS)


@named
def test_good_ones_have_no_problem(name: str) -> None:
    assert READERS[name](GOOD[name]).problem is None


@named
@given(data=st.binary(max_size=200) | st.text(max_size=60).map(str.encode))
def test_any_bytes(name: str, data: bytes) -> None:
    problem = READERS[name](data).problem
    assert problem is None or problem
    identify(data, len(data))


@named
@given(data=st.data())
def test_damaged_ones(name: str, data: st.DataObject) -> None:
    raw = bytearray(GOOD[name])
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=3)):
        raw[at] = data.draw(st.integers(0, 255))
    READERS[name](bytes(raw[: data.draw(st.integers(0, len(raw)))]))


@pytest.mark.parametrize(
    ("name", "forged"),
    [
        ("offset checkpoint", b"0\n2147483647\na 0 1\n"),
        ("producer snapshot", bytes.fromhex("0001b5b4ed6a7fffffff") + bytes(46)),
        ("quorum-state", b"[" * 100_000),
    ],
)
def test_forged_counts_allocate_nothing(name: str, forged: bytes) -> None:
    tracemalloc.start()
    try:
        found = READERS[name](forged)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.problem is not None
    assert peak < 2_000_000
