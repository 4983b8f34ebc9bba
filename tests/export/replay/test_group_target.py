"""Positions are committed once more while a coordinator moves, and refused where it says no."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError

from kafka_salvage.errors import DestinationError
from kafka_salvage.export.replay.config import ClientSettings
from kafka_salvage.export.replay.group_target import GroupCommit, GroupLine, GroupTarget
from kafka_salvage.export.replay.positions import NewPosition


class _Admin:
    """Answers a commit with errors, one after the other, then with none."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.committed: list[int] = []

    def poll(self, timeout: float) -> int:
        return 0

    def alter_consumer_group_offsets(self, asked: list[Any], request_timeout: float) -> dict[str, Future[Any]]:
        (group,) = asked
        code = self.codes.pop(0) if self.codes else None
        error = None if code is None else KafkaError(code)
        listed = [
            SimpleNamespace(topic=p.topic, partition=p.partition, offset=p.offset, error=error)
            for p in group.topic_partitions
        ]
        if error is None:
            self.committed += [p.offset for p in listed]
        made: Future[Any] = Future()
        made.set_result(SimpleNamespace(topic_partitions=listed))
        return {group.group_id: made}


def shown() -> GroupCommit:
    position = NewPosition(
        group="billing", topic="t", partition=0, old_offset=9, new_topic="t", new_partition=0, new_offset=7, metadata=""
    )
    return GroupCommit(SimpleNamespace(exit_code=0), (GroupLine(position, None),), {})  # type: ignore[arg-type]


def target(admin: _Admin) -> GroupTarget:
    made = GroupTarget(ClientSettings("127.0.0.1:1"), wait=2.0)
    made._admin = admin
    return made


def test_a_coordinator_that_moves_is_asked_again() -> None:
    admin = _Admin(KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS)
    done = target(admin).commit(shown())
    assert (admin.committed, done.committed, done.executed) == ([7], 1, True)


@pytest.mark.parametrize(
    ("code", "said"),
    [(KafkaError.GROUP_AUTHORIZATION_FAILED, "no permission"), (KafkaError.UNKNOWN_MEMBER_ID, "members at work")],
)
def test_a_refusal_is_one_sentence(code: int, said: str) -> None:
    admin = _Admin(code)
    with pytest.raises(DestinationError, match=said):
        target(admin).commit(shown())
    assert admin.committed == []
