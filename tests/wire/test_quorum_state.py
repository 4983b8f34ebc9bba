"""`quorum-state` and `.kafka_cleanshutdown`."""

from __future__ import annotations

import pytest

from kafka_salvage.wire.clean_shutdown import CleanShutdown, read_clean_shutdown
from kafka_salvage.wire.quorum_state import QuorumState, read_quorum_state


def test_quorum_state_version_0() -> None:
    data = (
        b'{"clusterId":"","leaderId":3,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,'
        b'"currentVoters":[{"voterId":3},{"voterId":4}],"data_version":0}'
    )
    assert read_quorum_state(data) == QuorumState(
        data_version=0, leader_id=3, leader_epoch=1, voted_id=-1, cluster_id="", applied_offset=0, voters=(3, 4)
    )


def test_quorum_state_version_1() -> None:
    data = b'{"leaderId":-1,"leaderEpoch":9,"votedId":2,"votedDirectoryId":"wzKMjUNmQzOGLL8GSkwmkw","data_version":1}'
    assert read_quorum_state(data) == QuorumState(
        data_version=1, leader_id=-1, leader_epoch=9, voted_id=2, voted_directory_id="wzKMjUNmQzOGLL8GSkwmkw"
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"data_version":2}',
        b'{"data_version":true,"leaderId":1,"leaderEpoch":1,"votedId":1}',
        b'{"data_version":0,"leaderId":"1","leaderEpoch":1,"votedId":1}',
        b'{"data_version":0,"leaderId":1,"leaderEpoch":1,"votedId":1,"currentVoters":[1]}',
        b"\xff\xfe",
    ],
)
def test_quorum_states_that_are_refused(data: bytes) -> None:
    assert read_quorum_state(data).problem is not None


def test_clean_shutdown() -> None:
    assert read_clean_shutdown(b"") == CleanShutdown()
    assert read_clean_shutdown(b'{"version":0,"brokerEpoch":78}') == CleanShutdown(0, 78)
    assert read_clean_shutdown(b'{"version":0,"brokerEpoch":78,"more":1}\n').broker_epoch == 78
    for torn in (b"{", b"[]", b'{"version":0}', b"\x00\x00", b'{"version":"0","brokerEpoch":1}'):
        assert read_clean_shutdown(torn).problem is not None
        assert read_clean_shutdown(torn).broker_epoch == -1
