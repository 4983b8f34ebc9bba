"""Place: encoded names are safe, and different names never meet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.export.places import encode, encode_path, free_name, partition_directory

NAMES = st.text(st.characters(codec=None, exclude_characters="\0"), max_size=300)
BYTES = st.binary(min_size=1, max_size=400).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


@given(NAMES.filter(lambda text: not any(0xD800 <= ord(c) <= 0xDFFF for c in text)) | BYTES)
def test_an_encoded_name_is_one_safe_component(name: str) -> None:
    made = encode(name)
    assert made not in ("", ".", "..")
    assert len(made) <= 249
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-%~")


@given(BYTES, BYTES)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert (encode(one) == encode(other)) == (one == other)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("orders", "orders"),
        ("a.b_c-D9", "a.b_c-D9"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("...", "..."),
        ("a/b", "a%2Fb"),
        ("50%", "50%25"),
        ("ü", "%C3%BC"),
        ("\udcff", "%FF"),
        ("", "%"),
    ],
)
def test_encoding_by_example(name: str, expected: str) -> None:
    assert encode(name) == expected


def test_paths_keep_their_parts() -> None:
    assert encode_path("b/../o rders-0/1.log") == "b/%2E%2E/o%20rders-0/1.log"
    assert partition_directory("a-b", 1) == "a-b-1"


def test_taken_names_are_numbered() -> None:
    assert free_name("a", []) == "a"
    assert free_name("a", ["a", "a~2"]) == "a~3"
