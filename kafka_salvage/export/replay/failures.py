"""Failure: what a cluster or librdkafka refused, as one sentence, its likely causes, and what to do.

Texts come from librdkafka's error names; settings, and with them secrets, are never part of a sentence.
"""

from __future__ import annotations

from collections.abc import Iterable

from kafka_salvage.errors import DestinationError, MissingExtraError

INSTALL = "pip install 'kafka-salvage[replay]'"

_Words = tuple[str, tuple[str, ...], str]
_AGAIN = "Mend it and run the same command again: it goes on where it stopped."

_UNREACHABLE: _Words = (
    "no broker answers at {address}",
    (
        "the address or port is wrong, or the broker is down",
        "the broker expects TLS or a login, and none was given (or the other way round)",
        "its advertised.listeners name an address that cannot be reached from here",
    ),
    "Try the same address with kafka-topics --bootstrap-server {address} --list. " + _AGAIN,
)
_REFUSED = "the connection was refused: nothing listens at this port, or the broker is down"
_LOGIN: _Words = (
    "{address} refused the login",
    ("the user name or the password is wrong", "the broker offers another SASL mechanism"),
    "Correct the client's settings. " + _AGAIN,
)
_PERMISSION = "Let an administrator allow it with kafka-acls. " + _AGAIN
_WORDS: dict[str, _Words] = {
    "_TRANSPORT": _UNREACHABLE,
    "_ALL_BROKERS_DOWN": _UNREACHABLE,
    "_TIMED_OUT": _UNREACHABLE,
    "_BAD_MSG": (
        "what answers at {address} does not speak as a Kafka broker does",
        (
            "it is another service, or a proxy",
            "the broker expects TLS there, and security.protocol is not SSL or SASL_SSL",
        ),
        "Give the address of a broker's listener, and its security.protocol in --command-config. " + _AGAIN,
    ),
    "_RESOLVE": ("the name in {address} has no address", (), "Correct --bootstrap-server."),
    "_AUTHENTICATION": _LOGIN,
    "SASL_AUTHENTICATION_FAILED": _LOGIN,
    "UNSUPPORTED_SASL_MECHANISM": (
        "{address} does not offer this SASL mechanism",
        (),
        "Set sasl.mechanism to one the broker lists in sasl.enabled.mechanisms.",
    ),
    "_SSL": (
        "the TLS connection to {address} failed",
        ("the broker's certificate is not signed by the given authority", "the broker does not speak TLS there"),
        "Give its authority as ssl.truststore.location (PEM) or ssl.ca.location. " + _AGAIN,
    ),
    "TOPIC_AUTHORIZATION_FAILED": ("{doing}: no permission on the topic", (), _PERMISSION),
    "CLUSTER_AUTHORIZATION_FAILED": (
        "{doing}: no permission on the cluster",
        (
            "to send, the user needs WRITE on the topic (before Kafka 2.8 IdempotentWrite on the cluster, too)",
            "to make topics, CREATE on the cluster or on the topic's name",
        ),
        _PERMISSION,
    ),
    "GROUP_AUTHORIZATION_FAILED": ("{doing}: no permission on the group", (), _PERMISSION),
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED": ("{doing}: no permission to use transactions", (), _PERMISSION),
    "UNKNOWN_TOPIC_OR_PART": (
        "{doing}: the topic or partition is not there",
        (),
        "Create it, or give --create-topics. " + _AGAIN,
    ),
    "_UNKNOWN_TOPIC": (
        "{doing}: the topic is not there",
        (),
        "Create it, or give --create-topics. " + _AGAIN,
    ),
    "_UNKNOWN_PARTITION": (
        "{doing}: the topic has too few partitions",
        (),
        "Add partitions with kafka-topics --alter --partitions N. " + _AGAIN,
    ),
    "MSG_SIZE_TOO_LARGE": (
        "{doing}: a record is larger than the topic allows",
        (),
        "Raise max.message.bytes of the topic with kafka-configs. " + _AGAIN,
    ),
    "RECORD_LIST_TOO_LARGE": (
        "{doing}: a batch is larger than the topic's segment.bytes",
        (),
        "Give a smaller --batch-size, or raise segment.bytes of the topic with kafka-configs. " + _AGAIN,
    ),
    "INVALID_RECORD": (
        "{doing}: the broker refuses a record",
        ("the topic is compacted, and a record has no key",),
        "Set cleanup.policy=delete on the topic with kafka-configs. " + _AGAIN,
    ),
    "INVALID_TIMESTAMP": (
        "{doing}: the broker refuses the timestamp of a record",
        ("the topic's message.timestamp.before.max.ms or after.max.ms is too narrow",),
        "Widen them with kafka-configs. " + _AGAIN,
    ),
    "INVALID_REPLICATION_FACTOR": (
        "{doing}: the replication factor is larger than the number of brokers",
        (),
        "Give a smaller --replication-factor.",
    ),
    "NOT_ENOUGH_REPLICAS": (
        "{doing}: too few replicas are in sync",
        ("a broker is down, or min.insync.replicas is larger than the replication factor",),
        _AGAIN,
    ),
    "_FENCED": (
        "{doing}: another replay of the same records has begun, and this one was shut out",
        (),
        "Let one of them finish.",
    ),
    "INVALID_TRANSACTION_TIMEOUT": (
        "{doing}: the cluster ends every transaction within 3 minutes",
        ("the brokers' transaction.max.timeout.ms is below 180000",),
        "Raise it, or give --no-transactions.",
    ),
    "CONCURRENT_TRANSACTIONS": (
        "{doing}: the transaction that a killed replay left is still being ended",
        (),
        "Wait a minute, then run the same command again.",
    ),
}
_WORDS["PRODUCER_FENCED"] = _WORDS["INVALID_PRODUCER_EPOCH"] = _WORDS["_FENCED"]
_WORDS["NOT_ENOUGH_REPLICAS_AFTER_APPEND"] = _WORDS["NOT_ENOUGH_REPLICAS"]
_WORDS["_MSG_TIMED_OUT"] = _UNREACHABLE

TELLING = (
    "_AUTHENTICATION",
    "SASL_AUTHENTICATION_FAILED",
    "UNSUPPORTED_SASL_MECHANISM",
    "_SSL",
    "_BAD_MSG",
    "_RESOLVE",
)
"""Complaints of the connection that say more than that an answer did not come, the most telling first."""


def failure(name: str, text: str, address: str, doing: str) -> DestinationError:
    """The error for the person.

    Args:
        name: librdkafka's name of the error, such as ``_TRANSPORT``.
        text: its own words; shown where there are no better ones.
        address: where the cluster was looked for.
        doing: what was tried, as the beginning of a sentence.
    """
    if name not in _WORDS:
        return DestinationError(f"{doing}: {text or name} ({name})", target=address, advice=_AGAIN)
    sentence, causes, advice = _WORDS[name]
    if "Connection refused" in text and name in ("_TRANSPORT", "_ALL_BROKERS_DOWN", "_TIMED_OUT"):
        causes = (_REFUSED, causes[-1])
    said = sentence.format(address=address, doing=doing)
    return DestinationError(said, target=address, causes=causes, advice=advice.format(address=address))


def most_telling(complaints: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
    """The complaint of a connection that says why no answer came; None when none does."""
    found = {name: (name, text) for name, text in complaints}
    return next((found[name] for name in TELLING if name in found), None)


def refusal(complaints: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
    """The complaint that an address refused the connection; None when every address did something else, or nothing."""
    return next(((name, text) for name, text in complaints if "Connection refused" in text), None)


def missing_extra(error: ImportError) -> MissingExtraError:
    """What to say when confluent_kafka is not installed."""
    made = MissingExtraError("replay needs confluent-kafka, which is not installed", install=INSTALL)
    made.__cause__ = error
    return made
