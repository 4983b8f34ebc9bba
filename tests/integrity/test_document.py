"""The document's text is what the standard library writes of it, however it is made."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.integrity.document import Rows, dumps, entries, loads, text_of, whole
from kafka_salvage.regions.shapes import findings_of
from kafka_salvage.regions.verdict import Finding

leaves = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers().map(str), inner), max_leaves=30
)


def _expected(document: Any) -> str:
    return json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


@given(st.dictionaries(st.text(), values))
def test_text(document: dict[str, Any]) -> None:
    assert dumps(document) == _expected(document)


@given(st.dictionaries(st.integers(), values))
def test_text_of_numbered_entries(document: dict[int, Any]) -> None:
    assert dumps(document) == _expected(document)  # type: ignore[arg-type] # names need not be text


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        dumps({"a": [float("nan")]})


@pytest.mark.parametrize("count", [0, 1, 300, 2000])
def test_entries_that_are_made_one_by_one_are_those_of_a_list(count: int) -> None:
    plain = [Finding("garbage", "s", "p", at, at + 1, None, f"no {at}", {"n": at}) for at in range(count)]

    def entry(finding: Finding) -> dict[str, Any]:
        return {"start": finding.start, "message": finding.message, "detail": dict(finding.detail), "none": []}

    listed = [entry(finding) for finding in plain]
    kept = findings_of(plain) if count else plain
    made = entries(kept, entry)
    assert isinstance(made, Rows) == (count > 0)
    assert len(made) == count
    assert list(made) == list(made[:]) == listed
    assert [made[at] for at in range(count)] == listed
    document = {"schema": "kafka-salvage.report/1", "segments": [{"regions": made}, {"regions": []}], "x": 1}
    expected = {**document, "segments": [{"regions": listed}, {"regions": []}]}
    assert whole(document) == expected
    assert json.dumps(whole(document)) == json.dumps(expected)
    assert "".join(text_of(document)) == dumps(expected) == _expected(expected)
    assert loads(dumps(document)) == expected
