"""Foreign: what a file is that is no Kafka segment, and the command that opens it.

Strategy: `identify` is given the first bytes of a file and its size. It answers only when something positive speaks for it:
a magic number, a checksum that fits, or a structure that fits from end to end. It never raises. Whoever calls it has found
no believable batch in the file.
"""

from __future__ import annotations

from dataclasses import dataclass

from kafka_salvage.wire.checkpoints import read_checkpoint
from kafka_salvage.wire.checksum import crc32c
from kafka_salvage.wire.epoch_checkpoint import read_epoch_checkpoint
from kafka_salvage.wire.meta_properties import read_meta_properties
from kafka_salvage.wire.offset_index import ENTRY_SIZE as OFFSET_ENTRY
from kafka_salvage.wire.offset_index import read_offset_index
from kafka_salvage.wire.partition_metadata import read_partition_metadata
from kafka_salvage.wire.producer_snapshot import ENTRY_SIZE as PRODUCER_ENTRY
from kafka_salvage.wire.producer_snapshot import HEADER_SIZE as PRODUCER_HEADER
from kafka_salvage.wire.producer_snapshot import read_producer_snapshot
from kafka_salvage.wire.quorum_state import read_quorum_state
from kafka_salvage.wire.time_index import ENTRY_SIZE as TIME_ENTRY
from kafka_salvage.wire.time_index import read_time_index
from kafka_salvage.wire.txn_index import ENTRY_SIZE as TXN_ENTRY
from kafka_salvage.wire.txn_index import read_txn_index

HEAD_SIZE = 68 << 10
"""Bytes of the head that all tests can use; fewer only make fewer answers."""

_PLAUSIBLE_TIME = range(10**11, 10**13)
"""ms: 1973 to 2286; a timestamp outside speaks against an index."""
_REDPANDA_HEADER = 61


@dataclass(frozen=True, slots=True)
class Foreign:
    """What a file is.

    Attributes:
        slug: identifier.
        sentence: what it is, to be read after the file's name.
        command: what opens it, FILE standing for its name; "" when there is nothing to do.
    """

    slug: str
    sentence: str
    command: str = ""


_MOUNT = "sudo mount -o ro,loop FILE /mnt"
_NBD = "sudo modprobe nbd && sudo qemu-nbd --read-only --connect=/dev/nbd0 FILE && sudo mount -o ro /dev/nbd0p1 /mnt"

_MAGICS: tuple[tuple[int, bytes, Foreign], ...] = (
    (0, b"\x1f\x8b\x08", Foreign("gzip", "is a gzip archive", "gzip -dk FILE")),
    (0, b"\x28\xb5\x2f\xfd", Foreign("zstd", "is a zstd archive", "zstd -dk FILE")),
    (0, b"\xfd7zXZ\x00", Foreign("xz", "is an xz archive", "xz -dk FILE")),
    (0, b"\x04\x22\x4d\x18", Foreign("lz4", "is an LZ4 archive", "lz4 -d FILE")),
    (0, b"BZh", Foreign("bzip2", "is a bzip2 archive", "bzip2 -dk FILE")),
    (0, b"PK\x03\x04", Foreign("zip", "is a zip archive", "unzip FILE")),
    (0, b"PK\x05\x06", Foreign("zip", "is an empty zip archive")),
    (0, b"7z\xbc\xaf\x27\x1c", Foreign("7z", "is a 7z archive", "7z x FILE")),
    (0, b"Rar!\x1a\x07", Foreign("rar", "is a rar archive", "unrar x FILE")),
    (257, b"ustar", Foreign("tar", "is a tar archive", "tar -xf FILE")),
    (0, b"QFI\xfb", Foreign("qcow2", "is a qcow2 disk image", _NBD)),
    (0, b"KDMV", Foreign("vmdk", "is a VMDK disk image", _NBD)),
    (0, b"# Disk DescriptorFile", Foreign("vmdk", "describes a VMDK disk image", _NBD)),
    (0, b"vhdxfile", Foreign("vhdx", "is a VHDX disk image", _NBD)),
    (0, b"conectix", Foreign("vhd", "is a VHD disk image", _NBD)),  # codespell:ignore conectix
    (64, b"\x7f\x10\xda\xbe", Foreign("vdi", "is a VirtualBox disk image", _NBD)),
    (0, b"LUKS\xba\xbe", Foreign("luks", "is a LUKS encrypted volume", "sudo cryptsetup open --readonly FILE evidence && sudo mount -o ro /dev/mapper/evidence /mnt")),
    (3, b"-FVE-FS-", Foreign("bitlocker", "is a BitLocker encrypted volume", "sudo cryptsetup open --type bitlk --readonly FILE evidence")),
    (0, b"Salted__", Foreign("openssl", "is encrypted with openssl enc", "openssl enc -d -in FILE -out DECRYPTED (with the cipher and password it was made with)")),
    (0, b"age-encryption.org/", Foreign("age", "is encrypted with age", "age -d -o DECRYPTED FILE")),
    (0, b"-----BEGIN PGP MESSAGE", Foreign("pgp", "is encrypted with PGP", "gpg -o DECRYPTED -d FILE")),
    (0, b"XFSB", Foreign("xfs", "is an XFS file system image", "sudo mount -o ro,norecovery,loop FILE /mnt")),
    (3, b"NTFS    ", Foreign("ntfs", "is an NTFS file system image", _MOUNT)),
    (0x10040, b"_BHRfS_M", Foreign("btrfs", "is a btrfs file system image", "sudo mount -o ro,loop,rescue=nologreplay FILE /mnt")),
    (32769, b"CD001", Foreign("iso", "is an ISO 9660 image", _MOUNT)),
    (0, b"hsqs", Foreign("squashfs", "is a squashfs image", _MOUNT)),
    (512, b"LABELONE", Foreign("lvm", "is an LVM physical volume", "sudo losetup --read-only --find --show FILE && sudo vgscan")),
    (512, b"EFI PART", Foreign("disk", "is a disk image with a partition table", "sudo losetup --read-only --partscan --find --show FILE")),
    (0, b"SQLite format 3\x00", Foreign("sqlite", "is an SQLite database")),
    (0, b"PAR1", Foreign("parquet", "is a Parquet file")),
    (0, b"Obj\x01", Foreign("avro", "is an Avro file")),
    (0, b"ZKLG", Foreign("zookeeper-log", "is a ZooKeeper transaction log")),
    (0, b"ZKSN", Foreign("zookeeper-snapshot", "is a ZooKeeper snapshot")),
    (0, b"\x7fELF", Foreign("elf", "is an executable")),
    (0, b"%PDF-", Foreign("pdf", "is a PDF document")),
)  # fmt: skip
_EXT = Foreign("ext4", "is an ext2/3/4 file system image", "sudo mount -o ro,noload,loop FILE /mnt")
_BOOT = Foreign(
    "disk", "is a disk image with a partition table", "sudo losetup --read-only --partscan --find --show FILE"
)


def identify(head: bytes, size: int) -> Foreign | None:
    """What a file is, by its first bytes.

    Args:
        head: the file's first bytes, `HEAD_SIZE` of them if it has as many.
        size: bytes of the whole file.
    """
    head = bytes(head)
    for position, magic, answer in _MAGICS:
        if head[position : position + len(magic)] == magic:
            return answer
    if _is_ext(head):
        return _EXT
    if _is_boot_sector(head):
        return _BOOT
    if _is_redpanda(head, size):
        return Foreign("redpanda", "is a Redpanda segment: the same fields as Kafka's, in little-endian order")
    return _text_file(head, size) or _kafka_file(head, size)


def _is_ext(head: bytes) -> bool:
    """Superblock at 1024: magic, and a block size and state that are possible."""
    if len(head) < 1024 + 1024 or head[1024 + 56 : 1024 + 58] != b"\x53\xef":
        return False
    block, state = int.from_bytes(head[1048:1052], "little"), int.from_bytes(head[1082:1084], "little")
    return block <= 6 and state <= 7


def _is_boot_sector(head: bytes) -> bool:
    """MBR: signature, and four partition entries whose flags are legal, one of them at least in use."""
    if head[510:512] != b"\x55\xaa":
        return False
    entries = [head[at : at + 16] for at in range(446, 510, 16)]
    return all(e[0] in (0, 0x80) for e in entries) and any(e[4] and e[12:] != bytes(4) for e in entries)


def _is_redpanda(head: bytes, size: int) -> bool:
    """The header's own CRC-32C, little-endian, over the 57 bytes behind it; and a size that is possible."""
    if len(head) < _REDPANDA_HEADER or not any(head[:_REDPANDA_HEADER]):
        return False
    batch = int.from_bytes(head[4:8], "little", signed=True)
    if not _REDPANDA_HEADER <= batch <= size:
        return False
    return crc32c(head[4:_REDPANDA_HEADER]) == int.from_bytes(head[:4], "little")


def _text_file(head: bytes, size: int) -> Foreign | None:
    sample = head[:4096]
    if not sample or sample.count(0):
        return None
    try:
        text = sample.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(sample) == size or error.start < len(sample) - 3:
            return None
        text = sample[: error.start].decode("utf-8")
    if sum(not (c.isprintable() or c in "\t\n\r\x0b\x0c\x1b") for c in text):
        return None
    return (_kafka_text(head) if len(head) == size else None) or Foreign("text", "is plain text")


def _kafka_text(data: bytes) -> Foreign | None:
    if read_partition_metadata(data).problem is None:
        return Foreign("partition-metadata", "is a `partition.metadata` file")
    if read_epoch_checkpoint(data).entries:
        return Foreign("leader-epoch-checkpoint", "is a `leader-epoch-checkpoint` file")
    if read_checkpoint(data).entries:
        return Foreign("offset-checkpoint", "is an offset checkpoint of a log directory")
    if read_quorum_state(data).problem is None:
        return Foreign("quorum-state", "is a `quorum-state` file")
    properties = read_meta_properties(data)
    if properties.problem is None and properties.node_id is not None:
        return Foreign("meta-properties", "is a `meta.properties` file")
    return None


def _kafka_file(head: bytes, size: int) -> Foreign | None:
    """Binary files of a partition directory: each test needs its own size, and values that fit throughout."""
    if not any(head):
        return None
    whole = len(head) == size
    if size >= PRODUCER_HEADER and head[:2] == b"\x00\x01":
        count = int.from_bytes(head[6:10], "big", signed=True)
        if size == PRODUCER_HEADER + PRODUCER_ENTRY * count and (not whole or read_producer_snapshot(head).crc_valid):
            return Foreign("producer-snapshot", "is a producer snapshot (`.snapshot`)")
    if size and size % TXN_ENTRY == 0:
        aborted = read_txn_index(head[: len(head) // TXN_ENTRY * TXN_ENTRY])
        if aborted.entries and aborted.problem is None and all(e.producer_id >= 0 for e in aborted.entries):
            return Foreign("txn-index", "is a transaction index (`.txnindex`)")
    # before the time index: entries of time indexes hardly ever rise when read as offset entries, the reverse happens
    if size and size % OFFSET_ENTRY == 0:
        index = read_offset_index(head[: len(head) // OFFSET_ENTRY * OFFSET_ENTRY])
        if len(index) and index.problem is None and int(index.position[0]) > 0:
            return Foreign("offset-index", "is an offset index (`.index`)")
    if size and size % TIME_ENTRY == 0:
        times = read_time_index(head[: len(head) // TIME_ENTRY * TIME_ENTRY])
        first = times.timestamp[:1].tolist()
        if len(times) and times.problem is None and all(t in _PLAUSIBLE_TIME for t in first):
            return Foreign("time-index", "is a time index (`.timeindex`)")
    return None
