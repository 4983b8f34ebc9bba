"""Program: decodes and renders with a protected page right behind and right before the bytes; one byte too far kills it."""

from __future__ import annotations

import json
import random
import struct
import sys

import numpy as np

from kafka_salvage.vector import headers, holding, inflating, libraries
from kafka_salvage.vector.checking import check
from kafka_salvage.vector.columns import ANSWER_FAULT, KIND_MESSAGE, KIND_SET_V0, KIND_SET_V1, KIND_V2
from kafka_salvage.vector.jobs import jobs_of
from kafka_salvage.vector.pointers import address_of
from kafka_salvage.vector.records import decode_columns
from tests.support.build import Rec, legacy_message, v2_record
from tests.vector.guarded import fenced, places
from tests.vector.guarded import noise as segment_noise
from tests.vector.test_inflating import WAYS
from tests.vector.test_text import AWKWARD, PLAIN, Columns, expected, lines

RECORDS = b"".join(
    v2_record(Rec(i, 5 * i, b"key", b"v" * (i * 9), ((b"h", b"x"), (b"n", None))), 0, 0) for i in range(12)
)
SETS = [b"".join(legacy_message(i, b"key", b"v" * i * 7, magic=m, timestamp=i) for i in range(9)) for m in (0, 1)]
WHOLE = {KIND_V2: RECORDS, KIND_SET_V0: SETS[0], KIND_SET_V1: SETS[1]}


def noise(rng: random.Random, kind: int) -> bytes:
    """A payload whose lengths lie: by anything, or so that a field ends near the edge."""
    raw = bytearray(
        WHOLE[kind] if kind != KIND_MESSAGE else legacy_message(3, b"key", b"value", magic=rng.randrange(2))
    )
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        at = rng.randrange(len(raw))
        raw[at] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        if kind != KIND_V2 and rng.random() < 0.4:
            at = rng.choice((8, 18, 26, at))
            near = len(raw) - at - 4 - rng.randrange(-3, 14)
            raw[at : at + 4] = struct.pack(">i", rng.choice((-1, 2**31 - 1, 26, near, near)))
    if (
        kind == KIND_MESSAGE and rng.random() < 0.5
    ):  # a key that ends at the edge, so that the value's length lies behind it
        key_at = 18 + 8 * raw[16] if raw[16] < 2 else 18
        raw[key_at : key_at + 4] = struct.pack(">i", len(raw) - key_at - 4 - rng.randrange(0, 6))
    return bytes(raw[: len(raw) - rng.choice((0, 0, 0, rng.randrange(1, len(raw))))])


def decode(rounds: int) -> None:
    """Damaged payloads of all kinds."""
    rng, area, seen = random.Random(11), fenced(1), set()
    for _ in range(rounds):
        kind = rng.choice((KIND_V2, KIND_V2, KIND_MESSAGE, KIND_SET_V0, KIND_SET_V1))
        raw = noise(rng, kind)
        for piece in places(area, len(raw)):
            piece[:] = np.frombuffer(raw, np.uint8)
            columns, answers = decode_columns(piece, np.array([[kind, 0, len(raw), 100, 11, 0, 0, 0, -1, 12, 0]]))
            seen.add(int(answers[0, ANSWER_FAULT]))
            if answers[0, ANSWER_FAULT]:
                assert columns.records == 0
                continue
            filled = columns.filled()
            assert (np.maximum(filled["value_size"], 0) + filled["value_start"] <= len(raw)).all()
            assert (np.maximum(filled["key_size"], 0) + filled["key_start"] <= len(raw)).all()
    assert len(seen) > 14, seen


def check_and_inflate(rounds: int) -> None:
    """Damaged payloads, checked; damaged streams, inflated to where exactly their room ends at the edge."""
    rng, area, target, taken = random.Random(12), fenced(1), fenced(8), 0
    state, limits = np.zeros(inflating.STATE_SIZE, np.int64), np.full(1, 1 << 20, np.int64)
    table = libraries.calls().table
    for _ in range(rounds):
        kind = rng.choice((KIND_V2, KIND_V2, KIND_MESSAGE, KIND_SET_V0, KIND_SET_V1))
        raw = noise(rng, kind)
        for piece in places(area, len(raw)):
            piece[:] = np.frombuffer(raw, np.uint8)
            check(piece, np.array([[kind, 0, len(raw), 100, 11, 0, 0, 0, -1, 12, 0x20]]))
        codec, stream = compressed(rng)
        for piece in places(area, len(stream)):
            piece[:] = np.frombuffer(stream, np.uint8)
            job = np.array([[KIND_V2, 0, len(stream), 0, 0, 0, 0, 0, -1, 1, codec]])
            room = 0
            while room <= len(target):
                state[:] = 0
                out = target[len(target) - room :] if room else target[:0]
                outcome = inflating.inflate_jobs(
                    address_of(piece), address_of(job), 1, address_of(limits), address_of(table), address_of(out), room,
                    1 << 20, address_of(state),
                )  # fmt: skip
                if outcome != inflating.Inflated.NEED:
                    taken += outcome == inflating.Inflated.DONE
                    break
                room = int(state[inflating.State.NEED])
    assert taken > rounds / 4, taken


def compressed(rng: random.Random) -> tuple[int, bytes]:
    """A stream of some codec, often damaged, of at most a page."""
    way = rng.choice(sorted(WAYS))
    codec, compress = WAYS[way]
    raw = bytearray(
        compress(b"".join(rng.choice((b"ab", b"word " * 9, b"\0" * 70)) for _ in range(rng.randrange(2, 90))))
    )
    for _ in range(rng.choice((0, 0, 1, 3))):
        raw[rng.randrange(len(raw))] = rng.choice((0, 1, 127, 255, rng.randrange(256)))
    return codec, bytes(raw[: rng.choice((4096, 4096, rng.randrange(1, len(raw) + 1)))])


def hold(rounds: int) -> None:
    """Segments whose headers lie, in a window that ends at the edge."""
    rng, area = random.Random(13), fenced(4)
    for _ in range(rounds):
        data = segment_noise(rng)[: 4 * 4096]
        for piece in places(area, len(data)):
            piece[:] = np.frombuffer(data, np.uint8)
            state, block = np.zeros(6, np.int64), headers.new_block(64)
            holding.hold(
                -1, address_of(piece), len(data), len(data), len(data) + rng.choice((0, 9, 999)), 0,
                address_of(state), address_of(block), 64, rng.randrange(2),
            )  # fmt: skip
            sizes = np.array([len(data), 30, rng.randrange(len(data) + 9), 1 << 62], np.int64)
            jobs_of(piece, np.array([0, max(len(data) - 30, 0), rng.randrange(len(data)), 5]), sizes)


def render() -> None:
    """Fields of every length that end at the edge."""
    area = fenced(1)
    for size in range(140):
        for piece in (b"", b"x", AWKWARD[size % len(AWKWARD)]):
            row = PLAIN | {"value": b"a" * size + piece, "key": b"k" * (size % 20)}
            table = Columns([row])
            for name in ("key_start", "value_start"):
                table.columns[name] -= 1
            data = table.data[1:]
            for place in places(area, len(data)):
                place[:] = data
                table.data = place
                for utf8 in (False, True):
                    assert json.loads(lines(table, utf8=utf8)[0]) == expected(row, utf8)


if __name__ == "__main__":
    decode(int(sys.argv[1]))
    check_and_inflate(int(sys.argv[1]) // 4)
    hold(int(sys.argv[1]) // 10)
    render()
    print("done")  # noqa: T201 # the test looks for it
