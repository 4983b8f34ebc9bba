"""Cases of damaged partition directories for a broker's start: a name, what is done to the files, which lines stand beside.

Every case begins with the files of an undamaged partition and gets a directory of its own, so that one start of a broker
tries them all.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.build import Build, Rec, marker, v2_batch
from tests.support.checkpoints import forget_partition, set_checkpoint
from tests.support.cut import CLEAN
from tests.support.surveys import headers

ORDERS = CLEAN / "cluster" / "broker-1" / "orders-0"
PAYMENTS = CLEAN / "cluster" / "broker-1" / "payments-1"
MAGIC_0 = CLEAN / "v0" / "broker-0" / "v0-none-0"
MAGIC_1 = CLEAN / "v1" / "broker-0" / "v1-gzip-0"

Edit = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """One directory and what stands of it in the checkpoint files."""

    edit: Edit
    base: Path | None = ORDERS
    recovery_point: int | None = None
    log_start: int | None = None


def copy_base(base: Path | None, target: Path) -> None:
    """Replaces every file of a partition directory but `partition.metadata`."""
    for file in target.iterdir():
        if file.name != "partition.metadata":
            file.unlink()
    for file in base.iterdir() if base else ():
        if file.name != "partition.metadata":
            shutil.copyfile(file, target / file.name)


def place(data: Path, directory: str, case: Case) -> None:
    """Makes a case in a partition directory of a log directory, and its lines in the checkpoint files."""
    topic, number = directory.rsplit("-", 1)
    forget_partition(data, topic, int(number))
    copy_base(case.base, data / directory)
    case.edit(data / directory)
    if case.recovery_point is not None:
        set_checkpoint(data / "recovery-point-offset-checkpoint", topic, int(number), case.recovery_point)
    if case.log_start is not None:
        set_checkpoint(data / "log-start-offset-checkpoint", topic, int(number), case.log_start)


def log(directory: Path, number: int) -> Path:
    """The n-th segment of a directory; negative from the end."""
    return sorted(directory.glob("*.log"))[number]


def poke(path: Path, position: int, data: bytes) -> None:
    """Writes bytes into a file."""
    with path.open("r+b") as stream:
        stream.seek(position)
        stream.write(data)


def flip(path: Path, position: int, mask: int = 0x01) -> None:
    """Flips bits of one byte."""
    poke(path, position, bytes([path.read_bytes()[position] ^ mask]))


def batch(path: Path, number: int) -> dict[str, int]:
    """Header of a batch; negative numbers from the end."""
    return headers(path.read_bytes())[0][number]


def untouched(directory: Path) -> None:
    """Nothing."""


def payload(segment: int, number: int) -> Edit:
    """Flips a bit in the last byte of a batch."""
    return lambda d: flip(log(d, segment), batch(log(d, segment), number)["stop"] - 1)


def length(segment: int, number: int, value: int) -> Edit:
    """Forges a batch's length."""
    return lambda d: poke(log(d, segment), batch(log(d, segment), number)["start"] + 8, struct.pack(">i", value))


def base_offset(segment: int, number: int, xor: int) -> Edit:
    """Flips bits of a batch's base offset."""

    def edit(directory: Path) -> None:
        row = batch(log(directory, segment), number)
        poke(log(directory, segment), row["start"], struct.pack(">q", row["first"] ^ xor))

    return edit


def magic(segment: int, number: int, value: int) -> Edit:
    """Forges a batch's magic."""
    return lambda d: poke(log(d, segment), batch(log(d, segment), number)["start"] + 16, bytes([value]))


def zeros(segment: int, number: int, size: int = 512) -> Edit:
    """Overwrites the beginning of a batch with zeros."""
    return lambda d: poke(log(d, segment), batch(log(d, segment), number)["start"], bytes(size))


def append(segment: int, data: bytes) -> Edit:
    """Appends bytes to a segment."""
    return lambda d: poke(log(d, segment), log(d, segment).stat().st_size, data)


def torn(segment: int, size: int) -> Edit:
    """Cuts the end of a segment."""

    def edit(directory: Path) -> None:
        path = log(directory, segment)
        with path.open("r+b") as stream:
            stream.truncate(path.stat().st_size - size)

    return edit


def without(segment: int, *suffixes: str) -> Edit:
    """Removes files of a segment."""

    def edit(directory: Path) -> None:
        path = log(directory, segment)
        for suffix in suffixes:
            path.with_suffix(suffix).unlink(missing_ok=True)

    return edit


def no_indexes(directory: Path) -> None:
    """Removes all index files."""
    for suffix in ("index", "timeindex", "txnindex"):
        for path in directory.glob(f"*.{suffix}"):
            path.unlink()


def no_snapshots(directory: Path) -> None:
    """Removes all producer snapshots."""
    for path in directory.glob("*.snapshot"):
        path.unlink()


def empty_index(segment: int) -> Edit:
    """Cuts a segment's indexes to nothing."""

    def edit(directory: Path) -> None:
        for suffix in (".index", ".timeindex"):
            log(directory, segment).with_suffix(suffix).write_bytes(b"")

    return edit


def both(*edits: Edit) -> Edit:
    """One edit after the other."""

    def edit(directory: Path) -> None:
        for one in edits:
            one(directory)

    return edit


def again(segment: int, first: int, last: int) -> Edit:
    """Appends a stretch of a segment's own batches to it once more."""

    def edit(directory: Path) -> None:
        path = log(directory, segment)
        data = path.read_bytes()
        poke(path, len(data), data[batch(path, first)["start"] : batch(path, last)["stop"]])

    return edit


def rename(segment: int, suffix: str, base: int | None = None) -> Edit:
    """Renames a segment and its indexes to another suffix (or, besides, another base offset)."""

    def edit(directory: Path) -> None:
        path = log(directory, segment)
        for old in (".log", ".index", ".timeindex", ".txnindex"):
            file = path.with_suffix(old)
            if file.exists():
                file.rename(directory / f"{path.stem if base is None else f'{base:020}'}{old}{suffix}")

    return edit


def copied(segment: int, suffix: str, edit_copy: Edit | None = None) -> Edit:
    """Puts a copy of a segment under another suffix beside it."""

    def edit(directory: Path) -> None:
        path = log(directory, segment)
        target = path.with_name(path.name + suffix)
        shutil.copyfile(path, target)
        if edit_copy:
            edit_copy(target)

    return edit


def swap_of_two(damaged: bool) -> Edit:
    """A `.swap` that holds segments 1 and 2 as the cleaner would have joined them, both still there."""

    def edit(directory: Path) -> None:
        one, two = log(directory, 1), log(directory, 2)
        swap = one.with_name(one.name + ".swap")
        swap.write_bytes(one.read_bytes() + two.read_bytes())
        if damaged:
            flip(swap, batch(two, 5)["stop"] - 1 + one.stat().st_size)

    return edit


def overlap(directory: Path) -> None:
    """Segment 2 begins with what is also the end of segment 1."""
    one, two = log(directory, 1), log(directory, 2)
    tail = one.read_bytes()[batch(one, -3)["start"] :]
    target = directory / f"{batch(one, -3)['first']:020}.log"
    target.write_bytes(tail + two.read_bytes())
    for path in [two, *directory.glob(f"{two.stem}.*index")]:
        path.unlink()


def foreign_txn_index(directory: Path) -> None:
    """Gives segment 7 the transaction index of segment 1."""
    shutil.copyfile(log(directory, 1).with_suffix(".txnindex"), log(directory, 7).with_suffix(".txnindex"))


def written(*batches: bytes) -> Edit:
    """A single segment of these batches."""
    return lambda d: (d / f"{0:020}.log").write_bytes(b"".join(batches))


def epochs(text: str) -> Edit:
    """Writes the leader epoch checkpoint."""
    return lambda d: (d / "leader-epoch-checkpoint").write_text(text)


def extra(name: str) -> Edit:
    """Puts a copy of the first segment under some name."""
    return lambda d: (d / name).write_bytes(log(d, 0).read_bytes())


def plain(count: int) -> bytes:
    """Some batches that carry producer fields."""
    build = Build(base=0)
    for i in range(count):
        build.v2(3, producer_id=9, producer_epoch=0, base_sequence=3 * i)
    return build.done()[0]


def small_batch(offset: int, *, attributes: int = 0, producer_id: int = -1, base_sequence: int = -1) -> bytes:
    """One batch of one record."""
    record = Rec(offset, 1_700_000_000_000, b"k", b"v")
    epoch = -1 if producer_id < 0 else 0
    return v2_batch(
        offset,
        [record],
        attributes=attributes,
        producer_id=producer_id,
        producer_epoch=epoch,
        base_sequence=base_sequence,
    )


def foreign_marker(offset: int) -> bytes:
    """A control batch of a producer that is neither commit nor abort."""
    record = Rec(offset, 1_700_000_000_000, struct.pack(">hh", 0, 4), struct.pack(">hi", 0, 0))
    return v2_batch(offset, [record], attributes=0x30, producer_id=7, producer_epoch=0)


TRANSACTION = small_batch(0, attributes=0x10, producer_id=7, base_sequence=0)
NO_TRANSACTION = small_batch(2, producer_id=7, base_sequence=1)

CASES: dict[str, Case] = {
    "untouched": Case(untouched),
    "payload bit in the middle": Case(payload(2, 40)),
    "payload bit, recovery point behind it": Case(payload(2, 40), recovery_point=1240),
    "payload bit, recovery point in its segment": Case(payload(2, 40), recovery_point=700),
    "payload bit, recovery point in the segment before": Case(payload(2, 40), recovery_point=300),
    "payload bit in the first batch": Case(payload(0, 0)),
    "payload bit in the last batch": Case(payload(-1, -1)),
    "no index, whole": Case(without(2, ".index")),
    "no index, damaged": Case(both(payload(2, 40), without(2, ".index"))),
    "no index, damaged, recovery point behind": Case(both(payload(2, 40), without(2, ".index")), recovery_point=1240),
    "no indexes at all, two damaged": Case(both(payload(1, 3), payload(3, 10), no_indexes)),
    "no indexes and no snapshots": Case(both(payload(1, 3), no_indexes, no_snapshots)),
    "empty index, damaged": Case(both(payload(2, 40), empty_index(2))),
    "empty index of the last segment": Case(empty_index(-1)),
    "length past the end": Case(length(2, 40, 0x7FFFFFFF)),
    "length past the end in the last segment": Case(length(-1, 20, 0x7FFFFFFF)),
    "length too small": Case(length(2, 40, 5), recovery_point=None),
    "length too small, recovery point behind it": Case(length(2, 40, 5), recovery_point=1240),
    "length 30": Case(length(2, 40, 30)),
    "zeros in the middle": Case(zeros(2, 40)),
    "torn tail": Case(torn(-1, 100)),
    "torn tail of a middle segment": Case(torn(2, 100)),
    "ten stray bytes behind a middle segment": Case(append(1, b"0123456789")),
    "last segment emptied": Case(lambda d: log(d, -1).write_bytes(b"")),
    "repeated batch": Case(again(-1, -1, -1)),
    "offsets run backwards over index entries": Case(again(2, 0, 100)),
    "segments overlap": Case(overlap),
    "first segment missing": Case(without(0, ".log", ".index", ".timeindex", ".snapshot")),
    "middle segment missing": Case(without(2, ".log", ".index", ".timeindex", ".snapshot")),
    "last segment missing": Case(without(-1, ".log", ".index", ".timeindex")),
    "log start above the end": Case(untouched, log_start=5000),
    "log start above the end of what recovery leaves": Case(payload(1, 0), log_start=700),
    "log start inside": Case(untouched, log_start=700),
    "magic 5": Case(magic(2, 40, 5)),
    "magic 0 over a version 2 batch": Case(magic(2, 40, 0)),
    "base offset jumps": Case(base_offset(2, 40, 1 << 20)),
    "base offset jumps in the last batch": Case(base_offset(-1, -1, 1 << 20)),
    "base offset falls": Case(base_offset(4, 40, 1 << 6)),
    "last base offset does not fit": Case(base_offset(-1, -1, 1 << 40)),
    "deleted file beside": Case(copied(1, ".deleted")),
    "cleaned file beside": Case(copied(1, ".cleaned")),
    "cleaned and swap beside": Case(both(copied(1, ".cleaned"), copied(2, ".swap", lambda p: flip(p, 15)))),
    "swap of one": Case(copied(1, ".swap", lambda p: flip(p, 15))),
    "swap of two": Case(swap_of_two(damaged=False)),
    "swap of two, damaged": Case(swap_of_two(damaged=True)),
    "swap alone": Case(rename(2, ".swap")),
    "magic 0, payload bit": Case(payload(1, 20), base=MAGIC_0),
    "magic 0, length past the end": Case(length(0, 30, 0x7FFFFFFF), base=MAGIC_0),
    "magic 1, payload bit": Case(payload(0, 5), base=MAGIC_1),
    "magic 1, zeros": Case(zeros(0, 5), base=MAGIC_1),
    "transactions untouched": Case(untouched, base=PAYMENTS),
    "transactions, payload bit": Case(payload(3, 10), base=PAYMENTS),
    "transactions, foreign txnindex": Case(foreign_txn_index, base=PAYMENTS),
    "transactions, foreign txnindex, damaged": Case(both(payload(7, 3), foreign_txn_index), base=PAYMENTS),
    "transactions, segment missing": Case(without(3, ".log", ".index", ".timeindex", ".txnindex"), base=PAYMENTS),
    "idempotent batches": Case(written(plain(5)), base=None),
    "empty directory": Case(untouched, base=None),
    "epoch file with an epoch from the future": Case(epochs("0\n1\n9 5000\n")),
}
"""Cases in which the broker starts, after a clean or an unclean stop (or both)."""

FATAL: dict[str, Case] = {
    "name without a number": Case(extra("foo.log")),
    "offsets below the name": Case(both(rename(1, "", 700), no_indexes)),
    "word in the epoch file": Case(epochs("0\n1\nx 0\n")),
    "wrong count in the epoch file": Case(epochs("0\n3\n0 250\n")),
    "a base offset in the middle does not fit": Case(base_offset(2, 40, 1 << 40)),
    "offsets run backwards in a segment without index": Case(both(again(2, 0, 100), without(2, ".index"))),
    "foreign control batch": Case(written(small_batch(0), foreign_marker(1)), base=None),
    "plain batch behind a lost marker": Case(written(TRANSACTION, NO_TRANSACTION), base=None),
    "zeros behind the last segment": Case(append(-1, bytes(4096))),
    "no snapshots, length too small below the recovery point": Case(
        both(length(2, 40, 5), no_snapshots), recovery_point=1240
    ),
    "commit after commit": Case(written(TRANSACTION, marker(1, commit=True, producer_id=7), small_batch(2)), base=None),
}
"""Cases tried alone, since the broker may not start."""
