"""Proven: what is said of many batches at once is what their bytes say."""

from __future__ import annotations

import numpy as np

from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.context import Place
from kafka_salvage.regions.proven import Proven
from kafka_salvage.scan.walk import Stop, StopReason
from tests.support.build import segment
from tests.support.judging import codes, emitted, survey_bytes

PLACE = Place("test", "0.log")


def _one(
    fact: StopReason, *, size: int = 100, claim: int = 100, magic: int = 2, put: int = 2, epoch: int = 0
) -> Proven:
    batch = {"position": 7, "size": size, "offset": 0x1200, "leader_epoch": epoch, "magic": put}
    return Proven.one(batch, claim, magic, Stop(7, fact, 11, 12))


def test_what_lies_over_the_bytes() -> None:
    patches = _one(StopReason.CRC_MISMATCH, claim=-1, magic=-3).patches()
    assert [(each.position, each.before.hex(), each.after.hex()) for each in patches] == [
        (15, "fffffff3", "00000058"),
        (23, "fd", "02"),
    ]
    assert not _one(StopReason.CRC_MISMATCH).patches()


def test_sentences() -> None:
    said = {
        "the length claims a batch of 300 bytes, and the CRC holds with 100": _one(StopReason.CRC_MISMATCH, claim=300),
        "the magic says 253, and the CRC holds with 2": _one(StopReason.CRC_MISMATCH, magic=-3),
        "the magic says 2, and the CRC holds with 1": _one(StopReason.CRC_MISMATCH, claim=300, put=1),
        "the length claims a batch of 300 bytes, but 193 are left": _one(StopReason.LENGTH_PAST_END, claim=300),
        "Found record size -13 smaller than minimum record overhead (14)": _one(StopReason.LENGTH_TOO_SMALL, claim=-1),
        "Unknown magic -3: no batch begins here": _one(StopReason.BAD_MAGIC, magic=-3),
    }
    first = np.array([5])
    for sentence, proven in said.items():
        (finding,) = proven.findings(PLACE, first, first + 4, 200)
        assert finding.message == f"{sentence}; proved by its CRC once repaired"
        assert (finding.start, finding.stop, finding.offsets) == (7, 107, OffsetRange(5, 9))
        assert len(finding.detail["position"]) == len(proven.patches())


def test_zeros_make_what_they_may_have_run_into_doubtful() -> None:
    zeros = _one(StopReason.LENGTH_TOO_SMALL, claim=12)
    assert zeros.doubtful_epochs().all()
    assert zeros.doubtful_offsets().all()
    assert not _one(StopReason.LENGTH_TOO_SMALL, claim=12, epoch=3).doubtful_epochs().any()
    assert not _one(StopReason.CRC_MISMATCH, claim=300).doubtful_epochs().any()
    assert _one(StopReason.CRC_MISMATCH, claim=300, magic=1, epoch=3).doubtful_epochs().all()


def test_many_lengths_are_put_back() -> None:
    data, infos = segment(300, per_batch=1, size=40)
    changed = bytearray(data)
    for one in infos[1::2]:
        changed[one.start + 10] ^= 1
        changed[one.start + 16] ^= 4 * (one.base_offset % 3 == 0)
    survey = survey_bytes(bytes(changed))
    assert [one.data for one in emitted(bytes(changed), survey)] == [data[one.start : one.stop] for one in infos]
    assert codes(survey) <= {"length-past-end", "crc-mismatch", "bad-magic"}
