"""Progress on stderr: bytes, MB/s and ETA for anything over two seconds."""

from __future__ import annotations

import json
import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

DELAY = 2.0
"""Seconds before anything is shown."""


class Silent:
    """No progress."""

    def stage(self, name: str, total: int) -> None:
        """A new stage of ``total`` bytes begins."""

    def advance(self, count: int, where: str = "") -> None:
        """``count`` more bytes are done; ``where`` names the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the display."""


class JsonLines(Silent):
    """One JSON object per second and stage on stderr."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stage, self._total, self._done = "", 0, 0
        self._begun = self._said = time.monotonic()

    def stage(self, name: str, total: int) -> None:
        """A new stage begins."""
        with self._lock:
            self._stage, self._total, self._done = name, total, 0
            self._begun = self._said = time.monotonic()
            self._say("stage", "")

    def advance(self, count: int, where: str = "") -> None:
        """More bytes are done."""
        with self._lock:
            self._done += count
            now = time.monotonic()
            if now - self._said >= 1.0:
                self._said = now
                self._say("progress", where)

    def _say(self, event: str, where: str) -> None:
        seconds = time.monotonic() - self._begun
        rate = self._done / seconds if seconds > 0 else 0.0
        eta = (self._total - self._done) / rate if rate > 0 else None
        line: dict[str, Any] = {
            "event": event,
            "stage": self._stage,
            "bytes_done": self._done,
            "bytes_total": self._total,
            "bytes_per_second": round(rate),
            "eta_seconds": None if eta is None else round(eta, 1),
            "file": where,
        }
        print(json.dumps(line), file=sys.stderr, flush=True)  # noqa: T201 - stderr is this class's product

    def close(self) -> None:
        """Says the last figures."""
        with self._lock:
            if self._stage:
                self._say("end", "")


class Bar(Silent):
    """A bar on stderr, shown once two seconds have gone by."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bar: Any = None
        self._task: Any = None
        self._stage, self._total, self._done = "", 0, 0
        self._begun = time.monotonic()

    def stage(self, name: str, total: int) -> None:
        """A new stage begins."""
        with self._lock:
            self._stage, self._total, self._done = name, total, 0
            if self._bar is not None:
                self._bar.remove_task(self._task)
                self._task = self._bar.add_task(name, total=total, where="")

    def advance(self, count: int, where: str = "") -> None:
        """More bytes are done."""
        with self._lock:
            self._done += count
            if self._bar is None:
                if time.monotonic() - self._begun < DELAY:
                    return
                self._open()
            self._bar.update(self._task, completed=self._done, where=where)

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TransferSpeedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[where]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task(self._stage, total=self._total, where="")

    def close(self) -> None:
        """Takes the bar away."""
        with self._lock:
            if self._bar is not None:
                self._bar.stop()
                self._bar = None


def choose(progress: bool | None, log_json: bool, quiet: bool) -> Silent:
    """The display that the flags ask for."""
    if log_json and progress is not False:
        return JsonLines()
    wanted = sys.stderr.isatty() if progress is None else progress
    return Bar() if wanted and not quiet else Silent()
