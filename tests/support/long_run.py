"""Run: a command as it runs for days on a machine with two cores: a plain user, evidence that is read-only, killed now and then.

The program (``python -m tests.support.long_run WARM EVERY WORD...``) compiles with a run over WARM, gives privileges away, keeps to
two cores, forbids sockets, says so, and runs the command line with a line of progress each EVERY seconds. `go` runs it.
"""

from __future__ import annotations

import contextlib
import ctypes
import difflib  # noqa: F401 - click imports it when it needs it, too late for the plain user
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
_DUMPABLE = 4
Line = dict[str, Any]


@dataclass(slots=True)
class Told:
    """What a run told.

    Attributes:
        code: its exit code; None when it was killed.
        peak: of its memory, MiB.
        read: bytes that it had read from files since it was ready.
        lines: progress, each with the ``seconds`` since it was ready at which it came.
        seconds: from ready to the end.
        stderr: all that it said.
    """

    code: int | None = None
    peak: int = 0
    read: int = 0
    lines: list[Line] = field(default_factory=list)
    seconds: float = 0.0
    stderr: str = ""


def go(warm: Path, evidence: Path, words: Sequence[str], *, every: float, kill: Callable[[Line], bool] | None) -> Told:
    """Runs a command over evidence that is mounted read-only where that is allowed.

    Args:
        warm: a small log directory.
        evidence: the tree; in ``words`` it stands as it is here.
        words: the command line.
        every: seconds between two lines of progress.
        kill: told of each line; the run is killed when it says so.
    """
    command = [sys.executable, "-m", "tests.support.long_run", str(warm), str(every), *words]
    if may_mount():
        place = shlex.quote(str(evidence))
        script = (
            f"mount --bind {place} {place} && mount -o remount,bind,ro {place} || exit 99; exec {shlex.join(command)}"
        )
        command = ["unshare", "-m", "sh", "-c", script]
    begun, told, said, ready = time.monotonic(), Told(), [], False
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        for text in process.stderr:
            said.append(text)
            if not text.startswith("{"):
                continue
            line = json.loads(text)
            if line["event"] == "ready":
                begun, ready = time.monotonic(), True
            if line["event"] == "ready" or not ready:  # it warms up
                continue
            told.lines.append({**line, "seconds": time.monotonic() - begun})
            if kill is not None and kill(line):
                process.send_signal(signal.SIGKILL)
                break
        told.seconds = time.monotonic() - begun
        rest = process.stdout.read()
    told.stderr = "".join(said)
    last = next((text for text in reversed(rest.splitlines()) if text.startswith('{"code"')), None)
    if last is not None:
        made = json.loads(last)
        told.code, told.peak, told.read = made["code"], made["peak"], made["read"]
    return told


def may_mount() -> bool:
    """Whether this user may mount a directory read-only in a namespace of its own."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0


def _no_sockets(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith("socket."):
        raise PermissionError(f"a socket was used: {event} {arguments!r}")


def _own(name: str, pattern: str) -> int:
    found = re.search(pattern, Path(f"/proc/self/{name}").read_text())
    assert found is not None
    return int(found[1])


def _warmed(warm: str) -> None:
    from kafka_salvage.cli.main import run

    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
        run(["check", "--deep", warm, "--log-json", "--state", f"{place}/state", "--json", f"{place}/report"])
        formats = [word for name in ("segments", "jsonl", "parquet", "arrow") for word in ("--format", name)]
        run(["salvage", warm, "--out", f"{place}/out", "--log-json", *formats])
        run(["salvage", warm, "--out", f"{place}/out", "--resume"])


def main() -> int:
    """The program."""
    warm, every, *words = sys.argv[1:]
    _warmed(warm)
    from kafka_salvage.cli import progress
    from kafka_salvage.cli.main import run

    progress.TICK = progress.JsonLines.every = float(every)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        ctypes.CDLL(None).prctl(_DUMPABLE, 1, 0, 0, 0)  # so that it may look at itself under /proc
    sys.addaudithook(_no_sockets)
    sys.stderr.write(json.dumps({"event": "ready"}) + "\n")
    sys.stderr.flush()
    before = _own("io", r"rchar: (\d+)")
    code = run([*words, "--log-json"])
    read = _own("io", r"rchar: (\d+)") - before
    sys.stdout.write(
        "\n" + json.dumps({"code": code, "peak": _own("status", r"VmHWM:\s+(\d+)") >> 10, "read": read}) + "\n"
    )
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
