"""Kinds of damage: each draws a recipe for one segment; what a disk, a copy tool or a hostile hand does to it."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

from tests.support.build import BatchInfo

Draw = Callable[[random.Random, Sequence[BatchInfo], int, int], str]
"""From randomness, the batches, the size of the file and that of the other file to a recipe."""


def _one(rng: random.Random, infos: Sequence[BatchInfo]) -> int:
    """A batch; the first and the last more often than their share."""
    draw = rng.random()
    return 0 if draw < 0.1 else len(infos) - 1 if draw < 0.2 else rng.randrange(len(infos))


def flip(rng: random.Random, infos: Sequence[BatchInfo], size: int, _: int) -> str:
    return f"xor {rng.randrange(size)} {1 << rng.randrange(8):02x}"


def _field(*names: str) -> Draw:
    def draw(rng: random.Random, infos: Sequence[BatchInfo], size: int, _: int) -> str:
        at = _one(rng, infos)
        name = names[0] if infos[at].magic == 2 or len(names) == 1 else names[-1]
        name = rng.choice(names[:-1]) if infos[at].magic == 2 and len(names) > 2 else name
        bits = {"base_offset": 63, "epoch": 31, "length": 31, "magic": 7, "attributes": 7, "producer_epoch": 15}
        bit = rng.randrange(bits.get(name, 31))
        value = f"{rng.choice('+-')}{rng.randrange(1, 1000)}" if rng.random() < 0.3 else f"^{1 << bit:#x}"
        return f"field {at} {name} {value}"

    return draw


def zero_few(rng: random.Random, infos: Sequence[BatchInfo], size: int, _: int) -> str:
    at = rng.randrange(size)
    return f"zero {at} {min(size, at + rng.randrange(1, 65))}"


def zero_sector(rng: random.Random, infos: Sequence[BatchInfo], size: int, _: int) -> str:
    at = rng.randrange(size // 512 + 1) * 512
    return f"zero {min(at, size - 1)} {min(size, at + 512)}"


def zero_edges(rng: random.Random, infos: Sequence[BatchInfo], size: int, _: int) -> str:
    """From or up to exactly a batch's edge, or exactly some batches."""
    at = _one(rng, infos)
    how = rng.randrange(3)
    if how == 0:
        return f"zero b{at} b{min(len(infos) - 1, at + rng.randrange(3))}.stop"
    if how == 1:
        return f"zero b{at} {min(size, infos[at].start + 512)}"
    return f"zero {max(0, infos[at].stop - 512)} b{at}.stop"


def zero_page(rng: random.Random, infos: Sequence[BatchInfo], size: int, _: int) -> str:
    at = rng.randrange(size // 4096 + 1) * 4096
    return f"zero {min(at, size - 1)} {min(size, at + 4096)}"


def zero_header(rng: random.Random, infos: Sequence[BatchInfo], size: int, _: int) -> str:
    at = _one(rng, infos)
    whole = 61 if infos[at].magic == 2 else 26
    return f"zero b{at} b{at}+{rng.choice((8, 12, 16, 17, 21, whole, rng.randrange(1, whole)))}"


def cut_out(rng: random.Random, infos: Sequence[BatchInfo], size: int, _: int) -> str:
    at = rng.randrange(size)
    return f"delete {at} {min(size, at + rng.choice((1, 2, 4, 12, rng.randrange(1, 300))))}"


def insert(rng: random.Random, infos: Sequence[BatchInfo], size: int, _: int) -> str:
    at = rng.choice((rng.randrange(size), infos[_one(rng, infos)].start))
    count = rng.choice((1, 4, rng.randrange(1, 300)))
    return f"pad {at} {count}" if rng.random() < 0.2 else f"noise {at} {count} {rng.randrange(1 << 30)}"


def delete_batch(rng: random.Random, infos: Sequence[BatchInfo], size: int, _: int) -> str:
    at = _one(rng, infos)
    return f"delete b{at} b{min(len(infos) - 1, at + rng.choice((0, 0, 1, 3)))}.stop"


def duplicate(rng: random.Random, infos: Sequence[BatchInfo], size: int, _: int) -> str:
    at, to = _one(rng, infos), rng.randrange(len(infos))
    if rng.random() < 0.6:
        return f"duplicate b{at} b{min(len(infos) - 1, at + rng.choice((0, 0, 2)))}.stop b{to}.stop"
    start = rng.randrange(size)
    return f"duplicate {start} {min(size, start + rng.randrange(1, 900))} {rng.randrange(size)}"


def splice(rng: random.Random, infos: Sequence[BatchInfo], size: int, other: int) -> str:
    at = rng.choice((rng.randrange(size), infos[_one(rng, infos)].start, rng.randrange(size // 512 + 1) * 512))
    start = rng.randrange(max(1, other))
    if rng.random() < 0.3:
        return f"splice {at} {start}"
    count = rng.choice((512, 4096, rng.randrange(1, 3000)))
    return f"{rng.choice(('graft', 'cover'))} {at} {start} {start + count}"


def scramble(rng: random.Random, infos: Sequence[BatchInfo], size: int, _: int) -> str:
    at = rng.choice((rng.randrange(size), infos[_one(rng, infos)].start))
    return f"scramble {at} {min(size, at + rng.choice((4, 64, 512, rng.randrange(1, 3000))))} {rng.randrange(1 << 30)}"


def truncate(rng: random.Random, infos: Sequence[BatchInfo], size: int, _: int) -> str:
    last = infos[max(0, len(infos) - 1 - rng.randrange(4))]
    return f"cut {rng.choice((rng.randrange(size), rng.randrange(last.start, last.stop), last.start))}"


def add_zeros(rng: random.Random, infos: Sequence[BatchInfo], size: int, _: int) -> str:
    return f"grow {rng.choice((1, 13, 512, 4096, rng.randrange(1, 9000)))}"


def add_garbage(rng: random.Random, infos: Sequence[BatchInfo], size: int, _: int) -> str:
    return f"noise end {rng.choice((1, 13, 100, rng.randrange(1, 4000)))} {rng.randrange(1 << 30)}"


def claim_next(rng: random.Random, infos: Sequence[BatchInfo], size: int, _: int) -> str:
    """A length that claims the next batches too."""
    at = max(0, _one(rng, infos) - 1)
    to = min(len(infos) - 1, at + rng.randrange(1, 4))
    forged = f"field {at} length ={infos[to].stop - infos[at].start - 12}"
    return forged if rng.random() < 0.7 else f"{forged}\nfield {at} crc ^{1 << rng.randrange(32):#x}"


def swap(rng: random.Random, infos: Sequence[BatchInfo], size: int, _: int) -> str:
    at = rng.randrange(max(1, len(infos) - 1))
    to = min(len(infos) - 1, at + rng.choice((1, 1, 2)))
    if at == to:
        return f"xor b{at} 01"
    return f"duplicate b{at} b{at}.stop b{to}.stop\ndelete b{at} b{at}.stop"


def fake_header(rng: random.Random, infos: Sequence[BatchInfo], size: int, _: int) -> str:
    """A sane header that is none: over payload, between batches, or over another header."""
    at = _one(rng, infos)
    place = rng.choice((infos[at].start, rng.randrange(infos[at].start, infos[at].stop)))
    to = infos[min(len(infos) - 1, at + rng.randrange(4))].stop
    magic = infos[at].magic if rng.random() < 0.7 else rng.randrange(3)
    covered = struct.pack(">hiqqqhii", 0, 3, 1, 2, -1, -1, -1, 4) if magic == 2 else struct.pack(">iibb", 5, 7, 1, 0)
    offset = infos[at].base_offset + rng.randrange(3)
    head = struct.pack(">qiib", offset, max(50, to - place - 12), 0, magic) + bytes(4) * (magic == 2) + covered
    return f"{rng.choice(('insert', 'set'))} {place} {head.hex()}"


def host_header(rng: random.Random, infos: Sequence[BatchInfo], size: int, _: int) -> str:
    """The header of the largest batches, which may hold others, in all ways."""
    large = sorted(range(len(infos)), key=lambda i: -infos[i].size)[: max(1, len(infos) // 3)]
    at = rng.choice(large)
    info = infos[at]
    legacy = info.magic < 2
    how = rng.randrange(6)
    if how == 0:
        return f"zero b{at} b{at}+{rng.choice((17, 22, 26) if legacy else (21, 30, 61, 70))}"
    if how == 1:
        return f"scramble b{at} b{at}+{rng.choice((17, 26) if legacy else (21, 61))} {rng.randrange(1 << 30)}"
    if how == 2:
        return f"delete b{at} b{at}+{rng.choice((12, 17, 26, 34) if legacy else (12, 21, 61))}"
    if how == 3:
        return f"field {at} length ^{1 << rng.randrange(16):#x}\nfield {at} crc ^{1 << rng.randrange(32):#x}"
    if how == 4:
        return f"field {at} crc ^{1 << rng.randrange(32):#x}"
    return f"field {at} length ={rng.choice((info.size // 2, info.size - 13, info.size + 40, 49, 22))}"


KINDS: dict[str, Draw] = {
    "flip": flip,
    "base-offset": _field("base_offset"),
    "length": _field("length"),
    "epoch": _field("epoch", "crc"),
    "magic": _field("magic"),
    "crc": _field("crc"),
    "attributes": _field("attributes"),
    "last-delta": _field("delta", "key_length"),
    "timestamps": _field("base_timestamp", "max_timestamp", "key_length"),
    "producer": _field("producer_id", "producer_epoch", "base_sequence", "crc"),
    "count": _field("count", "attributes"),
    "zero-few": zero_few,
    "zero-sector": zero_sector,
    "zero-edges": zero_edges,
    "zero-page": zero_page,
    "zero-header": zero_header,
    "cut-out": cut_out,
    "insert": insert,
    "delete-batch": delete_batch,
    "duplicate": duplicate,
    "splice": splice,
    "scramble": scramble,
    "truncate": truncate,
    "add-zeros": add_zeros,
    "add-garbage": add_garbage,
    "claim-next": claim_next,
    "swap": swap,
    "fake-header": fake_header,
    "host-header": host_header,
}
