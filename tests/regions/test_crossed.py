"""Crossed: going over lost headers, zeroed pages and proved batches gives what judging them one by one gives, to the byte."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kafka_salvage.regions.context import SegmentContext, SurveyOptions
from tests.regions.test_over import Both
from tests.support.build import GZIP, LZ4, NONE, ZSTD, BatchInfo, index_entries, segment

Harm = Callable[[random.Random, bytearray, BatchInfo], None]


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Both:
    return Both(monkeypatch, tmp_path)


def _put(data: bytearray, start: int, made: bytes) -> None:
    """Lays bytes over others, as far as there are any."""
    stop = min(len(data), start + len(made))
    data[start:stop] = made[: stop - start]


def _payload(rng: random.Random, data: bytearray, one: BatchInfo) -> None:
    data[rng.randrange(min(one.start + 61, one.stop - 1), one.stop)] ^= 1 << rng.randrange(8)


def _zeros(rng: random.Random, data: bytearray, one: BatchInfo) -> None:
    _put(data, rng.randrange(one.start, one.stop), bytes(rng.choice((4, 16, 40, 300, 700))))


def _burst(rng: random.Random, data: bytearray, one: BatchInfo) -> None:
    _put(data, rng.randrange(one.start, one.stop), rng.randbytes(rng.choice((4, 40, 400))))


def _length(rng: random.Random, data: bytearray, one: BatchInfo) -> None:
    data[one.start + 8 + rng.randrange(4)] ^= 1 << rng.randrange(8)


def _offset(rng: random.Random, data: bytearray, one: BatchInfo) -> None:
    data[one.start + rng.randrange(8)] ^= 1 << rng.randrange(8)


def _epoch(rng: random.Random, data: bytearray, one: BatchInfo) -> None:
    data[one.start + 12 + rng.randrange(4)] ^= 1 << rng.randrange(8)


def _magic(rng: random.Random, data: bytearray, one: BatchInfo) -> None:
    data[one.start + 16] = rng.choice((0, 1, 2, 3, 77, 255))


def _header(rng: random.Random, data: bytearray, one: BatchInfo) -> None:
    size = rng.choice((4, 12, 17, 17, 21, 30, 61))
    _put(data, one.start, rng.choice((bytes(size), rng.randbytes(size))))


def _whole(rng: random.Random, data: bytearray, one: BatchInfo) -> None:
    _put(data, one.start, rng.choice((bytes(one.size), rng.randbytes(one.size))))


KINDS: tuple[Harm, ...] = (_payload, _zeros, _burst, _length, _offset, _epoch, _magic, _header, _whole)


def harmed(rng: random.Random, data: bytes, infos: Sequence[BatchInfo], share: float, kinds: Sequence[Harm]) -> bytes:
    """A share of the batches harmed, the first and the last as likely as any."""
    changed = bytearray(data)
    for info in infos:
        if rng.random() < share:
            rng.choice(kinds)(rng, changed, info)
    return bytes(changed)


def _hold(both: Both, rng: random.Random, data: bytes, infos: Sequence[BatchInfo]) -> None:
    index = index_entries(infos, 0, every=rng.choice((3, 10))) if rng.random() < 0.3 else b""
    context = SegmentContext(
        next_base=rng.choice((None, infos[-1].last_offset + 1)), compacted=rng.choice((None, True, False))
    )
    options = SurveyOptions(strict=rng.random() < 0.1, deep=rng.random() < 0.1)
    both.hold(data, index=index, context=context, options=options, memory=rng.random() < 0.1)


@pytest.mark.parametrize("harm", KINDS)
@pytest.mark.parametrize("share", [0.04, 0.5])
def test_one_kind(both: Both, harm: Harm, share: float) -> None:
    rng = random.Random(f"{harm.__name__}/{share}")
    for per_batch, size in ((1, 5), (1, 60), (10, 60), (10, 2000)):
        data, infos = segment(60 * per_batch, per_batch=per_batch, size=size)
        _hold(both, rng, harmed(rng, data, infos, share, [harm]), infos)
    assert both.passed or harm in (_offset, _epoch)


@pytest.mark.parametrize(
    ("magic", "codec"),
    [(2, NONE), (2, LZ4), (2, ZSTD), (2, GZIP), (1, NONE), (0, NONE), (1, GZIP), (0, GZIP)],
)
def test_mixtures(both: Both, magic: int, codec: int) -> None:
    """Several kinds to a file, many of them adjacent, at both ends too."""
    rng = random.Random(f"{magic}/{codec}")
    for number in range(24 if (magic, codec) == (2, NONE) else 8):
        per_batch, size = rng.choice((1, 1, 3, 10)), rng.choice((5, 60, 300, 2000))
        data, infos = segment(
            rng.choice((30, 80)) * per_batch, magic=magic, codec=codec, per_batch=per_batch, size=size
        )
        share = (0.03, 0.1, 0.2, 0.5)[number % 4]
        _hold(both, rng, harmed(rng, data, infos, share, KINDS), infos)


@pytest.mark.parametrize("fill", [bytes, random.Random(1).randbytes])
def test_every_second_batch_is_gone(both: Both, fill: Callable[[int], bytes]) -> None:
    """Nothing anchors any batch but the last; each is believed for its offsets, and said to be."""
    data, infos = segment(201, per_batch=1, size=60)
    changed = bytearray(data)
    for one in infos[1::2]:
        changed[one.start : one.stop] = fill(one.size)
    made = both.hold(bytes(changed))
    assert both.passed >= 99
    assert [region[2] for region in made["regions"]] == [*["intact", "damaged"] * 100, "intact"]
    codes = [finding["code"] for finding in made["all_findings"]]
    assert codes.count("uncorroborated") == 99
