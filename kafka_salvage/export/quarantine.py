"""Quarantine: the raw bytes of everything that was not believed, and the originals of what was repaired."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing

from kafka_salvage.errors import SourceError
from kafka_salvage.export.atomic import Stage
from kafka_salvage.export.places import encode, encode_path, shown
from kafka_salvage.export.receipt import Shortfall, WrittenFile
from kafka_salvage.plan.plan import Plan
from kafka_salvage.regions.map import Region
from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.regions.verdict import QUARANTINED, Verdict
from kafka_salvage.source.opening import open_source

FOLDER = "quarantine"
INDEX = f"{FOLDER}/index.jsonl"
PIECE = 1 << 20


def surveys_of(plan: Plan) -> list[SegmentSurvey]:
    """Every segment file that a plan knows, once, by source and path."""
    known: dict[tuple[str, str], SegmentSurvey] = {}
    for partition in plan.partitions:
        if not plan.policy.selection.wants(partition.topic, partition.partition):
            continue
        steps = [*partition.steps, *(step for branch in partition.branches for step in branch.steps)]
        for survey in [
            *(survey for replica in partition.replicas for survey in replica.segments),
            *(step.survey for step in steps),
        ]:
            known.setdefault((survey.segment.file.source, survey.segment.file.path), survey)
    return [known[key] for key in sorted(known)]


def kept_aside(survey: SegmentSurvey) -> Iterator[Region]:
    """Regions of a file whose bytes go to the quarantine."""
    return (region for region in survey.regions if region.verdict in QUARANTINED or region.verdict is Verdict.REPAIRED)


def place(survey: SegmentSurvey, region: Region) -> str:
    """Where a region's bytes go."""
    file = survey.segment.file
    source = encode(file.source)
    if f"{FOLDER}/{source}" == INDEX:
        source = source.replace(".", "%2E")
    return f"{FOLDER}/{source}/{encode_path(file.path)}/{region.start}-{region.stop}.{region.verdict}"


def write_quarantine(
    plan: Plan, stage: Stage, advance: Callable[[int, str], None]
) -> tuple[tuple[WrittenFile, ...], tuple[Shortfall, ...]]:
    """Writes every region that is kept aside, and the index of them.

    Args:
        plan: whose segment files are looked through.
        stage: where files are made.
        advance: is told bytes done and the file.

    Returns:
        The files, and what could not be read again.

    Raises:
        DestinationError: a file could not be written; it is removed.
    """
    made: list[WrittenFile] = []
    lines: list[bytes] = []
    missed: list[Shortfall] = []
    for survey in surveys_of(plan):
        regions = list(kept_aside(survey))
        if not regions:
            continue
        file = survey.segment.file
        try:
            source = open_source(file.real, file.path)
        except SourceError as error:
            missed += [Shortfall(file.source, file.path, r.start, r.stop, error.message) for r in regions]
            continue
        with closing(source):
            for region in regions:
                staged = stage.create(place(survey, region), FOLDER)
                for at in range(region.start, region.stop, PIECE):
                    data = source.read(at, min(at + PIECE, region.stop))
                    staged.write_sparse(data)
                    advance(len(data), file.path)
                kept = staged.finish()
                made.append(kept)
                lines.append(_line(survey, region, kept))
                if any(gap.start < region.stop and region.start < gap.stop for gap in source.unreadable):
                    reason = "zeros stand in the quarantine for what became unreadable after it was checked"
                    missed.append(Shortfall(file.source, file.path, region.start, region.stop, reason))
    if lines:
        made.append(stage.write(INDEX, FOLDER, b"".join(lines)))
    return tuple(made), tuple(missed)


def _line(survey: SegmentSurvey, region: Region, kept: WrittenFile) -> bytes:
    file, offsets = survey.segment.file, region.offsets
    entry = {
        "source": shown(file.source),
        "path": shown(file.path),
        "start": region.start,
        "stop": region.stop,
        "verdict": str(region.verdict),
        "in_account": region.verdict is not Verdict.REPAIRED,
        "offsets": None if offsets is None else [offsets.start, offsets.stop],
        "findings": [finding.code for finding in region.findings],
        "file": kept.path,
        "sha256": kept.sha256,
    }
    return json.dumps(entry, ensure_ascii=False).encode() + b"\n"
