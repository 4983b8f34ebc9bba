"""Forensic recovery of Kafka log segments: every intact record back, every byte and offset accounted for.

The names below are loaded when they are first used, so that ``import kafka_salvage`` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafka_salvage.api import (
        check,
        compare,
        groups,
        new_positions,
        open_segment,
        read_offset_map,
        records,
        replay,
        replay_groups,
        salvage,
        show,
        verify,
        verify_cluster,
    )
    from kafka_salvage.errors import (
        DestinationError,
        InvariantError,
        MissingExtraError,
        RequestError,
        SalvageError,
        SourceError,
    )
    from kafka_salvage.export.arrow_columns import to_arrow
    from kafka_salvage.export.receipt import Receipt
    from kafka_salvage.export.replay.consuming import ClusterVerification
    from kafka_salvage.export.replay.group_target import GroupCommit
    from kafka_salvage.export.replay.offset_map import OffsetMap
    from kafka_salvage.export.replay.positions import NewPositions
    from kafka_salvage.export.replay.replaying import Replay
    from kafka_salvage.export.verification import Verification
    from kafka_salvage.integrity.comparison import Comparison
    from kafka_salvage.integrity.report import IntegrityReport
    from kafka_salvage.metadata.positions import GroupPositions
    from kafka_salvage.scan.batches import BatchTable
    from kafka_salvage.scan.records import RecordTable

__version__ = "0.1.0"

_HOMES = {
    "BatchTable": "kafka_salvage.scan.batches",
    "ClusterVerification": "kafka_salvage.export.replay.consuming",
    "Comparison": "kafka_salvage.integrity.comparison",
    "DestinationError": "kafka_salvage.errors",
    "GroupCommit": "kafka_salvage.export.replay.group_target",
    "GroupPositions": "kafka_salvage.metadata.positions",
    "IntegrityReport": "kafka_salvage.integrity.report",
    "InvariantError": "kafka_salvage.errors",
    "MissingExtraError": "kafka_salvage.errors",
    "NewPositions": "kafka_salvage.export.replay.positions",
    "OffsetMap": "kafka_salvage.export.replay.offset_map",
    "Receipt": "kafka_salvage.export.receipt",
    "RecordTable": "kafka_salvage.scan.records",
    "Replay": "kafka_salvage.export.replay.replaying",
    "RequestError": "kafka_salvage.errors",
    "SalvageError": "kafka_salvage.errors",
    "SourceError": "kafka_salvage.errors",
    "Verification": "kafka_salvage.export.verification",
    "check": "kafka_salvage.api",
    "compare": "kafka_salvage.api",
    "groups": "kafka_salvage.api",
    "new_positions": "kafka_salvage.api",
    "open_segment": "kafka_salvage.api",
    "read_offset_map": "kafka_salvage.api",
    "records": "kafka_salvage.api",
    "replay": "kafka_salvage.api",
    "replay_groups": "kafka_salvage.api",
    "salvage": "kafka_salvage.api",
    "show": "kafka_salvage.integrity.listing",
    "to_arrow": "kafka_salvage.export.arrow_columns",
    "verify": "kafka_salvage.api",
    "verify_cluster": "kafka_salvage.api",
}

__all__ = [
    "BatchTable",
    "ClusterVerification",
    "Comparison",
    "DestinationError",
    "GroupCommit",
    "GroupPositions",
    "IntegrityReport",
    "InvariantError",
    "MissingExtraError",
    "NewPositions",
    "OffsetMap",
    "Receipt",
    "RecordTable",
    "Replay",
    "RequestError",
    "SalvageError",
    "SourceError",
    "Verification",
    "check",
    "compare",
    "groups",
    "new_positions",
    "open_segment",
    "read_offset_map",
    "records",
    "replay",
    "replay_groups",
    "salvage",
    "show",
    "to_arrow",
    "verify",
    "verify_cluster",
]


def __getattr__(name: str) -> Any:
    """Loads a public name from its home."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, sorted."""
    return sorted([*__all__, "__version__"])
