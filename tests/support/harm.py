"""Harm to a broker's directory besides its segments: checkpoints and indexes that are gone, garbled or wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from tests.support.bases import OUTER

INDEXES = ("*.index", "*.timeindex", "*.txnindex", "*.snapshot")


def harm_metadata(root: Path, rng: random.Random, share: float = 0.3) -> list[str]:
    """Damages epoch checkpoints, offset checkpoints and indexes of a broker; returns what was done, for messages.

    Nothing of it is evidence against a batch: what the segments hold must come out all the same.
    """
    told = [_do(rng, EPOCHS, p) for p in sorted(root.glob("*/leader-epoch-checkpoint")) if rng.random() < share]
    # a log start that is too high, or that is forgotten, changes what a log holds: that is no mere damage
    outer = [root / name for name in OUTER if name != "log-start-offset-checkpoint" and (root / name).is_file()]
    told += [_do(rng, OFFSETS, path) for path in outer if rng.random() < share]
    inner = [path for pattern in INDEXES for path in sorted(root.glob(f"*/{pattern}"))]
    told += [_do(rng, INDEX, path) for path in inner if rng.random() < share]
    return told


def _do(rng: random.Random, ways: dict[str, Callable[[random.Random, Path], None]], path: Path) -> str:
    name = rng.choice(sorted(ways))
    ways[name](rng, path)
    return f"{path.parent.name}/{path.name} {name}"


def _gone(rng: random.Random, path: Path) -> None:
    path.unlink()


def _empty(rng: random.Random, path: Path) -> None:
    path.write_bytes(b"")


def _garbage(rng: random.Random, path: Path) -> None:
    path.write_bytes(rng.randbytes(rng.randrange(1, 200)))


def _zeros(rng: random.Random, path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _torn(rng: random.Random, path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data) + 1)])


def _flipped(rng: random.Random, path: Path) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(data))


def _shifted(rng: random.Random, path: Path) -> None:
    """Every number at the end of a line is moved by the same."""
    version, count, *lines = path.read_text().splitlines()
    by = rng.choice((-300, -7, -1, 1, 5, 200))
    moved = [(head, max(0, int(tail) + by)) for head, _, tail in (line.rpartition(" ") for line in lines)]
    path.write_text("\n".join([version, count, *(f"{head} {tail}" for head, tail in moved)]) + "\n")


def _stale(rng: random.Random, path: Path) -> None:
    """As it was long ago: lower numbers, some lines not there yet."""
    version, _, *lines = path.read_text().splitlines()
    kept = lines[: max(1, rng.randrange(len(lines) + 1))]
    path.write_text("\n".join([version, str(len(kept)), *kept]) + "\n")


def _wrong_count(rng: random.Random, path: Path) -> None:
    version, count, *lines = path.read_text().splitlines()
    path.write_text("\n".join([version, str(int(count) + 3), *lines]) + "\n")


_ANY: dict[str, Callable[[random.Random, Path], None]] = {
    "gone": _gone,
    "empty": _empty,
    "garbage": _garbage,
    "zeros": _zeros,
    "torn": _torn,
    "flipped": _flipped,
}
INDEX = _ANY
EPOCHS = {**_ANY, "shifted": _shifted, "stale": _stale, "wrong count": _wrong_count}
OFFSETS = EPOCHS
