"""ExportOptions: how a plan is written; what is written is the plan's own policy."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from kafka_salvage.errors import RequestError
from kafka_salvage.scan.limits import Limits

MAX_SEGMENT = (1 << 31) - 1
"""Kafka's bound on the bytes of a segment and on offsets relative to its name."""

ENCODINGS = ("base64", "utf8")
COMPRESSIONS = ("none", "gzip", "zstd")


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Choices of the writer.

    Attributes:
        formats: names of sinks (see `registry`).
        encoding: how JSONL shows bytes: ``base64`` or ``utf8``.
        compress: JSONL files: ``none``, ``gzip`` or ``zstd``.
        force: write into a directory that is not empty, and onto a disk that seems too small.
        resume: write into a directory that an interrupted run left.
        jobs: partitions written at a time.
        limits: bounds of decompression.
        segment_limit: most bytes of an output segment, and most that an offset may lie above its name.
        argv: the command line, for `run.json`.
        latest_per_key: only the newest record of each key that counts; record formats only.
        begun: when the run began, for `run.json`: checking comes before writing.
        bookmark_bytes, bookmark_seconds: how far a line is, is told after so many bytes of evidence, or so long.

    Raises:
        RequestError: a value is none of those allowed.
    """

    formats: tuple[str, ...] = ("segments",)
    encoding: str = "base64"
    compress: str = "none"
    force: bool = False
    resume: bool = False
    jobs: int = 1
    limits: Limits = field(default_factory=Limits)
    segment_limit: int = MAX_SEGMENT
    argv: tuple[str, ...] = ()
    latest_per_key: bool = False
    bookmark_bytes: int = 256 << 20
    bookmark_seconds: float = 10.0
    begun: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC), compare=False)

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise RequestError(
                f"there is no encoding {self.encoding!r}", advice=f"Choose one of {', '.join(ENCODINGS)}."
            )
        if self.compress not in COMPRESSIONS:
            raise RequestError(
                f"there is no compression {self.compress!r}", advice=f"Choose one of {', '.join(COMPRESSIONS)}."
            )
        if not self.formats:
            raise RequestError("no output format is given", advice="Choose segments or jsonl.")
        if self.latest_per_key and "segments" in self.formats:
            raise RequestError(
                "the latest record of each key cannot be written as segments",
                causes=(
                    "Segments hold whole batches, copied as they are; the latest records are scattered over them.",
                ),
                advice="Choose --format jsonl, parquet or arrow; or load all segments into a topic with cleanup.policy=compact.",
            )
