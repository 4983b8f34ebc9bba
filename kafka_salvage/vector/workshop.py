"""Workshop: processes beside this one that compile kernels into the cache, and end when nobody asks them any more.

Strategy: Numba and LLVM take a hundred megabytes and more, and the interpreter to themselves. In processes of their own two of them
compile at a time, and their memory is back with the system before the work begins. A worker takes names of kernels line by
line and says when each is done; what it made is found in the store. One that fails, hangs or was killed is done without:
the kernel is then compiled here. A worker ends when its input does, so none outlives who started it, however that one ends.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, cast

from kafka_salvage.vector import store
from kafka_salvage.vector.names import KERNELS, WORKER

PATIENCE = 120.0
"""Seconds until a worker that says nothing is given up."""
IDLE = 1.0
"""Seconds without a question until a worker ends."""
MOST = 2
"""Workers at a time: more would together hold more memory than a command may."""
_TARGET = "target"
_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from kafka_salvage.vector.workshop import serve; serve()"
_YOUNG = 100_000
"""Objects between two collections in a worker: a compiler makes many, and few of them in circles."""


class _Worker:
    """A process that compiles."""

    def __init__(self) -> None:
        self.owner, self.rested = os.getpid(), time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603 # this interpreter, and words of ours
            [sys.executable, "-P", "-c", _PROGRAM, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        self._asked, self._told = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)

    def make(self, name: str) -> bool:
        """Has a kernel compiled; False when the worker is of no use any more."""
        answer = b""
        try:
            self._asked.write(f"{name}\n".encode())
            while not answer.endswith(b"\n"):
                if not select.select([self._told], [], [], PATIENCE)[0]:
                    return False
                more = os.read(self._told.fileno(), 4096)
                if not more:
                    return False
                answer += more
        except OSError:
            return False
        return True

    def lives(self) -> bool:
        """Whether it is there to be asked: a child of this process (not of one that this was forked from), and not idle for long."""
        if self.owner != os.getpid():
            return False
        if self._process.poll() is None and time.monotonic() < self.rested + IDLE / 2:
            return True
        self.end()
        return False

    def end(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        self._asked.close()
        self._told.close()


_lock = threading.Lock()
_idle: list[_Worker] = []
_busy: set[_Worker] = set()


def _hired() -> _Worker | None:
    with _lock:
        while _idle:
            worker = _idle.pop()
            if worker.lives():
                _busy.add(worker)
                return worker
        with contextlib.suppress(OSError):
            worker = _Worker()
            _busy.add(worker)
            return worker
    return None


def _returned(worker: _Worker, *, useful: bool) -> None:
    with _lock:
        _busy.discard(worker)
        if useful:
            worker.rested = time.monotonic()
            _idle.append(worker)
    if not useful:
        worker.end()
        return
    later = threading.Timer(2 * IDLE, dismiss)  # it has ended by then, and is to be taken note of
    later.daemon = True
    later.start()


def dismiss() -> None:
    """Ends all workers that have nothing to do."""
    with _lock:
        gone = [worker for worker in _idle if worker.owner == os.getpid()]
        _idle.clear()
    for worker in gone:
        worker.end()


@atexit.register
def _close() -> None:
    with _lock:
        gone = [worker for worker in (*_idle, *_busy) if worker.owner == os.getpid()]
        _idle.clear()
    for worker in gone:
        worker.end()


def possible() -> bool:
    """Whether workers could make something here that this process would find."""
    directory = store.cache_directory()
    interpreter = Path(sys.executable or "").name
    return directory is not None and interpreter.startswith("python") and os.access(directory, os.W_OK)


def make(units: Iterable[Sequence[str]]) -> None:
    """Has kernels compiled, and waits; what could not be is missing from the cache afterwards.

    Args:
        units: names of kernels; those of a unit share functions, and are compiled by one worker.
    """
    rest = deque(unit for unit in units if unit)
    if not rest or not possible():
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    count = min(MOST, cores, len(rest))
    hands = [threading.Thread(target=_work_off, args=(rest,), daemon=True) for _ in range(count - 1)]
    for hand in hands:
        hand.start()
    _work_off(rest)
    for hand in hands:
        hand.join()


def _work_off(rest: deque[Sequence[str]]) -> None:
    """Asks a worker one thing after the other."""
    worker = _hired()
    try:
        while worker is not None and rest:
            with contextlib.suppress(IndexError):  # another was quicker
                unit = rest.popleft()
                if not all(map(worker.make, unit)):
                    _returned(worker, useful=False)
                    worker = None
    except BaseException:
        if worker is not None:
            _returned(worker, useful=False)
        raise
    if worker is not None:
        _returned(worker, useful=True)


def target_words() -> tuple[str, ...] | None:
    """What a worker wrote into the cache about the processor; None when it could not."""
    make([[_TARGET]])
    return store.kept_words(_TARGET)


def serve() -> None:
    """The worker: compiles what it is told to until its input ends, or it is asked nothing any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.dup(1)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    asked: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    WORKER.append(os.getpid())
    gc.disable()
    from kafka_salvage.vector import compiling

    gc.freeze()
    gc.set_threshold(_YOUNG, 50, 1000)
    gc.enable()
    with contextlib.suppress(queue.Empty):
        while True:
            name = asked.get(timeout=IDLE)
            with contextlib.suppress(Exception):  # who asked finds nothing in the cache, and will see why
                if name == _TARGET:
                    store.keep_words(_TARGET, compiling.target_words())
                else:
                    importlib.import_module(f"kafka_salvage.vector.{name.partition('.')[0]}")
                    store.keep(name, compiling.compile_image(KERNELS[name]))
            os.write(answers, f"{name}\n".encode())


def _listen(asked: queue.Queue[str]) -> None:
    """Takes questions; ends the process with its input: nobody waits for it any more."""
    rest = b""
    while True:
        more = os.read(0, 4096)
        if not more:
            os._exit(0)
        *lines, rest = (rest + more).split(b"\n")
        for line in lines:
            asked.put(line.decode())
