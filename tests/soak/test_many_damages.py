"""Very many damages at full scale: every second tiny batch of a segment as large as Kafka makes them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.regions.test_many_damages import HARMS, harmed
from tests.support.peak import run
from tests.support.promise import LARGEST, PROMISE

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]

BASE = 200 << 20
"""What a check takes anyway, and a row for each 16 KiB of a segment that is damaged all over."""
EACH = 600
"""Bytes that a damage may take on top: its part of the columns of the file while that is judged, and what is kept of it."""


@pytest.mark.parametrize("every", [2, 100])
def test_a_damage_takes_few_bytes(every: int, tmp_path: Path) -> None:
    """The promise of 512 MiB holds up to about 500,000 damages in one segment; beyond, memory follows their number."""
    _, gone, _ = harmed(tmp_path, LARGEST, every, HARMS["a payload byte"])
    for words in (["check"], ["check", "--json", str(tmp_path / "report.json")]):
        made = run([*words, str(tmp_path / "orders-0"), "--jobs", "1", "-q"], timeout=3600)
        assert made.code == 3
        sys.stdout.write(f"{gone:,} damages, {words[0]} {' '.join(words[1:2])}: {made.mib} MiB\n")
        assert made.mib << 20 <= BASE + EACH * gone
        assert every == 2 or made.mib << 20 <= PROMISE << 20
