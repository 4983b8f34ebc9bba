"""The table of sinks: name → where its class is; imported when it is asked for.

Other packages add sinks through the entry-point group `kafka_salvage.sinks`; the names below cannot be taken over.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from kafka_salvage.errors import MissingExtraError, RequestError

GROUP = "kafka_salvage.sinks"

SINKS: dict[str, str] = {
    "segments": "kafka_salvage.export.segment:SegmentSink",
    "jsonl": "kafka_salvage.export.jsonl:JsonlSink",
    "parquet": "kafka_salvage.export.parquet:ParquetSink",
    "arrow": "kafka_salvage.export.arrow:ArrowSink",
}
"""Name → ``module:class``."""

EXTRAS: dict[str, str] = {"arrow": "parquet"}
"""Name → the extra that it needs, where that has another name."""


def names() -> tuple[str, ...]:
    """Names that `load` knows, those of other packages included, sorted."""
    return tuple(sorted({*SINKS, *(point.name for point in entry_points(group=GROUP))}))


def load(name: str) -> Any:
    """The sink of that name: a `BatchSink` or a `RecordSink`.

    Raises:
        RequestError: there is none.
        MissingExtraError: a library that it needs is not installed.
    """
    if name in SINKS:
        module, _, attribute = SINKS[name].partition(":")
        return _made(name, lambda: getattr(import_module(module), attribute))
    for point in entry_points(group=GROUP, name=name):
        return _made(name, point.load)
    raise RequestError(f"there is no output format {name!r}", advice=f"Choose one of {', '.join(names())}.")


def _made(name: str, get: Any) -> Any:
    try:
        return get()()
    except ImportError as error:
        raise MissingExtraError(
            f"the output format {name} needs the library {error.name}, which is not installed",
            install=f"pip install 'kafka-salvage[{EXTRAS.get(name, name)}]'",
        ) from error
