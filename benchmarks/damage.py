"""Damage: checks of damaged segments beside the same check of the undamaged one, and the search for batches in hostile bytes.

Every case damages a segment of 16 KiB batches (or of tiny ones) in one way, once in each MiB, and checks it on one thread.
"""

from __future__ import annotations

import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

import kafka_salvage
from benchmarks import segments
from benchmarks.timing import Options, Result, interleaved
from kafka_salvage.scan.resync import Sanity, find_candidates
from kafka_salvage.source.files import FileSource
from tests.support.judging import survey_bytes

MIB = 1 << 20
TINY, BIG = (180, "180 B batches of one record"), (16 << 10, "16 KiB batches")
Bytes = npt.NDArray[np.uint8]
Harm = Callable[[Bytes, int, int, random.Random], None]
"""From the bytes of a segment, the start of a batch, a place in it and randomness."""
_HEADER = 61
_PATTERN = bytes(15) + b"\2"
_SAME = "the undamaged check"


def _payload(data: Bytes, start: int, place: int, rng: random.Random) -> None:
    data[max(place, start + _HEADER)] ^= 1


def _length(data: Bytes, start: int, place: int, rng: random.Random) -> None:
    data[start + 8 + rng.randrange(4)] ^= 1 << rng.randrange(7)


def _offset(data: Bytes, start: int, place: int, rng: random.Random) -> None:
    data[start + rng.randrange(8)] ^= 1 << rng.randrange(7)


def _header(data: Bytes, start: int, place: int, rng: random.Random) -> None:
    data[start : start + 17] = np.frombuffer(rng.randbytes(17), np.uint8)


def _zeros(data: Bytes, start: int, place: int, rng: random.Random) -> None:
    data[place // 512 * 512 : place // 512 * 512 + 512] = 0


def _page(data: Bytes, start: int, place: int, rng: random.Random) -> None:
    data[place // 4096 * 4096 : place // 4096 * 4096 + 4096] = 0


KINDS: dict[str, tuple[Harm, ...]] = {
    "a payload byte flipped": (_payload,),
    "512 bytes zeroed": (_zeros,),
    "a page zeroed": (_page,),
    "a length flipped": (_length,),
    "an offset flipped": (_offset,),
    "17 bytes of a header lost": (_header,),
    "all of these in turn": (_payload, _zeros, _page, _length, _offset, _header),
}


def run(options: Options) -> Iterator[Result]:
    """The cases of this module."""
    for batch_size, name in (BIG, TINY):
        clean = options.folder / "clean"
        segments.write_partition(clean / "orders-0", [options.size], batch_size)
        for kind, harms in KINDS.items() if batch_size == BIG[0] else [next(iter(KINDS.items()))]:
            yield _damaged(clean, options, batch_size, f"{name}, {kind} in each MiB", harms)
        shutil.rmtree(clean)
    for kind in EVERY_SECOND:
        yield _every_second(options, kind)
    yield _resynced(options)
    yield _pattern(options)


def _checked(folder: Path, codes: tuple[int, ...]) -> Callable[[], None]:
    def work() -> None:
        assert kafka_salvage.check(folder, jobs=1).exit_code in codes

    return work


def _damaged(clean: Path, options: Options, batch_size: int, name: str, harms: tuple[Harm, ...]) -> Result:
    """One damage in each MiB, beside the same bytes without."""
    folder = options.folder / "damaged"
    shutil.copytree(clean, folder)
    path = next(folder.rglob("*.log"))
    data, rng = np.memmap(path, np.uint8, "r+"), random.Random(1)
    length = len(segments.batch_of(batch_size)[0])
    places = range(MIB // 2, len(data) - length, MIB)
    for number, place in enumerate(places):
        harms[number % len(harms)](data, place // length * length, place, rng)
    data.flush()
    del data
    ours, reference = interleaved(_checked(folder, (3, 6)), _checked(clean, (0,)), options.repeats)
    shutil.rmtree(folder)
    goal = 0.7 if len(harms) > 1 or harms[0] is _payload else 0.0
    size = path_size(clean)
    return Result(f"check, 1 thread, {name}", "GB/s", size / ours / 1e9, size / reference / 1e9, _SAME, goal)


def path_size(folder: Path) -> int:
    """Bytes of the segments of a directory."""
    return sum(path.stat().st_size for path in folder.rglob("*.log"))


def _flip(data: Bytes, start: int, stop: int, rng: random.Random) -> None:
    data[stop - 5] ^= 1


def _blank(data: Bytes, start: int, stop: int, rng: random.Random) -> None:
    data[start:stop] = 0


def _noise(data: Bytes, start: int, stop: int, rng: random.Random) -> None:
    data[start:stop] = np.frombuffer(rng.randbytes(stop - start), np.uint8)


EVERY_SECOND: dict[str, tuple[Harm, float]] = {
    "damaged": (_flip, 20.0),
    "zeroed": (_blank, 20.0),
    "random bytes": (_noise, 0.0),
}
"""How every second tiny batch is harmed, and the MB/s that are promised then."""


def _every_second(options: Options, kind: str) -> Result:
    """Every second tiny batch harmed: nothing but damage."""
    harm, promise = EVERY_SECOND[kind]
    folder = options.folder / "second"
    size = segments.write_partition(folder / "orders-0", [min(options.size, 16 * MIB)], TINY[0])
    path = next(folder.rglob("*.log"))
    length = len(segments.batch_of(TINY[0])[0])
    data, rng = np.memmap(path, np.uint8, "r+"), random.Random(2)
    for start in range(length, len(data) - length, 2 * length):
        harm(data, start, start + length, rng)
    data.flush()
    del data
    ours, _ = interleaved(_checked(folder, (3,)), lambda: None, max(1, options.repeats // 2))
    shutil.rmtree(folder)
    name = f"check, 1 thread, every second batch of 180 B {kind}"
    return Result(
        name,
        "MB/s",
        size / ours / 1e6,
        promise or 20.0,
        "the promise" if promise else "the aim",
        1.0 if promise else 0.0,
    )


def _resynced(options: Options) -> Result:
    """64 MiB of noise with 100,000 overlapping headers that claim 1 MiB each."""
    size, headers = 64 << 20, 100_000
    data = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    fake = segments.batch(1, 10)[:_HEADER]
    struct.pack_into(">i", fake, 8, MIB - 12)
    for i in range(headers):
        data[i * (size // headers) :][:_HEADER] = np.frombuffer(fake, np.uint8)
    path = options.folder / "hostile.log"
    data.tofile(path)
    source = FileSource(path)

    def ours() -> None:
        found = find_candidates(source, 0, size, size, Sanity(0, 2**31 - 1))
        assert len(found.batches) == 0
        assert len(found.claim_position) >= headers

    seconds, _ = interleaved(ours, lambda: None, options.repeats)
    source.close()
    path.unlink()
    name = "resync, 64 MiB with 100,000 overlapping fake 1 MiB headers"
    return Result(name, "s", seconds, 0.2, "the promise", 1.0, less=True)


def _pattern(options: Options) -> Result:
    """Bytes in which every few places look like a header, four times as many of them beside four times the time."""
    few, many = _PATTERN * (2 * MIB // 16), _PATTERN * (8 * MIB // 16)
    ours, reference = interleaved(lambda: survey_bytes(many), lambda: survey_bytes(few), options.repeats)
    name = "growth of the judgement of 2 MiB to 8 MiB that look like headers everywhere"
    return Result(name, "MB/s", len(many) / ours / 1e6, len(few) / reference / 1e6, "a quarter of it", 0.7)
