"""Transactions that nothing ended are listed, with what their coordinator says."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import kafka_salvage
from tests.support.bases import FIXTURES
from tests.support.cut_metadata import METADATA

PAYMENTS = FIXTURES / "cluster" / "broker-1"
COORDINATOR = METADATA / "cluster" / "broker-2"


def listed(*paths: Path, kind: str = "open_transactions") -> Any:
    document = kafka_salvage.check([str(path) for path in paths], topic="payments").to_dict()
    (partition,) = [p for p in document["partitions"] if p["partition"] == 1]
    return partition[kind], document["hints"]


def test_an_open_transaction_that_its_coordinator_knows_is_not_hanging() -> None:
    (one,), hints = listed(PAYMENTS, COORDINATOR)
    assert (one["transactional_id"], one["coordinator"], one["hanging"]) == ("pay-OPEN", "open", False)
    assert any("payments-1" in hint and "labelled open" in hint for hint in hints)


def test_without_a_coordinator_nothing_is_said() -> None:
    (one,), _ = listed(PAYMENTS)
    assert (one["transactional_id"], one["coordinator"], one["hanging"]) == (None, None, None)


def test_a_coordinator_of_another_cluster_is_not_asked(tmp_path: Path) -> None:
    other = shutil.copytree(COORDINATOR, tmp_path / "other")
    text = (other / "meta.properties").read_text()
    line = next(line for line in text.splitlines() if line.startswith("cluster.id="))
    (other / "meta.properties").write_text(text.replace(line, "cluster.id=AAAAAAAAAAAAAAAAAAAAAA"))
    (one,), _ = listed(PAYMENTS, other)
    assert (one["transactional_id"], one["hanging"]) == (None, None)


def test_what_is_open_here_and_over_there_hangs(tmp_path: Path) -> None:
    """The marker of a transaction that the coordinator ended was never written: cut off with what stood behind it."""
    place = shutil.copytree(PAYMENTS / "payments-1", tmp_path / "payments-1").parent
    shutil.copyfile(PAYMENTS / "meta.properties", place / "meta.properties")
    segments = sorted((place / "payments-1").glob("*.log"))
    for segment in segments[3:]:
        for file in (place / "payments-1").glob(f"{segment.stem}*"):
            file.unlink()
    some, _ = listed(place, COORDINATOR)
    assert [(one["transactional_id"], one["hanging"]) for one in some] == [("pay-A", True)]
