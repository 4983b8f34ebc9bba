"""Bases: partition directories, real and made, with what stands in each of their segments; a campaign damages them.

Nothing here is read by the package under test: headers are parsed with `struct`, offsets inside wrappers come from what a
consumer of the live broker read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import pytest

from tests.support.build import (
    CODECS,
    GZIP,
    LEGACY_CODECS,
    LZ4,
    NONE,
    SNAPPY,
    ZSTD,
    BatchInfo,
    Build,
    Rec,
    index_entries,
    legacy_message,
    segment_name,
    v2_batch,
)
from tests.support.corpus import ROOT, scene
from tests.support.truth import lines

FIXTURES = ROOT / "fixtures" / "clean"
OUTER = (
    "replication-offset-checkpoint",
    "recovery-point-offset-checkpoint",
    "log-start-offset-checkpoint",
    "cleaner-offset-checkpoint",
)
CODEC_NAMES = {NONE: "none", GZIP: "gzip", SNAPPY: "snappy", LZ4: "lz4", ZSTD: "zstd"}


@dataclass(frozen=True)
class Base:
    """A partition directory in good health.

    Attributes:
        name: short name for tables, such as ``1-gzip``.
        directory: name of the partition directory.
        inner: its files. outer: files of the log directory above.
        batches: what stands in each segment file, by its name.
        compacted: gaps mean nothing here.
        other: a segment of another partition, to be spliced in, and the batches in it.
    """

    name: str
    directory: str
    inner: Mapping[str, bytes]
    outer: Mapping[str, bytes]
    batches: Mapping[str, Sequence[BatchInfo]]
    compacted: bool = False
    other: bytes = b""
    guests: frozenset[bytes] = field(default_factory=frozenset)

    @property
    def segments(self) -> list[str]:
        """Names of the segment files that hold batches, in offset order."""
        return sorted(name for name, infos in self.batches.items() if infos)


def parse(data: bytes, known: Iterable[int] = (), low: int = 0) -> list[BatchInfo]:
    """Batches of an undamaged segment.

    Args:
        data: the segment.
        known: offsets of all records of the partition, for those that compressed or compacted batches hold.
        low: next offset before the first batch.
    """
    offsets = sorted(known)
    infos: list[BatchInfo] = []
    at = 0
    while at + 17 <= len(data):
        first, length = struct.unpack_from(">qi", data, at)
        stop = at + 12 + length
        if length < 14 or stop > len(data):
            break
        magic, last, epoch, codec, control = data[at + 16], first, -1, data[at + 17] & 7, False
        if magic == 2:
            (epoch,) = struct.unpack_from(">i", data, at + 12)
            attributes, delta = struct.unpack_from(">hi", data, at + 21)
            last, codec, control = first + delta, attributes & 7, bool(attributes & 0x20)
        elif codec:
            first = low
        held = tuple(o for o in offsets if first <= o <= last) if offsets and not control else range(first, last + 1)
        if magic < 2 and held:
            first = held[0]
        records = tuple(Rec(o, 0, None, None) for o in held)
        infos.append(BatchInfo(at, stop, magic, first, last, codec, epoch, records, control))
        at, low = stop, last + 1
    assert at == len(data) or not any(data[at:]), "the base is not in good health"
    return infos


def _lines_of(data: bytes, topic: str, partition: int) -> bytes:
    if not data:
        return data
    version, _, *rows = data.decode().splitlines()
    kept = [row for row in rows if row.rsplit(" ", 2)[:2] == [topic, str(partition)]]
    return "\n".join([version, str(len(kept)), *kept, ""]).encode()


def real(name: str, broker: Path, directory: str, truth: Sequence[Path] = (), other: Path | None = None) -> Base:
    """A directory that a broker wrote; with ``truth``, what a consumer read tells which offsets have records."""
    topic, _, number = directory.rpartition("-")
    known = [o["offset"] for p in truth for o in lines(p) if (o["topic"], o["partition"]) == (topic, int(number))]
    inner = {p.name: p.read_bytes() for p in sorted((broker / directory).iterdir()) if p.is_file()}
    inner = {n: data for n, data in inner.items() if not n.endswith(".deleted")}
    outer = {n: _lines_of((broker / n).read_bytes(), topic, int(number)) for n in OUTER if (broker / n).is_file()}
    if (broker / "meta.properties").is_file():
        outer["meta.properties"] = (broker / "meta.properties").read_bytes()
    batches, low = {}, 0
    for file in sorted(n for n in inner if n.endswith(".log")):
        infos = parse(inner[file], known, max(low, int(file.split(".")[0])))
        low = infos[-1].last_offset + 1 if infos else low
        batches[file] = infos
    return Base(
        name,
        directory,
        inner,
        outer,
        batches,
        compacted=bool(known),
        other=b"" if other is None else other.read_bytes(),
    )


def _made(name: str, builds: Sequence[Build], guests: frozenset[bytes] = frozenset(), epochs: str = "0 0") -> Base:
    inner: dict[str, bytes] = {}
    batches: dict[str, Sequence[BatchInfo]] = {}
    for build in builds:
        data, infos = build.done()
        inner[segment_name(build.base)] = data
        inner[segment_name(build.base, "index")] = index_entries(infos, build.base, every=4)
        batches[segment_name(build.base)] = infos
    end = builds[-1].next_offset
    inner["leader-epoch-checkpoint"] = f"0\n{len(epochs.split(','))}\n".encode()
    inner["leader-epoch-checkpoint"] += "".join(f"{e}\n" for e in epochs.split(",")).encode()
    outer = {"replication-offset-checkpoint": f"0\n1\nmade 0 {end}\n".encode()}
    return Base(name, "made-0", inner, outer, batches, guests=guests, other=_foreign(batches))


def _foreign(batches: Mapping[str, Sequence[BatchInfo]]) -> bytes:
    first = next(iter(batches.values()))[0]
    build = Build(base=first.base_offset + 3, size=57)
    for _ in range(20):
        if first.magic == 2:
            build.v2(7, codec=first.codec)
        elif first.codec:
            build.wrapper(4, magic=first.magic, codec=first.codec)
        else:
            build.legacy(magic=first.magic)
    return build.done()[0]


def made_plain(magic: int, codec: int) -> Base:
    """Three segments of equal batches."""
    builds: list[Build] = []
    for at in range(3):
        build = Build(base=builds[-1].next_offset if builds else 0, size=40)
        for n in range(14):
            if magic == 2:
                build.v2(3 + n % 5, codec=codec, epoch=at, headers=bool(n % 2))
            elif codec == NONE:
                build.legacy(magic=magic)
            else:
                build.wrapper(3 + n % 4, magic=magic, codec=codec)
        builds.append(build)
    return _made(f"made-{magic}-{CODEC_NAMES[codec]}", builds, epochs=_epochs(builds) if magic == 2 else "0 0")


def _epochs(builds: Sequence[Build]) -> str:
    return ",".join(f"{at} {build.base}" for at, build in enumerate(builds))


def made_embedding(magic: int) -> Base:
    """Segments whose messages hold whole batches, with offsets made to fit the log around them."""
    builds: list[Build] = []
    guests: set[bytes] = set()
    for _ in range(2):
        build = Build(base=builds[-1].next_offset if builds else 0, size=40)
        for n in range(16):
            here = build.next_offset
            if n % 3 != 1:
                build.v2(4) if magic == 2 else build.legacy(magic=magic)
                continue
            value, inside = _guests(magic, here, n)
            guests |= inside
            if magic == 2:
                build.v2(3, values=[b"x", value, b"y"] if n % 2 else [b"x", None, value])
            else:
                build.legacy(magic=magic, key=b"" if n % 2 else None, value=value, own=True)
        builds.append(build)
    return _made(f"guests-{magic}", builds, frozenset(guests))


def _guests(magic: int, here: int, n: int) -> tuple[bytes, set[bytes]]:
    base = here + (0, 1, 2, 4, -3, 40)[n // 3 % 6]
    base = max(base, 0)
    if magic == 2 or n % 4 == 3:
        one = v2_batch(base, [Rec(base + i, 1_700_000_000_000, b"g%d" % i, b"guest" * 3) for i in range(2)])
        two = v2_batch(base + 2, [Rec(base + 2, 1_700_000_000_001, b"h", b"guest")])
    else:
        one = legacy_message(base, b"g", b"guest" * 4, magic=magic, timestamp=5)
        two = legacy_message(base + 1, b"h", b"guest" * 2, magic=magic, timestamp=6)
    return (one + two if n % 2 else one), {one, two}


def made_compacted(magic: int, codec: int) -> Base:
    """A log that the cleaner thinned: holes in batches, empty batches, gaps between them."""
    builds: list[Build] = []
    for _ in range(2):
        build = Build(base=builds[-1].next_offset if builds else 0, size=40)
        for n in range(14):
            if n % 3 == 1:
                build.gap(5 + n)
            if magic == 2:
                keep = ((0, 3, 4), (1, 2), ())[n % 3]
                build.v2(6, codec=codec if keep else NONE, keep=keep)
            elif codec == NONE:
                build.legacy(magic=magic)
            else:
                build.wrapper(6, magic=magic, codec=codec, keep=(0, 3, 5) if n % 2 else (2, 5))
        builds.append(build)
    return replace(_made(f"thin-{magic}-{CODEC_NAMES[codec]}", builds), compacted=True)


@cache
def made() -> dict[str, Base]:
    """Every generated base."""
    found = [made_plain(magic, codec) for magic in (0, 1) for codec in LEGACY_CODECS]
    found += [made_plain(2, codec) for codec in CODECS]
    found += [made_embedding(magic) for magic in (0, 1, 2)]
    found += [made_compacted(0, GZIP), made_compacted(1, NONE), made_compacted(1, LZ4), made_compacted(2, NONE)]
    return {base.name: base for base in found}


@cache
def small() -> dict[str, Base]:
    """Real bases that lie in the checkout."""
    root, other = FIXTURES, FIXTURES / "v0" / "broker-0" / "v0-none-0" / f"{0:020d}.log"
    v0, v09, v1, mixed = (root / n / "broker-0" for n in ("v0", "v09", "v1", "mixed"))
    one = root / "cluster" / "broker-1"
    compacted = [root / "v09" / "truth" / "records.jsonl.gz"]
    found = [
        real("0-none", v0, "v0-none-0", other=v1 / "v1-none-0" / f"{0:020d}.log"),
        real("0-gzip", v0, "v0-gzip-1", other=v0 / "v0-snappy-0" / f"{0:020d}.log"),
        real("0-snappy", v0, "v0-snappy-0", other=v0 / "v0-gzip-1" / f"{0:020d}.log"),
        real("0-lz4", v0, "v0-lz4-0", other=v0 / "v0-gzip-1" / f"{0:020d}.log"),
        real("0-thin-gzip", v09, "v09-compact-gzip-0", compacted, other),
        real("1-none", v1, "v1-none-0", other=other),
        real("1-gzip", v1, "v1-gzip-0", other=v1 / "v1-lz4-0" / f"{0:020d}.log"),
        real("1-lz4", v1, "v1-lz4-0", other=v1 / "v1-gzip-0" / f"{0:020d}.log"),
        real("1-lat-lz4", v1, "v1-lat-lz4-0", other=v1 / "v1-gzip-0" / f"{0:020d}.log"),
        real("1-thin-gzip", v1, "v1-compact-gzip-0", [root / "v1" / "truth" / "records.jsonl.gz"], other),
        real("2-all", one, "orders-0", other=one / "audit.events_v1-0" / f"{281:020d}.log"),
        real("2-lat", one, "audit.events_v1-0", other=one / "orders-0" / f"{250:020d}.log"),
        real("2-txn", one, "payments-1", other=one / "orders-0" / f"{250:020d}.log"),
        real("2-thin", one, "profiles-0", [root / "cluster" / "truth" / "profiles.jsonl.gz"], other),
        real("mix-none", mixed, "mixed-none-0", other=other),
        real("mix-gzip", mixed, "mixed-gzip-0", other=other),
    ]
    return {base.name: base for base in found}


@cache
def large() -> dict[str, Base]:
    """Real bases of the corpus beside the checkout; none when it is not there."""
    try:
        v1, cluster = scene("old-1", "v1") / "broker-0", scene("modern-1", "cluster") / "broker-1"
        zk28 = scene("old-1", "zk28") / "broker-0"
    except pytest.skip.Exception:
        return {}
    first = f"{0:020d}.log"
    found = [
        real("1-snappy", v1, "v1-snappy-0", other=v1 / "v1-gzip-0" / first),
        real("1-lat-none", v1, "v1-lat-none-0", other=v1 / "v1-none-0" / first),
        real("1-from-v0", v1, "v1-from-v0-0", other=v1 / "v1-none-0" / first),
        real("2-none", cluster, "a-b-1-0", other=cluster / "orders-1" / first),
        real("2-gzip", cluster, "clicks-gzip-0", other=cluster / "clicks-lz4-0" / first),
        real("2-snappy", cluster, "clicks-snappy-0", other=cluster / "clicks-lz4-0" / first),
        real("2-lz4", cluster, "clicks-lz4-0", other=cluster / "clicks-gzip-0" / first),
        real("2-zstd", cluster, "clicks-zstd-0", other=cluster / "clicks-gzip-0" / first),
        real("2-zk28", zk28, "orders-1", other=cluster / "orders-1" / first),
    ]
    return {base.name: base for base in found}
