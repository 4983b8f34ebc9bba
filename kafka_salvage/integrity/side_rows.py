"""Side rows: indexes, snapshots, checkpoints and ids as rows for display."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

from kafka_salvage.scan import sidecars
from kafka_salvage.scan.evidence import EvidenceFile
from kafka_salvage.wire.filenames import FileKind, parse_file_name

Row = dict[str, Any]


def side_rows(file: EvidenceFile) -> Iterator[Row]:
    """Rows of one side file, and last what is wrong with it (type ``problem``).

    Args:
        file: a file whose kind `SIDE_KINDS` has.
    """
    yield from _READERS[file.kind](file)


def _problems(side: sidecars.Side[Any]) -> Iterator[Row]:
    for fact in side.facts:
        row: Row = {"type": "problem", "code": fact.code, "message": fact.message}
        yield row | {"detail": dict(fact.detail)} if fact.detail else row


def _base(file: EvidenceFile) -> int:
    return parse_file_name(file.path.rpartition("/")[2]).base_offset or 0


def _offset_index(file: EvidenceFile) -> Iterator[Row]:
    side = sidecars.load_offset_index(file, _base(file))
    if side.value is not None:
        for offset, position in zip(side.value.offset.tolist(), side.value.position.tolist(), strict=True):
            yield {"type": "entry", "offset": offset, "position": position}
        yield from _padding(side.value)
    yield from _problems(side)


def _time_index(file: EvidenceFile) -> Iterator[Row]:
    side = sidecars.load_time_index(file, _base(file))
    if side.value is not None:
        for timestamp, offset in zip(side.value.timestamp.tolist(), side.value.offset.tolist(), strict=True):
            yield {"type": "entry", "timestamp": timestamp, "offset": offset}
        yield from _padding(side.value)
    yield from _problems(side)


def _padding(entries: sidecars.IndexEntries) -> Iterator[Row]:
    if entries.padding:
        yield {"type": "padding", "size": entries.padding, "slots": entries.slots}


def _txn_index(file: EvidenceFile) -> Iterator[Row]:
    side = sidecars.load_txn_index(file)
    for entry in side.value or ():
        yield {"type": "entry", **_camel(entry)}
    yield from _problems(side)


def _snapshot(file: EvidenceFile) -> Iterator[Row]:
    side = sidecars.load_snapshot(file)
    for entry in side.value.entries if side.value else ():
        yield {
            "type": "entry",
            "producerId": entry.producer_id,
            "producerEpoch": entry.producer_epoch,
            "coordinatorEpoch": entry.coordinator_epoch,
            "currentTxnFirstOffset": None if entry.current_txn_first_offset < 0 else entry.current_txn_first_offset,
            "lastSequence": entry.last_sequence,
            "lastOffset": entry.last_offset,
            "offsetDelta": entry.offset_delta,
            "timestamp": entry.timestamp,
        }
    yield from _problems(side)


def _offset_checkpoint(file: EvidenceFile) -> Iterator[Row]:
    side = sidecars.offset_checkpoint(file)
    for (topic, partition), offset in (side.value or {}).items():
        yield {"type": "entry", "topic": topic, "partition": partition, "offset": offset}
    yield from _problems(side)


def _epoch_checkpoint(file: EvidenceFile) -> Iterator[Row]:
    side = sidecars.epoch_checkpoint(file)
    for epoch, start in side.value or ():
        yield {"type": "entry", "epoch": epoch, "startOffset": start}
    yield from _problems(side)


def _partition_metadata(file: EvidenceFile) -> Iterator[Row]:
    side = sidecars.topic_id(file)
    if side.value is not None:
        yield {"type": "entry", "topicId": side.value}
    yield from _problems(side)


def _meta_properties(file: EvidenceFile) -> Iterator[Row]:
    side = sidecars.meta_properties(file)
    for key, value in sorted(side.value.properties.items()) if side.value else ():
        yield {"type": "entry", "key": key, "value": value}
    yield from _problems(side)


def _clean_shutdown(file: EvidenceFile) -> Iterator[Row]:
    side = sidecars.clean_shutdown(file)
    if side.value is not None:
        yield {"type": "entry", "cleanShutdown": True, **_camel(side.value)}
    yield from _problems(side)


def _quorum_state(file: EvidenceFile) -> Iterator[Row]:
    side = sidecars.quorum_state(file)
    if side.value is not None and side.value.problem is None:
        yield {"type": "entry", **{key: value for key, value in _camel(side.value).items() if value is not None}}
    yield from _problems(side)


def _camel(value: Any) -> Row:
    """Fields of a dataclass under the names Kafka gives them; ``problem`` is left to the facts."""
    row: Row = {}
    for each in fields(value):
        first, *rest = each.name.split("_")
        content = getattr(value, each.name)
        if each.name != "problem" or content is not None:
            row[first + "".join(word.title() for word in rest)] = (
                list(content) if isinstance(content, tuple) else content
            )
    return row


_READERS: dict[FileKind, Callable[[EvidenceFile], Iterator[Row]]] = {
    FileKind.OFFSET_INDEX: _offset_index,
    FileKind.TIME_INDEX: _time_index,
    FileKind.TXN_INDEX: _txn_index,
    FileKind.PRODUCER_SNAPSHOT: _snapshot,
    FileKind.OFFSET_CHECKPOINT: _offset_checkpoint,
    FileKind.EPOCH_CHECKPOINT: _epoch_checkpoint,
    FileKind.PARTITION_METADATA: _partition_metadata,
    FileKind.META_PROPERTIES: _meta_properties,
    FileKind.CLEAN_SHUTDOWN: _clean_shutdown,
    FileKind.QUORUM_STATE: _quorum_state,
}
SIDE_KINDS = frozenset(_READERS)
"""Kinds that `side_rows` can read."""
