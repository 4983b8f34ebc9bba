"""Target: the cluster that records are sent to, described and, where asked for, given topics.

The administration goes through confluent_kafka, which is imported when a target is made. Nothing here writes records.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from kafka_salvage.errors import DestinationError
from kafka_salvage.export.replay.config import ClientSettings
from kafka_salvage.export.replay.failures import failure, missing_extra, most_telling, refusal

T = TypeVar("T")
WAIT = 20.0
"""Seconds until a cluster that does not answer any more is given up."""
FIRST, FAR = 4.0, 10.0
"""The same for one that never did: where every address refuses or hangs up at once, and where there is only silence."""
_SILENT = logging.getLogger("kafka_salvage.librdkafka")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
_SILENCE = frozenset({"", "_TRANSPORT", "_TIMED_OUT", "_ALL_BROKERS_DOWN"})
_UNKNOWN = frozenset({"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC"})


@dataclass(frozen=True, slots=True)
class TargetTopic:
    """A topic of the target.

    Attributes:
        partitions: how many.
        configs: effective values, the broker's defaults included; None where they may not be read.
    """

    name: str
    partitions: int
    configs: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic to create.

    Attributes:
        replication_factor: None leaves it to the broker's default.
    """

    name: str
    partitions: int
    configs: Mapping[str, str] = field(default_factory=dict)
    replication_factor: int | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """What a target has of the topics that were asked for.

    Attributes:
        cluster_id: None when the cluster does not tell.
        brokers: how many there are.
        topics: those that exist, by name.
        broker_configs: of one broker: the defaults of topics to come; None where they may not be read.
    """

    cluster_id: str | None
    brokers: int
    topics: Mapping[str, TargetTopic]
    broker_configs: Mapping[str, str] | None = field(default=None, repr=False)


class TargetLike(Protocol):
    """What a replay asks of a target before it sends."""

    address: str

    def describe(self, topics: Iterable[str]) -> Description:
        """What there is. Raises: DestinationError."""
        ...

    def create(self, topics: Iterable[NewTopic]) -> None:
        """Makes topics. Raises: DestinationError."""
        ...


class Target:
    """A cluster, reached with librdkafka's settings.

    Args:
        settings: as `config.client_settings` gives them.
        wait: seconds until a cluster that does not answer is given up.

    Raises:
        MissingExtraError: confluent_kafka is not installed.
        DestinationError: librdkafka refuses a setting.
    """

    def __init__(self, settings: ClientSettings, *, wait: float = WAIT) -> None:
        try:
            from confluent_kafka import KafkaException
            from confluent_kafka.admin import AdminClient
        except ImportError as error:
            raise missing_extra(error) from error
        self.settings = settings
        self.address = settings.bootstrap
        self._wait = wait
        self._refusal: type[Exception] = KafkaException
        self._complaints: dict[str, str] = {}  # the last of each kind
        self._reached = False
        try:
            own: dict[str, Any] = {**settings.for_client(), "error_cb": self._complain}
            self._admin: Any = AdminClient(own, logger=_SILENT)
        except (KafkaException, ValueError, TypeError) as error:
            said = settings.scrubbed(_words(error))  # the chain is cut: a traceback might hold a secret
            raise DestinationError(f"these settings cannot be used: {said}", target=self.address) from None

    def _complain(self, error: Any) -> None:
        self._complaints[str(error.name())] = str(error.str())

    def describe(self, topics: Iterable[str]) -> Description:
        """What the cluster has of these topics.

        Raises:
            DestinationError: it cannot be reached, or refuses.
        """
        metadata = self._patiently(lambda: self._admin.list_topics(timeout=2), "reading the topics")
        found: dict[str, int] = {}
        for name in sorted(set(topics)):
            topic = metadata.topics.get(name)
            if topic is None:
                continue
            if topic.error is not None:
                if str(topic.error.name()) in _UNKNOWN:
                    continue
                raise self.failure(topic.error, f"reading topic {name}")
            found[name] = len(topic.partitions)
        configs = self._configs(found)
        broker = next(iter(sorted(metadata.brokers)), None)
        made = {name: TargetTopic(name, count, configs[name]) for name, count in found.items()}
        defaults = None if broker is None else self._configs_of("BROKER", [str(broker)])[str(broker)]
        return Description(metadata.cluster_id, len(metadata.brokers), made, defaults)

    def _configs(self, topics: Iterable[str]) -> dict[str, Mapping[str, str] | None]:
        return self._configs_of("TOPIC", list(topics))

    def _configs_of(self, kind: str, names: list[str]) -> dict[str, Mapping[str, str] | None]:
        from confluent_kafka.admin._config import ConfigResource

        found: dict[str, Mapping[str, str] | None] = dict.fromkeys(names)
        if names:
            asked = [ConfigResource(getattr(ConfigResource.Type, kind), name) for name in names]
            for resource, future in self._admin.describe_configs(asked, request_timeout=self._wait).items():
                try:
                    entries = future.result(self._wait + 5)
                except (self._refusal, TimeoutError):  # no permission to read them: what they are is not known
                    continue
                found[resource.name] = {e.name: e.value for e in entries.values() if e.value is not None}
        return found

    def create(self, topics: Iterable[NewTopic]) -> None:
        """Makes topics and waits until they are there; one that somebody else made meanwhile is left as it is.

        Raises:
            DestinationError: the cluster refuses.
        """
        from confluent_kafka.cimpl import NewTopic as Wanted

        wanted = [
            Wanted(
                t.name,
                num_partitions=t.partitions,
                replication_factor=-1 if t.replication_factor is None else t.replication_factor,
                config=dict(t.configs),
            )
            for t in topics
        ]
        if not wanted:
            return
        futures = self._admin.create_topics(wanted, operation_timeout=30, request_timeout=self._wait + 30)
        for name, future in futures.items():
            self._result(future, f"creating topic {name}", {"TOPIC_ALREADY_EXISTS"})
        names = {t.topic for t in wanted}

        def ready() -> bool:
            shown = self._admin.list_topics(timeout=2).topics
            return all(
                name in shown
                and shown[name].error is None
                and all(p.leader >= 0 for p in shown[name].partitions.values())
                for name in names
            )

        deadline = time.monotonic() + self._wait
        while not self._patiently(ready, "waiting for the new topics") and time.monotonic() < deadline:
            time.sleep(0.1)

    def _result(self, future: Future[Any], doing: str, fine: set[str]) -> None:
        try:
            future.result(self._wait + 60)
        except self._refusal as error:
            if _kafka_error(error) is None or str(_kafka_error(error).name()) not in fine:
                raise self.failure(_kafka_error(error), doing) from error
        except TimeoutError as error:
            raise failure("_TIMED_OUT", "", self.address, doing) from error

    def _patiently(self, ask: Callable[[], T], doing: str) -> T:
        """Asks until there is an answer, the connection says why there is none, or the time is over."""
        begun = time.monotonic()
        while True:
            try:
                answer = ask()
                self._reached = True
                return answer
            except self._refusal as error:
                found = _kafka_error(error)
                self._admin.poll(0)
                lasting = found is not None and not found.retriable() and str(found.name()) not in _SILENCE
                over = time.monotonic() - begun >= self._patience
                if lasting or most_telling(self._complaints.items()) or over:
                    raise self.failure(found, doing) from error

    @property
    def _patience(self) -> float:
        """Seconds to wait for an answer: less for the first, which a wrong address never gives."""
        if self._reached:
            return self._wait
        return min(self._wait, FIRST if "_ALL_BROKERS_DOWN" in self._complaints else FAR)

    def failure(self, error: Any, doing: str) -> DestinationError:
        """An error of librdkafka as one for the person; a complaint of the connection tells more than its silence."""
        self._admin.poll(0)
        name, text = ("", "") if error is None else (str(error.name()), str(error.str()))
        if name in _SILENCE:
            said = self._complaints.items()
            name, text = most_telling(said) or refusal(said) or (name or "_TRANSPORT", text)
        return failure(name, self.settings.scrubbed(text), self.address, doing)


def _kafka_error(error: Exception) -> Any:
    return error.args[0] if error.args and hasattr(error.args[0], "retriable") else None


def _words(error: Exception) -> str:
    inner = _kafka_error(error)
    return str(inner.str() if inner is not None else error)
