"""Replica: which files form one copy of one partition, and the inventory of all sources."""

from __future__ import annotations

from kafka_salvage.scan.evidence import (
    EvidenceFile,
    Inventory,
    LogDir,
    Replica,
    SegmentFile,
    SideFact,
    SourceRoot,
    State,
    TopicPartition,
    Use,
)

__all__ = [
    "EvidenceFile",
    "Inventory",
    "LogDir",
    "Replica",
    "SegmentFile",
    "SideFact",
    "SourceRoot",
    "State",
    "TopicPartition",
    "Use",
]
