"""The command `compare`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kafka_salvage.cli import aside, exits, options, progress
from kafka_salvage.cli.words import number, plural

if TYPE_CHECKING:
    from kafka_salvage.integrity.comparison import Comparison, PartitionComparison, Sum

_ROWS = 40
_RANGES = 3
_HEAD = ("Partition", "Only in A", "Only in B", "Different", "Same")


@click.command("compare", short_help="What one copy has that the other lost, per partition.")
@click.argument("a", metavar="A", type=click.STRING)
@click.argument("b", metavar="B", type=click.STRING)
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    callback=options.output_file,
    help="Write the comparison as JSON; - is stdout, instead of the text.",
)
@click.option("--topic", "topic", multiple=True, metavar="T", help="Only this topic (literal; repeatable).")
@click.option("--partition", type=click.IntRange(min=0), help="Only this partition number.")
@click.option("--internal", is_flag=True, help="Compare Kafka's own topics too.")
@options.running
def command(
    a: str,
    b: str,
    json_file: str | None,
    metrics: str | None,
    log_json: bool,
    quiet: bool,
    verbose: int,
    **flags: Any,
) -> int:
    """Compares what can be recovered from A with what can be recovered from B, offset by offset.

    A and B are each a log dir, a tree of them, a partition directory or a segment file: a directory before and after a
    broker's own recovery, or two copies. Batches are compared by their bytes; where the batches differ (cleaned or
    compressed again) by their records. Leader epochs alone make no difference.

    Exit codes: 0 both hold the same records, 6 they differ, 2 usage.
    """
    aside.keep_off((a, b))
    from kafka_salvage import api
    from kafka_salvage.integrity.placing import write_text

    outputs = [Path(name) for name in (json_file, metrics) if name is not None and name != "-"]
    with progress.choose(flags.pop("progress"), log_json, quiet, metrics, "compare") as display:
        found = api.compare(a, b, outputs=outputs, progress=display, **flags)
        display.outcome(found.exit_code)
    content = json.dumps(found.to_dict(), sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    if json_file == "-":
        click.echo(content.encode(), nl=False)
        return found.exit_code
    if json_file is not None:
        write_text(Path(json_file), content)
    for line in _lines(found, verbose):
        click.echo(line)
    return found.exit_code


def _lines(found: Comparison, verbose: int) -> Iterator[str]:
    from kafka_salvage.integrity.comparison import Kind, differing

    yield _verdict(found)
    differ = differing(found.partitions)
    if differ:
        shown = differ if verbose else differ[:_ROWS]
        rows = [_row(each) for each in shown]
        widths = [max(len(row[column]) for row in [_HEAD, *rows]) for column in range(len(_HEAD))]
        yield ""
        yield _cells(_HEAD, widths)
        for each, row in zip(shown, rows, strict=True):
            yield _cells(row, widths)
            for kind in Kind:
                yield from _ranges(each.sums[kind], str(kind).replace("_a", " A").replace("_b", " B"), verbose)
            for note in each.notes:
                yield f"    {exits.safe(note)}"
        if len(differ) > len(shown):
            yield f"… and {number(len(differ) - len(shown))} partitions more (-v lists all, --json FILE has everything)"
    if found.skipped:
        yield ""
        yield f"{number(found.skipped)} partitions of Kafka's own topics were left out; --internal compares them too."


def _verdict(found: Comparison) -> str:
    from kafka_salvage.integrity.comparison import Kind

    same = sum(each.same for each in found.partitions)
    if not found.exit_code:
        return f"SAME: both sides hold the same {_records(same)} in {_partitions(len(found.partitions))}."
    parts = []
    for kind, words in (
        (Kind.ONLY_A, "{} only in A"),
        (Kind.ONLY_B, "{} only in B"),
        (Kind.DIFFERENT, "{} not the same on both sides"),
        (Kind.UNDECODABLE, "some that cannot be decoded and compared"),
    ):
        records, control = found.total(kind)
        if records or control:
            more = f" and {number(control)} transaction marker{'' if control == 1 else 's'}" if control else ""
            parts.append(words.format(_records(records) + more))
    differ = sum(1 for each in found.partitions if each.differs)
    return f"DIFFERENT: {', '.join(parts)}; {_records(same)} the same ({_partitions(differ)} of {len(found.partitions)} differ)."


def _records(count: int) -> str:
    return f"{number(count)} record{'' if count == 1 else 's'}"


def _partitions(count: int) -> str:
    return f"{number(count)} partition{'' if count == 1 else 's'}"


def _row(each: PartitionComparison) -> tuple[str, ...]:
    from kafka_salvage.integrity.comparison import Kind

    sums = (each.sums[kind] for kind in (Kind.ONLY_A, Kind.ONLY_B, Kind.DIFFERENT))
    counts = [number(one.records + one.control) for one in sums]
    return (exits.safe(f"{each.topic}-{each.partition}"), *counts, number(each.same))


def _ranges(found: Sum, name: str, verbose: int) -> Iterator[str]:
    if not found.ranges:
        return
    shown = found.ranges if verbose else found.ranges[:_RANGES]
    listed = ", ".join(f"{r.start}..{r.stop - 1}" for r in shown)
    more = len(found.ranges) - len(shown) + found.omitted
    rest = f" and {plural(more, 'range')} more" if more else ""
    yield f"    {name}: offsets {listed}{rest}"


def _cells(row: tuple[str, ...], widths: list[int]) -> str:
    pairs = enumerate(zip(row, widths, strict=True))
    return "  ".join(cell.rjust(width) if at else cell.ljust(width) for at, (cell, width) in pairs).rstrip()
