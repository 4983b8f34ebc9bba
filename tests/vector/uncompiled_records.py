"""Program: records and lines without the compiler, or for a plainer CPU, say what the obvious decoder says."""

from __future__ import annotations

import random
import sys

from kafka_salvage.scan import records
from kafka_salvage.scan.held import walk_held
from kafka_salvage.source.memory import MemorySource
from kafka_salvage.vector import base64
from kafka_salvage.vector.columns import KIND_SET_V1, KIND_V2
from kafka_salvage.vector.inflating import Inflated
from tests.support.build import CODECS, LEGACY_CODECS, Build, Rec, legacy_message, v2_record
from tests.vector.scalar import Bad, decode_set, decode_v2
from tests.vector.test_inflating import WAYS, run
from tests.vector.test_records import BASE, TIME, job, records_of
from tests.vector.test_text import AWKWARD, PLAIN, check


def decode() -> None:
    """Whole payloads and ones with a flipped bit."""
    rng = random.Random(5)
    records = [Rec(BASE + i, TIME - i, b"k", b"v" * 70 * i, ((b"h", None),)) for i in range(6)]
    v2 = b"".join(v2_record(r, BASE, TIME) for r in records)
    inner = b"".join(legacy_message(i, b"k", b"v" * i, magic=1, timestamp=i) for i in range(6))
    good = 0
    for turn in range(300):
        kind, raw = (KIND_V2, bytearray(v2)) if turn % 2 else (KIND_SET_V1, bytearray(inner))
        if turn % 3:
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        data = bytes(raw)
        got, _, _ = records_of(data, [job(kind, 0, len(data), span=5, count=6)])
        try:
            wanted = (
                decode_v2(data, BASE, 5, TIME, None, 6) if kind == KIND_V2 else decode_set(data, BASE, 1, TIME, False)
            )
            good += 1
        except Bad:
            wanted = []
        assert got.get(0, []) == wanted
    assert 100 <= good < 300


def inflate() -> None:
    """Every codec, held and jobs made, checked and decoded, from a whole segment."""
    build = Build(base=7)
    for codec in CODECS:
        build.v2(4, codec=codec, headers=True)
    for codec in LEGACY_CODECS[1:]:
        build.wrapper(3, magic=1, codec=codec)
    data, infos = build.done()
    source = MemorySource(data)
    offsets, outcomes = list[int](), list[int]()
    for block in walk_held(source):
        for made in records.decode(source, block.batches, held=block.held):
            offsets += made.table.offset.tolist()
        for seen in records.validate(source, block.batches, held=block.held):
            outcomes += seen.outcome.tolist()
    assert offsets == [r.offset for info in infos for r in info.records]
    assert outcomes == [0] * len(infos)
    for way, (codec, compress) in WAYS.items():
        outcome, done, _ = run([(codec, compress(b"word " * 40 + b"end"))])
        assert (way, outcome, done) == (way, Inflated.DONE, [b"word " * 40 + b"end"])


def render(step: int) -> None:
    """Fields of many lengths, UTF-8 and not."""
    assert base64.encode is base64.encode_table
    blob = bytes(range(256))
    rows = [
        PLAIN
        | {
            "offset": n - 99,
            "key": blob[:n],
            "value": b"a" * n + AWKWARD[n % len(AWKWARD)],
            "headers": [(blob[n : n + 9], b"")],
        }
        for n in range(0, 257, step)
    ]
    for utf8 in (False, True):
        check(rows, utf8)


if __name__ == "__main__":
    decode()
    inflate()
    render(int(sys.argv[1]))
    print("done")  # noqa: T201 # the test looks for it
