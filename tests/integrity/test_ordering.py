"""Findings of packed lists are numbered in the order, and as often, as the plainest way does it."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from kafka_salvage.integrity.numbering import Numbering
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.shapes import Picked, findings_of
from kafka_salvage.regions.verdict import Finding

_Key = tuple[str, str, int, int, str, tuple[int, int], str]


def _key(finding: Finding) -> _Key:
    where = (finding.offsets.start, finding.offsets.stop) if finding.offsets else (-1, -1)
    return finding.source, finding.path, finding.start, finding.stop, finding.code, where, finding.message


def _finding(rng: random.Random) -> Finding:
    """One of few places, so that many agree in something."""
    start = rng.choice((rng.randrange(900), rng.randrange(1 << 50)))
    where = None if rng.random() < 0.3 else OffsetRange(start // 2, start // 2 + rng.randrange(2))
    stored = rng.choice((1, 2, 10, (1 << 63) - 1))
    message = rng.choice((f"{stored} is no 7", f"is {stored}", f"{stored} {stored + 1}", "nothing", "abcdef01"))
    code, path = rng.choice(("crc-mismatch", "garbage")), rng.choice(("t-0/1.log", "t-0/0.log", "t-1/0.log"))
    return Finding(code, rng.choice(("b", "a")), path, start, start + rng.randrange(2), where, message, {"n": stored})


@pytest.mark.parametrize("seed", range(6))
def test_the_order_is_that_of_all_keys(seed: int) -> None:
    rng = random.Random(seed)
    one, two = (findings_of(_finding(rng) for _ in range(rng.randrange(4000))) for _ in range(2))
    rows = np.array(sorted(rng.sample(range(len(two)), len(two) // 3)), np.int64)
    some = Picked(two, rows)
    plain = tuple(_finding(rng) for _ in range(300))
    groups: list[Sequence[Finding]] = [plain, one, some, (), Picked(one, range(min(7, len(one)))), plain[:9]]
    numbering = Numbering(groups, [("a", "t-0"), ("b", "t-0"), ("a", "t-1"), ("b", "t-1")])
    expected = sorted({_key(finding) for group in groups for finding in group})
    assert [_key(finding) for finding in numbering] == expected
    assert len(numbering) == len(expected)
    places = {key: f"f{at}" for at, key in enumerate(expected, 1)}
    for group in (some, Picked(one, range(5, min(90, len(one)))), plain):
        found = {places[_key(finding)] for finding in group}
        assert numbering.ids(group) == sorted(found, key=lambda name: int(name[1:]))
    assert [each["id"] for each in numbering.held()] == list(places.values())


def test_each_partition_holds_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kafka_salvage.integrity.numbering.PER_PARTITION", 100)
    rng = random.Random(1)
    numbering = Numbering([findings_of(_finding(rng) for _ in range(3000))], [("a", "t-0"), ("b", "t-0")])
    held, beyond, seen = list[str](), list[str](), dict[tuple[str, str], int]()
    for at, finding in enumerate(numbering, 1):
        home = finding.source, "t-0" if finding.path.startswith("t-0") else ""
        seen[home] = seen.get(home, 0) + 1
        (held if seen[home] <= 100 else beyond).append(f"f{at}")
    assert [each["id"] for each in numbering.held()] == held
    assert [each["id"] for each in numbering.beyond()] == beyond
    assert numbering.omitted == len(beyond) > 0
