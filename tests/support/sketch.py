"""Sketch: surveys drawn by hand, without files: what a judge would have said of a log that is only imagined.

A segment is a list of `B` (a believed batch) and `X` (bytes with another verdict). The desk keeps the batches, so that a
plan that must cut a run gets its edges back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafka_salvage.plan.merge import make_plan
from kafka_salvage.plan.plan import Plan
from kafka_salvage.plan.policy import Policy
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.map import Region, RegionMap
from kafka_salvage.regions.runs import (
    TXN_ABORT,
    TXN_COMMIT,
    TXN_DATA,
    Compaction,
    EndEvidence,
    ReplicaSurvey,
    RunTable,
    SegmentFacts,
    SegmentSurvey,
    TransactionTable,
)
from kafka_salvage.regions.verdict import Finding, Verdict
from kafka_salvage.scan.batches import CONTROL, TRANSACTIONAL, BatchTable
from kafka_salvage.scan.replica import EvidenceFile, Inventory, LogDir, Replica, SegmentFile, SourceRoot, State
from kafka_salvage.wire.filenames import FileKind, Suffix

SIZE = 100
"""Bytes of a batch unless told."""

SUFFIX_STATE = {
    Suffix.NONE: State.LIVE,
    Suffix.DELETED: State.DELETED_SEGMENT,
    Suffix.SWAP: State.LEFTOVER,
    Suffix.CLEANED: State.LEFTOVER,
}


@dataclass(frozen=True, slots=True)
class B:
    """A believed batch with offsets ``[first, stop)``; ``marker`` is "commit" or "abort".

    ``kept`` are the offsets that compaction left in it, ``says`` stands for what its records hold.
    """

    first: int
    stop: int
    records: int | None = None
    epoch: int = 0
    producer: int = -1
    producer_epoch: int = 0
    marker: str = ""
    repaired: bool = False
    size: int = SIZE
    crc: int = 7
    kept: tuple[int, ...] | None = None
    says: str = ""

    @property
    def count(self) -> int:
        if self.kept is not None:
            return len(self.kept)
        return self.stop - self.first if self.records is None else self.records

    @property
    def told(self) -> dict[int, object]:
        """What each record holds."""
        return dict.fromkeys(range(self.first, self.stop) if self.kept is None else self.kept, self.says)


@dataclass(frozen=True, slots=True)
class X:
    """Bytes that are no believed batch."""

    verdict: Verdict
    offsets: tuple[int, int] | None = None
    code: str = "crc-mismatch"
    open_ended: bool = False
    size: int = SIZE
    records: int = 0
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class S:
    """A segment file."""

    base: int
    items: tuple[B | X, ...] = ()
    suffix: Suffix = Suffix.NONE


def seg(base: int, *items: B | X, suffix: Suffix = Suffix.NONE) -> S:
    return S(base, items, suffix)


class Desk:
    """Draws surveys and remembers their batches."""

    def __init__(self) -> None:
        self._batches: dict[tuple[str, str], BatchTable] = {}
        self._told: dict[tuple[str, str, int], dict[int, object]] = {}
        self.read_again: list[tuple[str, int, int]] = []

    def edges(self, segment: SegmentSurvey, start: int, stop: int) -> BatchTable:
        file = segment.segment.file
        self.read_again.append((file.path, start, stop))
        table = self._batches[file.source, file.path]
        return table.take((table.position >= start) & (table.position < stop))

    def contents(self, segment: SegmentSurvey, table: BatchTable) -> dict[int, object]:
        file = segment.segment.file
        told: dict[int, object] = {}
        for position in table.position.tolist():
            told.update(self._told[file.source, file.path, position])
        return told

    def plan(self, *surveys: ReplicaSurvey, policy: Policy | None = None) -> Plan:
        return make_plan(inventory(*surveys), surveys, policy or Policy(), edges=self.edges, contents=self.contents)

    def copy(
        self,
        *segments: S,
        topic: str = "t",
        partition: int = 0,
        source: str = "b1",
        state: State = State.LIVE,
        directory: str | None = None,
        topic_id: str | None = None,
        cluster: str | None = None,
        compacted: bool = False,
        log_start: int | None = None,
        epochs: tuple[tuple[int, int], ...] | None = None,
        ends: dict[str, int] | None = None,
        findings: tuple[Finding, ...] = (),
        log_dir: str | None = None,
    ) -> ReplicaSurvey:
        """One copy of a partition; ``ends`` are witnesses by kind."""
        names = {State.LIVE: "", State.STRAY: "-stray", State.DELETED_TOPIC: "-delete", State.FUTURE: "-future"}
        tail = names[state]
        name = directory or f"{topic}-{partition}" + (f".{'0' * 32}{tail}" if tail else "")
        drawn = tuple(self._segment(each, source, name, state) for each in segments)
        place = LogDir(log_dir or source, source, ".", cluster, None, None, False, {})
        replica = Replica(
            source=source,
            log_dir=place,
            path=name,
            topic=topic,
            partition=partition,
            topic_id=topic_id,
            state=state,
            unique_id="",
            segments=tuple(each.segment for each in drawn),
            snapshots=(),
            epochs=epochs,
            high_watermark=(ends or {}).get("high watermark"),
            recovery_point=None,
            log_start=log_start,
            cleaner_offset=None,
            files=tuple(each.segment.file for each in drawn),
        )
        witnesses = tuple(EndEvidence(offset, kind, "checkpoint") for kind, offset in (ends or {}).items())
        because = Compaction(compacted, "cluster metadata says so" if compacted else "")
        return ReplicaSurvey(replica, drawn, findings, because, witnesses, log_start)

    def _segment(self, drawn: S, source: str, directory: str, home: State) -> SegmentSurvey:
        path = f"{directory}/{drawn.base:020d}.log{drawn.suffix}"
        state = home if drawn.suffix is Suffix.NONE else SUFFIX_STATE[drawn.suffix]
        size = sum(item.size for item in drawn.items)
        file = EvidenceFile(source, path, Path("/nowhere") / source / path, size, FileKind.SEGMENT)
        at, regions, runs, txns, rows = 0, [], [], [], []
        for item in drawn.items:
            if isinstance(item, X):
                where = OffsetRange(*item.offsets) if item.offsets else None
                finding = Finding(item.code, source, path, at, at + item.size, where, item.code, item.detail)
                regions.append(
                    Region(at, at + item.size, item.verdict, 0, item.records, where, item.open_ended, (finding,))
                )
            else:
                regions.append(self._region(item, at, source, path))
                runs.append(_run(item, at))
                rows.append(_row(item, at))
                self._told[source, path, at] = item.told
                if item.producer >= 0:
                    txns.append(_txn(item, at))
            at += item.size
        self._batches[source, path] = BatchTable.from_rows(rows)
        findings = tuple(f for region in regions for f in region.findings)
        last = max((item.stop - 1 for item in drawn.items if isinstance(item, B)), default=-1)
        return SegmentSurvey(
            segment=SegmentFile(file, drawn.base, state, drawn.suffix),
            regions=RegionMap(size, regions),
            runs=RunTable.from_rows(_joined(runs)),
            transactions=TransactionTable.from_rows(txns),
            patches=(),
            findings=findings,
            facts=SegmentFacts(size, "end", False, 0, False, 4, None, last),
        )

    def _region(self, item: B, at: int, source: str, path: str) -> Region:
        where = OffsetRange(item.first, item.stop)
        if not item.repaired:
            return Region(at, at + item.size, Verdict.INTACT, 1, item.count, where)
        finding = Finding("length-past-end", source, path, at, at + item.size, where, "mended")
        return Region(at, at + item.size, Verdict.REPAIRED, 1, item.count, where, False, (finding,))


def inventory(*surveys: ReplicaSurvey) -> Inventory:
    replicas = tuple(sorted((s.replica for s in surveys), key=lambda r: (r.topic, r.partition, r.source, r.path)))
    log_dirs = {r.log_dir.id: r.log_dir for r in replicas if r.log_dir}
    sources = tuple(
        SourceRoot(name, Path("/nowhere") / name, tuple(d for d in log_dirs.values() if d.source == name))
        for name in sorted({r.source for r in replicas})
    )
    files = tuple(sorted((f for r in replicas for f in r.files), key=lambda f: (f.source, f.path)))
    return Inventory(sources, replicas, files)


def _run(item: B, at: int) -> dict[str, int]:
    return {
        "start": at,
        "stop": at + item.size,
        "first_offset": item.first,
        "next_offset": item.stop,
        "batches": 1,
        "records": item.count,
        "control": item.count if item.marker else 0,
        "absent": item.stop - item.first - item.count,
        "leader_epoch": item.epoch,
        "max_timestamp": item.stop - 1,
        "min_timestamp": item.first,
        "repaired": int(item.repaired),
    }


def _joined(runs: list[dict[str, int]]) -> list[dict[str, int]]:
    out: list[dict[str, int]] = []
    for run in runs:
        last = out[-1] if out else None
        if last is not None and (last["stop"], last["next_offset"], last["leader_epoch"], last["repaired"]) == (
            run["start"],
            run["first_offset"],
            run["leader_epoch"],
            run["repaired"],
        ):
            last.update(stop=run["stop"], next_offset=run["next_offset"], max_timestamp=run["max_timestamp"])
            for name in ("batches", "records", "control", "absent"):
                last[name] += run[name]
        else:
            out.append(dict(run))
    return out


def _row(item: B, at: int) -> dict[str, int]:
    attributes = (TRANSACTIONAL if item.producer >= 0 else 0) | (CONTROL if item.marker else 0)
    return {
        "position": at,
        "size": item.size,
        "offset": item.first,
        "base_offset": item.first,
        "last_offset": item.stop - 1,
        "leader_epoch": item.epoch,
        "magic": 2,
        "attributes": attributes,
        "crc": item.crc,
        "base_timestamp": item.first,
        "max_timestamp": item.stop - 1,
        "producer_id": item.producer,
        "producer_epoch": item.producer_epoch,
        "base_sequence": 0,
        "record_count": item.count,
    }


def _txn(item: B, at: int) -> dict[str, int]:
    kind = {"": TXN_DATA, "commit": TXN_COMMIT, "abort": TXN_ABORT}[item.marker]
    return {
        "kind": kind,
        "producer_id": item.producer,
        "producer_epoch": item.producer_epoch,
        "first_offset": item.first,
        "last_offset": item.stop - 1,
        "position": at,
        "records": 0 if item.marker else item.count,
    }
