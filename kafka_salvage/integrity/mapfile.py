"""Map file: a RegionMap as ddrescue writes one.

Format: GNU ddrescue manual, "Mapfile structure". Statuses: ``+`` good; ``-`` damaged; ``*`` the disk refused the bytes (so
that a ddrescue run on the map tries them again); ``/`` readable, but held back; ``?`` not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kafka_salvage.errors import DestinationError
from kafka_salvage.integrity.placing import refuse_output, write_text
from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.regions.verdict import Verdict

if TYPE_CHECKING:
    from kafka_salvage.integrity.report import IntegrityReport

STATUS = {
    Verdict.INTACT: "+",
    Verdict.REPAIRED: "+",
    Verdict.DUPLICATE: "+",
    Verdict.BLANK: "+",
    Verdict.SUSPECT: "/",
    Verdict.UNDECODABLE: "/",
    Verdict.DAMAGED: "-",
    Verdict.FOREIGN: "-",
    Verdict.UNREADABLE: "*",
    Verdict.UNREAD: "?",
}


def render(survey: SegmentSurvey) -> str:
    """The map of one segment: blocks in order, from 0 to the size, neighbours with one status joined."""
    return "".join(_lines(survey))


def _lines(survey: SegmentSurvey) -> Iterator[str]:
    yield "# Mapfile. Created by kafka-salvage\n"
    yield "# current_pos  current_status  current_pass\n"
    yield f"0x{survey.regions.size:08X}     +               1\n"
    yield "#      pos        size  status\n"
    start, before = 0, ""
    for region in survey.regions:
        status = STATUS[region.verdict]
        if before and status != before:
            yield f"0x{start:08X}  0x{region.start - start:08X}  {before}\n"
            start = region.start
        before = status
    if before:
        yield f"0x{start:08X}  0x{survey.regions.size - start:08X}  {before}\n"


def write_maps(report: IntegrityReport, directory: Path) -> list[Path]:
    """Writes ``<source>/<path of the segment>.map`` below ``directory`` for every segment.

    Raises:
        RequestError: the directory lies inside a source, or a source inside it.
        DestinationError: a file cannot be written.
    """
    inventory = report.plan.inventory
    targets = {_target(directory, survey): survey for survey in report.segments}
    for place in (directory, *sorted({path.parent for path in targets})):
        refuse_output(inventory, place)
    for path, survey in targets.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DestinationError(f"{path.parent} cannot be made: {error.strerror}", target=str(path)) from error
        write_text(path, _lines(survey))
    return list(targets)


def _target(directory: Path, survey: SegmentSurvey) -> Path:
    file = survey.segment.file
    parts = [part for part in f"{file.source}/{file.path}".split("/") if part not in ("", ".", "..")]
    return directory.joinpath(*parts[:-1], f"{parts[-1]}.map")
