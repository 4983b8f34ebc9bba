"""The command `replay`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from kafka_salvage.cli import aside, options, progress, replay_groups

_MOST = 1 << 53
_SENT = ("open", "unknown", "aborted", "divergent")
_WITH_GROUPS = {"bootstrap_server", "command_config", "force", "topic", "partition", "jobs", "memory", "inflate_ratio"}
_RECOVERED = ("trimmed", "deleted-topics", "deleted-segments", "stray", "future", "leftovers", "suspect")


def _pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key or not text:
            raise click.BadParameter(f"{value!r}: write {param.metavar}")
        if key in pairs:
            raise click.BadParameter(f"{key!r} is given twice")
        pairs[key] = text
    return pairs


def _timestamp(ctx: click.Context, param: click.Parameter, value: str | None) -> str | int | None:
    if value is None or value == "now":
        return value
    if not value.isdecimal() or not 0 < int(value) < _MOST:
        raise click.BadParameter(f"{value!r}: write now, or milliseconds since 1970")
    return int(value)


def _rate(ctx: click.Context, param: click.Parameter, value: int | None) -> float | None:
    if value is not None and value < 1:
        raise click.BadParameter("a rate is at least one byte per second")
    return None if value is None else float(value)


@click.command("replay", short_help="Re-emit recovered records to a cluster, exactly once.")
@options.paths_argument
@click.option("--bootstrap-server", required=True, metavar="H:P", help="The cluster; several addresses with commas.")
@click.option(
    "--command-config",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="Settings of the connection: a Java client.properties, or librdkafka's names.",
)
@click.option("--execute", is_flag=True, help="Do it. Without, the plan is printed and nothing is sent.")
@click.option(
    "--dry-run", is_flag=True, help="Connect and check the cluster against the plan; nothing is written there."
)
@click.option(
    "--state",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Journal and offset map; the same one lets an interrupted replay go on. Default: ./replay-ID.",
)
@click.option("--topic-map", callback=_pairs, multiple=True, metavar="OLD=NEW", help="Send a topic under another name.")
@click.option("--create-topics", is_flag=True, help="Make topics that are not there.")
@click.option(
    "--replication-factor", type=click.IntRange(min=1), help="Of topics that are made. Default: the broker's."
)
@click.option(
    "--topic-config", callback=_pairs, multiple=True, metavar="KEY=VALUE", help="Setting of topics that are made."
)
@click.option(
    "--missing-timestamp",
    metavar="now|MS",
    callback=_timestamp,
    help="For records without a timestamp, which are not sent otherwise.",
)
@click.option("--append", is_flag=True, help="Allow records on the target that are none of ours, before and between.")
@click.option("--force", is_flag=True, help="Go on although the target would change or delete records.")
@click.option(
    "--transactions/--no-transactions",
    default=True,
    show_default=True,
    help="Send in transactions, where the cluster allows it.",
)
@click.option(
    "--compression",
    type=click.Choice(["none", "gzip", "snappy", "lz4", "zstd"]),
    help="Codec of what is sent. Default: none.",
)
@click.option(
    "--batch-size", type=options.ByteSize(), help="Most bytes of a batch. Default: 1 MB, or what the topic takes."
)
@click.option("--rate", type=options.ByteSize(), callback=_rate, help="Most bytes per second, over all partitions.")
@click.option(
    "--include",
    multiple=True,
    type=click.Choice([*_SENT, *_RECOVERED]),
    help="Send more transactions or losing branches too, or add what a salvage leaves out (repeatable).",
)
@click.option("--prefer", metavar="NAME", help="The source that is right where copies disagree.")
@click.option("--same-cluster", is_flag=True, help="The sources are of one cluster whatever their cluster ids say.")
@click.option("--strict", is_flag=True, help="Believe no batch that its surroundings do not prove.")
@click.option(
    "--groups", is_flag=True, help="Commit recovered positions of consumer groups instead; needs --offset-map."
)
@click.option("--group", multiple=True, metavar="G", help="With --groups: only this group (literal; repeatable).")
@click.option(
    "--offset-map",
    metavar="MAP",
    type=click.Path(exists=True, dir_okay=False),
    help="With --groups: the offset map of the replay.",
)
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    callback=options.output_file,
    help="Write everything as JSON; - is stdout, instead of the text.",
)
@options.filters
@options.running
def command(
    paths: tuple[str, ...],
    execute: bool,
    dry_run: bool,
    json_file: str | None,
    metrics: str | None,
    log_json: bool,
    quiet: bool,
    verbose: int,
    groups: bool,
    group: tuple[str, ...],
    offset_map: str | None,
    **flags: Any,
) -> int:
    """Sends what can be recovered to a cluster: from the output directory of a salvage, or straight from damaged PATH...

    Same partition, timestamp, key, value and headers. Prints the plan; --dry-run holds it against the cluster, --execute
    does it. Killed at any moment and started again, each record is there once and in order.

    Exit codes: 0, 3, 4, 6 as check gives them for the source; 5 the cluster refuses or cannot be reached (the same
    command goes on later), or --dry-run found what would stop it; 2 usage.
    """
    if execute and dry_run:
        raise click.UsageError("--execute does it, --dry-run does not: give one of them")
    if flags.pop("internal"):
        raise click.UsageError("--internal: a cluster writes Kafka's own topics itself; see --groups for positions")
    aside.keep_off(paths)
    if groups:
        for name in [name for name in flags if name not in _WITH_GROUPS]:
            del flags[name]
        return replay_groups.run(
            paths, offset_map=offset_map, group=group, execute=execute, json_file=json_file, **flags
        )
    if group or offset_map is not None:
        raise click.UsageError("--group and --offset-map go with --groups")
    from kafka_salvage import api
    from kafka_salvage.cli import replay_lines
    from kafka_salvage.integrity.placing import write_text

    outputs = [Path(name) for name in (json_file, metrics) if name is not None and name != "-"]
    with progress.choose(flags.pop("progress"), log_json, quiet, metrics, "replay") as display:
        made = api.replay(paths, execute=execute, dry_run=dry_run, outputs=outputs, progress=display, **flags)
        display.outcome(made.exit_code)
    content = json.dumps(made.to_dict(), sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    if json_file == "-":
        click.echo(content.encode("utf-8", "backslashreplace"), nl=False)
        return made.exit_code
    if json_file is not None:
        write_text(Path(json_file), content)
    for line in replay_lines.lines(made, flags["bootstrap_server"], verbose):
        click.echo(line)
    return made.exit_code
