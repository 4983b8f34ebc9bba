"""Sender: a producer that sends one partition's records in order and tells the new offset of each.

Strategy: an idempotent producer of librdkafka, transactional where the cluster lets us. Records are handed over by a kernel
(`vector.sending`) and acknowledged in events; the offsets that the broker gave come back in the same order. Transactions are
begun and committed here, never decided: what is in one is for `course` to say.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from kafka_salvage.errors import DestinationError, InvariantError
from kafka_salvage.export.replay.config import ClientSettings
from kafka_salvage.export.replay.library import DELIVERIES, ERRORS, PRODUCER, Client
from kafka_salvage.scan.batches import I64
from kafka_salvage.scan.records import RecordTable
from kafka_salvage.source.source import U8

if TYPE_CHECKING:
    from kafka_salvage.vector.sending import Outgoing

STEP = 1 << 14
"""Records that are handed over between two looks at the acknowledgements."""
REFUSED = frozenset({"TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "UNSUPPORTED_VERSION", "_UNSUPPORTED_FEATURE"})
"""Errors that say that this cluster lets us use no transactions."""
TIMEOUT = 60.0
"""Seconds without any progress after which a cluster is given up."""
GIVEN_UP = 180_000
"""Milliseconds after which the cluster aborts a transaction by itself, and a record counts as not sent."""
LINGER = 5000
"""Milliseconds that a batch which is not full may wait; what ends a chunk is asked for (`Sender.acknowledged`).

An idempotent producer of librdkafka has at most five requests under way. While records older than this, or a full batch, wait
behind them, its thread does not: it spins, and takes the broker's processor where both are on one machine. So its queue is
kept short, too.
"""
_TRIES = 10
_PURGE = 0x1 | 0x2


class TransactionsRefused(Exception):  # noqa: N818 - a fact about a cluster; the caller has another way
    """The cluster allows no transactions."""


class Sender:
    """One producer, for one partition at a time.

    Args:
        settings: how to reach the cluster.
        transactional_id: None sends without transactions.
        more: further settings of librdkafka (codec, sizes).
        timeout: seconds until a cluster that does not answer is given up.
    """

    def __init__(
        self,
        settings: ClientSettings,
        transactional_id: str | None,
        more: dict[str, object] | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        from kafka_salvage.vector import sending  # Numba is loaded by those who send only

        self._sending = sending
        self._timeout = timeout
        own: dict[str, object] = {
            "enable.idempotence": "true",
            "acks": "all",
            "linger.ms": LINGER,
            "queue.buffering.max.messages": 250_000,
            "queue.buffering.max.kbytes": 6 << 10,
            "message.timeout.ms": GIVEN_UP,
            **(more or {}),
        }
        if transactional_id is not None:
            own["transactional.id"] = transactional_id
            own["transaction.timeout.ms"] = GIVEN_UP
        self._client = Client(PRODUCER, settings, DELIVERIES | ERRORS, own)
        rd = self._client.rd
        self._functions = rd.table("produceva", "headers_new", "header_add", "headers_destroy")
        self._next_message = rd.address("event_message_next")
        self._offsets: list[I64] = []
        self._pointed: deque[tuple[int, U8]] = deque()  # what librdkafka has not sent yet lies here
        self._sent = self._settled = 0
        self._error = 0
        self._doing = "sending records"

    def connect(self, topic: str, partition: int) -> None:
        """Reaches the partition's leader; asked for a coordinator before any broker is there, librdkafka sleeps half a second.

        What goes wrong here shows again, with words, in what comes next.
        """
        with contextlib.suppress(DestinationError):
            self._client.bounds(topic, partition, 3)

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """As `library.Client.bounds`."""
        return self._client.bounds(topic, partition, self._timeout)

    def fence(self) -> None:
        """Shuts out a predecessor with the same transactional id, and ends what it left open.

        Raises:
            TransactionsRefused: the cluster allows no transactions.
            DestinationError: it cannot be reached, or refuses.
        """
        self._transact(
            lambda milliseconds: self._client.rd.init_transactions(self._client.handle, milliseconds),
            "beginning a transaction",
        )

    def begin(self) -> None:
        """Begins a transaction. Raises: DestinationError."""
        self._transact(lambda _: self._client.rd.begin_transaction(self._client.handle), "beginning a transaction")

    def commit(self) -> None:
        """Commits. Raises: DestinationError: it failed, or its outcome is not known: what is there must be read back."""
        self._transact(
            lambda milliseconds: self._client.rd.commit_transaction(self._client.handle, milliseconds),
            "committing a transaction",
        )

    def abort(self) -> None:
        """Aborts, as far as that can be done; the next `fence` does it otherwise."""
        rd = self._client.rd
        rd.purge(self._client.handle, _PURGE)
        for _ in range(_TRIES):
            self._client.drain()  # what was purged is told first
            error = rd.abort_transaction(self._client.handle, 500)
            if not error:
                return
            again = bool(rd.error_is_retriable(error))
            rd.error_destroy(error)
            if not again:
                return

    def _transact(self, act: Callable[[int], Any], doing: str) -> None:
        """Does a step of a transaction, patiently as long as trying again is no harm."""
        rd, deadline = self._client.rd, time.monotonic() + self._timeout
        while True:
            error = act(2000)
            self._note_complaints()
            if not error:
                return
            code, text = rd.error_code(error), (rd.error_string(error) or b"").decode(errors="replace")
            again = bool(rd.error_is_retriable(error)) and not rd.error_txn_requires_abort(error)
            rd.error_destroy(error)
            if rd.name(code) in REFUSED:
                raise TransactionsRefused(rd.name(code))
            if not again or time.monotonic() > deadline or self._client.hopeless:
                raise self._client.failure(code, doing, text)

    def _note_complaints(self) -> None:
        while event := self._client.event(0):
            self._take(event)

    def send(self, topic: str, partition: int, table: RecordTable, start: int, stop: int) -> None:
        """Hands records over, waiting where librdkafka's queue is full.

        Args:
            topic: on the target.
            partition: on the target.
            table: the records; their timestamps are sent as they stand there.
            start: first row.
            stop: behind the last row.

        Raises:
            DestinationError: the cluster refuses one, or does not answer.
        """
        self._doing = f"sending to {topic}-{partition}"
        outgoing = self._outgoing(table)
        self._pointed.append((self._sent + stop - start, outgoing.data))
        handle, row = self._client.topic(topic), start
        deadline = time.monotonic() + self._timeout
        while row < stop:
            reached, error = outgoing.send(
                self._client.handle, handle, partition, self._functions, row, min(row + STEP, stop)
            )
            if reached > row:
                deadline = time.monotonic() + self._timeout
            self._sent += reached - row
            row = reached
            full = bool(error) and self._is_full(error)
            self.settle(0.05 if full else 0)
            if full and time.monotonic() > deadline:
                raise self._client.failure(-185, self._doing)

    def _outgoing(self, table: RecordTable) -> Outgoing:
        columns = {name: getattr(table, name) for name in self._sending.COLUMNS}
        return self._sending.Outgoing(table.data, columns)

    def _is_full(self, error: int) -> bool:
        rd = self._client.rd
        code, text = rd.error_code(error), (rd.error_string(error) or b"").decode(errors="replace")
        rd.error_destroy(error)
        if rd.name(code) == "_QUEUE_FULL":
            return True
        raise self._client.failure(self._error or code, self._doing, text)

    def settle(self, seconds: float) -> None:
        """Takes acknowledgements; waits so long for the first.

        Raises:
            DestinationError: a record was refused.
        """
        event = self._client.event(seconds)
        while event:
            self._take(event)
            event = self._client.event(0)
        if self._error:
            raise self._client.failure(self._error, self._doing)

    def _take(self, event: int) -> None:
        rd = self._client.rd
        try:
            if rd.event_type(event) == DELIVERIES:
                count = int(rd.event_message_count(event))
                offsets, error = self._sending.settle(self._next_message, event, count)
                self._offsets.append(offsets)
                self._settled += count
                self._error = self._error or error
                self._release()
        finally:
            rd.event_destroy(event)

    def _release(self) -> None:
        """Lets go of records that arrived; after an error nothing is certain to have come in order."""
        while self._pointed and self._pointed[0][0] <= self._settled and not self._error:
            self._pointed.popleft()

    def acknowledged(self, patience: float | None = None) -> I64:
        """Waits until everything handed over is acknowledged; gives the new offsets, in order, and begins anew.

        Returns:
            One offset per record; negative where the broker did not tell it.

        Raises:
            DestinationError: a record was refused, or the cluster does not answer.
        """
        deadline = time.monotonic() + (self._timeout if patience is None else patience)
        while self._settled < self._sent:
            before = self._settled
            self._client.rd.flush(self._client.handle, 5)  # a batch that is not full goes now
            self.settle(0.05)
            if self._settled > before:
                deadline = time.monotonic() + self._timeout
            elif time.monotonic() > deadline or self._client.hopeless:
                raise self._client.failure(-192, self._doing)
        if self._settled > self._sent:
            raise InvariantError("more records were acknowledged than sent", stage="replay.sender")
        made = np.concatenate([np.empty(0, np.int64), *self._offsets])
        self._offsets.clear()
        self._pointed.clear()
        self._sent = self._settled = 0
        return made

    def close(self) -> None:
        """Gives the producer back; what was not acknowledged is dropped."""
        with contextlib.suppress(DestinationError):
            self._client.rd.purge(self._client.handle, _PURGE)
        self._client.close()  # from here on nothing points to the records any more
        self._pointed.clear()
