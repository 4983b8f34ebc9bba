"""Program: runs the kernels with a protected page right behind and right before their bytes; one byte too far kills it."""

from __future__ import annotations

import ctypes
import mmap
import random
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from kafka_salvage.vector import crc, crossing, driving, finding, framing, headers
from kafka_salvage.vector.doubts import OVER_WIDTH
from kafka_salvage.vector.pointers import address_of, aligned_buffer
from tests.support.build import segment
from tests.vector.checks import sample

PAGE = mmap.PAGESIZE
_LIBC = ctypes.CDLL(None, use_errno=True)
_KEPT: list[mmap.mmap] = []
_ARRAYS: list[npt.NDArray[Any]] = []


def fenced(pages: int) -> npt.NDArray[np.uint8]:
    """Writable bytes with a page on each side that nobody may touch."""
    area = mmap.mmap(-1, (pages + 2) * PAGE)
    _KEPT.append(area)
    whole = np.frombuffer(area, np.uint8)
    start = address_of(whole)
    for fence in (start, start + (pages + 1) * PAGE):
        if _LIBC.mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(PAGE), 0) != 0:
            raise OSError(ctypes.get_errno(), "mprotect")
    return whole[PAGE : (pages + 1) * PAGE]


def places(area: npt.NDArray[np.uint8], size: int) -> list[npt.NDArray[np.uint8]]:
    """The first and the last ``size`` bytes."""
    return [area[:size], area[len(area) - size :]]


def sums(area: npt.NDArray[np.uint8]) -> None:
    for size in [*range(301), 511, 512, 513, 575, 4095, 4096, 8192, 3 * PAGE]:
        for piece in places(area, size):
            crc.crc32c(piece), crc.crc32(piece), crc.crc32c_table(piece), crc.crc32_table(piece)
            crc.crc32c(piece, 1), crc.crc32(piece, 1)
            if size >= headers.HEADER:
                crc.crc32c_batch(piece), crc.crc32_batch(piece)


def noise(rng: random.Random) -> bytes:
    """A segment whose headers were hit at random: lengths, magics, counts and key lengths lie."""
    data = bytearray(sample(60)[: rng.choice([26, 61, 300, 5000])])
    for _ in range(rng.choice([0, 1, 4, 30])):
        at = rng.randrange(len(data))
        data[at] = rng.choice([0, 1, 2, 0x7F, 0x80, 0xFF, rng.randrange(256)])
    return bytes(data)


def search(area: npt.NDArray[np.uint8], rng: random.Random) -> None:
    data = noise(rng)
    out = np.empty(1000, np.int64)
    for piece in places(area, len(data)):
        piece[:] = np.frombuffer(data, np.uint8)
        count = finding.find(address_of(piece), 0, len(data), len(data), 0, 1 << 31, address_of(out), 1000)
        block = headers.new_block(1000)
        finding.write_rows(address_of(piece), address_of(out), count, address_of(block), 1000)


def harmed(rng: random.Random) -> bytes:
    """A segment of small batches in which some bytes are changed, zeroed or lost."""
    data = bytearray(segment(rng.choice((8, 90)), per_batch=1, size=50)[0])
    for _ in range(rng.choice((1, 3, 6))):
        at, size = rng.randrange(len(data)), rng.choice((1, 1, 8, 17, 200))
        lost = data[at : at + size]
        data[at : at + size] = rng.choice((bytes(len(lost)), rng.randbytes(len(lost))))
    return bytes(data)


def driven() -> npt.NDArray[np.int64]:
    """What a walk needs to go over damage."""
    drive, place = np.zeros(len(driving.Drive), np.int64), driving.Drive
    table, scratch = np.empty((64, OVER_WIDTH), np.int64), aligned_buffer(crossing.SCRATCH)
    _ARRAYS.extend((table, scratch))
    drive[[place.TABLE, place.ROOM, place.SCRATCH]] = address_of(table), len(table), address_of(scratch)
    drive[[place.PENDING, place.BEFORE, place.CAP]] = -1, -2, 1 << 31
    return drive


def follow(area: npt.NDArray[np.uint8], rng: random.Random) -> None:
    """The work area ends at the fence; a read fills it to its last byte."""
    drive = driven() if rng.random() < 0.6 else None
    data = noise(rng) if drive is None else harmed(rng)
    room = len(area) // 2
    data = (
        data[:room]
        if drive is not None
        else (data * (room // len(data) + 1))[: rng.choice([room, room - 1, len(data)])]
    )
    state = np.zeros(framing.STATE_SIZE, np.int64)
    state[[framing.State.STOP, framing.State.UNTIL]] = len(data)
    block, counts = headers.new_block(8), np.empty(8, np.int64)
    if rng.random() < 0.5:
        state[framing.State.COUNTS], state[framing.State.ALONE] = address_of(counts), -1
    where = -1, address_of(area), room, address_of(state), address_of(block), 8
    kernel, reason = framing.follow_usual, 0
    if drive is not None:
        drive[driving.Drive.END] = len(data)
    while True:
        state[framing.State.ROWS] = 0
        if drive is not None and kernel is framing.follow_usual:
            outcome = driving.follow_over(*where, address_of(drive), reason)
            drive[driving.Drive.COUNT] = 0
        else:
            outcome = kernel(*where)
        reason = 0
        if outcome == framing.Outcome.WANTED:
            at, size = int(state[framing.State.FILLED]), int(state[framing.State.WANT_SIZE])
            start = int(state[framing.State.WANT_ADDRESS]) - address_of(area)
            area[start : start + size] = np.frombuffer(data[at : at + size], np.uint8)
            state[framing.State.FILLED] += size
        elif outcome == framing.Outcome.OTHER:
            kernel = framing.follow
        elif drive is not None and kernel is framing.follow and outcome > framing.Outcome.SHORT:
            kernel, reason = framing.follow_usual, outcome
        elif outcome != framing.Outcome.FULL:
            return


def main() -> None:
    area = fenced(4)
    area[:] = np.random.default_rng(3).integers(0, 256, len(area), dtype=np.uint8)
    if "--trespass" in sys.argv:
        crc.crc32c_table(np.lib.stride_tricks.as_strided(area[-8:], (9,), (1,)))
        return
    sums(area)
    rng = random.Random(11)
    for _ in range(300):
        search(area, rng)
        follow(area, rng)


if __name__ == "__main__":
    main()
