"""QuorumState: `quorum-state`, a KRaft node's memory of the election.

Source: `FileQuorumStateStore.java`, `QuorumStateData.json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class QuorumState:
    """What the file says.

    Attributes:
        data_version: 0 or 1; None when there is a problem.
        leader_id, leader_epoch, voted_id: -1 is none.
        voted_directory_id: version 1 only.
        cluster_id, applied_offset, voters: version 0 only.
        problem: why a node would refuse the file; None if it would not.
    """

    data_version: int | None = None
    leader_id: int = -1
    leader_epoch: int = -1
    voted_id: int = -1
    voted_directory_id: str | None = None
    cluster_id: str | None = None
    applied_offset: int | None = None
    voters: tuple[int, ...] | None = None
    problem: str | None = None


def read_quorum_state(data: bytes) -> QuorumState:
    """Reads the file; never raises."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return QuorumState(problem="it is no JSON")
    if not isinstance(body, dict):
        return QuorumState(problem="it is no JSON object")
    version = body.get("data_version")
    if version not in (0, 1) or isinstance(version, bool):
        return QuorumState(problem=f"data_version {version!r} is not known")
    numbers = [_int(body.get(key)) for key in ("leaderId", "leaderEpoch", "votedId")]
    if None in numbers:
        return QuorumState(problem="leaderId, leaderEpoch or votedId is missing or no number")
    leader, epoch, voted = (number for number in numbers if number is not None)
    if version == 1:
        return QuorumState(1, leader, epoch, voted, voted_directory_id=_text(body.get("votedDirectoryId")))
    voters = body.get("currentVoters")
    if voters is not None:
        if not isinstance(voters, list) or any(
            not isinstance(v, dict) or _int(v.get("voterId")) is None for v in voters
        ):
            return QuorumState(problem="currentVoters is no list of voters")
        voters = tuple(v["voterId"] for v in voters)
    return QuorumState(
        0,
        leader,
        epoch,
        voted,
        cluster_id=_text(body.get("clusterId")),
        applied_offset=_int(body.get("appliedOffset")),
        voters=voters,
    )


def _int(value: Any) -> int | None:
    return value if type(value) is int else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
