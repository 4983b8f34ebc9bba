"""The writer of a rescue: carries out a plan, and gives the Receipt.

1. The destination is looked at; nothing is written when it is refused.
2. The bytes needed are compared with the free space.
3. Every line is read once and handed to its writers; lines are independent and may be written side by side.
4. The quarantine, the documents and the sums follow; everything is staged.
5. The stage is committed: outputs first, `manifest.json` and `SHA256SUMS` last.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kafka_salvage import engine
from kafka_salvage.errors import DestinationError
from kafka_salvage.export import manifest
from kafka_salvage.export.atomic import Stage, StagedFile
from kafka_salvage.export.destination import (
    MANIFEST,
    REPORT,
    RUN,
    SUMS,
    refuse_destination,
    refuse_policy,
    stale_files,
)
from kafka_salvage.export.estimate import DOCUMENTS, free_bytes, needs, refuse_small_disk
from kafka_salvage.export.line_writing import write_lines
from kafka_salvage.export.lines import lines_of
from kafka_salvage.export.options import ExportOptions
from kafka_salvage.export.quarantine import kept_aside, surveys_of, write_quarantine
from kafka_salvage.export.receipt import Receipt, Shortfall, WrittenFile
from kafka_salvage.export.refusals import is_full
from kafka_salvage.export.resuming import Bookmarks, fingerprint
from kafka_salvage.export.sink import Setting
from kafka_salvage.plan.plan import Plan
from kafka_salvage.progress import Progress
from kafka_salvage.regions import packing

if TYPE_CHECKING:
    from kafka_salvage.integrity.report import IntegrityReport

__all__ = ["refuse_destination", "write_rescue"]

_MUCH = 64 << 20
"""Bytes of evidence whose check may leave memory behind that writing needs."""


def write_rescue(
    plan: Plan,
    report: IntegrityReport,
    out: Path,
    options: ExportOptions,
    progress: Progress | None = None,
    stage: Stage | None = None,
) -> Receipt:
    """Writes what a plan says.

    Args:
        plan: made with deep surveys.
        report: the account of the same plan; becomes `report.json`.
        out: directory to write.
        options: how to write.
        progress: is told bytes of evidence done.
        stage: of that directory, which was looked at before it was made; it is committed. Without, one is made.

    Returns:
        What was written; its ``shortfalls`` name what could not be read again.

    Raises:
        RequestError: the destination or a choice is refused; nothing was written.
        DestinationError: the output could not be written; nothing that looks finished is left.
    """
    refuse_policy(plan.policy)
    if stage is not None:
        return _Rescue(plan, report, options, stage, progress or Progress()).write(out)
    refuse_destination(plan.inventory, out, options)
    refuse_small_disk(out, needs(plan, lines_of(plan), options), force=options.force or options.resume)
    with Stage(out, resume=options.resume, jobs=options.jobs) as own:
        return _Rescue(plan, report, options, own, progress or Progress()).write(out)


class _Rescue:
    """One rescue under way."""

    def __init__(
        self, plan: Plan, report: IntegrityReport, options: ExportOptions, stage: Stage, progress: Progress
    ) -> None:
        self._plan = plan
        self._report = report
        self._options = options
        self._stage = stage
        self._progress = progress
        self._lines = lines_of(plan)
        self._needed = needs(plan, self._lines, options)
        choices = {
            **manifest.settings(plan, options),
            "limits": str(options.limits),
            "segment_limit": options.segment_limit,
            "show_secrets": plan.policy.show_secrets,
        }
        self._bookmarks = Bookmarks(stage, fingerprint(plan, manifest.pieces(report.document), choices))

    def write(self, out: Path) -> Receipt:
        """Writes and commits.

        Raises:
            DestinationError: what is finished stays staged; on a full disk the message tells how much is missing.
        """
        self._bookmarks.review(self._progress, self._options.jobs)
        refuse_small_disk(out, self._needed, force=self._options.force, staged=self._stage.staged_bytes())
        try:
            receipt = self._write()
            self._stage.write(RUN, "document", self._run_block(out))
            _clear(self._stage.out, {file.path for file in receipt.files})
            self._stage.commit(last=(RUN, REPORT, MANIFEST, SUMS))
        except BaseException as error:
            self._stage.abandon()
            self._bookmarks.sweep()
            if isinstance(error, DestinationError) and is_full(error):
                raise self._missing(error) from error
            raise
        return receipt

    def _write(self) -> Receipt:
        plan, stage, progress = self._plan, self._stage, self._progress
        packing.forget()
        if (
            sum(line.bytes for line in self._lines) >= _MUCH
        ):  # what little evidence leaves in memory is not worth the search
            engine.release()
        aside = sum(region.size for survey in surveys_of(plan) for region in kept_aside(survey))
        passes = 2 if self._options.latest_per_key else 1
        progress.stage("write", passes * sum(line.bytes for line in self._lines) + aside)
        results = write_lines(self._lines, Setting(stage, plan.policy, self._options), self._bookmarks, progress)
        kept, missed = write_quarantine(plan, stage, self._bookmarks, progress)
        files = [file for result in results for file in result.files] + list(kept)
        files += self._write_report()
        shortfalls = [shortfall for result in results for shortfall in result.shortfalls] + list(missed)
        receipt = Receipt(
            out=stage.out,
            report=self._report,
            files=tuple(sorted(files, key=lambda file: file.path)),
            partitions=tuple(result.entry for result in results),
            sources=manifest.sources(plan),
            settings=manifest.settings(plan, self._options),
            shortfalls=tuple(_once(shortfalls)),
        )
        listed = stage.write(MANIFEST, "document", manifest.dump(receipt.to_dict()))
        stage.write(SUMS, "document", manifest.sums([*receipt.files, listed]))
        return receipt

    def _write_report(self) -> list[WrittenFile]:
        document = self._stage.create(REPORT, "document")
        for piece in manifest.pieces(self._report.document):
            document.write(piece)
        made = [document.finish()]
        overflow: StagedFile | None = None
        for finding in self._report.findings_overflow:
            overflow = overflow or self._stage.create("findings.jsonl", "document")
            overflow.write(manifest.dump_line(finding))
        return made if overflow is None else [*made, overflow.finish()]

    def _run_block(self, out: Path) -> bytes:
        return manifest.dump(manifest.run_block(self._plan.inventory, self._options, str(out)))

    def _missing(self, error: DestinationError) -> DestinationError:
        """The same, with how much room is missing now that torn files are gone."""
        free = free_bytes(self._stage.out)
        missing = max(sum(self._needed.values()) - self._stage.staged_bytes() - free, DOCUMENTS)
        return DestinationError(
            f"{error.message}; about {missing:,} more bytes are needed",
            target=error.target,
            causes=error.causes,
            advice=error.advice,
        )


def _once(shortfalls: Sequence[Shortfall]) -> list[Shortfall]:
    """Each shortfall once, sorted."""
    return sorted(set(shortfalls), key=lambda s: (s.source, s.path, s.start, s.stop, s.reason))


def _clear(out: Path, wanted: set[str]) -> None:
    """Removes what an earlier rescue left in the output directory and this one does not replace; its sums first."""
    stale = [path for path in stale_files(out) if path not in wanted]
    for path in (SUMS, *stale, MANIFEST):  # the manifest tells what is stale: it goes last
        with suppress(OSError):
            (out / path).unlink()
    for path in stale:
        with suppress(OSError):
            for parent in (out / path).relative_to(out).parents:
                (out / parent).rmdir()
