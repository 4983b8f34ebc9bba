"""Memory: every command stays within the default of ``--memory``, at a scale for every day; `tests.soak` has the full one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.build import GZIP, LZ4, SNAPPY, ZSTD, Rec, segment_name, v2_batch
from tests.support.peak import run
from tests.support.promise import CASES, MARGIN, PROMISE, hold


@pytest.mark.parametrize("name", CASES)
def test_the_promise_holds(name: str, tmp_path: Path) -> None:
    hold(name, tmp_path, full=False)


def test_many_batches_that_inflate_to_more_than_is_allowed_take_no_more_than_one(tmp_path: Path) -> None:
    """A few kilobytes each on the disk; what was inflated until the limit is let go at once."""
    rec, data = Rec(0, 1_700_000_000_000, b"k", bytes(70 << 20)), b""
    bombs = [v2_batch(0, [rec], codec=codec) for codec in (GZIP, SNAPPY, LZ4, ZSTD)]
    for number in range(4 * len(bombs)):
        data += number.to_bytes(8, "big") + bombs[number % len(bombs)][8:]
    folder = tmp_path / "orders-0"
    folder.mkdir()
    (folder / segment_name(0)).write_bytes(data)
    words = [
        "check",
        "--deep",
        str(tmp_path),
        "--inflate-ratio",
        "1",
        "--jobs",
        "1",
        "--json",
        str(tmp_path / "../r.json"),
    ]
    made = run([*words, "-q"], timeout=120)
    assert made.code == 3
    assert made.stderr == ""
    codes = [each["code"] for each in json.loads((tmp_path / "../r.json").read_bytes())["findings"]]
    assert codes.count("inflate-limit") == 4 * len(bombs)
    assert made.mib <= PROMISE - MARGIN


def test_four_times_the_evidence_takes_no_more(tmp_path: Path) -> None:
    """What grows with the evidence would break the promise at some size."""
    from tests.support import volume

    for stretch in (volume.plain(), volume.plain(1, 100)):
        peaks = []
        for size in (40_000_000, 160_000_000):
            place = tmp_path / f"{stretch.size}-{size}"
            stretch.partition(place / "orders-0", 2, size)
            made = run(["salvage", str(place), "--out", f"{place}.out", "--jobs", "2", "-q"], timeout=120)
            assert made.code == 0
            peaks.append(made.mib)
        assert peaks[1] <= peaks[0] + 24, peaks
