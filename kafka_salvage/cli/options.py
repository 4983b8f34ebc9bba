"""Option decorators that several commands share."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from kafka_salvage.cli import allocation, exits

F = TypeVar("F", bound=Callable[..., Any])

_FILES = frozenset({"out", "json_file", "html_file", "mapfile", "metrics", "state"})
OWN = _FILES | {"deep", "progress", "log_json", "quiet", "verbose", "formats", "resume"}
"""Parameters that a next command is not given."""

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class ByteSize(click.ParamType):  # type: ignore[type-arg] # generic only in newer versions of click
    """Bytes: a number, with K, M, G or T (powers of 1024; `MiB` and `MB` mean the same here)."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Text to bytes."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", str(value).strip(), re.IGNORECASE)
        if not match:
            self.fail(f"{value!r} is no size; write for example 512MiB or 2G", param, ctx)
        return int(float(match[1]) * _UNITS[match[2].upper()])


class Moment(click.ParamType):  # type: ignore[type-arg] # generic only in newer versions of click
    """ISO 8601 date and time; without a zone it is UTC."""

    name = "datetime"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.datetime:
        """Text to a datetime with a zone."""
        if isinstance(value, dt.datetime):
            return value
        try:
            moment = dt.datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no ISO 8601 date; write for example 2024-05-01T12:00:00Z", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _stack(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    def apply(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


def paths_argument(function: F) -> F:
    """PATH…, taken literally so that NAME=PATH works."""
    return click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.STRING)(function)


def _regex(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        try:
            re.compile(value)
        except re.error as error:
            raise click.BadParameter(f"{value!r} is no regular expression: {error}") from error
    return value


def filters(function: F) -> F:
    """What to select; filters select output, never analysis."""
    return _stack(
        click.option("--topic", "topic", multiple=True, metavar="T", help="Only this topic (literal; repeatable)."),
        click.option("--topic-regex", metavar="R", callback=_regex, help="Only topics that match R as a whole."),
        click.option("--partition", type=click.IntRange(min=0), help="Only this partition number."),
        click.option("--from-offset", type=click.IntRange(min=0), help="From this offset on."),
        click.option("--to-offset", type=click.IntRange(min=0), help="Up to this offset, not included."),
        click.option("--from-datetime", type=Moment(), help="From this time on (ISO 8601; UTC without a zone)."),
        click.option("--to-datetime", type=Moment(), help="Up to this time, not included."),
        click.option("--internal", is_flag=True, help="Export internal topics too (they are always checked)."),
    )(function)


def running(function: F) -> F:
    """How to run."""
    return _stack(
        click.option("--jobs", type=click.IntRange(min=1), help="Workers. Default: the cores."),
        click.option(
            "--memory",
            type=ByteSize(),
            default="512MiB",
            show_default=True,
            callback=lambda ctx, param, value: allocation.promise(value),
            help="Memory to stay within; what a batch above 50 MiB or a million damages in a segment take on top is said.",
        ),
        click.option(
            "--inflate-ratio",
            type=click.IntRange(min=1),
            default=1024,
            show_default=True,
            help="A batch may inflate to this many times its stored bytes (64 MiB are always allowed).",
        ),
        click.option(
            "--inflate-cap",
            type=ByteSize(),
            default="256MiB",
            show_default=True,
            help="No batch may inflate to more than this.",
        ),
        click.option("--progress/--no-progress", default=None, help="Progress on stderr. Default: on a terminal."),
        click.option(
            "--metrics",
            metavar="FILE",
            callback=output_file,
            help="Write progress to FILE for Prometheus' textfile collector.",
        ),
        click.option("--log-json", is_flag=True, help="Progress and messages as JSON lines on stderr."),
        click.option("-q", "--quiet", is_flag=True, help="Only errors on stderr."),
        click.option("-v", "--verbose", count=True, help="More on stderr; -vv adds tracebacks."),
    )(function)


def including(function: F) -> F:
    """Choices that change what counts as recovered."""
    return _stack(
        click.option(
            "--include",
            multiple=True,
            type=click.Choice(
                ["trimmed", "deleted-topics", "deleted-segments", "stray", "future", "leftovers", "suspect"]
            ),
            help="Add what is left out by default (repeatable).",
        ),
        click.option("--prefer", metavar="NAME", help="The source that is right where copies disagree."),
        click.option(
            "--same-cluster",
            is_flag=True,
            help="The sources are of one cluster whatever their cluster ids say (its metadata was written anew).",
        ),
        click.option("--strict", is_flag=True, help="Believe no batch that its surroundings do not prove."),
    )(function)


def again() -> list[str]:
    """Flags of the running command, as words, that the command after it must be given too."""
    context = click.get_current_context()
    words: list[str] = []
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if not given or name in OWN or not isinstance(parameter, click.Option):
            continue
        value = context.params[name]
        flag = max(parameter.opts, key=len)
        if parameter.is_flag:
            words += [flag] if value else []
        else:
            for each in value if parameter.multiple else (value,):
                words += [flag, each.isoformat() if isinstance(each, dt.datetime) else str(each)]
    return words


def output_file(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A file to write: its directory must be there, so that this shows before the work and not after it."""
    if value is not None and value != "-":
        place = Path(value)
        if place.is_dir():
            raise click.BadParameter(f"{exits.safe(value)} is a directory; name a file in it")
        if not Path(os.path.realpath(place)).parent.is_dir():
            raise click.BadParameter(f"{exits.safe(value)}: there is no such directory; make it first")
    return value


def named_file(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """As `output_file`, for what is not written to stdout."""
    if value == "-":
        raise click.BadParameter("it is not written to stdout; name a file")
    return output_file(ctx, param, value)
