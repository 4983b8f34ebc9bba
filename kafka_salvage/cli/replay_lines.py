"""Lines: a replay as text: what would be sent, what is left out and why, what stands against it, what was done."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kafka_salvage.cli.exits import safe
from kafka_salvage.cli.words import number, plural, quoted

if TYPE_CHECKING:
    from kafka_salvage.export.replay.execution import ReplayReceipt, Survey
    from kafka_salvage.export.replay.plan import PartitionReplay, ReplayPlan
    from kafka_salvage.export.replay.replaying import Replay

_HEAD = ("Target", "Partition", "Records", "Bytes", "Offsets", "Oldest")
_ROWS = 40
_WHY = {
    "aborted": "aborted transactions (--include aborted)",
    "open": "transactions that are still open (--include open)",
    "unknown": "transactions whose end is lost (--include unknown)",
}
_LOSS = {
    "lost": "lost",
    "missing": "missing",
    "ambiguous": "on which copies disagree (--prefer NAME)",
    "undecodable": "that could not be decoded",
    "suspect": "in doubt",
    "divergent": "only on a branch that lost",
}


def lines(made: Replay, address: str, verbose: int) -> Iterator[str]:
    """Everything there is to say.

    Args:
        made: the replay.
        address: of the cluster.
        verbose: all partitions instead of the first.
    """
    plan = made.plan
    if made.receipt is not None:
        yield from _done(plan, made.receipt, address)
    else:
        yield f"{number(plan.records)} records ({number(plan.size)} bytes) of {plural(len(plan.partitions), 'partition')} would be sent to {safe(address)}."
        yield f"From: {safe(plan.source)}"
    yield from _table(plan, verbose)
    yield from _left_out(plan)
    if made.survey is not None:
        yield from _survey(made.survey, address)
    elif made.receipt is None:
        yield from _to_create(plan)
    for note in (*plan.notes, *made.notes):
        yield f"Note: {safe(note)}"
    yield from _next(made, address)


def _table(plan: ReplayPlan, verbose: int) -> Iterator[str]:
    shown = plan.partitions if verbose else plan.partitions[:_ROWS]
    rows = [_HEAD, *(_row(part) for part in shown)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    yield ""
    for row in rows:
        cells = (c.ljust(w) if at in (0, 4) else c.rjust(w) for at, (c, w) in enumerate(zip(row, widths, strict=True)))
        yield "  " + "  ".join(cells).rstrip()
    if len(shown) < len(plan.partitions):
        yield f"  … and {plural(len(plan.partitions) - len(shown), 'partition')} more (-v shows all)"
    yield ""


def _row(part: PartitionReplay) -> tuple[str, ...]:
    name = part.new_topic if part.new_topic == part.topic else f"{part.new_topic} (was {part.topic})"
    span = "-" if part.first is None else f"{part.first}..{part.last}"
    return safe(name), str(part.partition), number(part.records), number(part.size), span, _day(part.earliest)


def _day(moment: int | None) -> str:
    if moment is None:
        return "-"
    try:
        return dt.datetime.fromtimestamp(moment / 1000, dt.UTC).strftime("%Y-%m-%d")
    except (OverflowError, OSError, ValueError):
        return str(moment)


def _left_out(plan: ReplayPlan) -> Iterator[str]:
    left, gaps = Counter[str](), Counter[str]()
    for part in plan.partitions:
        left.update(part.left_out)
        gaps.update(part.gaps)
    for label, count in sorted(left.items()):
        yield f"Not sent: {plural(count, 'record')} of {_WHY.get(label, label)}."
    yield (
        "Not sent: control records; a cluster writes its own."
        if not left and not gaps
        else "Control records are never sent."
    )
    for status, count in sorted(gaps.items()):
        yield f"Not there: {plural(count, 'offset')} {_LOSS.get(status, status)}."
    timeless = sum(part.without_timestamp for part in plan.partitions)
    zero = sum(part.at_epoch for part in plan.partitions)
    chosen = plan.choices.missing_timestamp
    fate = "need --missing-timestamp now, or --missing-timestamp MS"
    if chosen is not None:
        fate = "get the moment of the first run" if chosen == "now" else f"get {chosen}"
    if timeless:
        yield f"Without a timestamp: {plural(timeless, 'record')}; they {fate}."
    if zero:
        yield f"With timestamp 0, which librdkafka cannot send: {plural(zero, 'record')}; they {fate}."


def _to_create(plan: ReplayPlan) -> Iterator[str]:
    choices = plan.choices
    lead = "Topics that are made when they are not there:" if choices.create_topics else "Topics that must be there:"
    yield lead
    for topic in plan.topics[:_ROWS]:
        new = topic.to_create(choices)
        settings = (
            "".join(f" {key}={value}" for key, value in sorted(new.configs.items())) if choices.create_topics else ""
        )
        yield f"  {safe(topic.new_topic)}: {plural(topic.partitions, 'partition')}{safe(settings)}"
    if len(plan.topics) > _ROWS:
        yield f"  … and {number(len(plan.topics) - _ROWS)} more"


def _survey(made: Survey, address: str) -> Iterator[str]:
    cluster = f" ({made.found.cluster_id})" if made.found.cluster_id else ""
    yield f"Cluster {safe(address)}{safe(cluster)}: {plural(made.found.brokers, 'broker')}."
    if made.creates:
        yield f"Would be made: {safe(', '.join(made.creates[:_ROWS]))}{' …' if len(made.creates) > _ROWS else ''}."
    if made.begun:
        one = made.begun == 1
        yield (
            f"{plural(made.begun, 'partition')} there {'holds records that begin' if one else 'hold records that begin'} like "
            "what is to be sent: they are compared, and the rest is sent."
        )
    words = {"problem": "STOPS IT", "harm": "STOPS IT unless --force", "warning": "Warning"}
    for check in made.checks:
        topic = f"{check.topic}: " if check.topic else ""
        yield f"{words[str(check.severity)]}: {safe(topic + check.message)}."
        yield f"  do: {safe(check.advice)}"
    if not made.checks:
        yield "Nothing stands against it."


def _done(plan: ReplayPlan, receipt: ReplayReceipt, address: str) -> Iterator[str]:
    known = receipt.offset_map.records - receipt.sent
    before = f"; {number(known)} were there already" if known else ""
    yield f"{number(receipt.sent)} records sent to {safe(address)}{before}; {number(plan.records)} of {number(plan.records)} are there."
    for path in receipt.files:
        yield f"Offset map: {safe(path)}"
    for note in receipt.notes:
        yield f"Note: {safe(note)}"


def _next(made: Replay, address: str) -> Iterator[str]:
    if made.receipt is not None:
        told = quoted(made.receipt.files[0])
        yield f"Next: kafka-salvage verify DIR --bootstrap-server {safe(address)} --offset-map {told}"
        yield "  and the groups: the same kafka-salvage replay with --groups and this --offset-map (docs/replay.md)"
    elif made.survey is None:
        yield "Nothing was sent. Next: the same command with --dry-run, then with --execute."
    else:
        stopped = made.survey.problems or (made.survey.harms and not made.plan.choices.force)
        yield "Nothing was sent." if stopped else "Nothing was sent. Next: the same command with --execute."
