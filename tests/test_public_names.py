"""The public names of the package."""

from __future__ import annotations

import inspect

import kafka_salvage

NAMES = [
    "BatchTable", "ClusterVerification", "Comparison", "DestinationError", "GroupCommit", "GroupPositions",
    "IntegrityReport", "InvariantError", "MissingExtraError", "NewPositions", "OffsetMap", "Receipt", "RecordTable",
    "Replay", "RequestError", "SalvageError", "SourceError", "Verification", "check", "compare", "groups", "new_positions",
    "open_segment", "read_offset_map", "records", "replay", "replay_groups", "salvage", "show", "to_arrow", "verify",
    "verify_cluster",
]  # fmt: skip


def test_all_is_sorted_and_complete() -> None:
    assert kafka_salvage.__all__ == NAMES
    assert sorted(NAMES) == NAMES


def test_each_name_exists_and_is_documented() -> None:
    for name in NAMES:
        assert inspect.getdoc(getattr(kafka_salvage, name)), name


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(kafka_salvage, "no_such_name")


def test_dir_lists_the_public_names() -> None:
    assert set(NAMES) <= set(dir(kafka_salvage))
