"""Judging: surveys of bytes that tests made, and what came out of them, read back by the tests' own parser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kafka_salvage.regions.context import SegmentContext, SurveyOptions
from kafka_salvage.regions.index import Index
from kafka_salvage.regions.looking import survey_source
from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.replica import EvidenceFile, SegmentFile, State, Use
from kafka_salvage.source.memory import MemorySource
from kafka_salvage.wire.filenames import FileKind, Suffix
from tests.support import oracle
from tests.support.build import BatchInfo
from tests.support.damage import Damaged


def survey_bytes(
    data: bytes,
    *,
    base: int | None = 0,
    context: SegmentContext | None = None,
    options: SurveyOptions | None = None,
    index: Sequence[tuple[int, int]] = (),
) -> SegmentSurvey:
    """Judges bytes as a segment with that base; ``index`` = (offset, position) entries."""
    name = f"{base or 0:020d}.log"
    file = EvidenceFile("test", name, Path(name), len(data), FileKind.SEGMENT, Use.READ)
    segment = SegmentFile(file, base, State.FUTURE, Suffix.NONE)
    entries = sorted((position, offset) for offset, position in index)
    columns = Index(np.array([e[0] for e in entries], np.int64), np.array([e[1] for e in entries], np.int64))
    return survey_source(
        MemorySource(data, name), segment, context or SegmentContext(), options or SurveyOptions(), index=columns
    )


@dataclass(frozen=True, slots=True)
class Emitted:
    """One batch that a salvage would write."""

    position: int
    offset: int
    data: bytes


def emitted(data: bytes, survey: SegmentSurvey) -> list[Emitted]:
    """Batches of all runs, patches laid over, split by the lengths in their own headers."""
    patched = bytearray(data)
    for patch in survey.patches:
        assert bytes(data[patch.position : patch.position + len(patch.before)]) == patch.before
        patched[patch.position : patch.position + len(patch.after)] = patch.after
    found = []
    for start, stop in zip(survey.runs.start.tolist(), survey.runs.stop.tolist(), strict=True):
        at = start
        while at < stop:
            size = 12 + int.from_bytes(patched[at + 8 : at + 12], "big")
            piece = bytes(patched[at : at + size])
            found.append(Emitted(at, int.from_bytes(piece[:8], "big"), piece))
            at += size
        assert at == stop, "a run does not end with a batch"
    return found


def invented(data: bytes, infos: Sequence[BatchInfo], damaged: bytes, survey: SegmentSurvey) -> list[Emitted]:
    """Emitted batches that are none of the originals at their own offset (a leader epoch may be its neighbour's)."""
    true = {_but_epoch(data[info.start : info.stop]) for info in infos}
    return [one for one in emitted(damaged, survey) if _but_epoch(one.data) not in true]


def _but_epoch(batch: bytes) -> bytes:
    return batch[:12] + bytes(4) + batch[16:] if batch[16] == 2 else batch


def not_recovered(damaged: Damaged, infos: Sequence[BatchInfo], survey: SegmentSurvey) -> list[oracle.Survivor]:
    """Batches that no byte of was changed, and that are neither intact nor the second copy of one that is."""
    intact = [(r.start, r.stop) for r in survey.regions if r.verdict in (Verdict.INTACT, Verdict.DUPLICATE)]
    return [
        one
        for one in oracle.survivors(damaged, infos)
        if not any(start <= one.start and one.stop <= stop for start, stop in intact)
    ]


def codes(survey: SegmentSurvey) -> set[str]:
    """Codes of all findings."""
    return {finding.code for finding in survey.findings}


def verdicts(survey: SegmentSurvey) -> list[tuple[int, int, str]]:
    """The map in short."""
    return [(r.start, r.stop, r.verdict.value) for r in survey.regions]
