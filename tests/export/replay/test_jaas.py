"""JAAS entries against what Kafka 4.1.1's own parser (`JaasConfig`) made of the same texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.export.replay.jaas import JaasEntry, read_jaas

PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"

BY_KAFKA: list[tuple[str, dict[str, str] | None]] = [
    ('username="alice" password="s\\"e\\\\c;r=et";', {"username": "alice", "password": 's"e\\c;r=et'}),
    ("username='al' password=word;", {"username": "al", "password": "word"}),
    ('username="a" password=abc123;', {"username": "a", "password": "abc123"}),
    ('username="a" password=123;', None),
    ('username="a" password=1abc;', None),
    ('username="a" password=a-b_c$d.e;', {"username": "a", "password": "a-b_c$d.e"}),
    (
        'username="a" password="x\\101\\7\\400\\n\\t\\q";',
        {"username": "a", "password": "xA\x07 0\n\tq"},
    ),
    ('username="a" // c\n password="p";', {"username": "a", "password": "p"}),
    ('username="a" /* c */ password="p/q";', {"username": "a", "password": "p/q"}),
    ('username="a" password=p/q;', None),
    ('username="a" password="p"', None),
    ('username="a" password="p"; extra required;', None),
    ('username="a" password="two\nlines";', None),
    ('username = "a" password = "p" ;', {"username": "a", "password": "p"}),
    ('username="ü€" password="ÿ\xa0";', {"username": "ü€", "password": "ÿ\xa0"}),
    ('username="a" password=-x;', None),
    ('username="a" password="";', {"username": "a", "password": ""}),
    ('username="a" password=\'it"s\';', {"username": "a", "password": 'it"s'}),
    ("", None),
]
"""None = Kafka refuses the text, or finds another number of entries than one."""


@pytest.mark.parametrize(("options", "expected"), BY_KAFKA)
def test_it_is_read_as_kafka_reads_it(options: str, expected: dict[str, str] | None) -> None:
    found = read_jaas(f"{PLAIN} required {options}")
    if expected is None:
        assert isinstance(found, str)
    else:
        assert found == JaasEntry(PLAIN, expected)


@pytest.mark.parametrize("text", ["", ";", "x", "x maybe a=b;", "=;", "1 required;", "x required /* open", '"x'])
def test_what_is_no_entry_is_said_in_a_sentence(text: str) -> None:
    assert isinstance(read_jaas(text), str)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=0x17F), min_size=1))
def test_any_password_can_be_quoted(password: str) -> None:
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    found = read_jaas(f'a.b required username="u" password="{quoted}";')
    assert isinstance(found, JaasEntry)
    assert found.options == {"username": "u", "password": password}
    assert repr(found) == "JaasEntry(module='a.b')"


@given(st.text(st.sampled_from("ab1.\"'\\=;/* -_$\n\t€ü"), max_size=20))
def test_any_text_gives_an_entry_or_a_sentence(text: str) -> None:
    assert isinstance(read_jaas(f"M required k={text}"), JaasEntry | str)
