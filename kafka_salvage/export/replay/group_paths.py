"""Group paths: where `__consumer_offsets` lies under what a person names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kafka_salvage.errors import RequestError
from kafka_salvage.export.replay.rescue import is_rescue

_LOADABLE, _INTERNAL = "segments", "segments-internal"


def group_paths(paths: Iterable[str]) -> list[str]:
    """The same paths; for a rescue, its loadable segments and those of Kafka's own topics.

    Raises:
        RequestError: a rescue was written without Kafka's own topics.
    """
    found: list[str] = []
    for path in paths:
        if not is_rescue(Path(path)):
            found.append(path)
            continue
        if not (Path(path) / _INTERNAL).is_dir():
            raise RequestError(
                f"{path} is a rescue without Kafka's own topics, where the positions of groups are",
                advice="Name the damaged paths themselves, or salvage again with --internal.",
            )
        found += [str(Path(path) / name) for name in (_LOADABLE, _INTERNAL) if (Path(path) / name).is_dir()]
    return found
