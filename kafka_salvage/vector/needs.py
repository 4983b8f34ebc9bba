"""Need: the kernels that a command is going to call, compiled together before it begins; nothing where they are kept already.

Strategy: the kernels of a part share functions, which one compiler translates once. The long parts come first, so that two that
work at a time end together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from kafka_salvage.vector.cache import ready


def for_reading() -> list[list[Callable[..., Any]]]:
    """What reads every record of any log."""
    from kafka_salvage.vector import checking, framing, holding, inflating, jobs

    return [
        [framing.follow, framing.follow_usual],
        [inflating.inflate_jobs],
        [checking.check_jobs],
        [holding.hold],
        [jobs.fill],
    ]


def for_writing(formats: Collection[str]) -> list[list[Callable[..., Any]]]:
    """What records are written with."""
    if not {"jsonl", "parquet", "arrow"}.intersection(formats):
        return []
    from kafka_salvage.vector import gather, lines, records

    columns: list[Callable[..., Any]] = [records.decode_jobs, records.count_rows]
    text: list[Callable[..., Any]] = [lines.render]
    return [columns, text if "jsonl" in formats else [gather.move_rows]]


def prepare(formats: Collection[str] = ()) -> None:
    """Makes ready what reads every record, and writes them in some formats."""
    ready([*for_writing(formats), *for_reading()])
