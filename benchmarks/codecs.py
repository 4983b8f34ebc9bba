"""Codecs: compressed batches to columns, CRC included, beside the codec's own package inflating the same payloads, no more.

Batches of 20, 135 and 2000 records of about 120 bytes of JSON; sixteen different batches in turn. The reference gets the payloads
in memory, through the package's usual call; both are measured in records, so that batch sizes compare.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import lz4.frame
import snappy
import zstandard

from benchmarks import shapes
from benchmarks.decode import ours
from benchmarks.shapes import START, Shape
from benchmarks.timing import Options, Result, interleaved
from tests.support.build import GZIP, LZ4, SNAPPY, ZSTD, Rec, v2_batch

_PACKAGES = {GZIP: "zlib", SNAPPY: "python-snappy", LZ4: "lz4.frame", ZSTD: "zstandard"}
_WORDS = (b"alpha", b"beta", b"gamma", b"order", b"status", b"paid", b"shipped", b"customer", b"12345", b"2026-11-23")
_VARIANTS = 16
_HEADER = 61
_XERIAL = 16


def variants(codec: int, per_batch: int) -> list[bytes]:
    """Different batches of JSON records, all at offset 0."""
    rng = random.Random(per_batch)

    def value() -> bytes:
        return b'{"' + b'","'.join(rng.choice(_WORDS) for _ in range(10)) + b'"}'

    return [
        v2_batch(
            0,
            [Rec(i, START + 3 * i, b"key-%012d" % rng.randrange(10**9), value()) for i in range(per_batch)],
            codec=codec,
        )
        for _ in range(_VARIANTS)
    ]


def _unsnap(payload: bytes) -> bytes:
    """The blocks of a xerial stream."""
    parts, place = [], _XERIAL
    while place < len(payload):
        size = int.from_bytes(payload[place : place + 4], "big")
        parts.append(snappy.uncompress(payload[place + 4 : place + 4 + size]))
        place += 4 + size
    return b"".join(parts)


def inflater(codec: int) -> Callable[[bytes], bytes]:
    """The package's usual way."""
    decompressor = zstandard.ZstdDecompressor()
    ways: dict[int, Callable[[bytes], bytes]] = {
        GZIP: lambda payload: zlib.decompress(payload, 31),
        SNAPPY: _unsnap,
        LZ4: lz4.frame.decompress,
        ZSTD: lambda payload: decompressor.decompress(payload, max_output_size=1 << 24),
    }
    return ways[codec]


def _case(codec: int, per_batch: int, options: Options) -> Result:
    batches = variants(codec, per_batch)
    payloads = [batch[_HEADER:] for batch in batches]
    count = max(_VARIANTS, options.size // 8 // (per_batch * 120))
    path = options.folder / "codec.log"
    with path.open("wb") as file:
        for number in range(count):
            file.write((number * per_batch).to_bytes(8, "big") + batches[number % _VARIANTS][8:])
    name = f"decode, {shapes.NAMES[codec]}, {per_batch} records of 120 B per batch"
    return _compared(name, path, codec, payloads, count, per_batch, options, 0.6 if per_batch > 20 else 0.0)


def _shaped(shape: Shape, options: Options) -> Result:
    """A shape that is no goal, but that logs have."""
    path = options.folder / "codec.log"
    count = shapes.write(path, shape, options.size // 16).batches
    name = f"decode, {shapes.NAMES[shape.codec]}, {shape.name}"
    return _compared(name, path, shape.codec, shape.payloads(), count, shape.records, options, 0.0)


def _compared(
    name: str,
    path: Path,
    codec: int,
    payloads: Sequence[bytes],
    count: int,
    per_batch: int,
    options: Options,
    goal: float,
) -> Result:
    """Records of a file whose batches have these payloads in turn; it is removed."""
    inflate = inflater(codec)

    def theirs() -> None:
        for number in range(count):
            inflate(payloads[number % len(payloads)])

    assert ours(path) == count * per_batch
    mine, reference = interleaved(lambda: ours(path), theirs, options.repeats)
    path.unlink()
    records = count * per_batch / 1e6
    return Result(name, "M records/s", records / mine, records / reference, f"{_PACKAGES[codec]} inflating", goal)


def run(options: Options) -> Iterator[Result]:
    """The cases of this module."""
    for per_batch in (20, 135, 2000):
        for codec in _PACKAGES:
            yield _case(codec, per_batch, options)
    for records, value in ((1, 200), (500, 20), (500, 200), (20, 5 << 10)):
        for codec in _PACKAGES:
            yield _shaped(Shape(records, value, codec), options)
    for codec in (GZIP, SNAPPY, LZ4):
        yield _shaped(Shape(20, 200, codec, magic=1), options)
