"""Library: the librdkafka that confluent_kafka brings, by its C interface.

Strategy: the Python package makes an object per record and cannot send every header key or read one back, and its
``produce_batch`` drops timestamps and headers. Its extension module is linked to librdkafka, so that a lookup through the module
finds librdkafka's own functions, whose interface has been kept stable since 1.6 (``rd_kafka_produceva``). Nothing else of the
library is relied on. Where they cannot be found, `MissingExtraError` says so.
"""

from __future__ import annotations

import ctypes
import functools
import time
from collections.abc import Mapping
from ctypes import byref, c_char_p, c_int, c_int32, c_int64, c_size_t, c_void_p
from typing import Any

import numpy as np

from kafka_salvage.errors import DestinationError, MissingExtraError
from kafka_salvage.export.replay.config import ClientSettings
from kafka_salvage.export.replay.failures import INSTALL, failure, missing_extra, most_telling
from kafka_salvage.scan.batches import I64

PRODUCER, CONSUMER = 0, 1
DELIVERIES, ERRORS = 0x1, 0x8
_P: Any = c_void_p
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "conf_new": (_P, []),
    "conf_set": (c_int, [_P, c_char_p, c_char_p, _P, c_size_t]),
    "conf_destroy": (None, [_P]),
    "conf_set_events": (None, [_P, c_int]),
    "conf_set_log_cb": (None, [_P, _P]),
    "new": (_P, [c_int, _P, _P, c_size_t]),
    "destroy_flags": (None, [_P, c_int]),
    "err2name": (c_char_p, [c_int]),
    "err2str": (c_char_p, [c_int]),
    "last_error": (c_int, []),
    "error_code": (c_int, [_P]),
    "error_string": (c_char_p, [_P]),
    "error_is_retriable": (c_int, [_P]),
    "error_is_fatal": (c_int, [_P]),
    "error_txn_requires_abort": (c_int, [_P]),
    "error_destroy": (None, [_P]),
    "fatal_error": (c_int, [_P, _P, c_size_t]),
    "topic_new": (_P, [_P, c_char_p, _P]),
    "topic_destroy": (None, [_P]),
    "queue_get_main": (_P, [_P]),
    "queue_destroy": (None, [_P]),
    "queue_poll": (_P, [_P, c_int]),
    "event_type": (c_int, [_P]),
    "event_error": (c_int, [_P]),
    "event_error_string": (c_char_p, [_P]),
    "event_message_count": (c_size_t, [_P]),
    "event_destroy": (None, [_P]),
    "purge": (c_int, [_P, c_int]),
    "flush": (c_int, [_P, c_int]),
    "outq_len": (c_int, [_P]),
    "init_transactions": (_P, [_P, c_int]),
    "begin_transaction": (_P, [_P]),
    "commit_transaction": (_P, [_P, c_int]),
    "abort_transaction": (_P, [_P, c_int]),
    "query_watermark_offsets": (c_int, [_P, c_char_p, c_int32, _P, _P, c_int]),
    "consume_start": (c_int, [_P, c_int32, c_int64]),
    "consume_stop": (c_int, [_P, c_int32]),
    "consume_batch": (c_size_t, [_P, c_int32, c_int, _P, c_size_t]),
    "message_destroy": (None, [_P]),
}


class Rdkafka:
    """Functions of librdkafka; each is called by its name without ``rd_kafka_``."""

    def __init__(self, library: Any) -> None:
        self._library = library
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, f"rd_kafka_{name}")
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def address(self, name: str) -> int:
        """Where a function is, for kernels."""
        found = ctypes.cast(getattr(self._library, f"rd_kafka_{name}"), c_void_p).value
        return found or 0

    def table(self, *names: str) -> I64:
        """Addresses of functions."""
        return np.array([self.address(name) for name in names], np.int64)

    def name(self, code: int) -> str:
        """The name of an error, such as ``_TRANSPORT``."""
        return str((self.err2name(code) or b"").decode())

    def text(self, code: int) -> str:
        """Words for an error."""
        return str((self.err2str(code) or b"").decode())


@functools.cache
def rdkafka() -> Rdkafka:
    """The library.

    Raises:
        MissingExtraError: confluent_kafka is not installed, or hides what is needed.
    """
    try:
        from confluent_kafka import cimpl
    except ImportError as error:
        raise missing_extra(error) from error
    try:
        return Rdkafka(ctypes.CDLL(str(cimpl.__file__)))
    except (OSError, AttributeError) as error:
        raise MissingExtraError(
            f"the librdkafka that confluent-kafka brings cannot be called here ({error})", install=INSTALL
        ) from error


PASSING = frozenset({"_TRANSPORT", "_TIMED_OUT", "_ALL_BROKERS_DOWN", "_WAIT_COORD", "NOT_LEADER_FOR_PARTITION",
                     "LEADER_NOT_AVAILABLE", "FENCED_LEADER_EPOCH", "UNKNOWN_LEADER_EPOCH", "REQUEST_TIMED_OUT",
                     "NETWORK_EXCEPTION", "_WAIT_CACHE", "OFFSET_NOT_AVAILABLE", "REPLICA_NOT_AVAILABLE"})  # fmt: skip
"""Errors that pass by themselves."""
_CONSEQUENCES = frozenset({"_PURGE_QUEUE", "_PURGE_INFLIGHT", "_FATAL", "_STATE"})
"""Errors that follow from one that was fatal, and say nothing of it."""


class Client:
    """A handle of librdkafka, with its queue of events.

    Args:
        kind: `PRODUCER` or `CONSUMER`.
        settings: how to reach the cluster.
        events: which events go to the queue.
        more: further settings, by librdkafka's names.

    Raises:
        DestinationError: a setting is refused.
        MissingExtraError: as in `rdkafka`.
    """

    def __init__(self, kind: int, settings: ClientSettings, events: int, more: Mapping[str, object]) -> None:
        self.rd = rdkafka()
        self.address = settings.bootstrap
        self._scrubbed = settings.scrubbed
        self.complaints: list[tuple[str, str]] = []
        self._topics: dict[str, int] = {}
        conf = self.rd.conf_new()
        text = ctypes.create_string_buffer(512)
        for name, value in settings.for_client(**more).items():
            if self.rd.conf_set(conf, name.encode(), str(value).encode(), text, len(text)):
                self.rd.conf_destroy(conf)
                said = settings.scrubbed(text.value.decode(errors="replace"))
                raise DestinationError(f"librdkafka refuses the setting {name}: {said}", target=self.address)
        self.rd.conf_set_events(conf, events)
        self.rd.conf_set_log_cb(conf, None)  # else its complaints go to stderr, whatever the level
        self.handle = self.rd.new(kind, conf, text, len(text))
        if not self.handle:
            self.rd.conf_destroy(conf)
            said = settings.scrubbed(text.value.decode(errors="replace"))
            raise DestinationError(f"these settings cannot be used: {said}", target=self.address)
        self._queue = self.rd.queue_get_main(self.handle)

    def topic(self, name: str) -> int:
        """Handle of a topic."""
        if name not in self._topics:
            made = self.rd.topic_new(self.handle, name.encode(), None)
            if not made:
                raise self.failure(self.rd.last_error(), f"topic {name}")
            self._topics[name] = made
        return self._topics[name]

    def event(self, seconds: float) -> int:
        """The next event, which is to be destroyed; 0 when none comes. Complaints are taken note of."""
        found = self.rd.queue_poll(self._queue, int(seconds * 1000))
        if found and self.rd.event_type(found) == ERRORS:
            code = self.rd.event_error(found)
            text = (self.rd.event_error_string(found) or b"").decode(errors="replace")
            self.complaints.append((self.rd.name(code), self._scrubbed(text)))
            del self.complaints[:-50]
        return int(found or 0)

    @property
    def hopeless(self) -> bool:
        """Whether the connection said something that waiting does not mend."""
        return most_telling(self.complaints) is not None

    def drain(self) -> None:
        """Takes note of complaints that wait; other events are dropped."""
        while found := self.event(0):
            self.rd.event_destroy(found)

    def bounds(self, topic: str, partition: int, timeout: float) -> tuple[int, int]:
        """First offset of a partition, and the one behind the last whose fate is decided (the last stable offset).

        Args:
            topic: on the target.
            partition: on the target.
            timeout: seconds until a cluster that does not answer is given up.

        Raises:
            DestinationError: the cluster does not answer, or refuses.
        """
        low, high = c_int64(), c_int64()
        deadline = time.monotonic() + timeout
        while True:
            code = self.rd.query_watermark_offsets(
                self.handle, topic.encode(), partition, byref(low), byref(high), 5000
            )
            if not code:
                return low.value, high.value
            self.drain()
            if time.monotonic() > deadline or self.hopeless or self.rd.name(code) not in PASSING:
                raise self.failure(code, f"reading the offsets of {topic}-{partition}")
            time.sleep(0.2)

    def failure(self, code: int, doing: str, text: str = "") -> DestinationError:
        """An error for the person; a complaint of the connection tells more than its silence."""
        self.drain()
        name, said = self.rd.name(code), text or self.rd.text(code)
        if name in _CONSEQUENCES and (fatal := self.rd.fatal_error(self.handle, None, 0)):
            name, said = self.rd.name(fatal), self.rd.text(fatal)
        if name in ("_TRANSPORT", "_TIMED_OUT", "_ALL_BROKERS_DOWN", "_MSG_TIMED_OUT"):
            name, said = most_telling(self.complaints) or (name, said)
        return failure(name, self._scrubbed(said), self.address, doing)

    def close(self) -> None:
        """Gives the handle back, without waiting for what is on its way."""
        if self.handle:
            for topic in self._topics.values():
                self.rd.topic_destroy(topic)
            self.rd.queue_destroy(self._queue)
            self.rd.destroy_flags(self.handle, 0x8)  # do not wait for a consumer group
            self.handle = None
