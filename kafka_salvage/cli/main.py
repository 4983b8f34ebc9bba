"""The command line: one group, one command per file."""

from __future__ import annotations

import atexit
import io
import json
import os
import sys
from contextlib import suppress
from typing import Any

import click

from kafka_salvage import __version__
from kafka_salvage.cli import allocation, check, compare, ending, exits, groups, replay, resuming, salvage, show, verify


class _Group(click.Group):
    """Ends with an interrupt also where nobody hears of it any more; click would say something first, and fail."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            with suppress(OSError):
                click.echo(err=True)  # behind the ^C of a terminal
            raise click.exceptions.Abort from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="kafka-salvage")
def group() -> None:
    """Recovers Kafka log segments: every intact record back, every byte and offset accounted for.

    Sources are only ever read. Never start a broker on the only copy of damaged data: its own recovery cuts the log at
    the first bad batch and deletes every later segment.

    Exit codes: 0 intact, 2 usage, 3 offsets lost, 4 a person must decide, 5 could not work, 6 damage but nothing lost,
    70 our bug, 130 interrupted.
    """


for _command in (
    check.command,
    compare.command,
    groups.command,
    replay.command,
    salvage.command,
    show.show,
    verify.command,
):
    group.add_command(_command)


def run(arguments: list[str]) -> int:
    """Runs one command line; returns its exit code. What went to stdout has arrived there, or that is said."""
    try:
        outcome = group.main(arguments, prog_name="kafka-salvage", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as wish:
        return wish.exit_code
    except click.ClickException as error:
        return exits.misused(error)
    except BrokenPipeError:
        return _nobody_reads()
    except SystemExit as wish:
        # click answers a closed pipe itself, before the clause above can; no command of ours ends so
        if wish.code != 1:
            raise
        return _nobody_reads()
    except BaseException as error:  # noqa: BLE001 - the last border: everything becomes a sentence and a code
        code = exits.leave(error, _verbosity(arguments))
        line = resuming.go_on(arguments) if code in (exits.Exit.FAILED, exits.Exit.INTERRUPTED) else None
        if line is not None:
            with suppress(OSError):  # whoever would read it is gone
                click.echo(line, err=True)
        return code
    return outcome if isinstance(outcome, int) else 0


def _tell_overrun(arguments: list[str]) -> None:
    """More memory than was promised is no failure, and nothing to be silent about."""
    sentence = allocation.overrun()
    if sentence is not None and not {"-q", "--quiet"} & set(arguments):
        with suppress(OSError):  # whoever would read it is gone
            click.echo(
                json.dumps({"event": "memory", "message": sentence}) if "--log-json" in arguments else sentence,
                err=True,
            )


def _nobody_reads() -> int:
    """The reader went away (`| head`): no one is left to be told."""
    with suppress(OSError, ValueError):
        ending.drop(sys.__stdout__.fileno() if sys.__stdout__ else 1)
    return 141


def _verbosity(arguments: list[str]) -> int:
    """-v flags on the command line (the command's own parsing is gone when an error arrives here)."""
    count = 0
    for word in arguments:
        if word == "--":
            break
        if word == "--verbose":
            count += 1
        elif word.startswith("-") and not word.startswith("--") and set(word[1:]) <= {"v", "q"}:
            count += word.count("v")
    return count


def _open_standard_streams() -> None:
    """A stream that the caller closed becomes the null device: no file of ours must get its number."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - it lives on
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as above


def main() -> None:
    """Entry point of `kafka-salvage`."""
    atexit.register(_end)
    _open_standard_streams()
    allocation.give_back()
    ending.heed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no reason to stop
    code = run(sys.argv[1:])
    _tell_overrun(sys.argv[1:])
    ending.let_go()
    if code == exits.Exit.INTERRUPTED:
        os._exit(code)  # threads may be in the middle of a large file; nothing is being written any more
    _code.append(code)
    sys.exit(code)


_code: list[int] = []


def _end() -> None:
    """Ends the process: to take apart what is left would take longer than `--version` does.

    Called last, after all that the interpreter does for others at its end: threads are over, functions that modules left for this
    moment have been called.
    """
    if _code:
        ending.let_go()
        os._exit(_code[0])
