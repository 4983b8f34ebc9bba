"""Display: progress on stderr and in a file of metrics, shown by a thread of its own so that the work never waits for it."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from kafka_salvage.cli import exits, metrics
from kafka_salvage.cli.words import number, plural, short, size
from kafka_salvage.progress import Figures, Meter

DELAY = 2.0
"""Seconds before a bar is shown: most checks are over by then."""
TICK = 0.25
"""Seconds between two looks; nothing is shown more often."""
LINE_SECONDS = 10.0
JSON_SECONDS = 1.0
METRICS_SECONDS = 5.0
_ROUGH = 1.25
_ROUNDED = 0.5
"""A range of the time left that is narrower than this, but for the rounding of what is shown, is one number."""


class Outlet(Protocol):
    """Where figures are shown."""

    every: float
    """Seconds between two shows."""

    def show(self, figures: Figures, event: str) -> None:
        """Shows figures; ``event`` is "stage" (one begins), "progress" or "end"."""
        ...

    def close(self, code: int | None) -> None:
        """The command is over, with this exit code if it is known."""
        ...


class Display(Meter):
    """Figures, shown while the work goes on.

    Args:
        outlets: where to; none: nothing is shown, and no thread runs.
        clock: seconds that never run backwards.
    """

    def __init__(self, outlets: Sequence[Outlet] = (), clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._outlets = list(outlets)
        self.heard = bool(self._outlets)
        self._due = {id(outlet): clock() + outlet.every for outlet in self._outlets}
        self._over = threading.Event()
        self._showing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._code: int | None = None

    def __enter__(self) -> Self:
        if self._outlets:
            self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        if self.figures().stage:
            self._show_all("end")
        code = self._code if error is None else int(exits.code_of(error))
        for outlet in self._outlets:
            with suppress(OSError):
                outlet.close(code)

    def outcome(self, code: int) -> int:
        """Takes the exit code, for the last figures; gives it back."""
        self._code = code
        return code

    def stage(self, name: str, total: int) -> None:
        """A new stage begins; the last figures of the one before are shown."""
        if self.figures().stage:
            self._show_all("progress")
        super().stage(name, total)
        self._show_all("stage")

    def tick(self) -> None:
        """Shows figures where they are due."""
        figures = self.figures()
        if not figures.stage:
            return
        now = self._clock()
        with self._showing:
            for outlet in list(self._outlets):
                if now >= self._due[id(outlet)]:
                    self._due[id(outlet)] = now + outlet.every
                    self._show(outlet, figures, "progress")

    def _show_all(self, event: str) -> None:
        with self._showing:
            for outlet in list(self._outlets):
                self._show(outlet, self.figures(), event)

    def _show(self, outlet: Outlet, figures: Figures, event: str) -> None:
        try:
            outlet.show(figures, event)
        except (
            OSError
        ):  # its reader is gone, or its disk is full: the work, hours of it, does not depend on being watched
            self._outlets.remove(outlet)

    def _run(self) -> None:
        while not self._over.wait(TICK):
            self.tick()


def time_left(figures: Figures) -> str:
    """What is known of the time left: one number, or a range."""
    if figures.eta is None or figures.soonest is None or figures.latest is None:
        return "unknown"
    if figures.latest <= figures.soonest * _ROUGH + _ROUNDED:
        return duration(figures.eta)
    return f"{duration(figures.soonest)} to {duration(figures.latest)}"


def duration(seconds: float) -> str:
    """Seconds for people: 45 s, 12 min, 3 h 20 min, 2 d 4 h."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 36:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def losses(figures: Figures) -> str:
    """What is lost so far."""
    if not figures.damaged and not figures.lost:
        return "no loss so far"
    return f"{size(figures.damaged)} damaged, {plural(figures.lost, 'offset')} lost so far"


class Lines:
    """A line on stderr every ten seconds."""

    every = LINE_SECONDS

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    def show(self, figures: Figures, event: str) -> None:
        """Prints a line; short stages give none."""
        if event == "stage" or (event == "end" and figures.seconds < self.every):
            return
        share = f"{100 * figures.done / figures.total:.0f} %, " if figures.total else ""
        words = [
            f"{figures.stage}: {size(figures.done)} of {size(figures.total)} ({share}{size(figures.bytes_per_second)}/s)",
            f"{number(round(figures.records_per_second))} records/s",
            losses(figures),
            f"time left: {time_left(figures)}",
            short(exits.safe(figures.where), 60),
        ]
        print("; ".join(word for word in words if word), file=self._stream, flush=True)

    def close(self, code: int | None) -> None:
        """Nothing is left open."""


class JsonLines:
    """One JSON object per second and stage on stderr."""

    every = JSON_SECONDS

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    def show(self, figures: Figures, event: str) -> None:
        """Prints an object."""
        line: dict[str, Any] = {
            "event": event,
            "stage": figures.stage,
            "bytes_done": figures.done,
            "bytes_total": figures.total,
            "bytes_skipped": figures.skipped,
            "all_bytes_done": figures.all_done,
            "all_bytes_total": figures.all_total,
            "bytes_per_second": round(figures.bytes_per_second),
            "records": figures.records,
            "records_per_second": round(figures.records_per_second),
            "damaged_bytes": figures.damaged,
            "lost_offsets": figures.lost,
            "elapsed_seconds": round(figures.seconds, 1),
            "eta_seconds": _rounded(figures.eta),
            "eta_soonest_seconds": _rounded(figures.soonest),
            "eta_latest_seconds": _rounded(figures.latest),
            "file": figures.where,
        }
        print(json.dumps(line), file=self._stream, flush=True)

    def close(self, code: int | None) -> None:
        """Nothing is left open."""


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


class Bar:
    """A bar on stderr, shown once two seconds have gone by."""

    every = TICK

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None

    def show(self, figures: Figures, event: str) -> None:
        """Draws the bar anew."""
        if self._bar is None:
            if figures.seconds < DELAY or event == "end":
                return
            self._open()
        self._bar.update(
            self._task,
            description=figures.stage,
            total=figures.total,
            completed=figures.done,
            speed=f"{size(figures.bytes_per_second)}/s {number(round(figures.records_per_second))} rec/s",
            left=f"left: {time_left(figures)}",
            loss=losses(figures) if figures.damaged or figures.lost else "",
            where=short(exits.safe(figures.where), 40),
        )
        self._bar.refresh()

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        columns = [TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in ("speed", "left", "loss", "where")]
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            DownloadColumn(binary_units=True),
            *columns,
            console=Console(stderr=True),
            transient=True,
            auto_refresh=False,
        )
        self._bar.start()
        self._task = self._bar.add_task("", total=None, speed="", left="", loss="", where="")

    def close(self, code: int | None) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class MetricsFile:
    """A Prometheus textfile, exchanged every five seconds.

    Args:
        path: where it is; a directory that a textfile collector watches.
        verb: the command.
    """

    every = METRICS_SECONDS

    def __init__(self, path: Path, verb: str) -> None:
        self._path = path
        self._verb = verb
        self._begun = time.time()
        self._stages: dict[str, Figures] = {}
        self._last: Figures | None = None
        self._failed = False

    def show(self, figures: Figures, event: str) -> None:
        """Exchanges the file."""
        self._stages[figures.stage] = self._last = figures
        self._write(None, running=True)

    def close(self, code: int | None) -> None:
        """Writes the last figures. A run that was refused before it began leaves the file as it was."""
        if self._last is not None:
            self._write(code, running=False)

    def _write(self, code: int | None, *, running: bool) -> None:
        text = metrics.render(list(self._stages.values()), self._verb, self._begun, time.time(), code, running=running)
        try:
            metrics.exchange(self._path, text)
        except OSError as error:
            if not self._failed:  # the work does not depend on it
                reason = error.strerror or str(error)
                print(f"Metrics could not be written to {exits.safe(self._path)}: {reason}", file=sys.stderr)  # noqa: T201
            self._failed = True


def choose(progress: bool | None, log_json: bool, quiet: bool, metrics_file: str | None, verb: str) -> Display:
    """The display that the flags ask for."""
    outlets: list[Outlet] = []
    if log_json and progress is not False:
        outlets.append(JsonLines())
    elif not quiet and (sys.stderr.isatty() if progress is None else progress):
        outlets.append(Bar() if sys.stderr.isatty() else Lines())
    if metrics_file is not None:
        outlets.append(MetricsFile(Path(metrics_file), verb))
    return Display(outlets)
