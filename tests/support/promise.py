"""Case: evidence that costs a careless program memory, at any scale, and what every command over it must stay within."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support import volume
from tests.support.build import ZSTD, Rec, segment_name, v2_batch
from tests.support.peak import run

PROMISE = 512
"""MiB for the whole process tree: the default of ``--memory``."""
MARGIN = 32
"""MiB that must be left: another machine has other libraries, and its kernels may be cold."""
MIB = 1 << 20
LARGEST = 2_147_000_000
"""Bytes of a segment: Kafka's are below 2 GiB."""
FORMATS = ("segments", "jsonl", "parquet", "arrow")


@dataclass(frozen=True, slots=True)
class Case:
    """Some evidence.

    Attributes:
        make: writes a partition directory, given the bytes of a segment; gives the exit code that a check must have.
        size: bytes of a segment at full scale, and in the everyday tests.
    """

    make: Callable[[Path, int], int]
    size: tuple[int, int]


def _volume(stretch: Callable[[], volume.Stretch], segments: int = 2) -> Callable[[Path, int], int]:
    def make(folder: Path, size: int) -> int:
        stretch().partition(folder / "orders-0", segments, size)
        return 0

    return make


def _forged(folder: Path, size: int) -> int:
    """The length of a batch in the middle says 1 GiB; the CRC proves what it was, so that nothing is lost."""
    stretch = volume.plain()
    stretch.partition(folder / "orders-0", 1, size)
    path = folder / "orders-0" / segment_name(0)
    with path.open("r+b") as file:
        file.seek(size // stretch.size // 2 * stretch.size + 8)
        file.write((1 << 30).to_bytes(4, "big"))
    return 6


def _one_batch(records: int, value: int, codec: int = 0) -> Callable[[Path, int], int]:
    """A batch of so many records of so many bytes, between two small ones. The size asked for does not matter."""

    def make(folder: Path, size: int) -> int:
        (folder / "orders-0").mkdir(parents=True)
        seed, first = os.urandom(value), v2_batch(0, [Rec(0, 1, b"k", b"first")])
        made = [Rec(at, at + 1, b"k%06d" % at, seed[at % 7 :]) for at in range(records)]
        large = v2_batch(0, made, codec=codec)
        parts = [first, (1).to_bytes(8, "big") + large[8:], (1 + records).to_bytes(8, "big") + first[8:]]
        (folder / "orders-0" / segment_name(0)).write_bytes(b"".join(parts))
        return 0

    return make


_TWO_MILLION = 75_000_000
"""Bytes of each of two segments in which tiny batches are together two million."""
CASES = {
    "16 KiB batches": Case(_volume(volume.plain), (LARGEST, 48 * MIB)),
    "zstd": Case(_volume(lambda: volume.plain(codec=ZSTD)), (LARGEST // 4, 24 * MIB)),
    "one record in a batch": Case(_volume(lambda: volume.plain(1, 100)), (LARGEST, 32 * MIB)),
    "a forged length of 1 GiB": Case(_forged, (LARGEST, 32 * MIB)),
    "a batch of 100 MiB": Case(_one_batch(104_000, 1000), (0, 0)),
    "a record of 100 MiB": Case(_one_batch(1, 100 * MIB), (0, 0)),
    "a batch that inflates to 100 MiB": Case(_one_batch(104_000, 1000, ZSTD), (0, 0)),
    "compacted, tiny batches": Case(_volume(volume.compacted), (_TWO_MILLION, _TWO_MILLION // 4)),
    "transactions that take turns": Case(_volume(volume.transactions), (_TWO_MILLION // 2, _TWO_MILLION // 4)),
    "two million batches of transactions": Case(_volume(volume.transactions), (_TWO_MILLION, _TWO_MILLION // 8)),
}


def hold(name: str, folder: Path, *, full: bool) -> dict[str, int]:
    """Runs every command over a case; gives the peaks in MiB. Each must be within the promise."""
    case, evidence, out = CASES[name], folder / "evidence", folder / "out"
    code = case.make(evidence, case.size[0 if full else 1])
    commands = [["check"], ["check", "--deep"], *(["salvage", "--format", each] for each in FORMATS)]
    if not full:  # what one format takes is told by the full scale; here all must fit together
        commands = [["check", "--deep"], ["salvage", *(word for each in FORMATS for word in ("--format", each))]]
    peaks = {}
    for words in commands:
        shutil.rmtree(out, ignore_errors=True)
        more = ["--out", str(out)] if words[0] == "salvage" else []
        made = run([*words, str(evidence), *more, "-q"], timeout=1800 if full else 120)
        assert made.code == code, (words, made.code, made.stderr[-2000:])
        peaks[" ".join(words)] = made.mib
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(evidence)
    most = PROMISE - MARGIN
    over = {words: mib for words, mib in peaks.items() if mib > most}
    assert not over, f"{name}: {over} MiB, where {PROMISE} are promised and {most} wanted; all: {peaks}"
    return peaks
