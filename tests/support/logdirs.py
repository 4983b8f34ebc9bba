"""Log directories made of names: enough for an inventory, which opens side files only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

CLUSTER = "JFMHcmjwovmihf4xFbMYXA"
TOPIC_ID = "0TSzvqsDR4Go-seIA4cW9w"
HEX = "89c1e4932ebf4912a5c773ccd4d34138"


def segment(base: int, suffix: str = "") -> str:
    """Name of a segment file."""
    return f"{base:020d}.log{suffix}"


def partition(place: Path, *bases: int, topic_id: str = TOPIC_ID, files: Mapping[str, bytes] | None = None) -> Path:
    """A partition directory with segments (one byte each), their indexes, and `partition.metadata`."""
    place.mkdir(parents=True)
    for base in bases or (0,):
        (place / segment(base)).write_bytes(b"x")
        (place / f"{base:020d}.index").write_bytes(b"")
    if topic_id:
        (place / "partition.metadata").write_text(f"version: 0\ntopic_id: {topic_id}")
    for name, data in (files or {}).items():
        (place / name).write_bytes(data)
    return place


def log_dir(
    place: Path,
    node: int | None,
    cluster: str = CLUSTER,
    checkpoints: Mapping[str, Mapping[tuple[str, int], int]] | None = None,
) -> Path:
    """The files of a log dir beside its partitions; no `meta.properties` without a node."""
    place.mkdir(parents=True, exist_ok=True)
    if node is not None:
        (place / "meta.properties").write_text(f"#\n#date\nversion=1\ncluster.id={cluster}\nnode.id={node}\n")
    for name, lines in (checkpoints or {}).items():
        rows = [f"{topic} {number} {offset}\n" for (topic, number), offset in lines.items()]
        (place / name).write_text(f"0\n{len(rows)}\n{''.join(rows)}")
    return place
