"""Loading: modules that a command needs, imported without looking for garbage, or while evidence is read already.

Importing is a third of what a check of a small log takes. Modules stay: to look through them for garbage again and again while
they come is in vain. And what decides and prints is needed only after everything is read; until then the cores wait for memory as
often as they work.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module

WALKING = ("kafka_salvage.vector.arena", "kafka_salvage.vector.finding", "kafka_salvage.vector.framing")
"""What evidence is walked with; it would be waited for, if it were imported only when the first file is open."""
DECIDING = (
    "kafka_salvage.regions.segment",
    "kafka_salvage.regions.together",
    "kafka_salvage.plan.merge",
    "kafka_salvage.integrity.report",
)
"""What is needed once everything is read, in the order in which it is needed."""
SHOWING = (*DECIDING, "kafka_salvage.cli.render")
"""… where a report is shown, too."""
_HEAD_START = 0.008
"""Seconds that those who read have the interpreter for themselves: to open files and to begin takes them that long."""
_TURN = 0.0005
"""Seconds after which an importing thread lets others have the interpreter: those that read need it for a moment, and often."""


@contextmanager
def quietly() -> Iterator[None]:
    """What is imported within is never looked through for garbage."""
    _alone()
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def _alone() -> None:
    """Lets NumPy's library for matrices start no threads: we multiply none, and they would turn in circles for a while."""
    if "numpy" not in sys.modules:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def load(names: Sequence[str]) -> None:
    """Imports modules, here and now."""
    for name in names:
        import_module(name)


@contextmanager
def meanwhile(names: Sequence[str]) -> Iterator[None]:
    """Imports modules in another thread while what is within goes on; one that fails is tried again where it is needed."""
    before = sys.getswitchinterval()
    over = threading.Event()
    thread = threading.Thread(target=_load, args=(names, before, over), name="loading", daemon=True)
    sys.setswitchinterval(min(before, _TURN))
    thread.start()
    try:
        yield
    except KeyboardInterrupt:
        raise  # it may have come while a module was imported here, whose lock is then never given back: nobody waits for that
    except BaseException:
        over.set()
        thread.join()
        raise
    over.set()
    thread.join()


def _load(names: Sequence[str], interval: float, over: threading.Event) -> None:
    over.wait(_HEAD_START)
    collects = gc.isenabled()
    gc.disable()
    try:
        for name in names:
            with suppress(Exception):  # raised where the module is imported by name
                import_module(name)
    finally:
        sys.setswitchinterval(interval)
        if collects:
            gc.enable()
