"""Program: runs a command again and again, kills it at random moments, lets it go on, and compares with an undisturbed run.

Everything is imported and compiled once; each run is a fork of this process, so that kills fall into the work.

    python -m tests.support.killing VERB FOLDER KILLS SEED PATH...

VERB is check, salvage, or salvage:FORMAT,FORMAT...
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from kafka_salvage.cli.main import run
from kafka_salvage.export import line_writing

ENOUGH = 20
"""Runs after which a command must have ended."""
_LOOK = 0.002
"""Seconds between two looks whether a command has ended by itself."""


def tree(out: Path) -> dict[str, str]:
    """Every file but the one that differs from run to run, with its hash."""
    files = sorted(path for path in out.rglob("*") if path.is_file() and path.name != "run.json")
    return {path.relative_to(out).as_posix(): _sum(path) for path in files}


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def forked(words: Sequence[str], folder: Path, kill_after: float | None) -> int | None:
    """Exit code of a command in a process of its own; None when it was killed before."""
    child = os.fork()
    if not child:
        sink = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        line_writing._LineWriter._is_time = lambda self: True  # type: ignore[method-assign] # a bookmark at every step
        os._exit(run(list(words)))
    deadline = time.monotonic() + (kill_after or 0.0)
    ended = status = 0
    while kill_after is not None and not ended and time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0 if ended else _LOOK)
    if not ended:
        if kill_after is not None:
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    return None if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)


class Case:
    """A verb over sources, and what it makes."""

    def __init__(self, verb: str, paths: Sequence[str], folder: Path) -> None:
        self._verb, _, formats = verb.partition(":")
        self._formats = formats.split(",") if formats else ["segments", "jsonl"]
        self._paths = list(paths)
        self.folder = folder
        self.out = folder / "out"

    def words(self, resume: bool) -> list[str]:
        """The command line."""
        made = [self._verb, *self._paths, "-q", *(["--resume"] if resume else [])]
        if self._verb == "check":
            return [*made, "--deep", "--state", f"{self.folder}/state", "--json", f"{self.out}/report.json"]
        return [*made, "--out", str(self.out), *(word for each in self._formats for word in ("--format", each))]

    def clear(self) -> None:
        """Back to the beginning."""
        shutil.rmtree(self.out, ignore_errors=True)
        (self.folder / "state").unlink(missing_ok=True)
        if self._verb == "check":
            self.out.mkdir()

    def finished_looking(self) -> list[str]:
        """Files that look finished while the command has not ended."""
        return [path for path in tree(self.out) if not path.startswith(".partial/")] if self.out.exists() else []


def main() -> int:
    """Tells, as a JSON object per kill, whether the end was that of an undisturbed run."""
    verb, folder, kills, seed, *paths = sys.argv[1:]
    case, chance = Case(verb, paths, Path(folder)), random.Random(int(seed))
    case.folder.mkdir(parents=True, exist_ok=True)
    case.clear()
    run(case.words(resume=False))  # compiles
    case.clear()
    begun = time.monotonic()
    code = forked(case.words(resume=False), case.folder, None)
    duration = time.monotonic() - begun
    expected = tree(case.out)
    for number in range(int(kills)):
        case.clear()
        again = number % 4 == 3  # every fourth is killed more than once
        runs = killed = 0
        ended: int | None = None
        while ended is None and runs < ENOUGH:
            first = runs == 0 or (again and runs < ENOUGH // 2)
            moment = chance.uniform(0, duration * 1.05) / (3 if again else 1) if first else None
            begun = time.monotonic()
            ended = forked(case.words(resume=runs > 0 and case.out.exists()), case.folder, moment)
            if (
                ended is not None and not runs
            ):  # the first one was slower: others used the machine; kills shall fall into the work
                duration = min(duration, time.monotonic() - begun)
            killed += ended is None
            runs += 1
        told = {"killed": killed, "runs": runs, "code": ended, "expected": code, "same": tree(case.out) == expected}
        print(json.dumps(told), flush=True)  # noqa: T201 - the program's result
    return 0


if __name__ == "__main__":
    sys.exit(main())
