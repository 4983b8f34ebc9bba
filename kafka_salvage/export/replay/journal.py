"""Journal: how far each partition of a replay is, told to the disk before it counts.

A file of JSON lines: a head that says whose replay it is, then one line per step, each synced. A line says which old offsets
stand at which new ones, so that the journal is the offset map too. A last line that was torn by a kill is as if it had never
been written: what it told is found again by reading the target.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kafka_salvage.errors import DestinationError, RequestError
from kafka_salvage.export.replay.offset_map import OffsetMapBuilder, OffsetRun, Place
from kafka_salvage.scan.batches import I64

NAME = "journal.jsonl"
SCHEMA = "kafka-salvage.replay-journal/1"


@dataclass(slots=True)
class Standing:
    """How far one partition is.

    Attributes:
        position: the target is ours up to this offset; what lies behind is to be read.
        records: how many of ours stand below it.
        runs: old start, old stop, new start.
    """

    position: int
    records: int = 0
    runs: list[tuple[int, int, int]] = field(default_factory=list)


def runs_of(old: I64, new: I64) -> list[tuple[int, int, int]]:
    """Runs of records that were placed, row by row."""
    if not len(old):
        return []
    breaks = np.flatnonzero((np.diff(old) != 1) | (np.diff(new) != 1)) + 1
    first = np.concatenate([np.zeros(1, np.int64), breaks])
    last = np.concatenate([breaks, np.full(1, len(old), np.int64)]) - 1
    return list(zip(old[first].tolist(), (old[last] + 1).tolist(), new[first].tolist(), strict=True))


class Journal:
    """The journal of one replay; locked as long as it is open.

    Args:
        directory: is made when it is not there.
        head: facts that must be the same on every run.

    Raises:
        RequestError: another run holds it, or it is of another replay.
        DestinationError: it cannot be written.
    """

    def __init__(self, directory: Path, head: Mapping[str, Any]) -> None:
        self._path = directory / NAME
        self._lock = threading.Lock()
        self.standings: dict[Place, Standing] = {}
        self._file = -1
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._take()
            self.head = self._read(head)
        except OSError as error:
            self.close()
            raise self._refused(error) from error
        except BaseException:
            self.close()
            raise

    def _take(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RequestError(
                f"another replay is writing to {self._path.parent}", advice="Wait until it has ended."
            ) from error

    def _refused(self, error: OSError) -> DestinationError:
        return DestinationError(
            f"{self._path} cannot be written: {error.strerror or error}",
            target=str(self._path),
            advice="Name another directory with --state, or free space there; the same command then goes on.",
        )

    def _read(self, head: Mapping[str, Any]) -> dict[str, Any]:
        data = b""
        while piece := os.read(self._file, 1 << 20):
            data += piece
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.ftruncate(self._file, len(whole))
            os.lseek(self._file, len(whole), os.SEEK_SET)
        lines = whole.splitlines()
        if not lines:
            os.ftruncate(self._file, 0)
            os.lseek(self._file, 0, os.SEEK_SET)
            told = {"schema": SCHEMA, **head}
            self._write(told)
            return told
        try:
            found = json.loads(lines[0])
            fixed = {k: v for k, v in found.items() if k in head and k != "now"}
            if found["schema"] != SCHEMA or fixed != {k: v for k, v in head.items() if k != "now"}:
                raise RequestError(
                    f"{self._path.parent} holds the journal of another replay: other records, choices or another cluster",
                    advice="Give the same sources and flags as before, or another --state DIR.",
                )
            for line in lines[1:]:
                self._replay(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise RequestError(
                f"{self._path} is no journal of a replay: {error}", advice="Give another --state DIR."
            ) from error
        return dict(found)

    def _replay(self, line: Mapping[str, Any]) -> None:
        place = (str(line["topic"]), int(line["partition"]))
        standing = self.standings.setdefault(place, Standing(0))
        runs = [(int(a), int(b), int(c)) for a, b, c in line["runs"]]
        standing.position = int(line["position"])
        standing.runs += runs
        standing.records += sum(stop - start for start, stop, _ in runs)

    def add(self, topic: str, partition: int, position: int, old: I64, new: I64) -> None:
        """Tells that records were placed, and that the target is ours up to ``position``.

        Args:
            topic: on the target.
            partition: on the target.
            position: what lies behind is not told yet.
            old: offsets as they were.
            new: offsets on the target, row by row.

        Raises:
            DestinationError: it cannot be written.
        """
        line = {"topic": topic, "partition": partition, "position": position, "runs": runs_of(old, new)}
        with self._lock:
            try:
                self._write(line)
            except OSError as error:
                raise self._refused(error) from error
            self._replay(line)

    def _write(self, line: Mapping[str, Any]) -> None:
        data = json.dumps(line, sort_keys=True).encode() + b"\n"
        while data:
            data = data[os.write(self._file, data) :]
        os.fdatasync(self._file)

    def standing(self, topic: str, partition: int) -> Standing | None:
        """How far a partition of the target is; None when nothing is told of it."""
        with self._lock:
            return self.standings.get((topic, partition))

    def collect(self, builder: OffsetMapBuilder, origins: Mapping[Place, tuple[Place, int]]) -> None:
        """Adds everything that was placed to an offset map.

        Args:
            builder: takes the runs.
            origins: new topic and partition -> the old ones, and the end of the old log.
        """
        with self._lock:
            for place, ((topic, partition), end) in sorted(origins.items()):
                standing = self.standings.get(place)
                if standing is None:
                    continue
                for start, stop, new in standing.runs:
                    builder.add_run(OffsetRun(topic, partition, start, stop, *place, new))
                if not standing.runs:
                    builder.add_run(OffsetRun(topic, partition, end, end, *place, standing.position))

    def close(self) -> None:
        """Gives the lock back."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def places_in(directory: Path) -> frozenset[Place]:
    """Partitions of the target that a journal tells something of; none where there is no journal that can be read."""
    found: set[Place] = set()
    try:
        with (directory / NAME).open("rb") as lines:
            if json.loads(next(lines, b"")).get("schema") != SCHEMA:
                return frozenset()
            for line in lines:
                told = json.loads(line)
                found.add((str(told["topic"]), int(told["partition"])))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # what it holds is judged by `Journal`, when records are sent
    return frozenset(found)
