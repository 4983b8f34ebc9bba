"""Resuming: the command that goes on with what an interrupted one has finished."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kafka_salvage.cli.words import quoted

journal: Path | None = None
"""Where the running command tells what it has finished; set by the command."""


def go_on(arguments: Sequence[str]) -> str | None:
    """What to type to go on; None when nothing was finished that could be gone on with.

    Args:
        arguments: of the command that ended.
    """
    if journal is None or not journal.is_file():
        return None
    flags = list(arguments)
    if "--resume" not in flags:
        place = flags.index("--") if "--" in flags else len(flags)
        flags.insert(place, "--resume")
    flags = [flag for flag in flags if flag != "--force"]
    return f"Go on with: kafka-salvage {' '.join(quoted(flag) for flag in flags)}"
