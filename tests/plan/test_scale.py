"""A plan over copies stays small: its memory and its steps follow the damage, not the number of batches."""

from __future__ import annotations

from pathlib import Path

from benchmarks.plan import COPIES, lay, measure
from kafka_salvage.plan.merge import make_plan
from kafka_salvage.plan.policy import Policy
from kafka_salvage.regions.survey import SurveyOptions, survey_replica
from kafka_salvage.scan.replica import take_inventory


def test_memory_does_not_grow_with_the_batches(tmp_path: Path) -> None:
    """A row of a batch table takes about 100 bytes, an object for each batch several hundred."""
    few, many = (measure(tmp_path, batches, damaged=50) for batches in (20_000, 300_000))
    assert many.after - many.before < 48
    assert many.steps < 2 * few.steps


def test_a_plan_holds_runs_and_no_rows(tmp_path: Path) -> None:
    sizes = {}
    for batches in (4_000, 16_000):
        homes = [tmp_path / str(batches) / f"b{number}" for number in range(COPIES)]
        for number, home in enumerate(homes):
            lay(home, batches, damaged=range(5 + 3 * number, batches, batches // 20))
        inventory = take_inventory([str(home) for home in homes])
        options = SurveyOptions(compacted={replica.key: False for replica in inventory.replicas})
        surveys = [survey_replica(replica, options) for replica in inventory.replicas]
        (partition,) = make_plan(inventory, surveys, Policy()).partitions
        assert [(s.offsets.start, s.offsets.stop) for s in partition.ledger][-1][1] == batches
        assert all(str(s.status) == "recovered" for s in partition.ledger)
        runs = sum(len(segment.runs) for survey in partition.replicas for segment in survey.segments)
        sizes[batches] = len(partition.steps) + len(partition.ledger) + runs
    assert sizes[16_000] == sizes[4_000]
