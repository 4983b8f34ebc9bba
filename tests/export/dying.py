"""Program: a salvage that kills itself at a moment, as often as is asked for.

``python -m tests.export.dying FOLDER`` reads a line of JSON for each, ``[source, out, what, when, jobs, resume]``, and answers with its
exit code. Each runs in a fork of this process, which has imported everything: the start of a process is most of what it took.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kafka_salvage.export.staged import StagedFile
from kafka_salvage.regions.journal import Journal
from tests.export.scenes import Piece, Scene
from tests.support.build import Build

FORMATS = ("segments", "jsonl")
EAGER: dict[str, Any] = {"formats": FORMATS, "bookmark_bytes": 1, "segment_limit": 4000}
"""A bookmark after every step, and segments that roll often."""


def scene(root: Path, partitions: int = 3, segments: int = 4) -> Scene:
    """Partitions of several segments, each with a torn tail, so that there are many steps and files."""
    made = Scene(root)
    for partition in range(partitions):
        pieces, offset = [], 0
        for _ in range(segments):
            data, infos = Build(base=offset).v2(20).v2(20).v2(20).done()
            pieces.append(Piece(data + b"torn", infos, base=offset))
            offset = infos[-1].last_offset + 1
        made.add(pieces, partition=partition)
    return made


def die(what: str, when: int) -> None:
    """Has this process killed in the call after so many: of a write, a sync, a rename; or after a part of a line is written."""
    left = when

    def over() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **flags: Any) -> Any:
            if over():
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*words, **flags)

        return call

    real_write = os.write

    def torn(file: int, data: Any) -> int:
        if over():
            real_write(file, bytes(data)[: len(data) * 2 // 3])
            os.kill(os.getpid(), signal.SIGKILL)
        return real_write(file, data)

    owner, name = {
        "fsync": (os, "fsync"),
        "write": (StagedFile, "write_later"),
        "append": (Journal, "_write"),
        "replace": (Path, "replace"),
        "torn": (os, "write"),
    }[what]
    setattr(owner, name, torn if what == "torn" else dying(getattr(owner, name)))


def _play(source: str, out: str, what: str, when: int, jobs: int, resume: bool) -> None:
    made = scene(Path(source))
    die(what, when)
    made.write(Path(out), resume=resume, jobs=jobs, **EAGER)


def main() -> None:
    """The program."""
    folder = Path(sys.argv[1])
    scene(folder / "src").write(folder / "out", **EAGER)  # what is imported late, for all that follow
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                _play(*json.loads(line))
            except BaseException:  # noqa: BLE001 - a fork must not go on with what its parent does
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
