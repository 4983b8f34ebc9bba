"""LineResult: a line read once, handed to all its writers, and what came of it.

A line is independent of all others, so that several may be written side by side. How far it is, is told to the bookmarks
between two steps, once enough was written, and at its end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event
from typing import Any

from kafka_salvage import engine
from kafka_salvage.export import manifest, registry
from kafka_salvage.export.doubts import NAME as LATEST
from kafka_salvage.export.doubts import DoubtWriter
from kafka_salvage.export.latest import Latest
from kafka_salvage.export.lines import Line
from kafka_salvage.export.receipt import Shortfall, WrittenFile
from kafka_salvage.export.resuming import LINE, Bookmark, Bookmarks
from kafka_salvage.export.rows import chunk_records, step_batches
from kafka_salvage.export.selecting import EdgeFilter, RecordFilter
from kafka_salvage.export.sink import BatchChunk, BatchWriter, RecordWriter, Setting
from kafka_salvage.progress import Progress

_BUNDLE = 32 << 20
"""Most bytes of small lines that one thread writes one after another."""


@dataclass(frozen=True, slots=True)
class LineResult:
    """What came of one line."""

    entry: dict[str, Any]
    files: tuple[WrittenFile, ...]
    shortfalls: tuple[Shortfall, ...]


class _Abandoned(Exception):  # noqa: N818 - it never leaves this module
    """Another line has failed: this one need not be finished."""


def write_lines(lines: Sequence[Line], setting: Setting, bookmarks: Bookmarks, progress: Progress) -> list[LineResult]:
    """Writes lines, some side by side. The first failure, or Ctrl-C, stops the others at their next chunk."""
    stop = Event()

    def heed() -> None:
        if stop.is_set():
            raise _Abandoned

    def write(bundle: Sequence[int]) -> list[LineResult]:
        return [_LineWriter(lines[at], setting, bookmarks, progress, heed).write() for at in bundle]

    if setting.options.jobs <= 1:
        return write(range(len(lines)))
    bundles = _bundles(lines)
    with ThreadPoolExecutor(setting.options.jobs, thread_name_prefix="write") as pool:
        waiting = [pool.submit(write, bundle) for bundle in bundles]
        try:
            wait(waiting, return_when=FIRST_EXCEPTION)
            failed = [error for f in waiting if f.done() and (error := f.exception()) is not None]
            if failed:
                raise failed[0]
            made = {
                at: result
                for bundle, each in zip(bundles, waiting, strict=True)
                for at, result in zip(bundle, each.result(), strict=True)
            }
            return [made[at] for at in range(len(lines))]
        except BaseException:
            stop.set()
            for each in waiting:
                each.cancel()
            raise


def _bundles(lines: Sequence[Line]) -> list[list[int]]:
    """Lines that one thread writes one after another: small ones together, since threads would only wait for each other."""
    bundles: list[list[int]] = []
    last, size = -1, 0
    for at, line in enumerate(lines):
        if line.bytes >= engine.LIGHT:
            bundles.append([at])
            continue
        if last < 0 or size + line.bytes > _BUNDLE:
            last, size = len(bundles), 0
            bundles.append([])
        bundles[last].append(at)
        size += line.bytes
    return bundles


class _LineWriter:
    """One line under way."""

    def __init__(
        self, line: Line, setting: Setting, bookmarks: Bookmarks, progress: Progress, heed: Callable[[], None]
    ) -> None:
        self._line = line
        self._setting = setting
        self._bookmarks = bookmarks
        self._progress = progress
        self._heed = heed
        self._batch_writers: dict[str, BatchWriter] = {}
        self._record_writers: dict[str, RecordWriter] = {}
        self._shortfalls: list[Shortfall] = []
        self._edges = EdgeFilter(line, setting.policy, setting.options.limits)
        self._rows = RecordFilter(line, setting.policy, latest=setting.options.latest_per_key)
        self._doubts: DoubtWriter | None = None
        self._unmarked, self._marked_at = 0, time.monotonic()

    @property
    def _name(self) -> str:
        return f"{self._line.root}{self._line.directory}"

    @property
    def _writers(self) -> dict[str, BatchWriter | RecordWriter | DoubtWriter]:
        doubts = {} if self._doubts is None else {LATEST: self._doubts}
        return {**self._batch_writers, **self._record_writers, **doubts}

    def write(self) -> LineResult:
        """Writes the line, from where it was left."""
        try:
            return self._write()
        finally:
            if self._doubts is not None:
                self._doubts.close()

    def _write(self) -> LineResult:
        bookmark, opened = self._bookmarks.find(LINE, self._name)
        steps = self._line.steps
        done = steps if bookmark.entry is not None else steps[: bookmark.step]
        self._progress.skip(sum(step.stop - step.start for step in done))
        if bookmark.entry is not None:
            return LineResult(dict(bookmark.entry), bookmark.files, bookmark.shortfalls)
        self._open_writers()
        self._shortfalls += bookmark.shortfalls
        self._edges.restore(bookmark.producers)
        for name, writer in self._writers.items():
            if name in bookmark.writers:
                writer.restore(bookmark.writers[name], opened)  # type: ignore[union-attr] # it gave the state
        for number in range(bookmark.step, len(steps)):
            self._take_step(number)
            if self._is_time() and number + 1 < len(steps):
                self._mark(number + 1)
        return self._finish()

    def _open_writers(self) -> None:
        for name in sorted(self._setting.options.formats):
            sink = registry.load(name)
            if hasattr(sink, "batch_writer"):
                batches = sink.batch_writer(self._line, self._setting)
                self._batch_writers |= {name: batches} if batches is not None else {}
            else:
                records = sink.record_writer(self._line, self._setting)
                self._record_writers |= {name: records} if records is not None else {}
        if self._setting.options.latest_per_key and self._record_writers:
            limits, staging = self._setting.options.limits, self._setting.stage.staging
            latest = Latest(self._line, limits, self._shortfalls, staging, heed=self._looked)
            self._doubts = DoubtWriter(self._line, self._setting, latest)

    def _looked(self, size: int) -> None:
        """So many bytes were looked through for the latest of each key."""
        self._heed()
        self._progress.advance(size, self._name)

    def _take_step(self, number: int) -> None:
        step, limits = self._line.steps[number], self._setting.options.limits
        size = step.stop - step.start
        if not self._edges.reaches(step):
            self._progress.advance(size)
            return
        told, where = 0, f"{step.survey.segment.file.source}:{step.survey.segment.file.path}"
        for chunk in step_batches(step, self._line, limits, self._shortfalls):
            self._heed()
            self._take(chunk)
            count = int(chunk.batches.size.sum())
            told += count
            self._progress.advance(count, where)
        self._progress.advance(size - told, where)
        self._unmarked += size

    def _take(self, chunk: BatchChunk) -> None:
        if self._batch_writers:
            wanted = self._edges.wanted(chunk)
            if wanted.any():
                kept = chunk.take(wanted)
                for batch_writer in self._batch_writers.values():
                    self._shortfalls.extend(batch_writer.take(kept))
            self._progress.found(records=int(chunk.batches.record_count.clip(min=0).sum()))
        if self._record_writers:
            limits = self._setting.options.limits
            for records in chunk_records(chunk, self._line.labels, self._rows, limits, self._shortfalls):
                if self._doubts is not None:
                    records = self._doubts.take(records)
                if len(records.table):
                    for record_writer in self._record_writers.values():
                        record_writer.take(records)
                if not self._batch_writers:
                    self._progress.found(records=len(records.table))

    def _is_time(self) -> bool:
        options = self._setting.options
        waited = time.monotonic() - self._marked_at >= options.bookmark_seconds
        return self._unmarked >= options.bookmark_bytes or (waited and self._unmarked > 0)

    def _mark(self, step: int) -> None:
        """Tells how far the line is, if all its writers can."""
        states: dict[str, Any] = {}
        for name, writer in self._writers.items():
            tell = getattr(writer, "state", None)
            state = tell() if tell is not None else None
            if state is None:
                return
            states[name] = state
        opened = tuple(_opened(states))
        self._tell(Bookmark(step, self._edges.producers, states, (), opened, tuple(self._shortfalls)))
        self._unmarked, self._marked_at = 0, time.monotonic()

    def _finish(self) -> LineResult:
        notes: dict[str, Any] = {}
        files: list[WrittenFile] = []
        batches = [writer.finish() for writer in self._batch_writers.values()]
        records = [writer.finish() for writer in self._record_writers.values()]
        records += [] if self._doubts is None else [self._doubts.finish()]
        for written in (*batches, *records):
            files += written.files
            notes.update(written.notes)
        result = LineResult(manifest.partition_entry(self._line, notes), tuple(files), tuple(self._shortfalls))
        self._tell(Bookmark(files=result.files, shortfalls=result.shortfalls, entry=result.entry))
        return result

    def _tell(self, bookmark: Bookmark) -> None:
        """Tells a bookmark, once all that it names is on the disk; the next lines need not wait for that."""
        self._setting.stage.afterwards(lambda: self._bookmarks.tell(LINE, self._name, bookmark))


def _opened(state: Any) -> Any:
    """Every file under way that a state names, at any depth."""
    if isinstance(state, dict):
        if isinstance(state.get("open"), dict):
            yield state["open"]
        for value in state.values():
            yield from _opened(value)
