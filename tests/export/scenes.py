"""Scenes: plans built by hand over files that the tests' own writer made, so that only the export is under test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from kafka_salvage.export.options import ExportOptions
from kafka_salvage.export.receipt import Receipt
from kafka_salvage.export.salvage_plan import write_rescue
from kafka_salvage.plan.plan import (
    TRANSACTION_CODES,
    Branch,
    OffsetSpan,
    PartitionPlan,
    Plan,
    Status,
    Step,
    Transaction,
)
from kafka_salvage.plan.policy import Policy
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.map import Region, RegionMap
from kafka_salvage.regions.runs import (
    Compaction,
    Patch,
    ReplicaSurvey,
    RunTable,
    SegmentFacts,
    SegmentSurvey,
    TransactionTable,
)
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.batches import I8, BatchTable, Bool
from kafka_salvage.scan.replica import EvidenceFile, Inventory, Replica, SegmentFile, SourceRoot, State
from kafka_salvage.wire.filenames import FileKind, Suffix
from tests.support.build import BatchInfo


class FakeReport:
    """Stands for the account: the export writes it and never looks inside."""

    exit_code = 0
    findings_overflow: tuple[dict[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {"schema": "kafka-salvage.report/1", "b": 2, "a": 1}

    @property
    def document(self) -> dict[str, Any]:
        return self.to_dict()


_DECIDED = frozenset({Transaction.COMMITTED, Transaction.ABORTED})


@dataclass(frozen=True)
class FixedLabels:
    """Labels by base offset; what is not named is `none`."""

    by_offset: dict[int, Transaction] = field(default_factory=dict)

    def lookup(self, batches: BatchTable) -> I8:
        labels = [self.by_offset.get(int(base), Transaction.NONE) for base in batches.base_offset]
        return np.array([TRANSACTION_CODES.index(label) for label in labels], np.int8)

    def loads(self, batches: BatchTable) -> Bool:
        data = batches.is_transactional & ~batches.is_control
        return np.array([TRANSACTION_CODES[code] in _DECIDED for code in self.lookup(batches)]) | ~data


@dataclass(frozen=True)
class Piece:
    """One segment file of a scene: its bytes, what the writer knows of them, and what is said of each batch or hole."""

    data: bytes
    infos: Sequence[BatchInfo]
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    patches: tuple[Patch, ...] = ()
    base: int | None = 0
    name: str | None = None
    state: State = State.LIVE


def regions_of(piece: Piece) -> RegionMap:
    """Batches with their verdicts (intact unless told, by start), and `damaged` between them."""
    regions: list[Region] = []
    at = 0
    for info in piece.infos:
        if info.start > at:
            regions.append(Region(at, info.start, piece.verdicts.get(at, Verdict.DAMAGED)))
        offsets = OffsetRange(info.base_offset, info.last_offset + 1)
        verdict = piece.verdicts.get(info.start, Verdict.INTACT)
        regions.append(Region(info.start, info.stop, verdict, 1, len(info.records), offsets))
        at = info.stop
    if at < len(piece.data):
        regions.append(Region(at, len(piece.data), piece.verdicts.get(at, Verdict.DAMAGED)))
    return RegionMap(len(piece.data), regions)


def survey_of(root: Path, source: str, directory: str, piece: Piece) -> SegmentSurvey:
    """Writes the piece's bytes below ``root`` and says what is given of them."""
    name = piece.name or f"{piece.base:020d}.log"
    path = f"{directory}/{name}"
    real = root / path
    real.parent.mkdir(parents=True, exist_ok=True)
    if not real.exists() or real.read_bytes() != piece.data:  # a scene that is there already stays untouched
        real.write_bytes(piece.data)
    file = EvidenceFile(source, path, real, len(piece.data), FileKind.SEGMENT)
    segment = SegmentFile(file, piece.base, piece.state, Suffix.NONE)
    rows = [
        {
            "start": b.start,
            "stop": b.stop,
            "first_offset": b.base_offset,
            "next_offset": b.last_offset + 1,
            "batches": 1,
            "records": len(b.records) + int(b.control),
            "control": int(b.control),
            "absent": 0,
            "leader_epoch": b.epoch,
            "max_timestamp": max((r.timestamp for r in b.records), default=-1),
            "min_timestamp": min((r.timestamp for r in b.records), default=-1),
            "repaired": piece.verdicts.get(b.start) is Verdict.REPAIRED,
        }
        for b in piece.infos
        if piece.verdicts.get(b.start, Verdict.INTACT) in (Verdict.INTACT, Verdict.REPAIRED)
    ]
    size = len(piece.data)
    facts = SegmentFacts(size, "end", False, 0, False, 4, None, max((b.last_offset for b in piece.infos), default=-1))
    return SegmentSurvey(
        segment, regions_of(piece), RunTable.from_rows(rows), TransactionTable.from_rows([]), piece.patches, (), facts
    )


def steps_of(survey: SegmentSurvey, *, include: frozenset[Verdict] = frozenset()) -> tuple[Step, ...]:
    """A step per stretch of equal verdict that is to be written."""
    steps: list[Step] = []
    for region in survey.regions:
        if region.verdict not in {Verdict.INTACT, Verdict.REPAIRED} | include or region.offsets is None:
            continue
        last = steps[-1] if steps else None
        if last and last.stop == region.start and last.verdict is region.verdict:
            offsets = OffsetRange(last.offsets.start, region.offsets.stop)
            steps[-1] = replace(last, stop=region.stop, offsets=offsets)
        else:
            state = survey.segment.state
            steps.append(Step(survey, region.start, region.stop, region.offsets, region.verdict, state, "only copy"))
    return tuple(steps)


@dataclass
class Scene:
    """One source with partitions; made in ``root``."""

    root: Path
    source: str = "broker-1"
    partitions: list[PartitionPlan] = field(default_factory=list)

    def replica(self, directory: str, topic: str, partition: int, pieces: Sequence[Piece]) -> ReplicaSurvey:
        surveys = tuple(survey_of(self.root, self.source, directory, piece) for piece in pieces)
        replica = Replica(
            source=self.source,
            log_dir=None,
            path=directory,
            topic=topic,
            partition=partition,
            topic_id=None,
            state=State.LIVE,
            unique_id="",
            segments=tuple(survey.segment for survey in surveys),
            snapshots=(),
            epochs=None,
            high_watermark=None,
            recovery_point=None,
            log_start=None,
            cleaner_offset=None,
            files=tuple(survey.segment.file for survey in surveys),
        )
        return ReplicaSurvey(replica, surveys, (), Compaction(False, "delete"), (), None)

    def add(
        self,
        pieces: Sequence[Piece],
        *,
        topic: str = "orders",
        partition: int = 0,
        labels: dict[int, Transaction] | None = None,
        log_start: int = 0,
        state: State = State.LIVE,
        directory: str | None = None,
        branches: tuple[Branch, ...] = (),
        lost: tuple[int, int] | None = None,
        include: frozenset[Verdict] = frozenset(),
    ) -> Scene:
        replica = self.replica(directory or f"{topic}-{partition}", topic, partition, pieces)
        steps = tuple(step for survey in replica.segments for step in steps_of(survey, include=include))
        ledger = (OffsetSpan(OffsetRange(*lost), Status.LOST),) if lost else ()
        self.partitions.append(
            PartitionPlan(
                cluster_id=None,
                topic_id=None,
                state=state,
                topic=topic,
                partition=partition,
                ledger=ledger,
                steps=steps,
                branches=branches,
                labels=FixedLabels(labels or {}),
                replicas=(replica,),
                log_start=log_start,
                epochs=(),
                leans_on_leftovers=False,
            )
        )
        return self

    def plan(self, policy: Policy | None = None) -> Plan:
        replicas = tuple(survey.replica for partition in self.partitions for survey in partition.replicas)
        files = tuple(file for replica in replicas for file in replica.files)
        root = SourceRoot(self.source, self.root, (), (self.root,))
        return Plan(Inventory((root,), replicas, files), policy or Policy(), tuple(self.partitions))

    def write(self, out: Path, policy: Policy | None = None, **options: Any) -> Receipt:
        report: Any = FakeReport()
        return write_rescue(self.plan(policy), report, out, ExportOptions(**options))


def tree(out: Path) -> dict[str, bytes]:
    """Every file below ``out`` but the one that differs from run to run."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def json_lines(data: bytes) -> list[dict[str, Any]]:
    """Objects of a JSON Lines file."""
    return [json.loads(line) for line in data.splitlines()]
