"""Ground: log directories to stand on, and the command run as a person runs it."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support import build
from tests.support.build import Build, index_entries, segment, segment_name

COMMAND = [sys.executable, "-m", "kafka_salvage"]
NOBODY = 65534


def ks(
    *words: str | os.PathLike[str],
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
    timeout: int = 240,
) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own.

    Args:
        words: its arguments.
        cwd: where.
        env: changes to the environment.
        before: a program that starts it (``strace …``).
        timeout: seconds; a hang is a failure.
    """
    return subprocess.run(
        [*before, *COMMAND, *(os.fspath(word) for word in words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def lay(directory: Path, *segments: tuple[int, bytes], index: bool = True) -> Path:
    """A partition directory with segments by base offset, each with an index that fits it or is empty."""
    directory.mkdir(parents=True, exist_ok=True)
    for base, data in segments:
        (directory / segment_name(base)).write_bytes(data)
        if index:
            (directory / segment_name(base, "index")).write_bytes(b"")
    return directory


def clean(root: Path, node: int = 1) -> Path:
    """A log dir without damage: two partitions, 80 records in three segments, a clean shutdown marker."""
    first, infos = segment(4)
    second, _ = segment(2, base=40)
    lay(root / "orders-0", (0, first), (40, second))
    (root / "orders-0" / segment_name(0, "index")).write_bytes(index_entries(infos, 0))
    lay(root / "payments-1", (0, segment(2)[0]))
    (root / "meta.properties").write_text(f"version=1\nnode.id={node}\ncluster.id=JFMHcmjwovmihf4xFbMYXA\n")
    (root / ".kafka_cleanshutdown").write_bytes(b"")
    return root


def flip(path: Path, at: int) -> None:
    """Flips one bit."""
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def damaged(root: Path) -> Path:
    """`clean` with one bit flipped in the payload of the second batch of `orders-0`: offsets 10 to 19 are lost."""
    place = clean(root) / "orders-0" / segment_name(0)
    flip(place, segment(4)[1][1].start + 100)
    return root


def long_length(root: Path) -> Path:
    """`clean` with the length of the second batch of `orders-0` := 0x7fffffff: its CRC proves the repair."""
    place = clean(root) / "orders-0" / segment_name(0)
    data = bytearray(place.read_bytes())
    struct.pack_into(">i", data, segment(4)[1][1].start + 8, 0x7FFFFFFF)
    place.write_bytes(data)
    return root


def leaning(root: Path) -> Path:
    """A log dir whose middle segment is there only as `.deleted`: nothing is lost."""
    lay(root / "orders-0", (0, segment(2)[0]), (20, segment(2, base=20)[0]), (40, segment(2, base=40)[0]))
    place = root / "orders-0" / segment_name(20)
    place.rename(place.with_name(place.name + ".deleted"))
    (root / "orders-0" / segment_name(20, "index")).unlink()
    return root


def large(root: Path, megabytes: int) -> Path:
    """One partition of so many MiB, in segments of 16 MiB: copies of one batch at rising offsets."""
    batch = bytearray(Build(size=16 << 10).v2(4).done()[0])
    count = (16 << 20) // len(batch)
    base = 0
    for _ in range(max(1, megabytes // 16)):
        parts = []
        for place in range(count):
            struct.pack_into(">q", batch, 0, base + 4 * place)
            parts.append(bytes(batch))
        lay(root / "big-0", (base, b"".join(parts)))
        base += 4 * count
    return root


def tree(root: Path) -> dict[str, bytes]:
    """Every file below a directory but `run.json`, by relative path."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


EPOCH_MS = build.EPOCH_MS
