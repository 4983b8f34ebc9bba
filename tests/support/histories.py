"""Histories: a partition's life on several brokers, by Kafka's rules, and the directories that it leaves.

Leaders append, followers copy batches byte for byte and are truncated to the leader's epochs first (KIP-101), elections may be
unclean, replicas are compacted each by itself. What the last leader has is what the cluster would have kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.support.build import EPOCH_MS, Rec, marker, segment_name, v2_batch

TOPIC = "ledger"
CLUSTER = "abcdefghijklmnopqrstuv"


@dataclass(frozen=True)
class Batch:
    """One batch as a broker wrote it.

    Attributes:
        fate: of a transactional data batch: the number of its transaction; None otherwise.
    """

    base: int
    last: int
    epoch: int
    data: bytes
    records: tuple[Rec, ...]
    fate: int | None = None
    control: bool = False


@dataclass
class Copy:
    """One broker's log: batches, and (epoch, start) lines of its checkpoint."""

    batches: list[Batch] = field(default_factory=list)
    epochs: list[tuple[int, int]] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.batches[-1].last + 1 if self.batches else 0

    def end_of(self, epoch: int) -> tuple[int, int]:
        """(largest epoch that is at most this one, where it ends), as a leader answers a follower."""
        known = [number for number, _ in self.epochs if number <= epoch]
        if not known:
            return -1, 0
        higher = [start for number, start in self.epochs if number > known[-1]]
        return known[-1], min(higher, default=self.end)

    def truncate(self, offset: int) -> None:
        self.batches = [b for b in self.batches if b.last < offset]
        self.epochs = [(number, start) for number, start in self.epochs if start < offset]

    def listen(self, batch: Batch) -> None:
        """Appends as a follower."""
        if not self.epochs or self.epochs[-1][0] < batch.epoch:
            self.epochs.append((batch.epoch, batch.base))
        self.batches.append(batch)


class History:
    """A partition with some replicas.

    Args:
        replicas: how many.
        keys: values of keys where the topic is compacted; 0 = it is not.
    """

    def __init__(self, replicas: int = 3, keys: int = 0) -> None:
        self.copies = [Copy() for _ in range(replicas)]
        self.keys = keys
        self.leader = 0
        self.epoch = 0
        self.copies[0].epochs.append((0, 0))
        self._count = 0
        self._open: dict[int, int] = {}
        self._transactions = 0
        self.ended: dict[int, bool] = {}
        """Transaction -> committed, for each marker that was ever written, on whatever branch."""

    def _records(self, base: int, count: int) -> tuple[Rec, ...]:
        made = []
        for offset in range(base, base + count):
            self._count += 1
            key = b"k%d" % (self._count % self.keys if self.keys else self._count)
            made.append(
                Rec(offset, EPOCH_MS + self._count, key, b"value-%d-" % self._count + b"." * (self._count % 40))
            )
        return tuple(made)

    def append(self, count: int, producer: int | None = None) -> None:
        """The leader writes a batch; with a producer as part of its transaction."""
        log = self.copies[self.leader]
        records = self._records(log.end, count)
        if producer is None:
            data, fate = v2_batch(log.end, records, epoch=self.epoch), None
        else:
            if producer not in self._open:
                self._transactions += 1
                self._open[producer] = self._transactions
            fate = self._open[producer]
            data = v2_batch(
                log.end,
                records,
                epoch=self.epoch,
                attributes=0x10,
                producer_id=producer,
                producer_epoch=0,
                base_sequence=0,
            )
        log.batches.append(Batch(log.end, log.end + count - 1, self.epoch, data, records, fate))

    def end(self, producer: int, *, commit: bool) -> None:
        """The leader writes the marker of a producer's open transaction."""
        fate = self._open.pop(producer, None)
        if fate is None:
            return
        log = self.copies[self.leader]
        data = marker(log.end, commit=commit, producer_id=producer, epoch=self.epoch)
        self.ended[fate] = commit
        log.batches.append(Batch(log.end, log.end, self.epoch, data, (), control=True))

    def follow(self, copy: int, batches: int) -> None:
        """A follower is truncated to the leader's epochs and fetches some batches."""
        if copy == self.leader:
            return
        mine, leader = self.copies[copy], self.copies[self.leader]
        while mine.epochs:
            known, end = leader.end_of(mine.epochs[-1][0])
            ours, our_end = mine.end_of(known)
            mine.truncate(min(end, our_end) if ours == known else our_end)
            if ours == known or not mine.epochs:
                break
        for batch in [b for b in leader.batches if b.base >= mine.end][:batches]:
            mine.listen(batch)

    def elect(self, copy: int) -> None:
        """Another leader, whatever it lacks: an unclean election if it lacks something."""
        self.leader = copy
        self.epoch += 1
        log = self.copies[copy]
        log.epochs = [(number, start) for number, start in log.epochs if start < log.end]
        log.epochs.append((self.epoch, log.end))
        self._open = {}  # the coordinator would write markers; here they hang

    def clean(self, copy: int, share: float) -> None:
        """Compacts the head of one replica: the last record of each key in it stays, batches keep their offsets."""
        log = self.copies[copy]
        dirty = int((len(log.batches) - 1) * share)
        log.batches = [*thinned(log.batches[:dirty]), *log.batches[dirty:]]

    def write(self, root: Path, *, checkpoints: bool = True) -> list[Path]:
        """One log directory per broker; each rolls its segments at places of its own."""
        made = []
        for number, copy in enumerate(self.copies):
            home = root / f"b{number}"
            directory = home / f"{TOPIC}-0"
            directory.mkdir(parents=True)
            (home / "meta.properties").write_text(f"version=1\nnode.id={number}\ncluster.id={CLUSTER}\n")
            for base, some in segments_of(copy.batches, 3 + number):
                (directory / segment_name(base)).write_bytes(b"".join(b.data for b in some))
            if not copy.batches:
                (directory / segment_name(0)).write_bytes(b"")
            lines = "".join(f"{epoch} {start}\n" for epoch, start in copy.epochs)
            if checkpoints:
                (directory / "leader-epoch-checkpoint").write_text(f"0\n{len(copy.epochs)}\n{lines}")
                (home / "replication-offset-checkpoint").write_text(f"0\n1\n{TOPIC} 0 {copy.end}\n")
                if self.keys:
                    (home / "cleaner-offset-checkpoint").write_text(f"0\n1\n{TOPIC} 0 0\n")
            made.append(home)
        return made


def thinned(head: Sequence[Batch]) -> list[Batch]:
    """What the cleaner leaves of some batches; the last one stays, even if it is empty."""
    latest = {record.key: record.offset for batch in head for record in batch.records}
    kept: list[Batch] = []
    for place, batch in enumerate(head):
        records = tuple(r for r in batch.records if latest[r.key] == r.offset)
        if records or place == len(head) - 1:
            data = v2_batch(
                batch.base,
                records,
                epoch=batch.epoch,
                last_offset_delta=batch.last - batch.base,
                base_timestamp=batch.records[0].timestamp if batch.records else EPOCH_MS,
            )
            kept.append(batch if records == batch.records else replace(batch, data=data, records=records))
    return kept


def segments_of(batches: Sequence[Batch], most: int) -> list[tuple[int, list[Batch]]]:
    """(base offset, batches) of each segment."""
    return [(batches[at].base, list(batches[at : at + most])) for at in range(0, len(batches), most)]
