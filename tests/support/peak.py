"""Program: runs the command line in a process of its own, then tells its exit code and the peak of its memory.

    python -m tests.support.peak FILE WORD...

This process is small and has one child; what `getrusage` says of children is then the largest of the command and of whatever the
command has run. A command that runs nothing is thereby measured as a whole process tree.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Peak:
    """What a command came to.

    Attributes:
        code: its exit code.
        mib: peak of its resident memory, MiB.
        stderr: what it said there.
    """

    code: int
    mib: int
    stderr: str


def run(words: Sequence[str], *, timeout: float, environment: Mapping[str, str] | None = None) -> Peak:
    """Runs a command line and measures it."""
    with tempfile.NamedTemporaryFile() as told:
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.peak", told.name, *words],
            cwd=ROOT, env={**os.environ, **(environment or {})}, timeout=timeout,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        text = Path(told.name).read_text()
    assert text, f"it ended without telling: {done.returncode}\n{done.stderr[-3000:]}"
    return Peak(**json.loads(text), stderr=done.stderr)


def _main() -> int:
    done = subprocess.run([sys.executable, "-m", "kafka_salvage", *sys.argv[2:]], check=False)
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    Path(sys.argv[1]).write_text(json.dumps({"code": done.returncode, "mib": used >> 10}))
    return 0


if __name__ == "__main__":
    sys.exit(_main())
