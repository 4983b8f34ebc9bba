"""The command `groups`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from kafka_salvage.cli import aside, exits, new_positions, options, progress

if TYPE_CHECKING:
    from kafka_salvage.export.replay.positions import NewPositions
    from kafka_salvage.metadata.positions import GroupPositions, Position

_HEAD = ("Topic", "Partition", "Position", "Committed", "Certainty")


@click.command("groups", short_help="Print consumer-group positions from __consumer_offsets.")
@options.paths_argument
@click.option("--group", "group", multiple=True, metavar="G", help="Only this group (literal; repeatable).")
@click.option(
    "--topic", "topic", multiple=True, metavar="T", help="Only positions in this topic (literal; repeatable)."
)
@click.option("--partition", type=click.IntRange(min=0), help="Only positions in this partition number.")
@click.option(
    "--csv",
    "csv_file",
    metavar="FILE",
    callback=options.output_file,
    help="Write group,topic,partition,offset lines for kafka-consumer-groups --from-file; - is stdout.",
)
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    callback=options.output_file,
    help="Write everything that is known as JSON; - is stdout, instead of the text.",
)
@click.option(
    "--offset-map",
    metavar="MAP",
    type=click.Path(exists=True, dir_okay=False),
    help="Positions in the cluster that a replay went to: its offset map.",
)
@options.running
def command(
    paths: tuple[str, ...],
    csv_file: str | None,
    json_file: str | None,
    offset_map: str | None,
    metrics: str | None,
    log_json: bool,
    quiet: bool,
    verbose: int,
    **flags: Any,
) -> int:
    """Finds where each consumer group stood, under PATH...: from __consumer_offsets over all copies.

    Positions are clamped to what can be recovered: one inside a lost range moves to the next record that is there, one
    above the end to the end. Positions whose latest commit may be lost are marked. The CSV resets the groups of a new
    cluster: kafka-consumer-groups --reset-offsets --group G --from-file FILE --execute.

    With --offset-map the positions are those of the same records in the cluster that they were replayed to.

    Exit codes: 0 all positions are certain and none was moved, 3 some may be newer or were moved because records are
    lost, 6 damage that took none of them, 2 usage.
    """
    if csv_file == "-" and json_file == "-":
        raise click.UsageError("only one of --csv and --json can go to stdout")
    aside.keep_off(paths)
    from kafka_salvage import api
    from kafka_salvage.integrity.placing import write_text

    outputs = [Path(name) for name in (csv_file, json_file, metrics) if name is not None and name != "-"]
    with progress.choose(flags.pop("progress"), log_json, quiet, metrics, "groups") as display:
        runs = None if offset_map is None else api.read_offset_map(offset_map)
        recovered = api.groups(paths, outputs=outputs, progress=display, **flags)
        found: GroupPositions | NewPositions = recovered if runs is None else api.new_positions(recovered, runs)
        display.outcome(found.exit_code)
    for name, content in ((csv_file, found.to_csv()), (json_file, _json(found))):
        if name == "-":
            click.echo(content.encode(), nl=False)
        elif name is not None:
            write_text(Path(name), content)
    if "-" not in (csv_file, json_file):
        for line in _lines(recovered) if found is recovered else new_positions.lines(cast("NewPositions", found)):
            click.echo(line)
    return found.exit_code


def _json(found: GroupPositions | NewPositions) -> str:
    return json.dumps(found.to_dict(), sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def _lines(found: GroupPositions) -> Iterator[str]:
    """The text: a verdict, a table per group, and what is not known."""
    yield _verdict(found)
    kinds = {group.name: group for group in found.groups}
    for name, positions in groupby(found.positions, lambda position: position.group):
        group = kinds[name]
        members = len(group.members)
        about = [group.type or "", f"{members} member{'' if members == 1 else 's'}" if members else ""]
        words = ", ".join(word for word in about if word)
        yield ""
        yield f"{exits.safe(name)}{f' ({words})' if words else ''}"
        yield from _table(list(positions))
    for name, note in sorted(found.unfound.items()):
        yield ""
        yield f"{exits.safe(name)}: no position is here{f'; {note}' if note else ''}."
    for number, each in found.offsets.coordinators.items():
        for low, high, status in each.holes:
            yield f"__consumer_offsets-{number}: offsets {low}..{high - 1} are {status}; other groups may have been there."
    if found.absent:
        numbers = ", ".join(map(str, found.absent[:20])) + (" …" if len(found.absent) > 20 else "")
        yield f"No copy of __consumer_offsets partitions {numbers} is among the sources: their groups are not known."
    for note in found.offsets.notes[:5]:
        yield exits.safe(note)


def _verdict(found: GroupPositions) -> str:
    positions = [position for position in found.positions if position.offset is not None]
    groups = len(found.groups)
    moved = sum(1 for p in positions if p.moved)
    unsure = sum(1 for p in positions if p.certainty != "certain")
    tail = f"; {moved:,} moved because records are lost" if moved else ""
    tail += f"; {unsure:,} may be newer than what is here" if unsure else ""
    return (
        f"{len(positions):,} position{'' if len(positions) == 1 else 's'} of {groups:,} "
        f"group{'' if groups == 1 else 's'}{tail}."
    )


def _table(positions: list[Position]) -> Iterator[str]:
    rows = [
        (
            exits.safe(p.topic),
            str(p.partition),
            "-" if p.offset is None else str(p.offset),
            "-" if p.committed is None else str(p.committed.offset),
            p.certainty,
        )
        for p in positions
    ]
    widths = [max(len(row[column]) for row in [_HEAD, *rows]) for column in range(len(_HEAD))]
    yield f"  {_cells(_HEAD, widths)}"
    for position, row in zip(positions, rows, strict=True):
        yield f"  {_cells(row, widths)}"
        for note in position.notes:
            yield f"    {exits.safe(note)}"


def _cells(row: tuple[str, ...], widths: list[int]) -> str:
    aligned = (
        cell.rjust(width) if 0 < at < 4 else cell.ljust(width)
        for at, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(aligned).rstrip()
