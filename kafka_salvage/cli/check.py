"""The command `check`."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from kafka_salvage.cli import aside, loading, options, progress, resuming


@click.command("check", short_help="Dry-run integrity report; writes nothing to the sources.")
@options.paths_argument
@click.option("--deep", is_flag=True, help="Inflate and walk every record too.")
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    callback=options.output_file,
    help="Write the report as JSON; - is stdout, instead of the text.",
)
@click.option(
    "--html",
    "html_file",
    metavar="FILE",
    callback=options.named_file,
    help="Write the report as one page to look at, in any browser and without a network.",
)
@click.option(
    "--mapfile",
    "mapfile",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Write a ddrescue map of each segment below DIR.",
)
@click.option(
    "--state",
    metavar="FILE",
    callback=options.output_file,
    help="Tell finished segments to FILE, so that a check that was killed can go on.",
)
@click.option("--resume", is_flag=True, help="Go on with what --state FILE tells; what changed since is read again.")
@options.including
@options.filters
@options.running
def command(
    paths: tuple[str, ...],
    deep: bool,
    json_file: str | None,
    html_file: str | None,
    mapfile: Path | None,
    metrics: str | None,
    log_json: bool,
    quiet: bool,
    verbose: int,
    **flags: Any,
) -> int:
    """Accounts for every byte and every offset under PATH..., and says what a salvage would give.

    PATH is a broker's log dir, a tree that holds several, a partition directory or segment files; NAME=PATH names the
    source. Also says what a broker start would destroy. Exit codes: see kafka-salvage --help.
    """
    aside.keep_off(paths)
    with loading.quietly():
        from kafka_salvage import api

        loading.load(loading.WALKING)

    outputs = [] if mapfile is None else [mapfile]
    outputs += [] if json_file in (None, "-") else [Path(str(json_file))]
    outputs += [Path(each) for each in (html_file, metrics) if each is not None]
    if flags["state"] is not None:
        resuming.journal = Path(flags["state"])
    display = progress.choose(flags.pop("progress"), log_json, quiet, metrics, "check")
    with display, loading.meanwhile(loading.SHOWING):
        report = api.check(paths, deep=deep, outputs=outputs, progress=display, **flags)
        display.outcome(int(report.exit_code))
    from kafka_salvage.cli import render
    from kafka_salvage.integrity.document import text_of
    from kafka_salvage.integrity.mapfile import write_maps

    request = render.Request(paths, options.again(), verbose, bool(flags["internal"]))
    with render.first() as afterwards:
        if mapfile is not None:
            afterwards.callback(write_maps, report, mapfile)
        if html_file is not None:
            from kafka_salvage.cli import html_page

            afterwards.callback(html_page.write, Path(html_file), report, request)
        if json_file not in (None, "-"):
            from kafka_salvage.integrity.placing import write_text

            afterwards.callback(write_text, Path(str(json_file)), text_of(report.document))
        if json_file == "-":
            sys.stdout.buffer.writelines(piece.encode() for piece in text_of(report.document))
        else:
            render.report(report, request)
    if verbose:
        with suppress(OSError):  # what was asked for is out
            click.echo(json.dumps(render.run_block(), sort_keys=True), err=True)
    return int(report.exit_code)
