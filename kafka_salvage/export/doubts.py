"""Doubtful keys: those whose latest value may lie in a range that no copy gives, as JSON Lines.

One object per key, at the place of its latest record: `{"topic","partition","key","offset","tombstone","undecided","lost"}`.
`offset` is that of the latest value that counts, null when only records of undecided transactions are there; `undecided`
tells whether such a record is newer; `lost` holds the first range above it that may hide a newer one, and how many there are.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from kafka_salvage.export.atomic import StagedFile
from kafka_salvage.export.latest import LATEST, UNDECIDED, Latest
from kafka_salvage.export.lines import DIVERGENT, Line
from kafka_salvage.export.places import encode, shown
from kafka_salvage.export.receipt import Written
from kafka_salvage.export.sink import RecordChunk, Setting
from kafka_salvage.plan.plan import Status
from kafka_salvage.scan.batches import I64
from kafka_salvage.scan.records import RecordTable

NAME = "latest"
"""Of its entry in the manifest."""
FOLDER = "doubtful-keys"
"""Of its files, and their format."""

_HIDING = frozenset({Status.AMBIGUOUS, Status.UNDECODABLE, Status.SUSPECT, Status.LOST, Status.MISSING})


class DoubtWriter:
    """Lists the doubtful keys of one line, and counts all; a line without a doubt gives no file."""

    def __init__(self, line: Line, setting: Setting, latest: Latest) -> None:
        self.path = f"{line.root}{FOLDER}/{encode(line.topic)}/{line.partition}.jsonl"
        self._head = (
            f'{{"topic":{json.dumps(shown(line.topic), ensure_ascii=False)},"partition":{line.partition},"key":'
        )
        self._utf8 = setting.options.encoding == "utf8"
        self._stage = setting.stage
        self._latest = latest
        # on a branch that lost the account of the main line says nothing
        spans = () if line.kind == DIVERGENT else line.partition_plan.ledger
        holes = [s for s in spans if s.status in _HIDING]
        self._stops: I64 = np.array([s.offsets.stop for s in holes], np.int64)
        self._lost = [f'{{"start":{s.offsets.start},"stop":{s.offsets.stop},"status":"{s.status}"' for s in holes]
        self._file: StagedFile | None = None
        self._counts = {"keys": 0, "tombstones": 0, "doubtful": 0}

    def take(self, chunk: RecordChunk) -> RecordChunk:
        """Notes the newest records of keys; returns those that count."""
        table, codes = self._latest.narrow(chunk.table)
        counted = codes != UNDECIDED
        self._counts["keys"] += int(counted.sum())
        self._counts["tombstones"] += int((counted & (table.value_size < 0)).sum())
        first = np.searchsorted(self._stops, table.offset, side="right")
        rows = np.flatnonzero((codes != LATEST) | (first < len(self._stops)))
        if len(rows):
            self._file = self._file or self._stage.create(self.path, FOLDER)
            self._file.write(
                "".join(self._text(table, row, int(codes[row]), int(first[row])) for row in rows.tolist()).encode()
            )
            self._counts["doubtful"] += len(rows)
        return RecordChunk(chunk.step, table.take(counted), chunk.labels)

    def _text(self, table: RecordTable, row: int, code: int, hole: int) -> str:
        start, size = int(table.key_start[row]), int(table.key_size[row])
        key = self._key(table.data[start : start + size].tobytes())
        offset = "null" if code == UNDECIDED else int(table.offset[row])
        tombstone = "null" if code == UNDECIDED else "true" if table.value_size[row] < 0 else "false"
        more = len(self._stops) - hole
        lost = f'{self._lost[hole]},"ranges":{more}}}' if more else "null"
        undecided = "false" if code == LATEST else "true"
        return f'{self._head}{key},"offset":{offset},"tombstone":{tombstone},"undecided":{undecided},"lost":{lost}}}\n'

    def _key(self, key: bytes) -> str:
        if not self._utf8:
            return f'"{base64.b64encode(key).decode()}"'
        try:
            return json.dumps(key.decode("utf-8"), ensure_ascii=False)
        except UnicodeDecodeError:
            return f'{{"base64":"{base64.b64encode(key).decode()}"}}'

    def state(self) -> dict[str, Any]:
        """Where it stands, as plain values."""
        return {"counts": dict(self._counts), "open": None if self._file is None else self._file.checkpoint()}

    def restore(self, state: Mapping[str, Any], files: Mapping[str, StagedFile]) -> None:
        """Goes on from a state; ``files`` are those that it says are open."""
        self._counts = dict(state["counts"])
        self._file = None if state["open"] is None else files[state["open"]["path"]]

    def close(self) -> None:
        """Gives the temporary file back, whatever came of the line."""
        self._latest.close()

    def finish(self) -> Written:
        """Closes the file."""
        notes: dict[str, Any] = {**self._counts, "records_without_key": self._latest.without_key, "path": None}
        if self._file is None:
            return Written((), {NAME: notes})
        made = self._file.finish()
        return Written((made,), {NAME: {**notes, "path": made.path}})
