"""SegmentSink: log directories that a broker loads, made of batches that are copied, not re-encoded.

Strategy: bytes of adjacent batches are copied in large pieces and hashed on the way. Three things only are ever changed:
the leader epoch (`--leader-epoch`, outside the CRC), the producer fields of undecided batches (`--undecided strip`), and
those of a plain batch of a producer whose transaction is open at that place of the output, which would stop a broker
(InvalidTxnStateException). The last two are counted as repaired. What a broker would not load, or would take for something
else, goes to `segments-undecided/`: batches of open or unknown transactions, those whose fate is known although their
marker is not there (the producer's next marker would decide otherwise), and control batches that no broker accepts in a
topic.

Source: `LogLoader.java`, `LogSegment.java`, `ProducerAppendInfo.java`, `LeaderEpochFileCache.java`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kafka_salvage.export.lines import MAIN, Line
from kafka_salvage.export.places import UNLOADABLE_TOPICS, encode
from kafka_salvage.export.receipt import Shortfall, Written, WrittenFile
from kafka_salvage.export.rolling import RollingLog
from kafka_salvage.export.sink import BatchChunk, Setting
from kafka_salvage.export.staged import StagedFile
from kafka_salvage.plan.plan import TRANSACTION_CODES, Transaction
from kafka_salvage.plan.policy import Undecided
from kafka_salvage.scan.batches import BatchTable, Bool
from kafka_salvage.scan.records import decode

NAME = "segments"
EPOCHS = "leader-epoch-checkpoint"
METADATA = "partition.metadata"

_UNDECIDED = np.array([code in (Transaction.OPEN, Transaction.UNKNOWN) for code in TRANSACTION_CODES])
_ABORTED = TRANSACTION_CODES.index(Transaction.ABORTED)


class SegmentSink:
    """`segments`: a log directory per line."""

    def batch_writer(self, line: Line, setting: Setting) -> SegmentWriter | None:
        """A writer; none for the topic of the KRaft controllers."""
        return None if line.topic in UNLOADABLE_TOPICS else SegmentWriter(line, setting)


class SegmentWriter:
    """Writes one line as a log directory, and what is undecided beside it."""

    def __init__(self, line: Line, setting: Setting) -> None:
        self._line = line
        self._setting = setting
        folder = "segments-internal" if line.internal and line.kind == MAIN else "segments"
        self.directory = f"{line.root}{folder}/{line.directory}"
        self._log = RollingLog(setting, self.directory, NAME)
        self._aside = RollingLog(setting, f"{line.root}segments-undecided/{line.directory}", NAME)
        self._open: set[int] = set()

    def take(self, chunk: BatchChunk) -> tuple[Shortfall, ...]:
        """Writes batches; returns those that could not be read again."""
        table = chunk.batches
        control = np.asarray(table.is_control)
        undecided = np.asarray(_UNDECIDED[chunk.labels]) & table.is_transactional & ~control
        unended = ~self._line.labels.loads(table) & ~undecided
        aborted = unended & (chunk.labels == _ABORTED)  # would be read as committed, or for ever be open
        undecided |= unended & ~aborted
        aside = self._unloadable(chunk, control) | aborted
        strip = np.zeros(len(table), np.bool_)
        choice = self._setting.policy.undecided
        if choice is Undecided.WITHHOLD:
            aside |= undecided
        elif choice is Undecided.STRIP:
            strip |= undecided
        self._strip_intruders(table, control, aside, strip)
        missed = self._log.append(chunk.take(~aside), strip[~aside])
        if aside.any():
            missed += self._aside.append(chunk.take(aside), np.zeros(int(aside.sum()), np.bool_))
        return missed

    def _unloadable(self, chunk: BatchChunk, control: Bool) -> Bool:
        """Control batches with a producer and a type that is neither ABORT nor COMMIT: they stop a broker."""
        table = chunk.batches
        asked = control & (table.producer_id >= 0)
        bad = asked.copy()
        if asked.any():
            for decoded in decode(chunk.source, table.take(asked), self._setting.options.limits):
                made = decoded.table
                whole = made.key_size >= 4
                start = made.key_start[whole]
                kind = made.data[start + 2].astype(np.int32) << 8 | made.data[start + 3]
                fine = made.batch[whole][kind <= 1]
                bad[np.searchsorted(table.position, made.batches.position[fine])] = False
        return bad

    def _strip_intruders(self, table: BatchTable, control: Bool, aside: Bool, strip: Bool) -> None:
        """Marks plain batches of a producer whose transaction is open in what was written, in ``strip``."""
        transactional = np.asarray(table.is_transactional)
        if not self._open and not transactional.any():
            return
        for row in np.flatnonzero((table.producer_id >= 0) & ~aside).tolist():
            producer = int(table.producer_id[row])
            if control[row]:
                self._open.discard(producer)
            elif not transactional[row]:
                strip[row] |= producer in self._open
            elif not strip[row]:
                self._open.add(producer)

    def state(self) -> dict[str, Any]:
        """Where it stands, as plain values."""
        return {"log": self._log.state(), "aside": self._aside.state(), "open": sorted(self._open)}

    def restore(self, state: Mapping[str, Any], files: Mapping[str, StagedFile]) -> None:
        """Goes on from a state; ``files`` are those that it says are open."""
        self._log.restore(state["log"], files)
        self._aside.restore(state["aside"], files)
        self._open = set(state["open"])

    def finish(self) -> Written:
        """Closes the segments and writes the checkpoint and, when an id is given, `partition.metadata`."""
        files: list[WrittenFile] = [*self._log.finish(), *self._aside.finish()]
        checkpoints: dict[str, Any] = {}
        for log in (self._log, self._aside):
            if log.started:
                text = _epoch_checkpoint(log.epochs)
                files.append(self._setting.stage.write(f"{log.directory}/{EPOCHS}", NAME, text.encode()))
        if self._log.started:
            checkpoints[EPOCHS] = [[epoch, start] for epoch, start in self._log.epochs]
            checkpoints.update(self._log_start())
            files += self._metadata()
        return Written(tuple(files), self._notes(checkpoints))

    def _notes(self, checkpoints: dict[str, Any]) -> dict[str, Any]:
        notes: dict[str, Any] = {}
        for key, log in (("segments", self._log), ("segments_undecided", self._aside)):
            if log.started:
                notes[key] = {"directory": log.directory, **log.summary()}
        if self._log.started:
            notes["segments"]["checkpoints"] = checkpoints
        return notes

    def _log_start(self) -> dict[str, Any]:
        """The line that this partition needs in `log-start-offset-checkpoint`, when it is trimmed inside a segment."""
        start, topic = self._line.log_start, self._line.topic
        if start is None or self._log.first_base is None or start <= self._log.first_base:
            return {}
        if self._log.next_offset is None or start > self._log.next_offset:  # above the log end it would wipe the log
            return {}
        return {"log-start-offset-checkpoint": f"{encode(topic)} {self._line.partition} {start}"}

    def _metadata(self) -> list[WrittenFile]:
        topic_id = self._setting.policy.topic_ids.get(self._line.topic)
        if topic_id is None or self._line.kind != MAIN:
            return []
        text = f"version: 0\ntopic_id: {topic_id}"
        return [self._setting.stage.write(f"{self.directory}/{METADATA}", NAME, text.encode("ascii"))]


def _epoch_checkpoint(epochs: list[tuple[int, int]]) -> str:
    return "".join(["0\n", f"{len(epochs)}\n", *(f"{epoch} {start}\n" for epoch, start in epochs)])
