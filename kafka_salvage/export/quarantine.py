"""Quarantine: the raw bytes of everything that was not believed, and the originals of what was repaired."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import chain

from kafka_salvage.errors import SourceError
from kafka_salvage.export.atomic import Stage
from kafka_salvage.export.places import encode, encode_path, shown
from kafka_salvage.export.receipt import Shortfall, WrittenFile
from kafka_salvage.export.resuming import ASIDE, Bookmark, Bookmarks
from kafka_salvage.plan.packed import segments_of
from kafka_salvage.plan.plan import Plan
from kafka_salvage.progress import Progress
from kafka_salvage.regions.map import Region
from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.regions.verdict import QUARANTINED, Verdict
from kafka_salvage.source.opening import open_source
from kafka_salvage.source.source import Source

FOLDER = "quarantine"
INDEX = f"{FOLDER}/index.jsonl"
PIECE = 1 << 20


def surveys_of(plan: Plan) -> list[SegmentSurvey]:
    """Every segment file that a plan knows, once, by source and path."""
    known: dict[tuple[str, str], SegmentSurvey] = {}
    for partition in plan.partitions:
        if not plan.policy.selection.wants(partition.topic, partition.partition):
            continue
        lines = [partition.steps, *(branch.steps for branch in partition.branches)]
        for survey in chain(
            (survey for replica in partition.replicas for survey in replica.segments), *map(segments_of, lines)
        ):
            known.setdefault((survey.segment.file.source, survey.segment.file.path), survey)
    return [known[key] for key in sorted(known)]


def kept_aside(survey: SegmentSurvey) -> Iterator[Region]:
    """Regions of a file whose bytes go to the quarantine."""
    return survey.regions.of(QUARANTINED | {Verdict.REPAIRED})


def place(survey: SegmentSurvey, region: Region) -> str:
    """Where a region's bytes go."""
    file = survey.segment.file
    source = encode(file.source)
    if f"{FOLDER}/{source}" == INDEX:
        source = source.replace(".", "%2E")
    return f"{FOLDER}/{source}/{encode_path(file.path)}/{region.start}-{region.stop}.{region.verdict}"


def write_quarantine(
    plan: Plan, stage: Stage, bookmarks: Bookmarks, progress: Progress
) -> tuple[tuple[WrittenFile, ...], tuple[Shortfall, ...]]:
    """Writes every region that is kept aside, and the index of them.

    Args:
        plan: whose segment files are looked through.
        stage: where files are made.
        bookmarks: what an interrupted run had finished.
        progress: is told bytes done and the file.

    Returns:
        The files, and what could not be read again.

    Raises:
        DestinationError: a file could not be written; it is removed.
    """
    made: list[WrittenFile] = []
    lines: list[bytes] = []
    missed: list[Shortfall] = []
    for survey in surveys_of(plan):
        file = survey.segment.file
        with ExitStack() as stack:
            source: Source | None = None
            for region in kept_aside(survey):
                known, _ = bookmarks.find(ASIDE, place(survey, region))
                if not known.files:
                    try:
                        source = source or stack.enter_context(closing(open_source(file.real, file.path)))
                    except SourceError as error:
                        missed.append(Shortfall(file.source, file.path, region.start, region.stop, error.message))
                        continue
                    known = _keep(survey, region, source, stage, bookmarks, progress)
                else:
                    progress.skip(region.size)
                made += known.files
                missed += known.shortfalls
                lines.append(_line(survey, region, known.files[0]))
    if lines:
        made.append(stage.write(INDEX, FOLDER, b"".join(lines)))
    return tuple(made), tuple(missed)


def _keep(
    survey: SegmentSurvey, region: Region, source: Source, stage: Stage, bookmarks: Bookmarks, progress: Progress
) -> Bookmark:
    """Writes one region; what became unreadable since it was checked is zeros."""
    file, name = survey.segment.file, place(survey, region)
    staged = stage.create(name, FOLDER)
    for at in range(region.start, region.stop, PIECE):
        data = source.read(at, min(at + PIECE, region.stop))
        staged.write_sparse(data)
        progress.advance(len(data), f"{file.source}:{file.path}")
    missed: tuple[Shortfall, ...] = ()
    if any(gap.start < region.stop and region.start < gap.stop for gap in source.unreadable):
        reason = "zeros stand in the quarantine for what became unreadable after it was checked"
        missed = (Shortfall(file.source, file.path, region.start, region.stop, reason),)
    elif source.size < region.stop:
        reason = "the file has become shorter after it was checked, and so is what stands in the quarantine"
        missed = (Shortfall(file.source, file.path, max(region.start, source.size), region.stop, reason),)
    kept = staged.finish(then=lambda made: bookmarks.tell(ASIDE, name, Bookmark(files=(made,), shortfalls=missed)))
    return Bookmark(files=(kept,), shortfalls=missed)


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
