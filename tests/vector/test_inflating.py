"""Tests of the inflating kernel: what it takes on comes out as the codec's own package says; the rest it declines."""

from __future__ import annotations

import gzip
import random
import zlib
from typing import Any

import cramjam
import lz4.frame
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.vector import inflating, libraries
from kafka_salvage.vector.columns import JOB_START, JOB_STOP, JOB_WIDTH, KIND_SET_V1, KIND_SKIP, KIND_V2
from kafka_salvage.vector.inflating import Inflated
from kafka_salvage.vector.pointers import address_of
from kafka_salvage.wire.compression.registry import CodecError, decompress
from tests.support.build import GZIP, LZ4, NONE, SNAPPY, ZSTD, xerial

LIMIT = 1 << 22
FUNCTIONS = libraries.calls().table
HAS = {NONE: True, SNAPPY: True} | {codec: bool(FUNCTIONS[codec]) for codec in (GZIP, LZ4, ZSTD)}


def test_the_installed_packages_have_their_functions() -> None:
    assert all(HAS.values()), HAS


def run(
    payloads: list[tuple[int, bytes]],
    *,
    limit: int = LIMIT,
    room: int = LIMIT,
    wanted: int = LIMIT,
    kind: int = KIND_V2,
    calls: Any = None,
) -> tuple[Inflated, list[bytes], Any]:
    """Outcome, outputs of the jobs that were done, and the state."""
    data = np.frombuffer(b"".join(p for _, p in payloads) + bytes(64), np.uint8)[:-64]
    jobs, at = np.zeros((len(payloads), JOB_WIDTH), np.int64), 0
    for row, (codec, payload) in enumerate(payloads):
        jobs[row] = [kind, at, at + len(payload), 0, 0, 0, 0, 0, -1, 1, codec]
        at += len(payload)
    limits = np.full(len(payloads), limit, np.int64)
    out, state = np.zeros(room + 64, np.uint8), np.zeros(inflating.STATE_SIZE, np.int64)
    table = libraries.calls().table if calls is None else calls
    outcome = inflating.inflate_jobs(
        address_of(data), address_of(jobs), len(jobs), address_of(limits), address_of(table), address_of(out), room,
        wanted, address_of(state),
    )  # fmt: skip
    assert not out[room:].any()
    done = [out[j[JOB_START] : j[JOB_STOP]].tobytes() for j in jobs[: int(state[0])]]
    return Inflated(outcome), done, state


def frame(data: bytes, **more: Any) -> bytes:
    return bytes(lz4.frame.compress(data, **({"block_linked": False, "store_size": False, "block_size": 4} | more)))


WAYS: dict[str, tuple[int, Any]] = {
    "none": (NONE, bytes),
    "gzip": (GZIP, lambda d: gzip.compress(d, mtime=0)),
    "gzip stored": (GZIP, lambda d: gzip.compress(d, 0, mtime=7)),
    "xerial": (SNAPPY, xerial),
    "raw snappy": (SNAPPY, lambda d: bytes(cramjam.snappy.compress_raw(d))),
    "lz4": (LZ4, frame),
    "lz4 large blocks": (LZ4, lambda d: frame(d, block_size=7, compression_level=9)),
    "lz4 with a sum": (LZ4, lambda d: frame(d, content_checksum=True)),
    "zstd": (ZSTD, lambda d: zstandard.ZstdCompressor(write_content_size=False).compress(d)),
    "zstd with size": (ZSTD, lambda d: zstandard.ZstdCompressor(level=9, write_checksum=True).compress(d)),
}
content = st.one_of(
    st.binary(min_size=12, max_size=600),
    st.builds(lambda piece, n: piece * n, st.binary(min_size=1, max_size=40), st.integers(12, 4000)),
    st.builds(lambda seed, n: _words(seed, n), st.integers(0, 99), st.integers(3, 9000)),
)


def _words(seed: int, count: int) -> bytes:
    rng = random.Random(seed)
    words = [b"alpha", b"beta", b"\x00\x00\x00", bytes(rng.randrange(256) for _ in range(70)), b"x" * 300, b"-"]
    return b" ".join(rng.choice(words) for _ in range(count))


@given(st.lists(st.tuples(st.sampled_from(sorted(WAYS)), content), min_size=1, max_size=5))
def test_what_was_compressed_comes_out(many: list[tuple[str, bytes]]) -> None:
    many = [(way, data[: 1 << 19]) for way, data in many]
    outcome, done, state = run([(WAYS[way][0], WAYS[way][1](data)) for way, data in many])
    assert outcome == Inflated.DONE
    assert done == [data for _, data in many]
    assert state[1] == sum(len(data) for _, data in many)


@pytest.mark.parametrize("way", sorted(set(WAYS) - {"none"}))
def test_damage_is_declined_or_comes_out_as_the_package_says(way: str) -> None:
    codec, compress = WAYS[way]
    rng = random.Random(way)
    outcomes = {True: 0, False: 0}
    for turn in range(400):
        raw = bytearray(compress(_words(turn, 40)))
        how = turn % 4
        if how == 0:
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        elif how == 1:
            raw[rng.randrange(min(len(raw), 24))] = rng.choice((0, 1, 127, 255))
        elif how == 2:
            del raw[rng.randrange(len(raw)) :]
        else:
            raw += rng.randbytes(rng.randrange(1, 9))
        limit = rng.choice((LIMIT, 500))
        outcome, done, _ = run([(codec, bytes(raw))], limit=limit)
        outcomes[outcome == Inflated.DONE] += 1
        if outcome == Inflated.DONE:
            try:
                assert decompress(codec, bytes(raw), limit, magic=2) == done[0]
            except CodecError as why:
                pytest.fail(f"the kernel took what the package refuses: {why}, {bytes(raw).hex()}")
        else:
            assert outcome == Inflated.DECLINED
    assert outcomes[False] > 100


@pytest.mark.parametrize(
    ("codec", "payload"),
    [
        (GZIP, gzip.compress(b"x" * 50) * 2),
        (GZIP, gzip.compress(b"x" * 50) + b"behind"),
        (GZIP, b""),
        (LZ4, frame(b"x" * 5000, block_checksum=True)),
        (LZ4, frame(b"ab" * 50_000, block_linked=True)),
        (LZ4, frame(b"x" * 50) + b"behind"),
        (LZ4, frame(b"x" * 5000, store_size=True)),
        (LZ4, frame(b"x" * 50)[:6] + b"\x00" + frame(b"x" * 50)[7:]),
        (ZSTD, zstandard.compress(b"x" * 50) * 2),
        (ZSTD, b"\x50\x2a\x4d\x18\x01\x00\x00\x00x" + zstandard.compress(b"x" * 50)),
        (SNAPPY, xerial(b"x" * 50) * 2),
        (SNAPPY, xerial(b"x" * 50) + b"\0"),
        (SNAPPY, b""),
        (5, b"x"),
        (7, b"x"),
    ],
)
def test_what_is_unusual_is_declined(codec: int, payload: bytes) -> None:
    outcome, done, _ = run([(NONE, b"before"), (codec, payload), (NONE, b"after")])
    assert outcome == Inflated.DECLINED
    assert done == [b"before"]


def test_zstd_in_a_wrapper_is_declined() -> None:
    assert run([(ZSTD, zstandard.compress(b"x" * 90))], kind=KIND_SET_V1)[0] == Inflated.DECLINED
    assert run([(GZIP, gzip.compress(b"x" * 90))], kind=KIND_SET_V1)[0] == Inflated.DONE
    assert run([(GZIP, b"no member")], kind=KIND_SKIP)[0] == Inflated.DONE


def test_without_functions_all_but_snappy_is_declined() -> None:
    none = np.zeros(16, np.int64)
    for way, (codec, compress) in WAYS.items():
        outcome, _, _ = run([(codec, compress(b"word " * 40))], calls=none)
        assert (outcome == Inflated.DONE) == (codec in (NONE, SNAPPY)), way


def test_room_and_the_output_that_is_wanted() -> None:
    payloads = [(SNAPPY, xerial(b"a" * 1000)) for _ in range(5)]
    outcome, done, _ = run(payloads, wanted=2500)
    assert (outcome, len(done)) == (Inflated.FULL, 3)
    outcome, done, _ = run(payloads, room=2999)
    assert (outcome, len(done)) == (Inflated.FULL, 2)
    outcome, done, state = run(payloads, room=999)
    assert (outcome, done, int(state[2])) == (Inflated.NEED, [], 1000)
    outcome, done, _ = run([payloads[0], (NONE, bytes(3000))], wanted=2500)
    assert (outcome, len(done)) == (Inflated.FULL, 1)


@pytest.mark.parametrize("way", sorted(set(WAYS) - {"none"}))
def test_more_than_the_limit_is_declined(way: str) -> None:
    codec, compress = WAYS[way]
    assert run([(codec, compress(b"word " * 400))], limit=1999)[0] == Inflated.DECLINED
    assert run([(codec, compress(b"word " * 400))], limit=2000)[0] == Inflated.DONE


def test_an_empty_batch_has_nothing_to_inflate() -> None:
    jobs = np.zeros((1, JOB_WIDTH), np.int64)
    jobs[0] = [KIND_V2, 3, 3, 0, 0, 0, 0, 0, -1, 0, GZIP]
    data, limits, state = np.zeros(9, np.uint8), np.full(1, 99, np.int64), np.zeros(inflating.STATE_SIZE, np.int64)
    table = libraries.calls().table
    outcome = inflating.inflate_jobs(
        address_of(data), address_of(jobs), 1, address_of(limits), address_of(table), address_of(data), 0, 9,
        address_of(state),
    )  # fmt: skip
    assert outcome == Inflated.DONE
    assert jobs[0, JOB_START] == jobs[0, JOB_STOP] == 0


def test_a_gzip_member_whose_trailer_lies() -> None:
    raw = gzip.compress(b"x" * 5000)
    for size in (4999, 5001, 0, 2**32 - 1):
        assert run([(GZIP, raw[:-4] + size.to_bytes(4, "little"))])[0] == Inflated.DECLINED
    body = raw[:-8] + zlib.crc32(b"y" * 5000).to_bytes(4, "little") + raw[-4:]
    assert run([(GZIP, body)])[0] == Inflated.DECLINED
