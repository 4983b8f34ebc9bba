"""Memory: every command stays within the default of ``--memory``, at a scale for every day; `tests.soak` has the full one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.promise import CASES, hold


@pytest.mark.parametrize("name", CASES)
def test_the_promise_holds(name: str, tmp_path: Path) -> None:
    hold(name, tmp_path, full=False)


def test_four_times_the_evidence_takes_no_more(tmp_path: Path) -> None:
    """What grows with the evidence would break the promise at some size."""
    from tests.support import volume
    from tests.support.peak import run

    for stretch in (volume.plain(), volume.plain(1, 100)):
        peaks = []
        for size in (40_000_000, 160_000_000):
            place = tmp_path / f"{stretch.size}-{size}"
            stretch.partition(place / "orders-0", 2, size)
            made = run(["salvage", str(place), "--out", f"{place}.out", "--jobs", "2", "-q"], timeout=120)
            assert made.code == 0
            peaks.append(made.mib)
        assert peaks[1] <= peaks[0] + 24, peaks
