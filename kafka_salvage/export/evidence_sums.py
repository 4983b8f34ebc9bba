"""EvidenceSums: SHA-256 of segment files as they lie, so that an output can say of what bytes it was made."""

from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path
from threading import Lock

import numpy as np

from kafka_salvage.errors import SourceError
from kafka_salvage.scan.replica import EvidenceFile
from kafka_salvage.source.opening import open_source

_PIECE = 4 << 20


class EvidenceSums:
    """Sums of files, each computed when it is first asked for; holes are summed as the zeros they are."""

    def __init__(self) -> None:
        self._known: dict[Path, str | None] = {}
        self._locks: dict[Path, Lock] = {}
        self._lock = Lock()

    def of(self, file: EvidenceFile) -> str | None:
        """Hex digits; None where some bytes cannot be read."""
        with self._lock:
            lock = self._locks.setdefault(file.real, Lock())
        with lock:
            if file.real not in self._known:
                self._known[file.real] = _sum(file)
            return self._known[file.real]


def _sum(file: EvidenceFile) -> str | None:
    digest, buffer = hashlib.sha256(), np.empty(_PIECE, np.uint8)
    try:
        with closing(open_source(file.real, file.path)) as source:
            position = 0
            while position < source.size:
                count = source.read_into(position, buffer)
                digest.update(buffer[:count].data)
                position += count
                if source.unreadable or not count:
                    return None
    except SourceError:
        return None
    return digest.hexdigest()
