"""The command `verify`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kafka_salvage.cli import aside, cluster_lines, exits, options
from kafka_salvage.cli import progress as showing
from kafka_salvage.cli.words import number, plural

if TYPE_CHECKING:
    from kafka_salvage.export.verification import Verification

_LINES = 40


@click.command("verify", short_help="Re-check a rescue: hashes, counts, outputs against the report.")
@click.argument("out", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    callback=options.output_file,
    help="Write the result as JSON; - is stdout, instead of the text.",
)
@click.option(
    "--bootstrap-server",
    metavar="H:P",
    help="Consume the cluster that the rescue was replayed (or loaded) into, and compare every record.",
)
@click.option(
    "--offset-map",
    metavar="MAP",
    type=click.Path(exists=True, dir_okay=False),
    help="The offset map of the replay. Without it the same offsets are expected, as after loading segments.",
)
@click.option(
    "--command-config",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="Settings of the connection: a Java client.properties, or librdkafka's names.",
)
@click.option("--topic", multiple=True, metavar="T", help="Compare only this topic with the cluster (repeatable).")
@click.option("--partition", type=click.IntRange(min=0), help="Compare only this partition number.")
@options.running
def command(
    out: Path,
    json_file: str | None,
    bootstrap_server: str | None,
    offset_map: str | None,
    command_config: str | None,
    topic: tuple[str, ...],
    partition: int | None,
    jobs: int | None,
    memory: int,
    inflate_ratio: int,
    inflate_cap: int,
    progress: bool | None,
    metrics: str | None,
    log_json: bool,
    quiet: bool,
    verbose: int,
) -> int:
    """Reads the rescue in DIR again: every file against its hash, every record of every output against the report.

    With --bootstrap-server the cluster is then consumed back, and every record compared: key, value, headers, timestamp,
    partition.

    Exit codes: 0 all agrees, 3 a file is damaged, missing or accounted for by nothing, or a record is not in the cluster
    as it is in the rescue, 6 other records stand between ours, 2 DIR is no rescue, 5 a file cannot be read, or the
    cluster refuses.
    """
    if bootstrap_server is None and (offset_map, command_config, topic, partition) != (None, None, (), None):
        raise click.UsageError("--offset-map, --command-config, --topic and --partition need --bootstrap-server")
    aside.keep_off((str(out),))
    from kafka_salvage import api
    from kafka_salvage.integrity.placing import write_text

    outputs = [Path(name) for name in (json_file, metrics) if name is not None and name != "-"]
    with showing.choose(progress, log_json, quiet, metrics, "verify") as display:
        found = api.verify(
            out,
            outputs=outputs,
            jobs=jobs,
            memory=memory,
            inflate_ratio=inflate_ratio,
            inflate_cap=inflate_cap,
            progress=display,
        )
        cluster = None
        if bootstrap_server is not None and found.exit_code == 0:  # a damaged rescue proves nothing about a cluster
            cluster = api.verify_cluster(
                out,
                bootstrap_server=bootstrap_server,
                offset_map=offset_map,
                command_config=command_config,
                topic=topic,
                partition=partition,
                jobs=jobs,
                memory=memory,
                inflate_ratio=inflate_ratio,
                inflate_cap=inflate_cap,
                progress=display,
            )
        code = found.exit_code if cluster is None else cluster.exit_code
        display.outcome(code)
    told = found.to_dict() if cluster is None else {**found.to_dict(), "exit_code": code, "cluster": cluster.to_dict()}
    content = json.dumps(told, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    if json_file == "-":
        sys.stdout.buffer.write(content.encode())
        return code
    if json_file is not None:
        write_text(Path(json_file), content)
    for line in [*_lines(found, verbose), *([] if cluster is None else cluster_lines.lines(cluster, verbose))]:
        click.echo(line)
    if bootstrap_server is not None and cluster is None:
        click.echo("The cluster was not asked: the rescue has to be right first.")
    return code


def _lines(found: Verification, verbose: int) -> Iterator[str]:
    wrong = found.disagreements
    formats = sorted({line.format for line in found.lines})
    files, records = plural(len(found.files), "file"), plural(sum(line.records for line in found.lines), "record")
    if not wrong:
        read = f"; {records} read back ({', '.join(formats)})" if formats else ""
        yield f"AGREES: {files}{read}; hashes, counts and offsets are those of the manifest and the report."
        return
    places = len({path for path, _, _ in wrong})
    yield f"DISAGREES: {number(places)} of {files}; {records} read back."
    yield ""
    shown = wrong if verbose else wrong[:_LINES]
    width = max(len(status) for _, status, _ in shown)
    for path, status, reason in shown:
        yield f"  {status:<{width}}  {exits.safe(path)}: {exits.safe(reason)}"
    if len(wrong) > len(shown):
        yield f"… and {number(len(wrong) - len(shown))} more (-v lists all, --json FILE has everything)"
    yield ""
    yield "The evidence is where it was: salvage into an empty directory again, and compare."
