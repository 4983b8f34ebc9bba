"""The clean fixtures, and the copies of some of them, are what their lists of checksums say."""

from __future__ import annotations

from tests.support import cut_copies
from tests.support.cut import SUMS, sums


def test_every_fixture_has_the_listed_sha256_and_none_is_unlisted() -> None:
    listed = dict(line.split("  ", 1)[::-1] for line in SUMS.read_text().splitlines())
    assert sums() == listed


def test_the_list_covers_every_magic() -> None:
    names = [line.split("  ", 1)[1] for line in SUMS.read_text().splitlines()]
    for scene in ("cluster", "v0", "v09", "v1", "mixed"):
        assert any(n.startswith(f"clean/{scene}/") and n.endswith(".log") for n in names), scene


def test_every_copy_has_the_listed_sha256_and_none_is_unlisted() -> None:
    listed = dict(line.split("  ", 1)[::-1] for line in cut_copies.SUMS.read_text().splitlines())
    assert cut_copies.sums() == listed
    assert len(listed) > 100
