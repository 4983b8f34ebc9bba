"""Layout: what it takes to recognise directories grows as their number does."""

from __future__ import annotations

from pathlib import Path

import pytest

from kafka_salvage.scan import layout
from kafka_salvage.scan.layout import lay_out
from kafka_salvage.source.inventory import Lister


@pytest.mark.parametrize("count", [50, 400])
def test_each_directory_is_looked_at_a_few_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    for number in range(count):
        place = tmp_path / f"orders-{number}"
        place.mkdir()
        (place / f"{0:020d}.log").write_bytes(b"")
    calls = 0
    real = layout.parent_of

    def counted(path: str) -> str:
        nonlocal calls
        calls += 1
        return real(path)

    monkeypatch.setattr(layout, "parent_of", counted)
    made = lay_out(tmp_path, list(Lister(lambda *_: False, {}).tree(tmp_path, "", "here")), [])
    assert len(made.partitions) == count
    assert made.log_dirs == ["."]
    assert calls <= 4 * count
