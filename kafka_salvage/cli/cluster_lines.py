"""Lines about a cluster that was consumed back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kafka_salvage.cli import exits
from kafka_salvage.cli.words import number, plural

if TYPE_CHECKING:
    from kafka_salvage.export.replay.comparing import Difference
    from kafka_salvage.export.replay.consuming import ClusterVerification, PartitionCheck

_PARTITIONS, _DIFFERENCES = 20, 5


def lines(found: ClusterVerification, verbose: int) -> Iterator[str]:
    """The text: a verdict, what was not compared, and the partitions that disagree with their first differences."""
    wrong = [p for p in found.partitions if not p.whole or p.counts.unexpected]
    partitions = plural(len(found.partitions), "partition")
    where = exits.safe(found.address)
    equal = found.total("equal")
    if found.exit_code == 0:
        yield f"AGREES: {plural(equal, 'record')} of {partitions} are at {where}, each once and the same."
    else:
        verdict = "OTHERS" if found.exit_code == 6 else "DISAGREES"
        yield f"{verdict}: {number(len(wrong))} of {partitions} at {where}; {plural(equal, 'record')} there and the same{_sums(found)}."
    yield from _notes(found)
    shown = wrong if verbose else wrong[:_PARTITIONS]
    for partition in shown:
        yield ""
        yield from _partition(partition, verbose)
    if len(wrong) > len(shown):
        yield f"… and {plural(len(wrong) - len(shown), 'more partition')} (-v lists all, --json FILE has everything)"
    for topic, partition_number in found.strange[:_PARTITIONS]:
        yield f"{exits.safe(topic)}-{partition_number} is in the offset map, and not in the rescue."
    if found.exit_code == 3:
        yield ""
        yield "The same replay command sends what is missing; what differs needs a topic of its own (--topic-map)."


def _sums(found: ClusterVerification) -> str:
    words = (
        ("differing", "different"),
        ("missing", "missing"),
        ("not_sent", "not sent"),
        ("unexpected", "of others between"),
    )
    return "".join(f"; {number(found.total(name))} {said}" for name, said in words if found.total(name))


def _notes(found: ClusterVerification) -> Iterator[str]:
    for note in found.notes:
        yield f"  Note: {exits.safe(note)}"
    if count := found.total("left_out"):
        yield f"  {plural(count, 'record')} of open, unknown or aborted transactions {'was' if count == 1 else 'were'} not replayed."
    if count := found.total("retimed"):
        yield f"  {plural(count, 'record')} had no timestamp and {'was' if count == 1 else 'were'} given one."
    before, behind = (sum(getattr(p, name) for p in found.partitions) for name in ("before", "behind"))
    if before or behind:
        yield f"  Other offsets in these partitions: {number(before)} before ours, {number(behind)} behind (records of others, or markers)."


def _partition(found: PartitionCheck, verbose: int) -> Iterator[str]:
    name, target = f"{found.topic}-{found.partition}", f"{found.new_topic}-{found.new_partition}"
    yield f"{exits.safe(name)}{f' -> {exits.safe(target)}' if target != name else ''}: {_what(found)}"
    differences = found.counts.differences if verbose else found.counts.differences[:_DIFFERENCES]
    for each in differences:
        yield f"  {_difference(each)}"
    rest = found.counts.differing + found.counts.missing + found.counts.not_sent + found.counts.unexpected
    if not found.reason and rest > len(differences):
        yield f"  … and {number(rest - len(differences))} more"


def _what(found: PartitionCheck) -> str:
    counts = found.counts
    if found.reason:
        return f"{found.reason}; {plural(counts.not_sent, 'record')} should be there"
    words = (
        (counts.differing, "different"),
        (counts.missing, "missing"),
        (counts.not_sent, "not sent"),
        (counts.unexpected, "of others between"),
    )
    return ", ".join(f"{number(count)} {said}" for count, said in words if count)


def _difference(each: Difference) -> str:
    if each.what == "unexpected":
        return f"offset {each.new_offset} there: none of ours"
    if each.what == "not sent":
        return f"offset {each.offset}: not in the offset map"
    if each.what == "missing":
        return f"offset {each.offset}: not at {each.new_offset}, where the offset map has it"
    return f"offset {each.offset}, {each.new_offset} there: another {each.what.replace(', ', ' and ')}"
