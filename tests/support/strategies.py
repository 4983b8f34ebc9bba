"""Strategies: segments of every magic and codec, and recipes of structured damage, for Hypothesis."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from tests.support.build import CODECS, LEGACY_CODECS, BatchInfo, Build

KINDS = [(2, codec) for codec in CODECS] + [(magic, codec) for magic in (0, 1) for codec in LEGACY_CODECS]
"""The thirteen pairs of magic and codec."""


@dataclass(frozen=True)
class Segment:
    """A generated segment."""

    kind: tuple[int, int]
    base: int
    data: bytes
    infos: tuple[BatchInfo, ...]


def plain_segment(kind: tuple[int, int], base: int, batches: int = 12) -> Segment:
    """A dense segment of one kind; leader epochs rise every five batches in magic 2."""
    build = Build(base=base, size=60)
    for at in range(batches):
        if kind[0] == 2:
            build.v2(8, codec=kind[1], epoch=at // 5, headers=at % 3 == 0)
        elif kind[1] == 0:
            build.legacy(magic=kind[0])
        else:
            build.wrapper(6, magic=kind[0], codec=kind[1])
    data, infos = build.done()
    return Segment(kind, base, data, tuple(infos))


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    """Dense segments of all kinds."""
    kind = draw(st.sampled_from(KINDS))
    return plain_segment(kind, draw(st.sampled_from([0, 7, 1000, 70_000, 1 << 33])), draw(st.integers(3, 14)))


@st.composite
def edits(draw: st.DrawFn, segment: Segment) -> str:
    """One edit of any kind."""
    infos, size = segment.infos, len(segment.data)
    batch = draw(st.integers(0, len(infos) - 1))
    at = draw(st.integers(0, size - 1))
    length = draw(st.integers(1, 600))
    seed = draw(st.integers(0, 1 << 16))
    field = st.sampled_from(
        [
            *(f"field {batch} length {v}" for v in ("0x7fffffff", "0", "5", "=-1", "^1", "^256", "+7", "-9")),
            *(f"field {batch} base_offset {v}" for v in ("^1", "^0x100", "^0x40000000000", "0", "+1000", "-3")),
            *(f"field {batch} magic {v}" for v in ("0", "1", "2", "7", "=-1")),
            f"field {batch} crc ^{seed + 1}",
            f"field {batch} length +{infos[min(batch + 1, len(infos) - 1)].size}",
            *(f"field {batch} {v}" for v in (("epoch ^1", "epoch +100", "epoch =-5") if segment.kind[0] == 2 else ())),
        ]
    )
    sector = at // 512 * 512
    return draw(
        st.one_of(
            field,
            st.sampled_from(
                [
                    f"xor {at} {1 << seed % 8:02x}",
                    f"zero {sector} {min(size, sector + 512)}",
                    f"zero b{batch} b{batch}.stop",
                    f"zero b{batch} b{batch}+{length % 40 + 1}",
                    f"scramble {at} {min(size, at + length)} {seed}",
                    f"scramble b{batch} b{batch}+17 {seed}",
                    f"cut {at + 1}",
                    f"pad {at} {length}",
                    f"noise {at} {length} {seed}",
                    f"delete {at} {min(size, at + length)}",
                    f"delete b{batch} b{batch}.stop",
                    f"duplicate {sector} {min(size, sector + length)} {at}",
                    f"grow {length}",
                ]
            ),
        )
    )


@st.composite
def damaged_segments(draw: st.DrawFn, most: int = 3) -> tuple[Segment, str]:
    """A segment and a recipe of one to ``most`` edits."""
    segment = draw(segments())
    count = draw(st.integers(1, most))
    return segment, "\n".join(draw(edits(segment)) for _ in range(count))
