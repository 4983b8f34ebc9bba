"""Reading: a partition of the target read back as record tables.

Strategy: librdkafka's simple consumer, one partition at a time, without a group; messages become columns by a kernel
(`vector.receiving`). Aborted records are left out; the CRCs are checked by librdkafka.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_int64

import numpy as np

from kafka_salvage.errors import DestinationError
from kafka_salvage.export.replay.config import ClientSettings
from kafka_salvage.export.replay.library import CONSUMER, ERRORS, PASSING, Client
from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.records import RecordTable

MOST = 1 << 14
"""Messages per table."""
TIMEOUT = 60.0


class Reader:
    """A consumer for one partition after another.

    Args:
        settings: how to reach the cluster.
        more: further settings of librdkafka.
        timeout: seconds until a cluster that does not answer is given up.
    """

    def __init__(
        self, settings: ClientSettings, more: dict[str, object] | None = None, *, timeout: float = TIMEOUT
    ) -> None:
        own: dict[str, object] = {
            "isolation.level": "read_committed",
            "enable.partition.eof": "true",
            "check.crcs": "true",
            "auto.offset.reset": "error",
            "allow.auto.create.topics": "false",
            "fetch.wait.max.ms": 50,
            "fetch.queue.backoff.ms": 2,
            "queued.min.messages": 1_000_000,
            "fetch.message.max.bytes": 8 << 20,
            "queued.max.messages.kbytes": 64 << 10,
            **(more or {}),
        }
        self._timeout = timeout
        self._client = Client(CONSUMER, settings, ERRORS, own)
        rd = self._client.rd
        self._functions = rd.table("message_timestamp", "message_headers", "header_cnt", "header_get_all")

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """First offset, and the offset behind the last one whose fate is decided (the last stable offset).

        Raises:
            DestinationError: the cluster does not answer, or refuses.
        """
        return self._client.bounds(topic, partition, self._timeout)

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[RecordTable]:
        """Records of ``[start, stop)``, committed or plain, in order.

        A table's ``batches`` are empty: the cluster does not tell them.

        Raises:
            DestinationError: the cluster does not answer, refuses, or no longer has these offsets.
        """
        if start >= stop:
            return
        with self._consuming(topic, partition, start) as handle:
            position, deadline = start, time.monotonic() + self._timeout
            messages = np.zeros(MOST, np.int64)
            while position < stop:
                count = self._client.rd.consume_batch(handle, partition, 200, messages.ctypes.data, MOST)
                if count:
                    deadline = time.monotonic() + self._timeout
                table, position = self._taken(messages[: max(count, 0)], position, f"{topic}-{partition}")
                inside = table.offset < stop
                if len(table):
                    yield table if inside.all() else table.take(inside)
                self._client.drain()
                if self._client.hopeless or time.monotonic() > deadline:
                    raise self._client.failure(-185, f"reading {topic}-{partition}")

    @contextmanager
    def _consuming(self, topic: str, partition: int, start: int) -> Iterator[int]:
        handle = self._client.topic(topic)
        if self._client.rd.consume_start(handle, partition, start):
            raise self._client.failure(self._client.rd.last_error(), f"reading {topic}-{partition}")
        try:
            yield handle
        finally:
            self._client.rd.consume_stop(handle, partition)

    def _taken(
        self, messages: np.ndarray[tuple[int], np.dtype[np.int64]], position: int, place: str
    ) -> tuple[RecordTable, int]:
        """Messages as a table, and the position behind them; they are given back."""
        from kafka_salvage.vector.receiving import received  # Numba is loaded by those who read only

        failed: DestinationError | None = None
        try:
            made = received(messages, self._functions)
            for address in messages.tolist():
                code = ctypes.c_int32.from_address(address).value
                name = self._client.rd.name(code) if code else ""
                if name == "_PARTITION_EOF":
                    position = max(position, c_int64.from_address(address + 56).value)
                elif code and name not in PASSING:
                    failed = failed or self._client.failure(code, f"reading {place}")
        finally:
            for address in messages.tolist():
                self._client.rd.message_destroy(address)
        if failed is not None:
            raise failed
        if len(made.offset):
            position = max(position, int(made.offset[-1]) + 1)
        columns = {name: getattr(made, name) for name in made.__slots__}
        rows = len(made.offset)
        return (
            RecordTable(
                batches=BatchTable.empty(),
                batch=np.zeros(rows, np.int32),
                sequence=np.full(rows, -1, np.int32),
                **columns,
            ),
            position,
        )

    def close(self) -> None:
        """Gives the consumer back."""
        self._client.close()
