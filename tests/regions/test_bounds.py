"""Bounds: what hostile bytes and much damage cost, counted in bytes read and sums made, not in seconds."""

from __future__ import annotations

import numpy as np
import pytest

from kafka_salvage.regions import finder
from kafka_salvage.regions.hosts import Hosts
from kafka_salvage.scan.batches import I64, U32
from kafka_salvage.scan.running import RangeCrc
from kafka_salvage.scan.walk import WINDOW
from kafka_salvage.source.memory import MemorySource
from tests.support.build import segment
from tests.support.judging import survey_bytes

PATTERN = bytes(15) + b"\2"
"""Three of sixteen places look like the header of a message."""


class Cost:
    """Counts work.

    Attributes:
        read: bytes read. sums: ranges summed. fitted: ends tried. claims: most claims remembered.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.read = self.sums = self.fitted = self.claims = 0
        read_into, many, fitting, extend = MemorySource.read_into, RangeCrc.many, Hosts._fitting, finder.Finder._extend

        def reading(source: MemorySource, position: int, buffer: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> int:
            self.read += len(buffer)
            return read_into(source, position, buffer)

        def summing(one: RangeCrc, castagnoli: bool, starts: I64, stops: I64) -> U32:
            self.sums += len(starts)
            return many(one, castagnoli, starts, stops)

        def trying(one: Hosts, head: object, ends: list[int]) -> list[tuple[int, int]]:
            self.fitted += len(ends)
            return fitting(one, head, ends)  # type: ignore[arg-type] # as it was asked

        def extending(one: finder.Finder) -> None:
            extend(one)
            self.claims = max(self.claims, len(one._claim_position))

        patch.setattr(MemorySource, "read_into", reading)
        patch.setattr(RangeCrc, "many", summing)
        patch.setattr(Hosts, "_fitting", trying)
        patch.setattr(finder.Finder, "_extend", extending)


def cost_of(data: bytes) -> Cost:
    with pytest.MonkeyPatch.context() as patch:
        cost = Cost(patch)
        survey_bytes(data)
    return cost


def test_headers_everywhere_cost_no_more_than_their_number() -> None:
    few, many = cost_of(PATTERN * 16_384), cost_of(PATTERN * 65_536)
    assert many.read <= 4.2 * few.read <= 4.2 * 8 * len(PATTERN) * 16_384
    for cost, times in ((few, 16_384), (many, 65_536)):
        assert cost.sums <= 3 * times  # each place that looks like a header is summed once at most


def test_headers_everywhere_are_not_all_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "MOST_CLAIMS", 1000)
    assert cost_of(PATTERN * 32_768).claims <= 1000


@pytest.mark.parametrize("magic", [0, 1, 2])
@pytest.mark.parametrize("how", ["payload", "noise", "zeros"])
def test_every_second_message_gone(magic: int, how: str) -> None:
    """Each damage costs a bounded number of sums and of windows read, however many there are."""

    def destroyed(count: int) -> bytes:
        data, infos = segment(count, magic=magic, per_batch=1, size=40)
        harmed = bytearray(data)
        rng = np.random.default_rng(1)
        for info in infos[1:-1:2]:
            if how == "payload":
                harmed[info.stop - 3] ^= 1
            else:
                bytes_ = bytes(info.size) if how == "zeros" else rng.bytes(info.size)
                harmed[info.start : info.stop] = bytes_
        return bytes(harmed)

    few, many = cost_of(destroyed(200)), cost_of(destroyed(800))
    assert many.read <= 2 * 400 * WINDOW
    assert many.sums <= 5 * few.sums + 1000
    assert many.fitted <= 400 * 70
    if how == "payload" and magic == 2:
        assert many.fitted <= 40 * 70  # nearly all of them were gone over
