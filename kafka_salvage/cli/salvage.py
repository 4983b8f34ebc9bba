"""The command `salvage`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kafka_salvage.cli import aside, options, progress, resuming


def _topic_ids(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for value in values:
        topic, equals, uuid = value.partition("=")
        if not equals or not topic or len(uuid) != 22:
            raise click.BadParameter(f"{value!r}: write TOPIC=UUID with the 22 characters that kafka-topics shows")
        pairs[topic] = uuid
    return pairs


def _leader_epoch(ctx: click.Context, param: click.Parameter, value: str) -> int | None:
    if value == "keep":
        return None
    if not value.isdecimal() or int(value) >= 1 << 31:
        raise click.BadParameter(f"{value!r}: write keep, or an epoch number such as 0")
    return int(value)


@click.command("salvage", short_help="Write intact records to DIR and quarantine the rest.")
@options.paths_argument
@click.option("--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Directory to write.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["segments", "jsonl", "parquet", "arrow"]),
    help="Output format (repeatable). Default: segments.",
)
@click.option(
    "--encoding",
    type=click.Choice(["base64", "utf8"]),
    default="base64",
    show_default=True,
    help="How JSONL shows keys and values.",
)
@click.option(
    "--compress",
    type=click.Choice(["none", "gzip", "zstd"]),
    default="none",
    show_default=True,
    help="Compress JSONL files.",
)
@click.option(
    "--latest-per-key",
    is_flag=True,
    help="Only the newest record of each key, and a list of keys whose newest may be lost. Default format: jsonl.",
)
@click.option(
    "--isolation",
    type=click.Choice(["read_uncommitted", "read_committed"]),
    default="read_uncommitted",
    show_default=True,
    help="Keep all records and label each, or only none and committed ones.",
)
@click.option(
    "--undecided",
    type=click.Choice(["withhold", "keep", "strip"]),
    default="withhold",
    show_default=True,
    help="Batches of open or unknown transactions in segments/.",
)
@click.option(
    "--leader-epoch",
    callback=_leader_epoch,
    default="keep",
    show_default=True,
    metavar="keep|N",
    help="Rewrite the leader epoch of each v2 batch in segments/; 0 loads anywhere.",
)
@click.option(
    "--topic-id",
    callback=_topic_ids,
    multiple=True,
    metavar="TOPIC=UUID",
    help="Write partition.metadata with this id (repeatable).",
)
@click.option(
    "--html",
    "html_file",
    metavar="FILE",
    callback=options.named_file,
    help="Write the report as one page too, in any place outside of --out.",
)
@click.option("--resume", is_flag=True, help="Go on in a directory that an interrupted run left.")
@click.option("--force", is_flag=True, help="Write into a directory that is not empty, or onto a small disk.")
@click.option("--show-secrets", is_flag=True, help="Do not mask credentials in internal topics.")
@options.including
@options.filters
@options.running
def command(
    paths: tuple[str, ...],
    out: Path,
    formats: tuple[str, ...],
    html_file: str | None,
    metrics: str | None,
    log_json: bool,
    quiet: bool,
    verbose: int,
    **flags: Any,
) -> int:
    """Checks PATH... deep, then writes every intact record to --out DIR, and the bytes of the rest to its quarantine/.

    Sources are only read. See docs/runbook.md for how to load the result into a fresh broker.
    """
    aside.keep_off(paths)
    from kafka_salvage import api
    from kafka_salvage.cli import html_page, render

    if html_file is not None and Path(html_file).resolve().is_relative_to(out.resolve()):
        raise click.UsageError(
            f"--html {html_file} lies inside --out, where each file has its sum; name a place beside it"
        )
    outputs = [each for each in (html_file, metrics) if each is not None]
    formats = formats or (("jsonl",) if flags["latest_per_key"] else ("segments",))
    resuming.journal = out / ".partial" / "state.jsonl"
    with progress.choose(flags.pop("progress"), log_json, quiet, metrics, "salvage") as display:
        receipt = api.salvage(paths, out=out, formats=formats, outputs=outputs, progress=display, **flags)
        display.outcome(receipt.exit_code)
    request = render.Request(paths, options.again(), verbose, bool(flags["internal"]))
    with render.first() as afterwards:
        if html_file is not None:
            afterwards.callback(html_page.write, Path(html_file), receipt.report, request, receipt)
        render.report(receipt.report, request, receipt)
    return receipt.exit_code
