"""IntegrityReport: the account of every byte and every offset of a plan, as a value and as a document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from kafka_salvage.integrity.accounts import Counts, Window, count_line, steps_in, window_of
from kafka_salvage.integrity.broker import broker_would
from kafka_salvage.integrity.clusters import absence_hints, clusters_section, topics_section
from kafka_salvage.integrity.conditions import OUTCOME, conditions_of, exit_code, selected_spans
from kafka_salvage.integrity.document import SCHEMA, entries, whole
from kafka_salvage.integrity.numbering import Numbering, fact_findings, text
from kafka_salvage.integrity.sections import (
    above_high_watermark,
    available_of,
    files_section,
    hints_of,
    segment_entry,
    sources_section,
    span_entry,
)
from kafka_salvage.integrity.sharing import Standing, election_hint, standings
from kafka_salvage.integrity.undecided import transaction_hints, undecided_transactions
from kafka_salvage.plan.edges import Edges, read_edges
from kafka_salvage.plan.plan import OffsetSpan, PartitionPlan, Plan, Status, Step, Transaction
from kafka_salvage.plan.policy import Include
from kafka_salvage.regions.compact import Compact
from kafka_salvage.regions.runs import ReplicaSurvey, SegmentSurvey
from kafka_salvage.regions.shapes import pointed
from kafka_salvage.regions.verdict import Finding, Verdict

Depth = Literal["shallow", "deep"]

_GIVEN = (Status.RECOVERED, Status.REPAIRED)


@dataclass(frozen=True)
class IntegrityReport:
    """What `check` says, and what `salvage` writes beside its output.

    Attributes:
        plan: what a salvage would do.
        depth: ``shallow``: headers and CRC; ``deep``: every record too.
        conditions: exit codes that hold, sorted.
    """

    plan: Plan
    depth: Depth
    conditions: tuple[int, ...]
    _edges: Edges = field(default=read_edges, repr=False)

    @property
    def exit_code(self) -> int:
        """The exit code of the run."""
        return exit_code(self.conditions)

    @property
    def outcome(self) -> str:
        """``intact``, ``covered``, ``loss``, ``ambiguous`` or ``failed``."""
        return OUTCOME[self.exit_code]

    @cached_property
    def replicas(self) -> tuple[ReplicaSurvey, ...]:
        """Every copy, sorted by source and path."""
        unique = {(s.replica.source, s.replica.path): s for p in self.plan.partitions for s in p.replicas}
        return tuple(unique[key] for key in sorted(unique))

    @property
    def segments(self) -> tuple[SegmentSurvey, ...]:
        """Every segment, sorted by source and path."""
        found = [segment for survey in self.replicas for segment in survey.segments]
        return tuple(sorted(found, key=lambda s: (s.segment.file.source, s.segment.file.path)))

    @cached_property
    def numbering(self) -> Numbering:
        """Findings with their ids."""
        directories = ((s.replica.source, s.replica.path) for s in self.replicas)
        return Numbering(self._findings(), directories)

    @property
    def findings_overflow(self) -> Iterator[dict[str, Any]]:
        """Findings beyond 10,000 of a partition, as they go to `findings.jsonl`, in order of their ids."""
        return self.numbering.beyond()

    @cached_property
    def hints(self) -> tuple[str, ...]:
        """What is not in the output although it is intact or should be somewhere; one sentence each."""
        stand = [(p, self._standings[id(p)]) for p in self.plan.partitions]
        return (
            *election_hint(stand),
            *transaction_hints(self.plan),
            *hints_of(self.plan),
            *absence_hints(self.plan, self.replicas),
        )

    @cached_property
    def _standings(self) -> dict[int, list[Standing]]:
        return {id(p): standings(p, self._window(p), self._edges) for p in self.plan.partitions}

    def to_dict(self) -> dict[str, Any]:
        """The document of section 5 of the contract, as plain values; of very many damages it is large."""
        made: dict[str, Any] = whole(self.document)
        return made

    @cached_property
    def document(self) -> dict[str, Any]:
        """The same, in which long lists make their entries while they are looked at."""
        counts = {id(p): self._counts(p) for p in self.plan.partitions}
        return {
            "schema": SCHEMA,
            "depth": self.depth,
            "summary": self._summary(counts, self.numbering.omitted),
            "sources": sources_section(self.plan.inventory),
            "clusters": clusters_section(self.plan),
            "topics": topics_section(self.plan, self.replicas),
            "segments": [segment_entry(segment, self.numbering, self._home(segment)) for segment in self.segments],
            "partitions": [self._partition(p, counts[id(p)]) for p in self.plan.partitions],
            "findings": list(self.numbering.held()),
            "files": files_section(self.plan.inventory),
            "hints": list(self.hints),
        }

    @cached_property
    def _homes(self) -> dict[int, ReplicaSurvey]:
        return {id(segment): survey for survey in self.replicas for segment in survey.segments}

    def _home(self, segment: SegmentSurvey) -> ReplicaSurvey:
        return self._homes[id(segment)]

    def _findings(self) -> Iterator[Sequence[Finding]]:
        yield fact_findings(self.plan.inventory)
        for survey in self.replicas:
            yield survey.findings
            for segment in survey.segments:
                yield segment.findings
                yield from pointed(segment.regions.regions)
        for partition in self.plan.partitions:
            yield partition.findings
            yield from pointed(partition.ledger)

    def _window(self, partition: PartitionPlan) -> Window:
        """What counts of a line; what lies below the log start only when it was asked for."""
        keep = Include.TRIMMED in self.plan.policy.include
        return window_of(self.plan.policy.selection, None if keep else partition.log_start)

    def _counts(self, partition: PartitionPlan) -> Counts:
        return count_line(partition.line, partition.labels, self._window(partition), self._edges)

    def _summary(self, counts: dict[int, Counts], omitted: int) -> dict[str, Any]:
        selected = [p for p in self.plan.partitions if p.selected]
        segments = self._selected_segments(selected)
        size = dict.fromkeys(Verdict, 0)
        for segment in segments:
            for verdict, count in segment.regions.totals().items():
                size[verdict] += count
        batches = {
            v: sum(counts[id(p)].batches.get(v, 0) for p in selected) for v in (Verdict.INTACT, Verdict.REPAIRED)
        }
        records = {
            v: sum(counts[id(p)].records.get(v, 0) for p in selected) for v in (Verdict.INTACT, Verdict.REPAIRED)
        }
        return {
            "exit_code": self.exit_code,
            "conditions": list(self.conditions),
            "outcome": self.outcome,
            "files": len(self.plan.inventory.files),
            "segments": len(segments),
            "bytes": {"total": sum(size.values()), **{str(verdict): count for verdict, count in size.items()}},
            "batches": {str(verdict): count for verdict, count in batches.items()},
            "records": {str(verdict): count for verdict, count in records.items()},
            "offsets": self._offsets(selected),
            "findings_total": len(self.numbering),
            "findings_omitted": omitted,
        }

    def _selected_segments(self, selected: Iterable[PartitionPlan]) -> list[SegmentSurvey]:
        unique = {
            (segment.segment.file.source, segment.segment.file.path): segment
            for partition in selected
            for survey in partition.replicas
            for segment in survey.segments
        }
        return [unique[key] for key in sorted(unique)]

    def _offsets(self, selected: Sequence[PartitionPlan]) -> dict[str, Any]:
        sums = dict.fromkeys(Status, 0)
        at_least = False
        for partition in selected:
            window = self._window(partition)
            selection, ledger = self.plan.policy.selection, partition.ledger
            if (
                isinstance(ledger, Compact)
                and not window.timed
                and selection.from_offset is selection.to_offset is None
            ):
                for shape, _, (start, stop, gone, *_) in ledger.tables():
                    absent = int(gone.sum())
                    sums[shape[0]] += int((stop - start).sum()) - absent
                    sums[Status.ABSENT] += absent
                    at_least = at_least or (shape[0] is Status.LOST and shape[2])
                continue
            for span in selected_spans(partition, selection):
                size, absent = self._span_size(partition, span, window)
                sums[span.status] += size - absent
                sums[Status.ABSENT] += absent
                at_least = at_least or (span.status is Status.LOST and span.open_ended)
        return {**{str(status): count for status, count in sums.items()}, "lost_at_least": at_least}

    def _span_size(self, partition: PartitionPlan, span: OffsetSpan, window: Window) -> tuple[int, int]:
        """(offsets of the span inside the selection, how many of them hold no record)."""
        selection = self.plan.policy.selection
        low = max(span.offsets.start, selection.from_offset or span.offsets.start)
        high = span.offsets.stop if selection.to_offset is None else min(span.offsets.stop, selection.to_offset)
        size = max(high - low, 0)
        cut = size != span.offsets.size or window.timed
        if span.status not in _GIVEN or not cut or (not span.absent and not window.timed):
            return size, span.absent
        part = window.clip(low, high)
        counts = count_line(partition.line, None, part, self._edges)
        present = sum(counts.records.values())
        return (present, 0) if window.timed else (size, size - present)

    def _partition(self, partition: PartitionPlan, counts: Counts) -> dict[str, Any]:
        return {
            "cluster_id": partition.cluster_id,
            "topic_id": partition.topic_id,
            "state": str(partition.state),
            "topic": text(partition.topic),
            "partition": partition.partition,
            "offsets": entries(partition.ledger, lambda span: span_entry(span, self.numbering)),
            "records": {
                "data": counts.data,
                "control": counts.control,
                **{str(label): counts.labels[label] for label in Transaction},
            },
            "replicas": [self._replica(partition, survey) for survey in partition.replicas],
            "compaction": {"compacted": partition.compaction.compacted, "because": text(partition.compaction.reason)},
            "log_start_offset": partition.log_start,
            "high_watermark": partition.high_watermark,
            "above_high_watermark": above_high_watermark(partition),
            **undecided_transactions(partition, self.plan.policy),
            "selected": partition.selected,
            "findings": self.numbering.ids(partition.findings),
            "available": available_of(partition),
        }

    def _replica(self, partition: PartitionPlan, survey: ReplicaSurvey) -> dict[str, Any]:
        replica = survey.replica
        own = {id(segment) for segment in survey.segments}
        given = steps_in(partition.line, own)
        live = [segment for segment in survey.segments if segment.segment.state is replica.state]
        kept = (int((segment.runs.records - segment.runs.control).clip(0).sum()) for segment in live)
        return {
            "source": text(replica.source),
            "log_dir": text(replica.log_dir.id) if replica.log_dir else None,
            "path": text(replica.path),
            "state": str(replica.state),
            "log_start_offset": survey.log_start,
            "high_watermark": replica.high_watermark,
            "size": sum(segment.regions.size for segment in survey.segments),
            "offsets": _reach(live),
            "intact_records": sum(kept),
            **self._standing(partition, survey, given),
            "broker_would": broker_would(survey),
        }

    def _standing(self, partition: PartitionPlan, survey: ReplicaSurvey, given: Sequence[Step]) -> dict[str, Any]:
        """Records of one copy beside the others; one that is alone gives all that comes from it."""
        replica = survey.replica
        for one in self._standings[id(partition)]:
            if (one.source, one.path) == (replica.source, replica.path):
                return {"only_here": one.only_here, "lost_if_elected": one.lost_if_elected}
        return {
            "only_here": count_line(given, None, self._window(partition), self._edges).data,
            "lost_if_elected": None,
        }


def _reach(segments: Sequence[SegmentSurvey]) -> list[int] | None:
    """First offset of the believed batches, and the one behind the last."""
    tables = [segment.runs for segment in segments if len(segment.runs)]
    if not tables:
        return None
    return [min(int(t.first_offset.min()) for t in tables), max(int(t.next_offset.max()) for t in tables)]


def make_report(plan: Plan, depth: Depth, *, edges: Edges = read_edges) -> IntegrityReport:
    """Accounts for a plan.

    Args:
        plan: what a salvage would do.
        depth: how deep the surveys looked.
        edges: reads batches again where a run must be cut.
    """
    return IntegrityReport(plan, depth, tuple(conditions_of(plan)), edges)
