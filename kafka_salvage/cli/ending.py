"""Ending: signals that end a session end a command as Ctrl-C does, with its code, its last figures and what to type to go on."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType

_AFTERWARDS = {signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_IGN}
"""What the same signal does the second time: who asks again to end means at once; a terminal that closes says so twice."""


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(number, _AFTERWARDS[signal.Signals(number)])
    raise KeyboardInterrupt


def heed() -> None:
    """Takes the signals for this process, but those that whoever started it has it ignore (`nohup`)."""
    for each in _AFTERWARDS:
        if signal.getsignal(each) is signal.SIG_DFL:
            signal.signal(each, _interrupt)


def let_go() -> None:
    """What is still buffered for the standard streams goes out, or nowhere; Python would complain at its end otherwise."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except OSError:  # said already, where anybody listens
            drop(number)


def drop(number: int) -> None:
    """What is written to a standard stream from now on, and what is still buffered for it, goes nowhere."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
