"""Unheard: nobody reads what goes to stderr any more, or the session ends; the work and its exit code do not depend on it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.ground import COMMAND, clean, damaged, ks, tree
from tests.cli.test_progress import check_exposition

FULL = Path("/dev/full")


def to(descriptor: int, *words: str | Path) -> int:
    """The exit code of a command whose stderr is this."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)], stdout=subprocess.DEVNULL, stderr=descriptor, timeout=120, check=False
    )
    return done.returncode


@pytest.fixture(params=["gone", pytest.param("full", marks=pytest.mark.skipif(not FULL.exists(), reason="no device"))])
def unheard(request: pytest.FixtureRequest) -> Iterator[int]:
    """A stream that takes nothing: its reader is gone, or its disk is full."""
    if request.param == "full":
        descriptor = os.open(FULL, os.O_WRONLY)
    else:
        read, descriptor = os.pipe()
        os.close(read)
    yield descriptor
    os.close(descriptor)


def test_progress_that_nobody_reads_stops_no_work(tmp_path: Path, unheard: int) -> None:
    root = damaged(tmp_path / "b")
    expected = ks("salvage", root, "--out", tmp_path / "heard").returncode
    words: list[str | Path] = [
        "salvage",
        root,
        "--out",
        tmp_path / "out",
        "--log-json",
        "--metrics",
        tmp_path / "m.prom",
    ]
    assert to(unheard, *words) == expected
    assert tree(tmp_path / "out") == tree(tmp_path / "heard")
    assert check_exposition((tmp_path / "m.prom").read_text())["kafka_salvage_exit_code"] == expected
    assert to(unheard, "check", root, "--progress") == ks("check", root).returncode


def test_an_error_that_nobody_reads_has_its_code(tmp_path: Path, unheard: int) -> None:
    root = clean(tmp_path / "b")
    assert to(unheard, "check", tmp_path / "nothing") == 2
    assert to(unheard, "check", "--no-such-flag") == 2
    assert to(unheard, "check", root, "--json", tmp_path / "none" / "r.json") == 2
    assert to(unheard, "check", root, "-v") == 0


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGHUP])
def test_a_session_that_ends_is_an_interrupt(tmp_path: Path, kind: signal.Signals) -> None:
    """A dropped connection, a service that is stopped, a machine that shuts down."""
    root = clean(tmp_path / "b")
    program = (
        "import os; from kafka_salvage import api; from kafka_salvage.cli.main import main\n"
        "real = api.make_report\n"
        f"def dying(*words): os.kill(os.getpid(), {int(kind)}); return real(*words)\n"
        "api.make_report = dying; main()"
    )
    words = ["salvage", str(root), "--out", str(tmp_path / "out"), "--metrics", str(tmp_path / "m.prom")]
    done = subprocess.run([COMMAND[0], "-c", program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert "Interrupted." in done.stderr
    assert "Go on with: kafka-salvage salvage" in done.stderr
    assert "Traceback" not in done.stderr
    samples = check_exposition((tmp_path / "m.prom").read_text())
    assert samples["kafka_salvage_exit_code"] == 130
    assert samples["kafka_salvage_running"] == 0
    assert ks("salvage", root, "--out", tmp_path / "out", "--resume").returncode == 0


def test_a_terminal_that_is_closed_interrupts(tmp_path: Path) -> None:
    """The signal comes, and what is then said goes nowhere."""
    root, metrics = clean(tmp_path / "b"), tmp_path / "m.prom"
    program = (
        "import os, signal; from kafka_salvage import api; from kafka_salvage.cli.main import main\n"
        "def dying(*words):\n"
        "    full = os.open('/dev/full', os.O_WRONLY); os.dup2(full, 2); os.kill(os.getpid(), signal.SIGHUP)\n"
        "api.make_report = dying; main()"
    )
    words = [COMMAND[0], "-c", program, "check", str(root), "--metrics", str(metrics)]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 130
    assert check_exposition(metrics.read_text())["kafka_salvage_exit_code"] == 130


def test_who_asked_to_outlive_the_session_does(tmp_path: Path) -> None:
    """As with `nohup`."""
    root = clean(tmp_path / "b")
    program = (
        "import os, signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from kafka_salvage import api; from kafka_salvage.cli.main import main\n"
        "real = api.make_report\n"
        "def dying(*words): os.kill(os.getpid(), signal.SIGHUP); return real(*words)\n"
        "api.make_report = dying; main()"
    )
    done = subprocess.run([COMMAND[0], "-c", program, "check", str(root)], capture_output=True, check=False)
    assert done.returncode == 0
