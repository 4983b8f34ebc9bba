"""`meta.properties` and the rules of Java's properties."""

from __future__ import annotations

import pytest

from kafka_salvage.wire.java_text import read_properties
from kafka_salvage.wire.meta_properties import read_meta_properties


def test_zookeeper_era() -> None:
    found = read_meta_properties(b"#\n#Mon Nov 23 06:47:07 UTC 2026\nbroker.id=0\nversion=0\n")
    assert (found.version, found.cluster_id, found.node_id, found.directory_id, found.problem) == (
        0,
        None,
        0,
        None,
        None,
    )


def test_kraft() -> None:
    data = b"version=1\ncluster.id=eMa_s7fqSSSKiy2ovvUP_Q\nnode.id=3\ndirectory.id=wzKMjUNmQzOGLL8GSkwmkw\n"
    found = read_meta_properties(data)
    assert (found.version, found.node_id, found.problem) == (1, 3, None)
    assert (found.cluster_id, found.directory_id) == ("eMa_s7fqSSSKiy2ovvUP_Q", "wzKMjUNmQzOGLL8GSkwmkw")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"version=2\n", "version '2' is not known"),
        (b"version=x\n", "version 'x'"),
        (b"version=1\nnode.id=1\n", "cluster.id is missing"),
        (b"version=1\ncluster.id=a\n", "node.id is missing"),
        (b"broker.id=-1\n", "broker.id '-1' is no node id"),
        (b"broker.id=one\n", "broker.id 'one'"),
        (b"broker.id=1\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAg\n", "is not legal"),
        (b"broker.id=1\ncluster.id=\\u00zz\n", "malformed"),
    ],
)
def test_what_kafka_refuses(data: bytes, words: str) -> None:
    problem = read_meta_properties(data).problem
    assert problem is not None
    assert words in problem


def test_what_can_be_read_is_given_all_the_same() -> None:
    found = read_meta_properties(b"version=1\nnode.id=7\n")
    assert found.problem is not None
    assert found.node_id == 7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=b", {"a": "b"}),
        ("a = b ", {"a": "b "}),
        ("a:b\nc d\n", {"a": "b", "c": "d"}),
        ("a\\=b=c", {"a=b": "c"}),
        ("a=one\\\n   two", {"a": "onetwo"}),
        ("a=one\\\\\nb=2", {"a": "one\\", "b": "2"}),
        ("  ! note\n# note\n\na=\\u0041\\t", {"a": "A\t"}),
        ("a", {"a": ""}),
        ("a=b=c", {"a": "b=c"}),
        ("a=1\r\na=2\r", {"a": "2"}),
    ],
)
def test_properties(text: str, expected: dict[str, str]) -> None:
    assert read_properties(text) == expected
