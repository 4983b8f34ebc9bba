"""PartitionLog: a partition of a real cluster as a course needs it: our producer for it, and a reader."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

from kafka_salvage.export.replay.config import ClientSettings
from kafka_salvage.export.replay.reading import Reader
from kafka_salvage.export.replay.sender import Sender, TransactionsRefused
from kafka_salvage.scan.batches import I64
from kafka_salvage.scan.records import RecordTable

QUIET = 3.0
"""Seconds without a new record after which a killed predecessor without transactions counts as gone."""


class PartitionLog:
    """One partition of the target.

    Args:
        settings: how to reach the cluster.
        place: topic and partition.
        transactional_id: None never uses transactions.
        more: settings of the producer.
        resumed: an earlier run may have written here.
    """

    def __init__(
        self,
        settings: ClientSettings,
        place: tuple[str, int],
        transactional_id: str | None,
        more: dict[str, object],
        resumed: bool,
    ) -> None:
        self._settings, self._more = settings, more
        self._topic, self._partition = place
        self._resumed = resumed
        self.transactional = transactional_id is not None
        self._sender = Sender(settings, transactional_id, more)

    def fence(self) -> None:
        """See `course.Log`."""
        self._sender.connect(self._topic, self._partition)
        self._shut_out()
        if not self.transactional:
            low, end = self.bounds()
            if self._resumed or end > low:  # its journal may be gone
                self._await_quiet()

    def _shut_out(self) -> None:
        if not self.transactional:
            return
        try:
            self._sender.fence()
        except TransactionsRefused:
            self._sender.close()
            self.transactional = False
            self._sender = Sender(self._settings, None, self._more)
            self._sender.connect(self._topic, self._partition)

    def _await_quiet(self) -> None:
        """Nothing shuts out a predecessor without transactions: what it had sent when it was killed arrives soon."""
        since, end = time.monotonic(), self.bounds()[1]
        deadline = since + 10 * QUIET
        while time.monotonic() - since < QUIET and time.monotonic() < deadline:
            time.sleep(0.2)
            now = self.bounds()[1]
            if now != end:
                since, end = time.monotonic(), now

    def bounds(self) -> tuple[int, int]:
        """See `course.Log`."""
        return self._sender.bounds(self._topic, self._partition)

    def read(self, start: int, stop: int) -> Iterator[RecordTable]:
        """See `course.Log`."""
        if start >= stop:
            return
        with closing(Reader(self._settings)) as reader:  # most partitions are empty, and need none
            yield from reader.read(self._topic, self._partition, start, stop)

    def begin(self) -> None:
        """See `course.Log`."""
        if self.transactional:
            self._sender.begin()

    def send(self, table: RecordTable, start: int, stop: int) -> None:
        """See `course.Log`."""
        self._sender.send(self._topic, self._partition, table, start, stop)

    def acknowledged(self) -> I64:
        """See `course.Log`."""
        return self._sender.acknowledged()

    def commit(self) -> None:
        """See `course.Log`."""
        if self.transactional:
            self._sender.commit()

    def abort(self) -> None:
        """See `course.Log`."""
        if self.transactional:
            self._sender.abort()

    def close(self) -> None:
        """Gives the producer back."""
        self._sender.close()
