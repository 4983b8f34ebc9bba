"""Sections of the document that restate what the plan and the inventory hold."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Any

from kafka_salvage.integrity.document import entries
from kafka_salvage.integrity.numbering import Numbering, text
from kafka_salvage.plan.plan import OffsetSpan, PartitionPlan, Plan, Status
from kafka_salvage.plan.policy import Include
from kafka_salvage.regions.map import Region
from kafka_salvage.regions.runs import ReplicaSurvey, SegmentSurvey
from kafka_salvage.scan.replica import Inventory

_KIND = {
    Include.TRIMMED: "below the log start",
    Include.DELETED_TOPICS: "of deleted topics",
    Include.DELETED_SEGMENTS: "in deleted segments",
    Include.STRAY: "in stray directories",
    Include.FUTURE: "in directories of replicas that were being moved",
    Include.LEFTOVERS: "in .swap and .cleaned files",
    Include.SUSPECT: "whose place is not proved",
}


def sources_section(inventory: Inventory) -> list[dict[str, Any]]:
    """Sources with their log dirs."""
    return [
        {
            "name": text(source.name),
            "log_dirs": [
                {
                    "id": text(each.id),
                    "path": text(each.path),
                    "cluster_id": each.cluster_id,
                    "node_id": each.node_id,
                    "directory_id": each.directory_id,
                    "clean_shutdown": each.clean_shutdown,
                }
                for each in source.log_dirs
            ],
        }
        for source in inventory.sources
    ]


def files_section(inventory: Inventory) -> list[dict[str, Any]]:
    """Every file under every source."""
    return [
        {
            "source": text(file.source),
            "path": text(file.path),
            "size": file.size,
            "kind": str(file.kind),
            "use": str(file.use),
            "reason": None if file.reason is None else text(file.reason),
        }
        for file in sorted(inventory.files, key=lambda f: (f.source, f.path))
    ]


def segment_entry(segment: SegmentSurvey, numbering: Numbering, home: ReplicaSurvey) -> dict[str, Any]:
    """One segment with its map."""
    file = segment.segment.file
    replica = home.replica
    return {
        "source": text(file.source),
        "log_dir": text(replica.log_dir.id) if replica.log_dir else None,
        "path": text(file.path),
        "topic": text(replica.topic),
        "partition": replica.partition,
        "topic_id": replica.topic_id,
        "state": str(segment.segment.state),
        "size": segment.regions.size,
        "regions": entries(segment.regions.regions, lambda region: _region_entry(region, numbering)),
    }


def _region_entry(region: Region, numbering: Numbering) -> dict[str, Any]:
    return {
        "start": region.start,
        "stop": region.stop,
        "verdict": str(region.verdict),
        "batches": region.batches,
        "records": region.records,
        "offsets": [region.offsets.start, region.offsets.stop] if region.offsets else None,
        "findings": numbering.ids(region.findings),
    }


def span_entry(span: OffsetSpan, numbering: Numbering) -> dict[str, Any]:
    """One range of the ledger, with the fields that its status has."""
    entry: dict[str, Any] = {
        "start": span.offsets.start,
        "stop": span.offsets.stop,
        "status": str(span.status),
    }
    if span.status in (Status.RECOVERED, Status.REPAIRED):
        entry["absent"] = span.absent
        entry["source"] = text(span.source or "")
    if span.status in (Status.LOST, Status.MISSING):
        entry["open_ended"] = span.open_ended
        entry["upper_bound"] = span.upper_bound
    if span.reason:
        entry["reason"] = text(span.reason)
    if span.status is not Status.RECOVERED:
        entry["findings"] = numbering.ids(span.findings)
    return entry


def above_high_watermark(partition: PartitionPlan) -> list[int] | None:
    """Recovered offsets at or above the highest high watermark on record: perhaps never acknowledged by all replicas."""
    mark = partition.high_watermark
    if mark is None or not len(partition.ledger) or partition.ledger[-1].offsets.stop <= mark:
        return None
    given = (span.offsets.stop for span in partition.ledger if span.status in (Status.RECOVERED, Status.REPAIRED))
    last = deque(given, maxlen=1)
    return [mark, last[0]] if last and last[0] > mark else None


def available_of(partition: PartitionPlan) -> list[dict[str, Any]]:
    """What could be added to a partition's output."""
    return [
        {
            "include": str(each.include),
            "source": text(each.source),
            "path": text(each.path),
            "records": each.records,
            "bytes": each.size,
        }
        for each in partition.available
    ]


def hints_of(plan: Plan) -> tuple[str, ...]:
    """One sentence per flag that would add something to the output."""
    sums: dict[Include, list[int]] = {}
    places: dict[Include, set[str]] = defaultdict(set)
    for partition in plan.partitions:
        if not plan.policy.selection.wants(partition.topic, partition.partition):
            continue
        for each in partition.available:
            entry = sums.setdefault(each.include, [0, 0])
            entry[0] += each.records
            entry[1] += each.size
            places[each.include].add(f"{partition.topic}-{partition.partition}")
    hints = []
    for include in Include:
        if include in sums:
            records, size = sums[include]
            names = sorted(places[include])
            shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            plural = "" if records == 1 else "s"
            hints.append(
                f"Left out: {records:,} intact record{plural} ({size:,} bytes) {_KIND[include]} ({text(shown)}); "
                f"--include {include} adds them."
            )
    return tuple(hints)
