"""Program: decodes and renders with a protected page right behind and right before the bytes; one byte too far kills it."""

from __future__ import annotations

import json
import random
import struct
import sys

import numpy as np

from kafka_salvage.vector.columns import ANSWER_FAULT, KIND_MESSAGE, KIND_SET_V0, KIND_SET_V1, KIND_V2
from kafka_salvage.vector.records import decode_columns
from tests.support.build import Rec, legacy_message, v2_record
from tests.vector.guarded import fenced, places
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
            columns, answers = decode_columns(piece, np.array([[kind, 0, len(raw), 100, 11, 0, 0, 0, -1, 12]]))
            seen.add(int(answers[0, ANSWER_FAULT]))
            if answers[0, ANSWER_FAULT]:
                assert columns.records == 0
                continue
            filled = columns.filled()
            assert (np.maximum(filled["value_size"], 0) + filled["value_start"] <= len(raw)).all()
            assert (np.maximum(filled["key_size"], 0) + filled["key_start"] <= len(raw)).all()
    assert len(seen) > 14, seen


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
    render()
    print("done")  # noqa: T201 # the test looks for it
