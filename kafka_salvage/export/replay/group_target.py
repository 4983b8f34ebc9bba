"""GroupCommit: positions of groups in a cluster, looked at first and committed when told to.

Strategy: a group whose members are at work is refused, since Kafka would refuse it or its members would commit over it. A
position that a group already has and that is another one stays, unless it is forced: the group may have gone on since.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from kafka_salvage.errors import DestinationError, RequestError
from kafka_salvage.export.replay.failures import failure
from kafka_salvage.export.replay.positions import NewPosition, NewPositions
from kafka_salvage.export.replay.target import Target

_IDLE = frozenset({"EMPTY", "DEAD", "UNKNOWN"})
_ABSENT = frozenset({"GROUP_ID_NOT_FOUND"})
_BUSY = frozenset(
    {"UNKNOWN_MEMBER_ID", "NON_EMPTY_GROUP", "REBALANCE_IN_PROGRESS", "ILLEGAL_GENERATION", "STALE_MEMBER_EPOCH"}
)
_PASSING = frozenset(
    {"COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR", "_TRANSPORT", "_TIMED_OUT",
     "_WAIT_COORD", "REQUEST_TIMED_OUT", "NETWORK_EXCEPTION"}
)  # fmt: skip
"""Errors that pass by themselves: a new cluster makes the topic of positions when the first group is asked for."""


@dataclass(frozen=True, slots=True)
class GroupLine:
    """One position on its way.

    Attributes:
        position: where the group should go on.
        present: where it stands in the cluster now; None when it has no position there.
    """

    position: NewPosition
    present: int | None

    @property
    def done(self) -> bool:
        """The group stands there already."""
        return self.present == self.position.new_offset

    @property
    def differs(self) -> bool:
        """The group stands elsewhere."""
        return self.present is not None and not self.done

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**self.position.to_dict(), "present": self.present}


@dataclass(frozen=True, slots=True)
class GroupCommit:
    """What committing would do, or did.

    Attributes:
        positions: all of them, those without a place too.
        lines: those with a place, sorted.
        active: group -> its state, of groups with members; nothing of them is committed.
        executed: whether it was done.
        committed: positions that were committed now.
        forced: positions that differ are committed too.
        notes: of the client's settings.
    """

    positions: NewPositions
    lines: tuple[GroupLine, ...]
    active: dict[str, str]
    executed: bool = False
    forced: bool = False
    notes: tuple[str, ...] = ()
    committed: int = 0

    @property
    def wanted(self) -> tuple[GroupLine, ...]:
        """Lines that are committed."""
        return tuple(
            line
            for line in self.lines
            if line.position.group not in self.active and not line.done and (self.forced or not line.differs)
        )

    @property
    def kept(self) -> tuple[GroupLine, ...]:
        """Lines whose groups stand elsewhere and stay there."""
        return tuple(line for line in self.lines if line.differs and not self.forced)

    @property
    def exit_code(self) -> int:
        """As that of the positions."""
        return self.positions.exit_code

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "schema": "kafka-salvage.group-commit/1",
            "executed": self.executed,
            "committed": self.committed,
            "active": dict(sorted(self.active.items())),
            "positions": [line.to_dict() for line in self.lines],
            "without_place": [p.to_dict() for p in self.positions.positions if p.new_offset is None],
        }


class GroupTarget(Target):
    """The cluster that groups go on in; arguments as those of `Target`."""

    def look(self, positions: NewPositions, *, forced: bool = False) -> GroupCommit:
        """What committing these would do.

        Raises:
            RequestError: the cluster is another one than the offset map is for.
            DestinationError: it cannot be reached, or refuses.
        """
        here = self._patiently(lambda: self._admin.list_topics(timeout=2), "reading the topics")
        if positions.cluster is not None and here.cluster_id not in (None, positions.cluster):
            raise RequestError(
                f"the offset map is of cluster {positions.cluster}, and {self.address} is cluster {here.cluster_id}",
                advice="Give the map of the replay into this cluster.",
            )
        for each in positions.placed:
            topic = here.topics.get(each.new_topic)
            if topic is None or each.new_partition not in topic.partitions:
                raise DestinationError(
                    f"{each.new_topic}-{each.new_partition} is not in the cluster at {self.address}",
                    target=self.address,
                    advice="Replay into it first, or give the map of the replay into this cluster.",
                )
        groups = sorted({p.group for p in positions.placed})
        present: dict[tuple[str, str, int], int] = {}
        for group in groups:
            present.update(self._present(group))
        lines = tuple(
            GroupLine(p, present.get((p.group, p.new_topic or "", p.new_partition or 0))) for p in positions.placed
        )
        return GroupCommit(positions, lines, self._active(groups), forced=forced, notes=self.settings.notes)

    def _active(self, groups: list[str]) -> dict[str, str]:
        """Groups with members, each with its state."""
        found: dict[str, str] = {}
        for group in groups:
            told = self._asked(partial(self._described, group), f"describing group {group}")
            state = "UNKNOWN" if told is None else str(told.state.name)
            if state not in _IDLE:
                found[group] = state.lower().replace("_", " ")
        return found

    def _described(self, group: str) -> Any:
        return self._admin.describe_consumer_groups([group], request_timeout=self._wait)[group]

    def _present(self, group: str) -> dict[tuple[str, str, int], int]:
        from confluent_kafka import ConsumerGroupTopicPartitions

        def ask() -> Any:
            asked = [ConsumerGroupTopicPartitions(group)]
            return self._admin.list_consumer_group_offsets(asked, request_timeout=self._wait)[group]

        told = self._asked(ask, f"reading the positions of group {group}")
        if told is None:
            return {}
        return {(group, each.topic, each.partition): each.offset for each in told.topic_partitions if each.offset >= 0}

    def _asked(self, ask: Callable[[], Any], doing: str, refused: Callable[[str], None] = lambda name: None) -> Any:
        """An answer, asked for again while what stands against it passes; None for a group that is not there.

        Args:
            ask: gives the future of one answer.
            doing: what is tried.
            refused: is told the name of an error before it becomes one of ours.
        """
        deadline = time.monotonic() + 3 * self._wait
        while True:
            found: Any = None
            try:
                return ask().result(self._wait + 5)
            except self._refusal as error:
                found = error.args[0] if error.args else None
            except TimeoutError:
                pass
            name = "_TIMED_OUT" if found is None else str(found.name())
            if name in _ABSENT:
                return None
            refused(name)
            if name not in _PASSING or time.monotonic() > deadline:
                raise failure(name, "", self.address, doing) if found is None else self.failure(found, doing)
            time.sleep(0.5)

    def commit(self, shown: GroupCommit) -> GroupCommit:
        """Commits what `look` found, group by group.

        Raises:
            DestinationError: a group is active, or the cluster refuses.
        """
        if shown.active:
            raise _active(shown.active)
        by_group: dict[str, list[NewPosition]] = {}
        for line in shown.wanted:
            by_group.setdefault(line.position.group, []).append(line.position)
        for group, positions in sorted(by_group.items()):
            self._commit(group, positions)
        lines = tuple(
            GroupLine(line.position, line.position.new_offset) if line in shown.wanted else line for line in shown.lines
        )
        done = len(shown.wanted)
        return GroupCommit(shown.positions, lines, {}, True, shown.forced, shown.notes, committed=done)

    def _commit(self, group: str, positions: Iterable[NewPosition]) -> None:
        from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

        listed = [
            TopicPartition(p.new_topic or "", p.new_partition or 0, p.new_offset or 0, _metadata(p)) for p in positions
        ]
        doing = f"committing the positions of group {group}"

        def ask() -> Any:
            asked = [ConsumerGroupTopicPartitions(group, listed)]
            return self._admin.alter_consumer_group_offsets(asked, request_timeout=self._wait)[group]

        def refused(name: str) -> None:
            if name in _BUSY:
                raise _active({group: "active"})

        deadline = time.monotonic() + 3 * self._wait
        while True:
            answer = self._asked(ask, doing, refused)
            if answer is None:
                raise failure("GROUP_ID_NOT_FOUND", "", self.address, doing)
            failed = next((each for each in answer.topic_partitions if each.error is not None), None)
            if failed is None:
                return
            name = str(failed.error.name())
            refused(name)
            if name not in _PASSING or time.monotonic() > deadline:  # a coordinator that moves says so per partition
                raise self.failure(failed.error, f"{doing} in {failed.topic}-{failed.partition}")
            time.sleep(0.5)


def _metadata(position: NewPosition) -> str:
    """A group's own text, which the client ends with a zero itself; one with a zero inside cannot be committed."""
    text = position.metadata.removesuffix("\0").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "" if "\0" in text else text


def _active(groups: dict[str, str]) -> DestinationError:
    names = ", ".join(sorted(groups)[:5]) + (f" and {len(groups) - 5} more" if len(groups) > 5 else "")
    one = len(groups) == 1
    return DestinationError(
        f"{'group' if one else 'groups'} {names} {'has' if one else 'have'} members at work: nothing was committed for "
        f"{'it' if one else 'them'}",
        causes=("Consumers of the group are running against the new cluster.",),
        advice="Stop every consumer of the group, wait until its session is over, and run the same command again.",
    )
