"""Side files as values: checkpoints, ids, indexes and snapshots, read with bounds; what is wrong with one is a fact beside it.

No side file is needed to find records. Each function reads one file and never raises: an absent value and a fact say that
it could not be read or that a broker would refuse it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from kafka_salvage.errors import SourceError
from kafka_salvage.scan.batches import I64
from kafka_salvage.scan.evidence import EvidenceFile, SideFact, TopicPartition
from kafka_salvage.source.opening import open_source
from kafka_salvage.source.source import U8, Source
from kafka_salvage.wire import offset_index as offset_index_format
from kafka_salvage.wire.filenames import FileKind

if TYPE_CHECKING:
    from kafka_salvage.wire.clean_shutdown import CleanShutdown
    from kafka_salvage.wire.meta_properties import MetaProperties
    from kafka_salvage.wire.producer_snapshot import ProducerSnapshot
    from kafka_salvage.wire.quorum_state import QuorumState
    from kafka_salvage.wire.txn_index import AbortedTransaction

# Each format is imported where the first such file is met: most directories have few kinds.

T = TypeVar("T")

MAX_BYTES = 32 << 20
"""Most bytes read of a side file. Kafka's default for an index is 10 MiB; a checkpoint of 300,000 partitions is smaller."""


@dataclass(frozen=True, slots=True)
class Side(Generic[T]):
    """What a side file says.

    Attributes:
        value: None when it cannot be read or a broker would refuse it.
        facts: what is wrong with it.
    """

    value: T | None
    facts: tuple[SideFact, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class IndexEntries:
    """Entries of an `.index` or `.timeindex`, padding stripped; one row per entry before the first that is wrong.

    Attributes:
        offset: absolute log offset.
        position: byte in the segment (`.index`), else empty.
        timestamp: ms (`.timeindex`), else empty.
        slots: entries that a broker would believe in, padding included.
        padding: zero bytes behind the entries.
    """

    offset: I64
    position: I64
    timestamp: I64
    slots: int
    padding: int

    def __len__(self) -> int:
        return len(self.offset)


def one_of(files: Sequence[EvidenceFile], kind: FileKind, read: Callable[[EvidenceFile], Side[T]]) -> Side[T]:
    """Reads the file of one kind; an empty Side when there is none."""
    return next((read(file) for file in files if file.kind is kind), Side(None))


def offset_checkpoint(file: EvidenceFile) -> Side[dict[TopicPartition, int]]:
    """(topic, partition) -> offset of a checkpoint of a log dir."""
    from kafka_salvage.wire.checkpoints import read_checkpoint

    data = _read(file)
    if isinstance(data, SideFact):
        return Side(None, (data,))
    found = read_checkpoint(data.tobytes())
    if found.problem:
        detail = {"entries_on_whole_lines": len(found.salvaged)}
        return Side(None, (SideFact(file, "checkpoint-corrupt", found.problem, detail),))
    return Side(found.offsets)


def epoch_checkpoint(file: EvidenceFile) -> Side[tuple[tuple[int, int], ...]]:
    """(epoch, start offset) lines as a broker holds them after loading, both rising."""
    from kafka_salvage.wire.epoch_checkpoint import read_epoch_checkpoint

    data = _read(file)
    if isinstance(data, SideFact):
        return Side(None, (data,))
    found = read_epoch_checkpoint(data.tobytes())
    if found.problem:
        detail = {"entries_on_whole_lines": len(found.lines)}
        return Side(None, (SideFact(file, "checkpoint-corrupt", found.problem, detail),))
    return Side(tuple((entry.epoch, entry.start_offset) for entry in found.entries))


def topic_id(file: EvidenceFile) -> Side[str]:
    """Topic id (22 characters) in `partition.metadata`."""
    from kafka_salvage.wire.partition_metadata import read_partition_metadata

    data = _read(file)
    if isinstance(data, SideFact):
        return Side(None, (data,))
    found = read_partition_metadata(data.tobytes())
    return _side(file, found.topic_id, "checkpoint-corrupt", found.problem)


def meta_properties(file: EvidenceFile) -> Side[MetaProperties]:
    """Identity of a log dir; fields that could be read are given even where a broker would refuse the file."""
    from kafka_salvage.wire.meta_properties import read_meta_properties

    data = _read(file)
    if isinstance(data, SideFact):
        return Side(None, (data,))
    found = read_meta_properties(data.tobytes())
    return _side(file, found, "checkpoint-corrupt", found.problem)


def clean_shutdown(file: EvidenceFile) -> Side[CleanShutdown]:
    """The marker of a clean stop; its presence counts, whatever it holds."""
    from kafka_salvage.wire.clean_shutdown import read_clean_shutdown

    data = _read(file)
    if isinstance(data, SideFact):
        return Side(None, (data,))
    return Side(read_clean_shutdown(data.tobytes()))


def quorum_state(file: EvidenceFile) -> Side[QuorumState]:
    """A KRaft node's memory of the election."""
    from kafka_salvage.wire.quorum_state import read_quorum_state

    data = _read(file)
    if isinstance(data, SideFact):
        return Side(None, (data,))
    found = read_quorum_state(data.tobytes())
    return _side(file, found, "checkpoint-corrupt", found.problem)


def load_offset_index(file: EvidenceFile, base: int) -> Side[IndexEntries]:
    """Absolute offset and position of each entry of an `.index`; zeros behind them are not read.

    Args:
        file: the index.
        base: the segment's base offset, which entries are relative to.
    """
    data = _read(file, offset_index_format.ENTRY_SIZE)
    if isinstance(data, SideFact):
        return Side(None, (data,))
    found = offset_index_format.read_offset_index(data)
    slots, padding = _whole(file, data, found.slots, found.padding, offset_index_format.ENTRY_SIZE)
    entries = IndexEntries(found.relative_offset + base, found.position, np.empty(0, np.int64), slots, padding)
    return _side(file, entries, "index-disagrees", found.problem)


def load_time_index(file: EvidenceFile, base: int) -> Side[IndexEntries]:
    """Timestamp and absolute offset of each entry of a `.timeindex`; arguments as for `load_offset_index`."""
    from kafka_salvage.wire import time_index as time_index_format

    data = _read(file, time_index_format.ENTRY_SIZE)
    if isinstance(data, SideFact):
        return Side(None, (data,))
    found = time_index_format.read_time_index(data)
    slots, padding = _whole(file, data, found.slots, found.padding, time_index_format.ENTRY_SIZE)
    entries = IndexEntries(found.relative_offset + base, np.empty(0, np.int64), found.timestamp, slots, padding)
    return _side(file, entries, "time-index-disagrees", found.problem)


def load_txn_index(file: EvidenceFile) -> Side[tuple[AbortedTransaction, ...]]:
    """Aborted transactions of a `.txnindex`: the entries before the first that is wrong."""
    from kafka_salvage.wire.txn_index import ENTRY_SIZE, read_txn_index

    data = _read(file, ENTRY_SIZE)
    if isinstance(data, SideFact):
        return Side(None, (data,))
    found = read_txn_index(data)
    return _side(file, found.entries, "txn-index-disagrees", found.problem)


def load_snapshot(file: EvidenceFile) -> Side[ProducerSnapshot]:
    """Producers of a `.snapshot`; given even when damaged, since its `problem` says so."""
    from kafka_salvage.wire.producer_snapshot import read_producer_snapshot

    data = _read(file)
    if isinstance(data, SideFact):
        return Side(None, (data,))
    found = read_producer_snapshot(data)
    return _side(file, found, "snapshot-corrupt", found.problem)


def _side(file: EvidenceFile, value: T | None, code: str, problem: str | None) -> Side[T]:
    return Side(value, (SideFact(file, code, problem),) if problem else ())


def _whole(file: EvidenceFile, data: U8, slots: int, padding: int, entry: int) -> tuple[int, int]:
    """Slots and padding of the whole file, where its zero tail was not read."""
    unread = file.size // entry - len(data) // entry
    return slots + unread, padding + unread * entry if len(data) < MAX_BYTES else padding


def _read(file: EvidenceFile, entry: int = 0) -> U8 | SideFact:
    """Bytes of a side file, at most `MAX_BYTES`.

    Args:
        file: the side file.
        entry: size of its entries where a tail of zeros means nothing: then it is cut off behind one zero entry.
    """
    try:
        source = open_source(file.real, file.path)
    except SourceError as error:
        return SideFact(file, "unreadable", error.message)
    try:
        data = source.read(0, min(_data_end(source, entry), MAX_BYTES))
        gaps = [gap for gap in source.unreadable if gap.start < len(data)]
    finally:
        source.close()
    if gaps:
        where: dict[str, Any] = {"ranges": [[gap.start, gap.stop] for gap in gaps]}
        return SideFact(file, "unreadable", "parts of it cannot be read", where)
    if not entry and source.size > MAX_BYTES:
        return SideFact(file, "checkpoint-corrupt", f"{source.size} bytes are far more than such a file holds")
    return data


def _data_end(source: Source, entry: int) -> int:
    """Where reading may stop: the end of the file, or one entry of zeros behind the last stored data."""
    if not entry:
        return source.size
    end = max((part.stop for part in source.data_ranges()), default=0)
    return min(-(-end // entry) * entry + entry, source.size)
