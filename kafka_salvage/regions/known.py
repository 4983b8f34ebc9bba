"""Known: surveys that an interrupted run had finished, found again as long as nothing that they rest on has changed.

A survey rests on the segment and its indexes (size, modification time, inode, head and tail), on what the other files of the
copy say of it, on the choices, and on this program with its codecs. All of that is in the key: what changed is read again.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from kafka_salvage.regions.context import SegmentContext, SurveyOptions
from kafka_salvage.regions.journal import Journal
from kafka_salvage.regions.looking import survey_segment
from kafka_salvage.regions.plainly import from_plain, to_plain
from kafka_salvage.regions.runs import SegmentSurvey
from kafka_salvage.scan.replica import SegmentFile
from kafka_salvage.source.identity import identities_of

KIND = "segment"
_ROOMS = ("regions", "scan", "source", "vector", "wire")
_LIBRARIES = ("cramjam", "isal", "lz4", "numpy", "python-snappy", "zlib-ng", "zstandard")
_UNIMPORTANT = frozenset({"jobs"})
"""Choices that change no result."""


@functools.cache
def program() -> str:
    """Digest of what judges: the sources of this package's lower rooms, and the codecs that are installed."""
    from importlib import metadata  # takes longer than a check of a small directory

    digest = hashlib.sha256()
    root = Path(__file__).resolve().parents[1]
    for room in _ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    for name in (*_LIBRARIES, "kafka-salvage"):
        try:
            digest.update(f"{name} {metadata.version(name)}\n".encode())
        except metadata.PackageNotFoundError:
            digest.update(f"{name} absent\n".encode())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """Values of choices and contexts as JSON, the same text for equal values."""
    if is_dataclass(value) and not isinstance(value, type):
        named = {f.name: getattr(value, f.name) for f in fields(value) if f.name not in _UNIMPORTANT}
        return {name: _plain(each) for name, each in named.items()}
    if isinstance(value, Mapping):
        return sorted([_plain(key), _plain(each)] for key, each in value.items())
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, (str, int, bool)):
        return value
    return str(value)


def key_of(segment: SegmentFile, context: SegmentContext, options: SurveyOptions) -> str | None:
    """What a segment's survey rests on, as a digest; None when that cannot be told."""
    beside = {"log": segment.file, "index": segment.index, "time": segment.time_index, "txn": segment.txn_index}
    files = {name: file for name, file in beside.items() if file is not None}
    identities = identities_of({name: file.real for name, file in files.items()})
    if identities is None:
        return None
    text = {
        "program": program(),
        "names": {name: [file.source, file.path] for name, file in files.items()},
        "size": segment.file.size,
        "base_offset": segment.base_offset,
        "state": [str(segment.state), str(segment.suffix)],
        "identities": identities,
        "context": _plain(context),
        "options": _plain(options),
    }
    return hashlib.sha256(json.dumps(text, sort_keys=True).encode()).hexdigest()


def _nothing(_: int) -> None:
    pass


class Known:
    """Surveys segments, and remembers.

    Args:
        journal: where surveys are found and told.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def survey(
        self,
        segment: SegmentFile,
        context: SegmentContext,
        options: SurveyOptions,
        progress: Callable[[int], None] = _nothing,
        skipped: Callable[[int], None] = _nothing,
    ) -> SegmentSurvey:
        """The survey of a segment: as it was told, or made now.

        Args:
            segment: the file and its indexes.
            context: what the other files of the copy say.
            options: choices.
            progress: told of bytes that were passed.
            skipped: told of bytes that need not be read again.

        Raises:
            DestinationError: a new one could not be told.
        """
        key = key_of(segment, context, options)  # before the file is read: a change while it is shows the next time
        if key is None:
            return survey_segment(segment, context, options, progress)
        value = self._journal.find(KIND, key)
        if value is not None:
            skipped(segment.file.size)
            return from_plain(value, segment)
        made = survey_segment(segment, context, options, progress)
        self._journal.append(KIND, key, to_plain(made))
        return made
