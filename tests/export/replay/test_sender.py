"""Records go to librdkafka and come back as they were, without a Python object for each: against librdkafka's own mock cluster."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_salvage.errors import DestinationError
from kafka_salvage.export.replay.config import ClientSettings
from kafka_salvage.export.replay.library import PRODUCER, Client, rdkafka
from kafka_salvage.export.replay.reading import Reader
from kafka_salvage.export.replay.sender import Sender
from kafka_salvage.scan.records import RecordTable
from kafka_salvage.vector.sending import COLUMNS, Outgoing
from tests.export.replay.cluster_log import Row, row_of, table_of

bodies = st.none() | st.binary(max_size=40)
names = st.binary(max_size=5).filter(lambda name: b"\0" not in name)
rows = st.tuples(st.integers(1, 1 << 41), bodies, bodies, st.lists(st.tuples(names, bodies), max_size=4).map(tuple))


_MOCK: list[int] = []
"""Handles of the clusters below."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClientSettings]:
    """A cluster inside librdkafka; it lives as long as the client that made it."""
    made = Client(PRODUCER, ClientSettings("127.0.0.1:1"), 0, {"test.mock.num.brokers": 1})
    library = made.rd._library
    library.rd_kafka_handle_mock_cluster.restype = ctypes.c_void_p
    library.rd_kafka_handle_mock_cluster.argtypes = [ctypes.c_void_p]
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    library.rd_kafka_mock_cluster_bootstraps.argtypes = [ctypes.c_void_p]
    mock = library.rd_kafka_handle_mock_cluster(made.handle)
    _MOCK.append(mock)
    yield ClientSettings(library.rd_kafka_mock_cluster_bootstraps(mock).decode())
    made.close()


def read(cluster: ClientSettings, topic: str, start: int, stop: int) -> list[Row]:
    reader = Reader(cluster)
    try:
        return [row_of(table, at) for table in reader.read(topic, 0, start, stop) for at in range(len(table))]
    finally:
        reader.close()


@settings(max_examples=8, deadline=None)
@given(records=st.lists(rows, min_size=1, max_size=30), data=st.data())
def test_what_is_sent_is_what_is_read(cluster: ClientSettings, records: list[Row], data: st.DataObject) -> None:
    low = data.draw(st.integers(0, len(records) - 1))
    sender = Sender(cluster, None)
    try:
        sender.send("plain", 0, table_of(records, list(range(len(records)))), low, len(records))
        offsets = sender.acknowledged()
    finally:
        sender.close()
    assert (np.diff(offsets) == 1).all()
    assert len(offsets) == len(records) - low
    assert read(cluster, "plain", int(offsets[0]), int(offsets[-1]) + 1) == records[low:]


def test_more_than_the_queue_takes_waits(cluster: ClientSettings) -> None:
    records: list[Row] = [(n + 1, b"%d" % n, b"v" * (n % 90), ()) for n in range(5000)]
    sender = Sender(cluster, None, {"queue.buffering.max.messages": 100, "linger.ms": 1})
    try:
        table = table_of(records, list(range(len(records))))
        sender.send("many", 0, table, 0, 3000)
        sender.send("many", 0, table, 3000, 5000)
        offsets = sender.acknowledged()
    finally:
        sender.close()
    assert read(cluster, "many", int(offsets[0]), int(offsets[-1]) + 1) == records


def test_waiting_for_a_distant_cluster_takes_no_processor(cluster: ClientSettings) -> None:
    """An idempotent producer whose requests are all under way spins where it takes the next batch for overdue."""
    library = rdkafka()._library
    library.rd_kafka_mock_broker_set_rtt.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_int]
    table = table_of([(n + 1, None, b"v" * 5000, ()) for n in range(4000)], list(range(4000)))
    sender = Sender(cluster, None, {"batch.size": 1_000_000})
    try:
        sender.send("distant", 0, table, 0, 1)  # topic and kernels are there
        sender.acknowledged()
        library.rd_kafka_mock_broker_set_rtt(_MOCK[-1], 1, 150)
        begun, used = time.monotonic(), time.process_time()
        sender.send("distant", 0, table, 1, 4000)
        sender.acknowledged()
        waited, used = time.monotonic() - begun, time.process_time() - used
    finally:
        library.rd_kafka_mock_broker_set_rtt(_MOCK[-1], 1, 0)
        sender.close()
    assert waited > 0.4
    assert used < 0.15 * waited


def test_what_does_not_fill_a_batch_does_not_wait(cluster: ClientSettings) -> None:
    sender = Sender(cluster, None)
    sender.connect("few", 0)
    try:
        for _ in range(3):
            begun = time.monotonic()
            sender.send("few", 0, table_of([(1, None, b"v", ())], [0]), 0, 1)
            sender.acknowledged()
            assert time.monotonic() - begun < 0.9
    finally:
        sender.close()


def test_a_record_that_is_too_large_is_one_sentence(cluster: ClientSettings) -> None:
    sender = Sender(cluster, None, {"message.max.bytes": 2000})
    with pytest.raises(DestinationError, match="a record is larger than the topic allows"):
        sender.send("large", 0, table_of([(1, None, b"v" * 3000, ())], [0]), 0, 1)
    sender.close()


def test_a_transaction_is_there_after_its_commit_only(cluster: ClientSettings) -> None:
    sender = Sender(cluster, "kafka-salvage-test")
    table = table_of([(1, b"k", None, ())], [0])
    sender.connect("tx", 0)
    sender.fence()
    sender.begin()
    sender.send("tx", 0, table, 0, 1)
    assert len(sender.acknowledged()) == 1
    sender.commit()
    sender.begin()
    sender.send("tx", 0, table, 0, 1)
    sender.acknowledged()
    sender.abort()
    sender.close()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("key_start", 9000), ("value_size", 9000), ("header_value_start", -2), ("header_key_size", -1),
        ("header_first", 7),
    ],
)  # fmt: skip
def test_no_address_outside_the_buffer_is_made(column: str, value: int) -> None:
    table = table_of([(1, b"k", b"v", ((b"h", b"b"),))] * 3, [0, 1, 2])
    columns = {name: getattr(table, name).copy() for name in COLUMNS}
    columns[column][-1] = value
    with pytest.raises(ValueError, match=r"outside the buffer|not in order|is missing"):
        Outgoing(table.data, columns)


def test_headers_that_do_not_rise_are_refused() -> None:
    table = table_of([(1, b"k", b"v", ((b"h", b"b"),))] * 3, [0, 1, 2])
    columns = {name: getattr(table, name).copy() for name in COLUMNS}
    columns["header_first"][1] = 3
    with pytest.raises(ValueError, match="not in order"):
        Outgoing(table.data, columns)


def test_a_setting_that_librdkafka_refuses_shows_no_secret() -> None:
    secret = "-".join(["hunter2", "and", "more"])
    bad = ClientSettings("127.0.0.1:1", (), {"sasl.mechanism": secret, "sasl.password": secret}, (secret,))
    with pytest.raises(DestinationError) as caught:
        Client(PRODUCER, bad, 0, {"security.protocol": "sasl_plaintext", "acks": "none at all " + secret})
    assert secret not in f"{caught.value.message} {caught.value!r} {caught.value.advice}"


def test_nothing_is_read_where_nothing_is(cluster: ClientSettings) -> None:
    reader = Reader(cluster)
    assert list(reader.read("plain", 0, 5, 5)) == []
    reader.close()


def test_the_library_is_the_one_that_confluent_kafka_uses() -> None:
    import confluent_kafka

    library = rdkafka()._library
    library.rd_kafka_version_str.restype = ctypes.c_char_p
    assert library.rd_kafka_version_str().decode() == confluent_kafka.libversion()[0]


def test_tables_that_were_not_sent_are_not_waited_for(cluster: ClientSettings) -> None:
    sender = Sender(cluster, None)
    sender.send("none", 0, RecordTable.empty(), 0, 0)
    assert len(sender.acknowledged()) == 0
    sender.close()
