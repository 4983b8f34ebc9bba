"""Modules that are imported beside the work: what fails there, what interrupts it, and what it leaves behind."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kafka_salvage.cli import loading

GO = threading.Event()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_what_was_imported_meanwhile_is_there_and_the_interpreter_is_as_it_was(folder: Path) -> None:
    (folder / "late_but_whole.py").write_text("import gc\nCOLLECTED = gc.isenabled()\n")
    before = sys.getswitchinterval()
    with loading.meanwhile(["late_but_whole"]):
        assert sys.getswitchinterval() <= before
    assert sys.modules["late_but_whole"].COLLECTED is False
    assert sys.getswitchinterval() == before
    assert gc.isenabled()


def test_a_module_that_cannot_be_imported_says_so_where_it_is_needed_only(folder: Path) -> None:
    (folder / "late_and_broken.py").write_text("raise ImportError('not today')\n")
    (folder / "late_behind_it.py").write_text("")
    with loading.meanwhile(["late_and_broken", "late_behind_it"]):
        pass
    assert "late_behind_it" in sys.modules
    with pytest.raises(ImportError, match="not today"):
        __import__("late_and_broken")


def test_an_interrupt_waits_for_no_import(folder: Path) -> None:
    """It may have hit this thread inside of an import, whose lock nobody gives back then."""
    (folder / "late_and_stuck.py").write_text(f"import {__name__} as here\nhere.GO.wait(60)\n")
    GO.clear()
    try:
        with pytest.raises(KeyboardInterrupt), loading.meanwhile(["late_and_stuck"]):
            raise KeyboardInterrupt
        assert not GO.is_set()
        (thread,) = [each for each in threading.enumerate() if each.name == "loading"]
    finally:
        GO.set()
    thread.join(30)
    assert not thread.is_alive()
    assert gc.isenabled()


def test_an_error_waits_for_the_import(folder: Path) -> None:
    (folder / "late_and_slow.py").write_text("import time\ntime.sleep(0.05)\n")
    with pytest.raises(ValueError, match="this"), loading.meanwhile(["late_and_slow"]):
        raise ValueError("this")
    assert "late_and_slow" in sys.modules


def test_quietly_leaves_the_collector_as_it_was() -> None:
    with loading.quietly():
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with loading.quietly():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize(("words", "code"), [(["--version"], 0), (["check", "nowhere-at-all"], 2)])
def test_the_end_is_quick_and_loses_nothing(words: list[str], code: int) -> None:
    """What modules left for the end is done, what they print arrives, and the code is the command's."""
    program = (
        "import atexit, sys, threading, time\n"
        "from kafka_salvage.cli import main as here\n"
        "real = here.run\n"
        "def run(words):\n"
        "    atexit.register(print, 'x' * 100_000)\n"
        "    threading.Thread(target=lambda: (time.sleep(0.2), print('thread'))).start()\n"
        "    return real(words)\n"
        "here.run = run\n"
        f"sys.argv[1:] = {words!r}\n"
        "here.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code
    lines = done.stdout.splitlines()
    assert lines[-2:] == ["thread", "x" * 100_000]
    assert ("version" in lines[0]) if code == 0 else ("nowhere-at-all" in done.stderr)
