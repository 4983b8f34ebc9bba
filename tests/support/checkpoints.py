"""Checkpoint files of a log directory, edited line by line."""

from __future__ import annotations

from pathlib import Path


def forget_partition(data: Path, topic: str, partition: int) -> None:
    """Takes one partition's lines out of the checkpoint files of a stopped broker's log directory."""
    for name in (
        "recovery-point-offset-checkpoint",
        "replication-offset-checkpoint",
        "log-start-offset-checkpoint",
        "cleaner-offset-checkpoint",
    ):
        set_checkpoint(data / name, topic, partition, None)


def set_checkpoint(path: Path, topic: str, partition: int, offset: int | None) -> None:
    """Sets (or with None removes) one line of a checkpoint file."""
    lines = path.read_text().splitlines()[2:] if path.exists() else []
    kept = [line for line in lines if line.rsplit(" ", 1)[0] != f"{topic} {partition}"]
    if offset is not None:
        kept.append(f"{topic} {partition} {offset}")
    path.write_text("\n".join(["0", str(len(kept)), *kept]) + "\n")
