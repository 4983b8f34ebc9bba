"""Execution: a plan carried out on a cluster, partition by partition, and the receipt of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka_salvage.errors import DestinationError, MissingExtraError
from kafka_salvage.export.replay.checks import Check, Severity, checks_of
from kafka_salvage.export.replay.choices import ReplayChoices
from kafka_salvage.export.replay.course import Course, CourseOptions, Outcome
from kafka_salvage.export.replay.journal import Journal, places_in
from kafka_salvage.export.replay.map_file import write_map
from kafka_salvage.export.replay.occupied import occupied, tolerance_of
from kafka_salvage.export.replay.offset_map import OffsetMap, OffsetMapBuilder
from kafka_salvage.export.replay.partition_log import PartitionLog
from kafka_salvage.export.replay.plan import PartitionReplay, ReplayPlan
from kafka_salvage.export.replay.planning import new_topic_of, own_name
from kafka_salvage.export.replay.reading_ahead import Ahead
from kafka_salvage.export.replay.supply import Supply, picked
from kafka_salvage.export.replay.target import Description, Target
from kafka_salvage.progress import Progress

MAP_NAME = "offset-map"
PREFIX = "kafka-salvage-"
"""Begin of every transactional id, for ACLs."""
BATCH = 1_000_000
_SMALLEST = 1 << 10
_BATCHES = 16
"""Batches that librdkafka holds: five under way, and those that wait behind them, so that a broker never waits for us.

Measured beside 6, with which its thread would spin less while full batches wait: slower with headers and with two partitions.
"""
_LEAST_QUEUE = 1 << 18


@dataclass(frozen=True, slots=True)
class Survey:
    """A plan held against a cluster.

    Attributes:
        found: what the cluster has.
        checks: what stands against the plan.
        creates: topics that would be made.
        begun: partitions that hold a part of the records already.
    """

    found: Description
    checks: tuple[Check, ...]
    creates: tuple[str, ...]
    begun: int = 0

    @property
    def problems(self) -> tuple[Check, ...]:
        """What stops a replay."""
        return tuple(c for c in self.checks if c.severity is Severity.PROBLEM)

    @property
    def harms(self) -> tuple[Check, ...]:
        """What stops a replay that is not forced."""
        return tuple(c for c in self.checks if c.severity is Severity.HARM)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "cluster_id": self.found.cluster_id,
            "brokers": self.found.brokers,
            "creates": list(self.creates),
            "begun": self.begun,
            "checks": [check.to_dict() for check in self.checks],
        }


@dataclass(frozen=True, slots=True)
class ReplayReceipt:
    """What a replay did.

    Attributes:
        outcomes: per partition of the plan, in its order.
        offset_map: old offsets to new ones, of everything that stands on the target.
        files: where it was written.
        notes: one sentence each.
    """

    outcomes: tuple[tuple[PartitionReplay, Outcome], ...]
    offset_map: OffsetMap
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()

    @property
    def sent(self) -> int:
        """Records that were sent now."""
        return sum(outcome.sent for _, outcome in self.outcomes)

    @property
    def found(self) -> int:
        """Records that the target held already, and that the journal had not told."""
        return sum(outcome.found for _, outcome in self.outcomes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "partitions": [
                {
                    "topic": part.new_topic,
                    "partition": part.partition,
                    "records": part.records,
                    "sent": made.sent,
                    "found": made.found,
                    "transactions": made.chunks if made.transactional else None,
                    "foreign": made.foreign,
                    "end": made.end,
                }
                for part, made in self.outcomes
            ],
            "offset_map": [str(path) for path in self.files],
            "notes": list(self.notes),
        }


def survey(plan: ReplayPlan, supply: Supply, target: Target, state: Path) -> Survey:
    """Holds a plan against a cluster; writes nothing.

    Args:
        plan: what would be sent.
        supply: where it comes from.
        target: the cluster.
        state: directory of the journal, where there is one.

    Raises:
        DestinationError: the cluster cannot be reached, or refuses.
        SourceError: the records cannot be read.
    """
    now = int(time.time() * 1000)
    found = target.describe([t.new_topic for t in plan.topics])
    held = occupied(plan, supply, found, target.settings, places_in(state), now)
    checks = (*checks_of(plan, found, target.address, now), *held.checks)
    creates = [t.new_topic for t in plan.topics if t.new_topic not in found.topics]
    return Survey(found, checks, tuple(creates) if plan.choices.create_topics else (), held.begun)


def refuse(made: Survey, choices: ReplayChoices, address: str) -> None:
    """Stops what would not work, or would harm the records.

    Raises:
        DestinationError: with the first reason; how many more there are is said.
    """
    stopping = made.problems or (() if choices.force else made.harms)
    if not stopping:
        return
    first = stopping[0]
    more = len(stopping) - 1
    where = f"topic {first.topic}: " if first.topic else ""
    tail = f" (and {more} more; --dry-run lists all)" if more else ""
    forced = "" if made.problems else " Or give --force to go on all the same."
    raise DestinationError(f"{where}{first.message}{tail}", target=address, advice=f"{first.advice}{forced}")


class _Pace:
    """At most so many bytes per second, over all threads."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._next = time.monotonic()

    def __call__(self, size: int) -> None:
        if self._rate is None:
            return
        with self._lock:
            begin = max(self._next, time.monotonic())
            self._next = begin + size / self._rate
        time.sleep(max(0.0, begin - time.monotonic()))


class Execution:
    """A replay under way.

    Args:
        plan: what is to be sent.
        supply: where it comes from.
        target: the cluster.
        state: directory of the journal and the offset map.
        progress: is told bytes.
    """

    def __init__(self, plan: ReplayPlan, supply: Supply, target: Target, state: Path, progress: Progress) -> None:
        self._plan, self._supply, self._target = plan, supply, target
        self._state, self._progress = state, progress
        self._choices = plan.choices
        self._lines = {(new_topic_of(line, self._choices), line.partition): line for line in supply.lines}
        self._stop = threading.Event()
        self._pace = _Pace(self._choices.rate)

    def run(self) -> ReplayReceipt:
        """Does it.

        Raises:
            DestinationError: the cluster refuses; the same call later goes on.
            RequestError: the journal is of another replay, or in use.
            SourceError: the records cannot be read.
        """
        made = survey(self._plan, self._supply, self._target, self._state)
        refuse(made, self._choices, self._target.address)
        head = {"replay_id": self._plan.replay_id, "cluster_id": made.found.cluster_id, "now": int(time.time() * 1000)}
        journal = Journal(self._state, head)
        try:
            wanted = [t.to_create(self._choices) for t in self._plan.topics if t.new_topic in made.creates]
            self._target.create(wanted)
            found = self._target.describe([t.new_topic for t in self._plan.topics]) if wanted else made.found
            outcomes = self._all(journal, found, int(journal.head["now"]))
            offset_map = self._map(journal, made.found.cluster_id)
        finally:
            journal.close()
        files, notes = self._write(offset_map)
        return ReplayReceipt(tuple(outcomes), offset_map, tuple(files), (*_notes(outcomes), *notes))

    def _all(self, journal: Journal, found: Description, now: int) -> list[tuple[PartitionReplay, Outcome]]:
        self._progress.stage("replay", self._plan.size)
        parts = self._plan.partitions
        known = sum(s.records for s in journal.standings.values())
        resumed = known > 0 or bool(journal.standings)
        with ThreadPoolExecutor(min(self._choices.jobs, max(len(parts), 1)), thread_name_prefix="replay") as pool:
            futures = [pool.submit(self._one, part, journal, found, now, resumed) for part in parts]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
                failed = [f.exception() for f in futures if f.done() and not f.cancelled() and f.exception()]
                if failed:
                    self._give_up(futures)
                    telling = [error for error in failed if not isinstance(error, KeyboardInterrupt)]
                    raise (telling or failed)[0] or KeyboardInterrupt
            except BaseException:
                self._give_up(futures)
                raise
            return [(part, future.result()) for part, future in zip(parts, futures, strict=True)]

    def _give_up(self, futures: Iterable[Any]) -> None:
        self._stop.set()
        for future in futures:
            future.cancel()

    def _one(self, part: PartitionReplay, journal: Journal, found: Description, now: int, resumed: bool) -> Outcome:
        if self._stop.is_set():
            raise KeyboardInterrupt
        place = (part.new_topic, part.partition)
        configs = found.topics[part.new_topic].configs if part.new_topic in found.topics else None
        name = (
            f"{PREFIX}{self._plan.replay_id}-{part.new_topic}-{part.partition}" if self._choices.transactions else None
        )
        options = CourseOptions(
            chunk_records=self._choices.chunk_records,
            chunk_bytes=self._choices.chunk_bytes,
            step_bytes=1 << 62 if self._choices.rate is None else max(1, int(self._choices.rate / self._choices.jobs)),
            append=self._choices.append,
            tolerance=tolerance_of(configs, self._choices, now),
            pace=self._pace,
            stopped=self._stop.is_set,
            told=lambda size, records: self._told(size, records, place),
        )
        ahead = Ahead(picked(self._lines[place], self._choices, now))
        settings = self._target.settings
        log = None
        try:
            log = PartitionLog(settings, place, name, producer_settings(part, self._choices, configs), resumed)
            return Course(log, place, journal, options).run(iter(ahead))
        finally:
            ahead.close()
            if log is not None:
                log.close()

    def _told(self, size: int, records: int, place: tuple[str, int]) -> None:
        self._progress.advance(size, f"{place[0]}-{place[1]}")
        self._progress.found(records=records)

    def _map(self, journal: Journal, cluster_id: str | None) -> OffsetMap:
        builder = OffsetMapBuilder()
        origins = {
            (p.new_topic, p.partition): ((own_name(p.topic, p.branch), p.partition), p.end)
            for p in self._plan.partitions
        }
        journal.collect(builder, origins)
        return builder.map(cluster_id)

    def _write(self, offset_map: OffsetMap) -> tuple[list[Path], list[str]]:
        files = [self._state / f"{MAP_NAME}.jsonl"]
        write_map(files[0], offset_map)
        try:
            write_map(self._state / f"{MAP_NAME}.parquet", offset_map)
            files.append(self._state / f"{MAP_NAME}.parquet")
        except MissingExtraError:
            return files, ["the offset map was written as JSON Lines only: Parquet needs pyarrow"]
        return files, []


def _notes(outcomes: Iterable[tuple[PartitionReplay, Outcome]]) -> Iterable[str]:
    made = list(outcomes)
    plain = [p for p, o in made if not o.transactional]
    if plain:
        yield (
            f"{len(plain)} partition{' was' if len(plain) == 1 else 's were'} sent without transactions: after a kill, only "
            "reading back tells what arrived"
        )
    foreign = sum(o.foreign for _, o in made)
    if foreign:
        yield f"{foreign:,} record{' on the target is' if foreign == 1 else 's on the target are'} none of ours"


def producer_settings(
    part: PartitionReplay, choices: ReplayChoices, configs: Mapping[str, str] | None
) -> dict[str, object]:
    """Settings of the producer for a partition: its batches fit what the topic takes."""
    told = [int((configs or {}).get(name) or 0) for name in ("max.message.bytes", "segment.bytes")]
    limit = min((size for size in told if size > 0), default=BATCH + 2 * _SMALLEST)
    batch = max(_SMALLEST, min(choices.batch_size or BATCH, limit - _SMALLEST))
    more: dict[str, object] = {
        "batch.size": batch,
        "batch.num.messages": 100_000,
        "queue.buffering.max.kbytes": max(_BATCHES * max(batch, part.largest), _LEAST_QUEUE) >> 10,
        "message.max.bytes": max(BATCH, part.largest + _SMALLEST, batch + _SMALLEST),
    }
    if choices.compression is not None:
        more["compression.codec"] = choices.compression
    return more
