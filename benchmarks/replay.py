"""Replay: recovered records sent to a broker on loopback, beside confluent-kafka's fastest loop sending the same from memory.

The reference hands records that lie ready as Python objects to ``Producer.produce`` with their timestamps and headers, with the
same sizes of batches, without transactions or idempotence, and waits for the acknowledgements. (``produce_batch`` is faster
still where there are no headers, and drops the timestamps: it is shown beside.) Ours reads segments, checks each CRC again,
decodes, sends in transactions, checks every new offset, syncs the journal and writes the offset map. Planning, which counts every
record through before, is in the whole. Reading back is beside a consumer of confluent-kafka that touches nothing.
"""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from benchmarks.timing import Options, Result, in_turns
from kafka_salvage import api
from kafka_salvage.export.replay.choices import ReplayChoices
from kafka_salvage.export.replay.config import client_settings
from kafka_salvage.export.replay.consuming import verify_cluster
from kafka_salvage.export.replay.execution import Execution
from kafka_salvage.export.replay.from_plan import plan_supply
from kafka_salvage.export.replay.offset_map import OffsetMap, OffsetRun
from kafka_salvage.export.replay.planning import plan_of as plan_replay
from kafka_salvage.export.replay.reading import Reader
from kafka_salvage.export.replay.target import NewTopic, Target
from kafka_salvage.integrity.asking import plan_of
from kafka_salvage.integrity.report import make_report
from kafka_salvage.progress import Progress
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.replica import take_inventory
from tests.support.broker import Cluster
from tests.support.build import EPOCH_MS, Rec, v2_batch
from tests.support.jars import UnavailableError

_GOAL = 0.8
_BATCH = 1_000_000
_MOST = 384 << 20
_STEP = 2000
_TOPIC = "orders"
_NUMBERS = itertools.count()
Message = tuple[bytes, bytes, int, list[tuple[str, str | bytes | None]] | None]


def _records(count: int, size: int, headers: int) -> list[Rec]:
    named = tuple((b"header-%d" % n, b"value-%d" % n) for n in range(headers))
    return [Rec(n, EPOCH_MS + n, b"key-%08d" % n, (b"%08d" % n * (size // 8 + 1))[:size], named) for n in range(count)]


def _lay(root: Path, partitions: int, size: int, value: int, headers: int) -> tuple[list[Message], int]:
    """Segments of equal batches; gives a partition's messages, each an object of its own, and the bytes of a record."""
    count = max(1, (256 << 10) // (value + 20))
    records = _records(count, value, headers)
    one = v2_batch(0, records)
    batches = max(1, size // partitions // len(one))
    for number in range(partitions):
        place = root / f"{_TOPIC}-{number}"
        place.mkdir(parents=True)
        with (place / f"{0:020d}.log").open("wb") as file:
            for at in range(batches):
                file.write((at * count).to_bytes(8, "big") + one[8:])
    messages: list[Message] = [
        (
            bytes(bytearray(r.value or b"")),
            r.key or b"",
            r.timestamp,
            [(k.decode(), v or b"") for k, v in r.headers] or None,
        )
        for _ in range(batches)
        for r in records
    ]
    body = sum(
        len(r.value or b"") + len(r.key or b"") + sum(len(k) + len(v or b"") for k, v in r.headers) for r in records
    )
    return messages, body // count


class _Bench:
    """A broker, and topics that come and go."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster, self._folder = cluster, folder
        self.settings = client_settings(None, cluster.address)
        self._target = Target(self.settings)
        self.topic = ""

    def fresh(self, partitions: int) -> None:
        """A new, empty topic; the one before goes."""
        if self.topic:
            admin = self._cluster.admin()  # must outlive its futures
            for gone in admin.delete_topics([self.topic]).values():
                gone.result(30)
        self.topic = f"t{next(_NUMBERS)}"
        self._target.create([NewTopic(self.topic, partitions, {"retention.ms": "-1", "file.delete.delay.ms": "100"})])

    def ours(self, tree: Path) -> tuple[Callable[[], None], Callable[[], None]]:
        """Executing a plan that is made, and the whole verb."""
        choices = ReplayChoices(topic_map={_TOPIC: "placeholder"}, batch_size=_BATCH)
        plan = plan_of(take_inventory([str(tree)]), True, {})
        document = make_report(plan, "deep").to_dict()

        def execute() -> None:
            named = ReplayChoices(topic_map={_TOPIC: self.topic}, batch_size=_BATCH)
            supply = plan_supply(plan, document, named, Limits(), "")
            made = plans.get(self.topic) or plan_replay(supply, named, jobs=2, progress=Progress())
            Execution(made, supply, self._target, self._folder / f"state-{self.topic}", Progress()).run()

        def prepare() -> None:
            named = ReplayChoices(topic_map={_TOPIC: self.topic}, batch_size=_BATCH)
            plans.clear()
            plans[self.topic] = plan_replay(
                plan_supply(plan, document, named, Limits(), ""), named, jobs=2, progress=Progress()
            )

        plans: dict[str, Any] = {}
        del choices
        self.prepare = prepare
        return execute, lambda: self._whole(tree)

    def _whole(self, tree: Path) -> None:
        api.replay(
            tree, bootstrap_server=self.settings.bootstrap, execute=True, topic_map={_TOPIC: self.topic},
            state=self._folder / f"whole-{self.topic}-{time.monotonic_ns()}", batch_size=_BATCH,
        )  # fmt: skip

    def _producer(self) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self.settings.bootstrap, "linger.ms": 20, "acks": "all", "batch.size": _BATCH,
                "batch.num.messages": 100_000, "queue.buffering.max.messages": 1_000_000,
                "queue.buffering.max.kbytes": 128 << 10, "log_level": 0,
            }
        )  # fmt: skip

    def produce(self, messages: list[Message], partitions: int) -> None:
        """The fastest loop that keeps timestamps and headers."""
        producer, topic = self._producer(), self.topic
        send = producer.produce
        for low in range(0, len(messages), _STEP):
            for partition in range(partitions):
                for value, key, timestamp, headers in messages[low : low + _STEP]:
                    while True:
                        try:
                            send(topic, value, key, partition, None, None, timestamp, headers)
                            break
                        except BufferError:
                            producer.poll(0.01)
            producer.poll(0)
        producer.flush()

    def produce_batch(self, messages: list[Message], partitions: int) -> None:
        """The faster one that keeps neither."""
        producer = self._producer()
        for low in range(0, len(messages), _STEP):
            for partition in range(partitions):
                left: list[Any] = [{"value": value, "key": key} for value, key, _, _ in messages[low : low + _STEP]]
                while left:
                    producer.produce_batch(self.topic, left, partition=partition)
                    left = [one for one in left if one.pop("_error", None) is not None]
                    if left:
                        producer.poll(0.01)
        producer.flush()

    def read(self) -> None:
        """Reads partition 0 back as columns."""
        reader = Reader(self.settings)
        low, high = reader.bounds(self.topic, 0)
        for _ in reader.read(self.topic, 0, low, high):
            pass
        reader.close()

    def comparing(self, tree: Path, count: int) -> Callable[[], None]:
        """Consuming partition 0 back and comparing each record with the evidence, which is read and decoded beside it."""
        plan = plan_of(take_inventory([str(tree)]), True, {})
        supply = plan_supply(plan, make_report(plan, "deep").to_dict(), ReplayChoices(), Limits(), "")

        def compare() -> None:
            runs = OffsetMap.of([OffsetRun(_TOPIC, 0, 0, count, self.topic, 0, 0)])
            found = verify_cluster(supply, self.settings, runs)
            if found.exit_code or found.total("equal") != count:
                raise RuntimeError(f"not as it was sent: {found.to_dict()}")

        return compare

    def consume(self, count: int) -> None:
        """A plain consumer of the same."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.settings.bootstrap,
                "group.id": "bench",
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        consumer.assign([TopicPartition(self.topic, 0, OFFSET_BEGINNING)])
        seen = 0
        while seen < count:
            seen += sum(1 for message in consumer.consume(10_000, 1.0) if message.error() is None)
        consumer.close()


_SHAPES = (
    ("100-byte values with a key", 100, 0, 1),
    ("100-byte values, 2 headers", 100, 2, 1),
    ("1 KB values with a key", 1000, 0, 1),
    ("1 KB values with a key, 2 partitions", 1000, 0, 2),
)


def run(options: Options) -> Iterator[Result]:
    """The table of this group; nothing without Java."""
    folder = options.folder / "replay"
    folder.mkdir(parents=True)
    try:
        with Cluster(folder / "broker", extra={"log.segment.delete.delay.ms": "100"}) as cluster:
            try:
                cluster.start()
            except UnavailableError as error:
                print(f"no broker can run here: {error}")
                return
            for name, value, headers, partitions in _SHAPES:
                yield from _shape(_Bench(cluster, folder), folder, options, (name, value, headers, partitions))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _shape(bench: _Bench, folder: Path, options: Options, shape: tuple[str, int, int, int]) -> Iterator[Result]:
    name, value, headers, partitions = shape
    tree = folder / "tree"
    size = min(options.size, _MOST) if value >= 1000 else min(options.size, _MOST) // 2
    messages, each = _lay(tree, partitions, size, value, headers)
    total = len(messages) * partitions
    execute, whole = bench.ours(tree)

    def before() -> None:
        bench.fresh(partitions)
        bench.prepare()

    sides: list[Callable[[], object]] = [execute, lambda: bench.produce(messages, partitions)]
    beside = [(f"replay: {name}", _GOAL)]
    spent = in_turns(sides, options.repeats, before=before)
    rate = [total / seconds for seconds in spent]
    yield Result(beside[0][0], "records/s", rate[0], rate[1], "confluent-kafka produce()", _GOAL)
    yield Result(f"{beside[0][0]} (bytes)", "MB/s", rate[0] * each / 1e6, rate[1] * each / 1e6, "the same", _GOAL)
    if not headers and partitions == 1:
        more = in_turns(
            [whole, lambda: bench.produce_batch(messages, partitions)],
            max(1, options.repeats // 2),
            before=before,
        )
        other = [total / seconds for seconds in more]
        yield Result(
            f"{name}: check, plan and replay", "records/s", other[0], other[1], "produce_batch(), no timestamps"
        )
        count = len(messages)
        bench.fresh(1)
        bench.produce(messages, 1)
        back = in_turns([bench.read, lambda: bench.consume(count), bench.comparing(tree, count)], options.repeats)
        yield Result(
            f"{name}: reading back", "records/s", count / back[0], count / back[1], "confluent-kafka consume()", 0.5
        )
        yield Result(
            f"{name}: and comparing", "records/s", count / back[2], count / back[1], "confluent-kafka consume()", 0.5
        )
    shutil.rmtree(tree)
