"""Resync finds each sane header whose CRC holds, names those whose CRC does not, and costs what its bytes cost."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.scan.resync import Candidates, RangeCrc, Sanity, find_candidates, sane_header
from kafka_salvage.source.memory import MemorySource
from kafka_salvage.source.source import U8
from tests.support import build
from tests.support.corpus import ROOT
from tests.support.faulty import FaultySource
from tests.vector.checks import plain_candidates, plain_sane, rows_of, sample

ANY = Sanity(0, 2**31 - 1)
CLEAN = sorted((ROOT / "fixtures" / "clean").rglob("*.log"))


def claims_of(found: Candidates) -> list[tuple[int, int, int]]:
    columns = found.claim_position, found.claim_size, found.claim_offset
    return list(zip(*(c.tolist() for c in columns), strict=True))


def check(data: bytes, start: int, stop: int, end: int, base: int = 0, window: int = 1 << 22) -> None:
    found = find_candidates(MemorySource(data), start, stop, end, Sanity(base, 2**31 - 1), window=window)
    assert (rows_of(found.batches), claims_of(found)) == plain_candidates(data, start, stop, end, base)
    assert found.claims_omitted == 0


@pytest.mark.parametrize("path", CLEAN[::3], ids=lambda p: f"{p.parent.name}-{p.stem[-4:]}")
def test_segments_of_real_brokers(path: Path) -> None:
    data = path.read_bytes()[:30_000]
    check(data, 1, len(data), len(data), int(path.stem))


@pytest.mark.parametrize("window", [4096, 5000, 1 << 22])
def test_windows_are_irrelevant(window: int) -> None:
    data = sample(700)
    check(data, 0, len(data), len(data), window=window)
    check(data, 77, len(data) - 300, len(data) - 100, window=window)


@given(st.data())
def test_any_damage(data: st.DataObject) -> None:
    broken = bytearray(sample(30))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(broken) - 1))
        broken[at : at + data.draw(st.sampled_from([1, 4, 300]))] = data.draw(st.binary(max_size=8))
    start = data.draw(st.integers(0, len(broken)))
    end = data.draw(st.integers(start, len(broken)))
    check(
        bytes(broken), start, data.draw(st.integers(start, len(broken))), end, data.draw(st.sampled_from([0, 40, 50]))
    )


FIELDS = [(0, 8), (8, 4), (12, 4), (16, 1), (17, 1), (18, 4), (21, 2), (23, 4), (26, 4), (57, 4)]
VALUES = [0, 1, 2, 3, 4, 5, 7, 13, 14, 22, 48, 49, 61, 64, 127, 128, 255, -1, -2, 2**31 - 1, -(2**31), 2**31, 2**31 + 6]


@given(st.integers(0, 2), st.lists(st.tuples(st.sampled_from(FIELDS), st.sampled_from(VALUES)), max_size=4), st.data())
def test_a_sane_header_in_kernel_and_in_plain_python(
    magic: int, edits: list[tuple[tuple[int, int], int]], data: st.DataObject
) -> None:
    whole = bytearray(build.segment(1, magic=magic, base=6)[0])
    for (place, size), value in edits:
        whole[place : place + size] = (value % (1 << 8 * size)).to_bytes(size, "big")
    here = bytes(whole[: data.draw(st.sampled_from([len(whole), 61, 60, 30, 29, 26, 25, 22]))])
    base, most = data.draw(st.sampled_from([0, 6, 7])), data.draw(st.sampled_from([2**31 - 1, 70, 61]))
    expected = plain_sane(here, 0, base, most)
    found = find_candidates(MemorySource(here), 0, min(1, len(here)), len(here), Sanity(base, most))
    assert (len(found.batches) + len(found.claim_position) == 1) is expected
    assert sane_header(here[:61], len(here), Sanity(base, most)) is expected


def test_what_reaches_beyond_the_end_is_a_claim() -> None:
    data, infos = build.segment(5)
    end = infos[4].stop - 1
    found = find_candidates(MemorySource(data), 1, len(data), end, ANY)
    assert found.batches.position.tolist() == [b.start for b in infos[1:4]]
    assert (infos[4].start, infos[4].size, 40) in claims_of(found)


def test_a_batch_inside_a_payload_is_a_candidate_too() -> None:
    """Whether it is believed is for others to say."""
    guest = build.v2_batch(3, [build.record_for(3)])
    data = build.v2_batch(0, [build.Rec(0, 0, None, guest)]) + build.v2_batch(1, [build.record_for(1)])
    found = find_candidates(MemorySource(data), 1, len(data), len(data), ANY)
    assert found.batches.position.tolist()[0] == data.index(guest)
    assert len(found.batches) == 2


def test_what_could_not_be_read_is_no_candidate(tmp_path: Path) -> None:
    data = build.v2_batch(0, [build.Rec(0, 0, None, bytes(4000))]) * 2
    path = tmp_path / "0.log"
    path.write_bytes(data)
    source = FaultySource(path, [(2000, 2001)])
    found = find_candidates(source, 0, len(data), len(data), ANY)
    size = len(data) // 2
    assert found.batches.position.tolist() == [size]
    assert (0, size, 0) in claims_of(found)
    source.close()


class _Counting(MemorySource):
    """Memory that counts the bytes that are asked of it."""

    bytes_read = 0

    def read_into(self, position: int, buffer: U8) -> int:
        self.bytes_read += len(buffer)
        return super().read_into(position, buffer)


def hostile(size: int, headers: int, length: int) -> _Counting:
    """Random bytes with overlapping fake headers, each claiming ``length`` bytes."""
    data = np.random.default_rng(5).integers(0, 256, size, dtype=np.uint8)
    fake = bytearray(build.segment(1)[0][:61])
    struct.pack_into(">i", fake, 8, length - 12)
    for i in range(headers):
        at = i * (size // headers)
        data[at : at + 61] = np.frombuffer(fake, np.uint8)
    return _Counting(data.tobytes())


@pytest.mark.parametrize("length", [1 << 20, 100_000])
def test_forged_headers_cost_their_bytes_and_not_their_claims(length: int) -> None:
    """Twice the headers over twice the bytes read twice as much, not four times; nothing is summed per claim."""
    counts = []
    for size in (4 << 20, 8 << 20):
        source = hostile(size, size >> 10, length)
        found = find_candidates(source, 0, size, size, ANY, window=1 << 20)
        assert len(found.batches) == 0
        assert len(found.claim_position) >= size >> 10
        counts.append(source.bytes_read)
    assert counts[1] < 2.3 * counts[0]
    assert counts[1] < 6 * (8 << 20)


def test_many_searches_of_one_file_share_their_sums() -> None:
    """A header that claims all the file in each of many holes sums the file once, not once a hole."""
    size = 4 << 20
    source = hostile(size, 64, size // 2)
    running = RangeCrc(source)
    for start in range(0, size // 2, size // 128):
        find_candidates(source, start, start + 64, size, ANY, running=running)
    assert source.bytes_read < 2 * size


def test_claims_beyond_the_most_are_counted() -> None:
    source = hostile(1 << 18, 256, 1 << 16)
    every = claims_of(find_candidates(source, 0, source.size, source.size, ANY))
    some = find_candidates(source, 0, source.size, source.size, ANY, most_claims=100, window=1 << 16)
    assert claims_of(some) == every[:100]
    assert some.claims_omitted == len(every) - 100
