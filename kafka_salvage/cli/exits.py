"""The one table of exit codes, and the sentences for errors."""

from __future__ import annotations

import errno
import sys
from contextlib import suppress
from enum import IntEnum

import click

from kafka_salvage.errors import (
    DestinationError,
    InvariantError,
    MissingExtraError,
    RequestError,
    SalvageError,
    SourceError,
)


class Exit(IntEnum):
    """Exit codes; never renumbered. 1 is what a broken interpreter gives and is never returned on purpose."""

    INTACT = 0
    USAGE = 2
    LOSS = 3
    AMBIGUOUS = 4
    FAILED = 5
    COVERED = 6
    BUG = 70
    INTERRUPTED = 130


MEANINGS: dict[Exit, str] = {
    Exit.INTACT: "every byte is intact or harmless",
    Exit.USAGE: "wrong flags, no such path, output inside a source, output not empty",
    Exit.LOSS: "some offsets are lost, missing or unreadable, or a torn tail that no copy completes",
    Exit.AMBIGUOUS: "copies disagree and nothing decides: a person must (--prefer)",
    Exit.FAILED: "the tool could not do its work: disk full, codec missing, a file that could not be opened",
    Exit.COVERED: "damage was found and no offset is lost",
    Exit.BUG: "a bug of this tool",
    Exit.INTERRUPTED: "interrupted",
}

_BY_ERROR: tuple[tuple[type[BaseException], Exit], ...] = (
    (RequestError, Exit.USAGE),
    (SourceError, Exit.FAILED),
    (DestinationError, Exit.FAILED),
    (MissingExtraError, Exit.FAILED),
    (InvariantError, Exit.BUG),
    (SalvageError, Exit.FAILED),
    (KeyboardInterrupt, Exit.INTERRUPTED),
    (click.exceptions.Abort, Exit.INTERRUPTED),
    (OSError, Exit.FAILED),
    (MemoryError, Exit.FAILED),
)


def code_of(error: BaseException) -> Exit:
    """The exit code of an error; what is not known is our bug."""
    for kind, code in _BY_ERROR:
        if isinstance(error, kind):
            return code
    return Exit.BUG


def safe(text: object) -> str:
    """Text for a terminal: control characters, escapes and undecodable bytes are shown escaped."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode("ascii")
        for c in str(text).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    )


def _interrupted() -> list[str]:
    return [
        "Interrupted. Nothing under the sources was touched, and no half-written file looks finished.",
        "  do: run the same command again; a salvage goes on with --resume.",
    ]


def _bug(error: BaseException) -> list[str]:
    import traceback  # rarely needed

    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "kafka_salvage" in f.filename] or frames
    place = f"{ours[-1].filename.rpartition('kafka_salvage')[2].lstrip('/')}:{ours[-1].lineno}" if ours else "unknown"
    lines = [f"This is a bug in kafka_salvage: {type(error).__name__}: {safe(error)}", f"  place: {place}"]
    if isinstance(error, InvariantError):
        lines.append(f"  stage: {error.stage}" + (f", bytes {error.where[0]}..{error.where[1]}" if error.where else ""))
    return [*lines, "  please report it with the command line and this text; -vv shows the whole traceback"]


def explain(error: BaseException) -> list[str]:
    """One sentence, the likely causes, and what to do."""
    code = code_of(error)
    if code is Exit.INTERRUPTED:
        return _interrupted()
    if code is Exit.BUG:
        return _bug(error)
    if isinstance(error, SalvageError):
        lines = [f"Error: {safe(error.message)}"]
        lines += [f"  likely: {safe(cause)}" for cause in error.causes]
        return lines + ([f"  do: {safe(error.advice)}"] if error.advice else [])
    if isinstance(error, MemoryError):
        return ["Error: not enough memory.", "  do: give a smaller --memory or --jobs, or a machine with more."]
    if isinstance(error, OSError):
        return _system(error)
    return [f"Error: {safe(error)}"]


def _system(error: OSError) -> list[str]:
    """An error of the operating system that no room has put into words: it concerns our own streams, as a rule."""
    what = safe(error.filename) if error.filename is not None else "the standard output"
    lines = [f"Error: {what} could not be written: {(error.strerror or str(error)).lower()}."]
    if error.filename is not None:
        lines = [f"Error: {what}: {(error.strerror or str(error)).lower()}."]
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        lines.append("  do: free space there, or write to another disk, and run the same command again.")
    return lines


def leave(error: BaseException, verbose: int) -> int:
    """Says on stderr what went wrong; returns the exit code."""
    with suppress(OSError):  # whoever would read it is gone; the code stands
        if verbose >= 2:  # -vv: the person asked for the whole traceback
            import traceback

            traceback.print_exception(error)
        for line in explain(error):
            click.echo(line, err=True)
        sys.stderr.flush()
    return int(code_of(error))


def misused(error: click.ClickException) -> int:
    """Says on stderr what is wrong with a command line, and how its usage is shown; returns the exit code."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    with suppress(OSError):  # as in `leave`
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # newer versions of click only
            click.echo(error.format_message(), err=True)
            return int(Exit.USAGE)
        click.echo(f"Error: {safe(error.format_message())}", err=True)
        if context is not None:
            click.echo(f"  do: see {context.command_path} --help", err=True)
    return int(Exit.USAGE)
