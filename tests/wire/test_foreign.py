"""Files that are no segments are named, with the command that opens them; segments never are."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sqlite3
import struct
import tarfile
import zipfile
from pathlib import Path

import crc32c
import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.wire.foreign import HEAD_SIZE, identify
from tests.wire.test_side_files import GOOD
from tests.wire.vectors import Vector, load


def slug(data: bytes) -> str | None:
    found = identify(data[:HEAD_SIZE], len(data))
    return found.slug if found else None


def at(position: int, magic: bytes, size: int = 70_000) -> bytes:
    return bytes(position) + magic + bytes(size - position - len(magic))


def tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"), io.BytesIO(b""))
    return out.getvalue()


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a", "b")
    return out.getvalue()


REAL = {
    "gzip": gzip.compress(b"x"),
    "zstd": zstandard.compress(b"x"),
    "xz": lzma.compress(b"x"),
    "bzip2": bz2.compress(b"x"),
    "lz4": lz4.frame.compress(b"x"),
    "tar": tar(),
    "zip": zipped(),
}


@pytest.mark.parametrize("name", REAL)
def test_real_archives(name: str) -> None:
    found = identify(REAL[name], len(REAL[name]))
    assert found is not None
    assert found.slug == name
    assert "FILE" in found.command


def test_a_real_database(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "db") as database:
        database.execute("create table t (a)")
    database.close()
    assert slug((tmp_path / "db").read_bytes()) == "sqlite"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("7z", b"7z\xbc\xaf\x27\x1c\x00\x04"),
        ("qcow2", at(0, b"QFI\xfb\x00\x00\x00\x03")),
        ("vmdk", at(0, b"KDMV\x01\x00\x00\x00")),
        ("vhdx", at(0, b"vhdxfile")),
        ("luks", at(0, b"LUKS\xba\xbe\x00\x02")),
        ("ext4", at(1080, b"\x53\xef\x01\x00")),
        ("xfs", at(0, b"XFSB\x00\x00\x10\x00")),
        ("btrfs", at(0x10040, b"_BHRfS_M")),
        ("ntfs", at(3, b"NTFS    ")),
        (
            "disk",
            at(446, b"\x80\x00\x00\x00\x83\x00\x00\x00\x00\x08\x00\x00\x00\x10\x00\x00" + bytes(48) + b"\x55\xaa"),
        ),
        ("disk", at(512, b"EFI PART")),
        ("parquet", b"PAR1\x15\x04"),
        ("zookeeper-log", at(0, b"ZKLG\x00\x00\x00\x02")),
        ("zookeeper-snapshot", at(0, b"ZKSN\x00\x00\x00\x02")),
        ("text", b"[2026-11-23 08:00:00,000] INFO Loading logs\n" * 9),
        ("text", ("naïve – " * 2000).encode()),
    ],
)
def test_magics(name: str, data: bytes) -> None:
    assert slug(data) == name


@pytest.mark.parametrize("size", [4094, 4095, 4096, 4097])
def test_text_cut_inside_a_character_is_still_text(size: int) -> None:
    data = ("€" * 3000).encode()
    found = identify(data[:size], len(data))
    assert found is not None
    assert found.slug == "text"


def redpanda(payload: bytes = b"x" * 20) -> bytes:
    rest = struct.pack(
        "<iqbIhiqqqhii", 61 + len(payload), 100, 1, 0xDDF15E0A, 0, 0, 1500000000000, 1500000000000, -1, -1, -1, 1
    )
    assert len(rest) == 57
    return struct.pack("<I", crc32c.crc32c(rest)) + rest + payload


def test_a_redpanda_segment() -> None:
    assert slug(redpanda()) == "redpanda"
    damaged = bytearray(redpanda())
    damaged[20] ^= 1
    assert slug(bytes(damaged)) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("offset checkpoint", "offset-checkpoint"),
        ("epoch checkpoint", "leader-epoch-checkpoint"),
        ("meta.properties", "meta-properties"),
        ("partition.metadata", "partition-metadata"),
        ("quorum-state", "quorum-state"),
        ("offset index", "offset-index"),
        ("time index", "time-index"),
        ("txn index", "txn-index"),
        ("producer snapshot", "producer-snapshot"),
    ],
)
def test_another_kafka_file_under_a_log_name(name: str, expected: str) -> None:
    assert slug(GOOD[name]) == expected


def test_padded_indexes_keep_their_kind() -> None:
    assert slug(GOOD["offset index"] + bytes(10 * 2**20 - 16)) == "offset-index"
    assert slug(GOOD["time index"] + bytes(65_532 - 24)) == "time-index"


@pytest.mark.parametrize("vector", load(), ids=lambda v: v.name)
def test_a_segment_is_never_taken_for_something_else(vector: Vector) -> None:
    assert slug(vector.data) is None
    assert slug(vector.data * 50) is None


def test_zeros_and_nothing_are_not_identified() -> None:
    for size in (0, 1, 10, 12, 34, 4096, 70_000):
        assert slug(bytes(size)) is None


@given(st.binary(max_size=300), st.integers(0, 2**40))
def test_nothing_raises(data: bytes, more: int) -> None:
    identify(data, len(data) + more)
