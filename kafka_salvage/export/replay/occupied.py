"""Occupied: partitions of a target that hold records already, and whether these begin like those that are to be sent.

Looked at before the first record is sent anywhere: a partition that holds something else would stop the replay when others are
filled. A look at the first records is enough for a refusal; that all of them agree is for `course` to find out.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

from kafka_salvage.export.replay.checks import Check, Severity
from kafka_salvage.export.replay.choices import NOW, ReplayChoices
from kafka_salvage.export.replay.config import ClientSettings
from kafka_salvage.export.replay.matching import Cursor, Tolerance, agreeing
from kafka_salvage.export.replay.offset_map import Place
from kafka_salvage.export.replay.plan import ReplayPlan
from kafka_salvage.export.replay.planning import new_topic_of
from kafka_salvage.export.replay.reading import Reader
from kafka_salvage.export.replay.supply import Supply, SupplyLine, picked
from kafka_salvage.export.replay.target import Description
from kafka_salvage.scan.records import RecordTable

_LOOK = 1000
"""Records that are looked at, at most."""


@dataclass(frozen=True, slots=True)
class Occupied:
    """What partitions of the target hold.

    Attributes:
        begun: partitions that hold records which begin like ours.
        checks: what stands against a replay.
    """

    begun: int = 0
    checks: tuple[Check, ...] = ()


def tolerance_of(configs: Mapping[str, str] | None, choices: ReplayChoices, now: int) -> Tolerance:
    """What of the records on a target need not agree with those that are to be sent.

    Args:
        configs: of the topic; None where they may not be read.
        choices: what becomes of records without a timestamp.
        now: what ``now`` stands for (ms).
    """
    return Tolerance(
        timestamps=(configs or {}).get("message.timestamp.type") == "LogAppendTime",
        stamp=now if choices.missing_timestamp == NOW else None,
    )


def occupied(
    plan: ReplayPlan, supply: Supply, found: Description, settings: ClientSettings, known: Collection[Place], now: int
) -> Occupied:
    """Looks at the partitions that records are to be sent to.

    Args:
        plan: what is to be sent.
        supply: where it comes from.
        found: what the cluster has.
        settings: how to reach it.
        known: partitions of which a journal tells what they hold.
        now: what ``now`` stands for (ms).

    Raises:
        DestinationError: the cluster does not answer, or refuses.
        SourceError: the records cannot be read.
    """
    lines = {(new_topic_of(line, plan.choices), line.partition): line for line in supply.lines}
    wanted = [
        place for place in sorted(lines)
        if place[0] in found.topics and place[1] < found.topics[place[0]].partitions and place not in known
    ]  # fmt: skip
    if plan.choices.append or not wanted:
        return Occupied()
    begun, strange = 0, dict[str, list[tuple[int, int]]]()
    with closing(Reader(settings)) as reader:
        for topic, partition in wanted:
            tolerance = tolerance_of(found.topics[topic].configs, plan.choices, now)
            line = lines[topic, partition]
            looked = _looked(reader, (topic, partition), line, (plan.choices, now), tolerance)
            begun += looked is not None
            if looked is not None and looked >= 0:
                strange.setdefault(topic, []).append((partition, looked))
    return Occupied(begun - sum(map(len, strange.values())), tuple(_checks(strange)))


def _looked(
    reader: Reader, place: Place, line: SupplyLine, how: tuple[ReplayChoices, int], tolerance: Tolerance
) -> int | None:
    """Offset of the first record that is none of ours, -1 where none was seen; None for a partition without records."""
    low, end = reader.bounds(*place)
    with closing(_generator(reader.read(*place, low, min(end, low + _LOOK)))) as tables:
        there = next((table for table in tables if len(table)), None)
    if there is None:
        return None
    with closing(_generator(picked(line, *how))) as tables:
        cursor, row = Cursor(iter(tables)), 0
        while row < len(there) and (ours := cursor.table()) is not None:
            count = agreeing(ours, cursor.row, there, row, tolerance)
            if not count:
                return int(there.offset[row])
            cursor.advance(count)
            row += count
    return -1


def _generator(tables: Iterator[RecordTable]) -> Generator[RecordTable, None, None]:
    yield from tables


def _checks(strange: Mapping[str, list[tuple[int, int]]]) -> Iterator[Check]:
    for topic, places in strange.items():
        (partition, offset), more = places[0], len(places) - 1
        others = f"; nor does that of {more} more partition{'' if more == 1 else 's'}" if more else ""
        yield Check(
            Severity.PROBLEM,
            topic,
            f"{topic}-{partition} is not empty, and what it holds does not begin like what is to be sent "
            f"(offset {offset}){others}",
            "Replay into an empty topic (--topic-map OLD=NEW), or give --append to add behind what is there.",
        )
