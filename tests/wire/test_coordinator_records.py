"""Records of the internal topics, by the reference's bytes and by real brokers' topics."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.wire import cluster_metadata, consumer_offsets, transaction_state
from kafka_salvage.wire.decode import RecordValue
from kafka_salvage.wire.schema import Decoded
from tests.support.corpus import scene
from tests.wire.test_corpus import batches, live_segments

TOPIC_ID = "AAECAwQFBgcICQoLDA0ODw"
"""Bytes 00 to 0f."""


def test_the_id_of_these_vectors() -> None:
    assert base64.urlsafe_b64decode(TOPIC_ID + "==") == bytes(range(16))


@pytest.mark.parametrize(
    ("value", "name", "version", "some_fields"),
    [
        ("010200076f7264657273000102030405060708090a0b0c0d0e0f00", "TopicRecord", 0, {"name": "orders", "topic_id": TOPIC_ID}),
        (
            "01030000000000000102030405060708090a0b0c0d0e0f0300000001000000020200000001010100000001000000030000000400",
            "PartitionRecord",
            0,
            {"partition_id": 0, "topic_id": TOPIC_ID, "replicas": [1, 2], "isr": [1], "removing_replicas": [], "adding_replicas": [], "leader": 1, "leader_recovery_state": 0, "leader_epoch": 3, "partition_epoch": 4},
        ),
        (
            "01030100000000000102030405060708090a0b0c0d0e0f02000000010200000001010100000001000000030000000402000102030405060708090a0b0c0d0e0f01000101",
            "PartitionRecord",
            1,
            {"partition_id": 0, "topic_id": TOPIC_ID, "replicas": [1], "isr": [1], "removing_replicas": [], "adding_replicas": [], "leader": 1, "leader_recovery_state": 1, "leader_epoch": 3, "partition_epoch": 4, "directories": [TOPIC_ID]},
        ),
        (
            "01050000000000000102030405060708090a0b0c0d0e0f0200050200000002010400000002",
            "PartitionChangeRecord",
            0,
            {"partition_id": 0, "topic_id": TOPIC_ID, "isr": [2], "leader": 2, "replicas": None, "removing_replicas": None, "adding_replicas": None, "leader_recovery_state": -1},
        ),
        ("01040002076f72646572730f636c65616e75702e706f6c69637908636f6d7061637400", "ConfigRecord", 0, {"resource_type": 2, "resource_name": "orders", "name": "cleanup.policy", "value": "compact"}),
        ("01040002076f72646572730f636c65616e75702e706f6c6963790000", "ConfigRecord", 0, {"resource_type": 2, "resource_name": "orders", "name": "cleanup.policy", "value": None}),
        ("010900000102030405060708090a0b0c0d0e0f00", "RemoveTopicRecord", 0, {"topic_id": TOPIC_ID}),
        ("010c00116d657461646174612e76657273696f6e001500", "FeatureLevelRecord", 0, {"name": "metadata.version", "feature_level": 21}),
        ("01140000", "NoOpRecord", 0, {}),
        (
            "0100030000000100000102030405060708090a0b0c0d0e0f0000000000000005010100010001001102000102030405060708090a0b0c0d0e0f",
            "RegisterBrokerRecord",
            3,
            {"broker_id": 1, "is_migrating_zk_broker": False, "incarnation_id": TOPIC_ID, "broker_epoch": 5, "endpoints": [], "features": [], "rack": None, "fenced": True, "in_controlled_shutdown": False, "log_dirs": [TOPIC_ID]},
        ),
    ],
)  # fmt: skip
def test_metadata_records(value: str, name: str, version: int, some_fields: dict[str, Any]) -> None:
    found = cluster_metadata.read_record(bytes.fromhex(value))
    assert found.problem is None
    assert (found.name, found.version, found.fields) == (name, version, some_fields)


def test_metadata_records_that_are_not_known() -> None:
    for value in (None, b"", b"\x00\x02\x00", b"\x01\x63\x00", b"\x01\x02\x09", b"\x01\x14\x00\x00\x00"):
        assert cluster_metadata.read_record(value).problem is not None


def test_unknown_tags_are_kept() -> None:
    found = cluster_metadata.read_record(bytes.fromhex("0114000105026162"))
    assert found.problem is None
    assert found.fields == {"unknown_tags": {5: b"ab"}}


@pytest.mark.parametrize(
    ("value", "version", "expected"),
    [
        ("0000000000000000002a00016d0000015d3ef79800", 0, {}),
        ("0001000000000000002a00016d0000015d3ef7980000000174876e8000", 1, {"expire_timestamp": 1600000000000}),
        ("0002000000000000002a00016d0000015d3ef79800", 2, {}),
        ("0003000000000000002a0000000700016d0000015d3ef79800", 3, {"leader_epoch": 7}),
        ("0004000000000000002a00000007026d0000015d3ef7980000", 4, {"leader_epoch": 7}),
    ],
)
def test_offset_commits(value: str, version: int, expected: dict[str, int]) -> None:
    found = consumer_offsets.read_value(1, bytes.fromhex(value))
    assert (found.name, found.version, found.problem) == ("OffsetCommitValue", version, None)
    assert found.fields == {"offset": 42, "metadata": "m", "commit_timestamp": 1500000000000, **expected}


def test_keys() -> None:
    commit = consumer_offsets.read_key(bytes.fromhex("000100016700017400000005"))
    assert (commit.version, commit.fields) == (1, {"group": "g", "topic": "t", "partition": 5})
    assert commit.version in consumer_offsets.OFFSET_COMMIT_KEYS
    group = consumer_offsets.read_key(bytes.fromhex("0002000167"))
    assert (group.name, group.version, group.fields) == ("GroupMetadataKey", 2, {"group": "g"})
    for key in (None, b"", b"\x00\x63\x00\x00", b"\xff\xff", b"\x00\x01\x00\x01"):
        assert consumer_offsets.read_key(key).problem is not None


@pytest.mark.parametrize(
    ("value", "version"),
    [
        ("00030008636f6e73756d657200000003000572616e676500026d310000015d3ef798000000000100026d31ffff00016300022f68000493e0000027100000000101000000020203", 3),
        ("000409636f6e73756d6572000000030672616e6765036d310000015d3ef7980002036d31000263032f68000493e00000271002010302030000", 4),
    ],
)  # fmt: skip
def test_group_metadata(value: str, version: int) -> None:
    found = consumer_offsets.read_value(consumer_offsets.GROUP_METADATA_KEY, bytes.fromhex(value))
    member = {
        "member_id": "m1",
        "group_instance_id": None,
        "client_id": "c",
        "client_host": "/h",
        "rebalance_timeout": 300_000,
        "session_timeout": 10_000,
        "subscription": b"\x01",
        "assignment": b"\x02\x03",
    }
    assert (found.version, found.problem) == (version, None)
    assert found.fields == {
        "protocol_type": "consumer",
        "generation": 3,
        "protocol": "range",
        "leader": "m1",
        "current_state_timestamp": 1500000000000,
        "members": [member],
    }


def test_tombstones_have_no_problem() -> None:
    assert consumer_offsets.read_value(1, None).problem is None
    assert transaction_state.read_value(None).problem is None


def test_the_partition_of_a_group() -> None:
    assert consumer_offsets.partition_of("g") == 3
    assert consumer_offsets.partition_of("my-group") == 12


def test_transaction_state() -> None:
    assert transaction_state.read_key(bytes.fromhex("000000027478")).fields == {"transactional_id": "tx"}
    old = transaction_state.read_value(
        bytes.fromhex(
            "0000000000000000000700010000ea6001000000010001740000000200000000000000030000015d3ef798000000015d3ef79800"
        )
    )
    assert (old.version, old.problem) == (0, None)
    assert old.fields == {
        "producer_id": 7,
        "producer_epoch": 1,
        "transaction_timeout_ms": 60_000,
        "transaction_status": transaction_state.TransactionStatus.ONGOING,
        "transaction_partitions": [{"topic": "t", "partition_ids": [0, 3]}],
        "transaction_last_update_timestamp_ms": 1500000000000,
        "transaction_start_timestamp_ms": 1500000000000,
    }
    new = transaction_state.read_value(
        bytes.fromhex(
            "0001000000000000000700010000ea6000000000000000000001ffffffffffffffff020008000000000000000602020002"
        )
    )
    assert (new.version, new.problem) == (1, None)
    assert new.fields["previous_producer_id"] == 6
    assert new.fields["next_producer_id"] == -1
    assert new.fields["client_transaction_version"] == 2
    assert new.fields["transaction_partitions"] is None
    assert transaction_state.read_key(None).problem is not None
    assert transaction_state.read_value(b"\x00\x02").problem is not None


@given(st.binary(max_size=120), st.integers(-3, 30))
def test_nothing_raises(data: bytes, key_version: int) -> None:
    consumer_offsets.read_key(data)
    transaction_state.read_key(data)
    for version in range(5):
        prefixed = version.to_bytes(2, "big") + data
        consumer_offsets.read_value(key_version, prefixed)
        transaction_state.read_value(prefixed)
    for kind in cluster_metadata.RECORDS:
        cluster_metadata.read_record(bytes((1, kind, 0)) + data)


@given(st.text(max_size=20))
def test_any_group_has_a_partition(group: str) -> None:
    assert 0 <= consumer_offsets.partition_of(group) < 50


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("archive", "name", "least"),
    [("modern-1", "cluster", 1000), ("old-1", "v0", 3), ("old-1", "v1", 10), ("old-1", "zk39", 4)],
)
def test_internal_topics_of_real_brokers(archive: str, name: str, least: int) -> None:
    readers: dict[str, Callable[[RecordValue], tuple[Decoded, ...]]] = {
        "__cluster_metadata": lambda record: (cluster_metadata.read_record(record.value),),
        "__transaction_state": lambda record: (
            transaction_state.read_key(record.key),
            transaction_state.read_value(record.value),
        ),
        "__consumer_offsets": lambda record: (
            consumer_offsets.read_key(record.key),
            consumer_offsets.read_value(consumer_offsets.read_key(record.key).version, record.value),
        ),
    }
    read = 0
    for topic, _, path in live_segments(scene(archive, name), set(readers)):
        for batch in batches(path.read_bytes()):
            for record in () if batch.is_control else batch.records:
                read += 1
                assert [d.problem for d in readers[topic](record) if d.problem] == []
    assert read >= least


@pytest.mark.corpus
def test_records_lie_in_the_partition_of_their_hash() -> None:
    root = scene("modern-1", "cluster")
    topics = json.loads((root / "truth" / "topics.json").read_text(encoding="utf-8"))
    seen = set()
    for topic, partition, path in live_segments(root, {"__consumer_offsets", "__transaction_state"}):
        count = len(topics[topic]["partitions"])
        for batch in batches(path.read_bytes()):
            for record in () if batch.is_control else batch.records:
                module = consumer_offsets if topic == "__consumer_offsets" else transaction_state
                fields = module.read_key(record.key).fields
                name = fields.get("group") or fields["transactional_id"]
                assert consumer_offsets.partition_of(name, count) == partition
                seen.add(topic)
    assert len(seen) == 2


@pytest.mark.corpus
def test_topics_of_a_real_cluster() -> None:
    root = scene("modern-1", "cluster")
    wanted = json.loads((root / "truth" / "topics.json").read_text(encoding="utf-8"))
    names: set[str] = set()
    for _, _, path in live_segments(root, {"__cluster_metadata"}):
        for batch in batches(path.read_bytes()):
            decoded = [cluster_metadata.read_record(r.value) for r in ([] if batch.is_control else batch.records)]
            names |= {d.fields["name"] for d in decoded if d.name == "TopicRecord"}
    assert names
    assert names & set(wanted if isinstance(wanted, dict) else [t["name"] for t in wanted])
