"""SegmentContext and SurveyOptions: what a judge is told besides the bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.verdict import Finding
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.replica import SegmentFile, TopicPartition
from kafka_salvage.wire.filenames import Suffix


@dataclass(frozen=True, slots=True)
class SurveyOptions:
    """Choices that change how bytes are judged.

    Attributes:
        deep: inflate and walk every record, not only where offsets depend on it.
        limits: bounds on decompression, and the largest batch that is believed.
        strict: what nothing corroborates is `suspect`.
        jobs: segments surveyed at the same time.
        compacted: cleanup policy by (topic, partition), as far as cluster metadata says.
    """

    deep: bool = False
    limits: Limits = field(default_factory=Limits)
    strict: bool = False
    jobs: int = 1
    compacted: Mapping[TopicPartition, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SegmentContext:
    """What the other files of a copy say about one segment.

    Attributes:
        next_base: base offset of the next live segment; None for the last one.
        reached: highest log end that a checkpoint or a snapshot's name says; -1 when none does.
        reached_by: what says so.
        epochs: (epoch, start offset) lines of the leader epoch checkpoint; None when absent or damaged.
        epoch_low, epoch_high: leader epochs of the batches before and behind the file; -1 and None when nothing bounds it.
        compacted: whether gaps between batches mean nothing; None while that is not decided.
    """

    next_base: int | None = None
    reached: int = -1
    reached_by: str = ""
    epochs: tuple[tuple[int, int], ...] | None = None
    epoch_low: int = -1
    epoch_high: int | None = None
    compacted: bool | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The file that findings are about."""

    source: str
    path: str

    @classmethod
    def of(cls, segment: SegmentFile) -> Place:
        """The place of a segment's `.log`."""
        return cls(segment.file.source, segment.file.path)

    def finding(
        self, code: str, start: int, stop: int, message: str, offsets: OffsetRange | None = None, **detail: Any
    ) -> Finding:
        """A finding in this file."""
        return Finding(code, self.source, self.path, start, stop, offsets, message, detail)


def is_main(segment: SegmentFile) -> bool:
    """Whether a segment belongs to its copy's own line (not a leftover or a deleted one)."""
    return segment.suffix is Suffix.NONE
