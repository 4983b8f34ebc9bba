"""The writer of a rescue: carries out a plan, and gives the Receipt.

1. The destination is looked at; nothing is written when it is refused.
2. The bytes needed are compared with the free space.
3. Every line is read once and handed to its writers; lines are independent and may be written side by side.
4. The quarantine, the documents and the sums follow; everything is staged.
5. The stage is committed: outputs first, `manifest.json` and `SHA256SUMS` last.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol

from kafka_salvage.export import manifest, registry
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
from kafka_salvage.export.estimate import needs, refuse_small_disk
from kafka_salvage.export.lines import Line, lines_of
from kafka_salvage.export.options import ExportOptions
from kafka_salvage.export.quarantine import kept_aside, surveys_of, write_quarantine
from kafka_salvage.export.receipt import Receipt, Shortfall, WrittenFile
from kafka_salvage.export.rows import chunk_records, line_batches
from kafka_salvage.export.selecting import EdgeFilter, RecordFilter
from kafka_salvage.export.sink import BatchChunk, BatchWriter, RecordWriter, Setting
from kafka_salvage.plan.plan import Plan

if TYPE_CHECKING:
    from kafka_salvage.integrity.report import IntegrityReport

__all__ = ["Progress", "refuse_destination", "write_rescue"]

Advance = Callable[[int, str], None]


class Progress(Protocol):
    """Where progress goes. Called from several threads."""

    def stage(self, name: str, total: int) -> None:
        """A new stage of ``total`` bytes begins."""

    def advance(self, count: int, where: str = "") -> None:
        """``count`` more bytes are done."""


@dataclass(frozen=True, slots=True)
class _LineResult:
    """What came of one line."""

    entry: dict[str, Any]
    files: tuple[WrittenFile, ...]
    shortfalls: tuple[Shortfall, ...]


def write_rescue(
    plan: Plan, report: IntegrityReport, out: Path, options: ExportOptions, progress: Progress | None = None
) -> Receipt:
    """Writes what a plan says.

    Args:
        plan: made with deep surveys.
        report: the account of the same plan; becomes `report.json`.
        out: directory to write.
        options: how to write.
        progress: is told bytes of evidence done.

    Returns:
        What was written; its ``shortfalls`` name what could not be read again.

    Raises:
        RequestError: the destination or a choice is refused; nothing was written.
        DestinationError: the output could not be written; nothing that looks finished is left.
    """
    begun = dt.datetime.now(dt.UTC)
    refuse_destination(plan.inventory, out, options)
    refuse_policy(plan.policy)
    lines = lines_of(plan)
    refuse_small_disk(out, needs(plan, lines, options), force=options.force)
    advance: Advance = progress.advance if progress else _nowhere
    if progress:
        aside = sum(region.size for survey in surveys_of(plan) for region in kept_aside(survey))
        progress.stage("write", sum(line.bytes for line in lines) + aside)
    with Stage(out) as stage:
        setting = Setting(stage, plan.policy, options)
        results = _write_lines(lines, setting, advance)
        kept, missed = write_quarantine(plan, stage, advance)
        files = [file for result in results for file in result.files] + list(kept)
        files += _write_report(report, stage)
        shortfalls = [shortfall for result in results for shortfall in result.shortfalls] + list(missed)
        receipt = Receipt(
            out=stage.out,
            report=report,
            files=tuple(sorted(files, key=lambda file: file.path)),
            partitions=tuple(result.entry for result in results),
            sources=manifest.sources(plan),
            settings=manifest.settings(plan, options),
            shortfalls=tuple(_once(shortfalls)),
        )
        listed = stage.write(MANIFEST, "document", manifest.dump(receipt.to_dict()))
        stage.write(SUMS, "document", manifest.sums([*receipt.files, listed]))
        stage.write(RUN, "document", manifest.dump(manifest.run_block(plan.inventory, options, str(out), begun)))
        _clear(stage.out, {file.path for file in receipt.files})
        stage.commit(last=(RUN, REPORT, MANIFEST, SUMS))
    return receipt


def _nowhere(count: int, where: str) -> None:
    """Progress that nobody watches."""


def _once(shortfalls: Sequence[Shortfall]) -> list[Shortfall]:
    """Each shortfall once, sorted."""
    return sorted(set(shortfalls), key=lambda s: (s.source, s.path, s.start, s.stop, s.reason))


def _write_report(report: IntegrityReport, stage: Stage) -> list[WrittenFile]:
    made = [stage.write(REPORT, "document", manifest.dump(report.to_dict()))]
    overflow: StagedFile | None = None
    for finding in report.findings_overflow:
        overflow = overflow or stage.create("findings.jsonl", "document")
        overflow.write(manifest.dump_line(finding))
    return made if overflow is None else [*made, overflow.finish()]


def _clear(out: Path, wanted: set[str]) -> None:
    """Removes what an earlier rescue left in the output directory and this one does not replace; its sums first."""
    stale = [path for path in stale_files(out) if path not in wanted]
    for path in (SUMS, MANIFEST, *stale):
        with suppress(OSError):
            (out / path).unlink()
    for path in stale:
        with suppress(OSError):
            for parent in (out / path).relative_to(out).parents:
                (out / parent).rmdir()


class _Abandoned(Exception):  # noqa: N818 - it never leaves this module
    """Another line has failed: this one need not be finished."""


def _write_lines(lines: Sequence[Line], setting: Setting, advance: Advance) -> list[_LineResult]:
    """Writes lines, some side by side. The first failure, or Ctrl-C, stops the others at their next chunk."""
    stop = Event()

    def watched(count: int, where: str) -> None:
        if stop.is_set():
            raise _Abandoned
        advance(count, where)

    if setting.options.jobs <= 1:
        return [_write_line(line, setting, advance) for line in lines]
    with ThreadPoolExecutor(setting.options.jobs, thread_name_prefix="write") as pool:
        waiting = [pool.submit(_write_line, line, setting, watched) for line in lines]
        try:
            wait(waiting, return_when=FIRST_EXCEPTION)
            failed = [error for f in waiting if f.done() and (error := f.exception()) is not None]
            if failed:
                raise failed[0]
            return [each.result() for each in waiting]
        except BaseException:
            stop.set()
            for each in waiting:
                each.cancel()
            raise


def _write_line(line: Line, setting: Setting, advance: Advance) -> _LineResult:
    """Reads one line once and hands it to every writer."""
    sinks = [(name, registry.load(name)) for name in sorted(setting.options.formats)]
    batch_writers: list[tuple[str, BatchWriter]] = []
    record_writers: list[tuple[str, RecordWriter]] = []
    for name, sink in sinks:
        if hasattr(sink, "batch_writer"):
            batches = sink.batch_writer(line, setting)
            batch_writers += [(name, batches)] if batches is not None else []
        else:
            records = sink.record_writer(line, setting)
            record_writers += [(name, records)] if records is not None else []
    shortfalls = _feed(line, setting, [w for _, w in batch_writers], [w for _, w in record_writers], advance)
    notes: dict[str, Any] = {}
    files: list[WrittenFile] = []
    for written in [writer.finish() for _, writer in batch_writers] + [writer.finish() for _, writer in record_writers]:
        files += written.files
        notes.update(written.notes)
    return _LineResult(manifest.partition_entry(line, notes), tuple(files), tuple(shortfalls))


def _feed(
    line: Line,
    setting: Setting,
    batch_writers: Sequence[BatchWriter],
    record_writers: Sequence[RecordWriter],
    advance: Advance,
) -> list[Shortfall]:
    limits = setting.options.limits
    edges = EdgeFilter(line, setting.policy, limits)
    rows = RecordFilter(line, setting.policy)
    shortfalls: list[Shortfall] = []
    for chunk in line_batches(line, limits, shortfalls, edges):
        if batch_writers:
            _feed_batches(chunk, edges, batch_writers, shortfalls)
        if record_writers:
            for records in chunk_records(chunk, line.labels, rows, limits, shortfalls):
                for record_writer in record_writers:
                    record_writer.take(records)
        advance(int(chunk.batches.size.sum()), chunk.step.survey.segment.file.path)
    return shortfalls


def _feed_batches(
    chunk: BatchChunk, edges: EdgeFilter, writers: Sequence[BatchWriter], shortfalls: list[Shortfall]
) -> None:
    wanted = edges.wanted(chunk)
    if wanted.any():
        kept = chunk.take(wanted)
        for writer in writers:
            shortfalls.extend(writer.take(kept))
