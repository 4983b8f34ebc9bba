"""Over: going over simply damaged batches gives what judging them one by one gives, to the byte."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kafka_salvage.regions import compact, expanse, shapes
from kafka_salvage.regions import segment as judge
from kafka_salvage.regions.context import SegmentContext, SurveyOptions
from kafka_salvage.regions.hunt import Hunt
from kafka_salvage.regions.index import Index
from kafka_salvage.regions.looking import survey_source
from kafka_salvage.regions.plainly import Plain, to_plain
from kafka_salvage.regions.terrain import Terrain
from kafka_salvage.scan.replica import EvidenceFile, SegmentFile, State, Use
from kafka_salvage.source.files import FileSource
from kafka_salvage.source.memory import MemorySource
from kafka_salvage.source.source import Source
from kafka_salvage.wire.filenames import FileKind, Suffix
from tests.support import bases
from tests.support.build import GZIP, LZ4, NONE, ZSTD, BatchInfo, Build, index_entries, segment
from tests.support.damage import damage
from tests.support.kinds import KINDS

ENTRY = np.dtype([("offset", ">i4"), ("position", ">i4")])


_LEAST: tuple[tuple[Any, str, int], ...] = (
    (Terrain, "many", 1),
    (expanse, "AT_ONCE", 3),
    (compact, "FEW", 1),
    (shapes, "FEW", 1),
)
"""What tells in columns what else is told one by one, and a few at a time."""
_KEPT = {(where, name): getattr(where, name) for where, name, _ in _LEAST}


class Both:
    """Surveys of one file, by the walk that goes over damage and by the one that does not; and told in columns.

    Attributes:
        passed: batches that were gone over, in all.
    """

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self._patch = patch
        self._path = folder / "segment.log"
        self.passed = 0

    def hold(
        self,
        data: bytes,
        *,
        base: int = 0,
        index: bytes = b"",
        context: SegmentContext | None = None,
        options: SurveyOptions | None = None,
        memory: bool = False,
    ) -> Plain:
        """Surveys in both ways, and holds them against each other."""
        entries = np.frombuffer(index, ENTRY)
        order = np.argsort(entries["position"], kind="stable")
        columns = Index(
            entries["position"][order].astype(np.int64), entries["offset"][order].astype(np.int64) + base, ()
        )
        name = f"{base:020d}.log"
        self._path.write_bytes(data)
        file = EvidenceFile("test", name, self._path, len(data), FileKind.SEGMENT, Use.READ)
        one = SegmentFile(file, base, State.LIVE, Suffix.NONE)
        made, regions, findings = [], [], []
        for over, columns_only in ((False, False), (True, False), (True, True)):
            hunts: list[Hunt] = []

            def hunt(*args: object, over: bool = over, hunts: list[Hunt] = hunts) -> Hunt:
                hunts.append(functools.partial(Hunt, over=over)(*args))  # type: ignore[arg-type] # as it was asked for
                return hunts[-1]

            self._patch.setattr(judge, "Hunt", hunt)
            for where, name_of_it, least in _LEAST:
                self._patch.setattr(where, name_of_it, least if columns_only else _KEPT[where, name_of_it])
            source: Source = MemorySource(data, name) if memory else FileSource(self._path)
            try:
                survey = survey_source(
                    source, one, context or SegmentContext(), options or SurveyOptions(), index=columns
                )
            finally:
                source.close()
            if over and not columns_only:
                self.passed += sum(each._went_over for each in hunts)
            regions.append(tuple(survey.regions))
            findings.append(list(survey.findings))
            made.append(to_plain(survey))
        assert regions[2] == regions[1]
        assert findings[2] == findings[1]
        assert json.dumps(made[1], sort_keys=True) == json.dumps(made[0], sort_keys=True)
        return made[1]


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Both:
    return Both(monkeypatch, tmp_path)


def flipped(rng: random.Random, data: bytes, infos: Sequence[BatchInfo], share: float, low: int = 0) -> bytes:
    """A byte changed in each of a share of the batches, from the byte ``low`` on."""
    changed = bytearray(data)
    for info in infos:
        if rng.random() < share:
            changed[rng.randrange(info.start + min(low, info.size - 1), info.stop)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def plain_segment(magic: int, codec: int, count: int, per_batch: int = 10) -> tuple[bytes, list[BatchInfo]]:
    return segment(count, magic=magic, codec=codec, per_batch=per_batch, size=60)


@pytest.mark.parametrize(
    ("magic", "codec"), [(2, NONE), (2, LZ4), (2, ZSTD), (1, NONE), (0, NONE), (1, GZIP), (0, GZIP)]
)
@pytest.mark.parametrize("share", [0.03, 0.5])
@pytest.mark.parametrize("indexed", [False, True])
def test_flipped_bytes(both: Both, magic: int, codec: int, share: float, indexed: bool) -> None:
    rng = random.Random(f"{magic}/{codec}/{share}")
    data, infos = plain_segment(magic, codec, 150, 1 if share > 0.1 else 10)
    for low in (0, 61, 26):
        harmed = flipped(rng, data, infos, share, low)
        both.hold(harmed, index=index_entries(infos, 0, every=3) if indexed else b"")
    assert both.passed


def test_every_second_batch(both: Both) -> None:
    data, infos = plain_segment(2, NONE, 101)
    harmed = bytearray(data)
    for info in infos[1::2]:
        harmed[info.stop - 20] ^= 4
    made = both.hold(bytes(harmed))
    assert both.passed >= 40  # what ends at the end of the data, say, is judged by itself
    assert [region[2] for region in made["regions"]] == [*["intact", "damaged"] * 50, "intact"]


def test_in_memory(both: Both) -> None:
    data, infos = plain_segment(2, NONE, 80)
    both.hold(flipped(random.Random(1), data, infos, 0.3, 61), memory=True)
    assert both.passed


@pytest.mark.parametrize("deep", [False, True])
def test_deep(both: Both, deep: bool) -> None:
    data, infos = plain_segment(2, LZ4, 90)
    both.hold(flipped(random.Random(2), data, infos, 0.2, 61), options=SurveyOptions(deep=deep))
    assert both.passed


def test_a_batch_in_a_batch(both: Both) -> None:
    """A value that holds batches, in a batch that is damaged elsewhere; and sizes that tell the batches behind as one."""
    inner = segment(2, base=30)[0]
    build = Build()
    for n in range(40):
        if n % 4 == 1:
            build.v2(3, values=[b"x", inner, b"y"])
        elif n % 4 == 2:
            build.v2(2, values=[b"x", None])
        else:
            build.v2(5)
    data, infos = build.done()
    rng = random.Random(3)
    for _ in range(6):
        both.hold(flipped(rng, data, infos, 0.4, 61))
    assert both.passed


def test_a_size_before_the_next_batch(both: Both) -> None:
    """The last bytes of a damaged batch tell exactly the sizes of the batches behind it."""
    data, infos = plain_segment(2, NONE, 30)
    for members in range(1, 5):
        for at in (5, 20):
            harmed = bytearray(data)
            told = infos[at + members].stop - infos[at].stop
            harmed[infos[at].stop - 4 : infos[at].stop] = told.to_bytes(4, "big")
            harmed[infos[at + 6].start + 70] ^= 1
            harmed[infos[-2].start + 70] ^= 1
            both.hold(bytes(harmed))
            harmed[infos[at + members].stop + 75] ^= 1
            both.hold(bytes(harmed))
    assert both.passed


def test_a_length_that_ends_at_a_guest(both: Both) -> None:
    """A length forged to end at the first of some batches in the last header of a batch: the host is proved, not they."""
    guests = b"".join(segment(1, base=23 + n * 10)[0] for n in range(3))
    build = Build()
    for n in range(12):
        build.v2(10) if n != 2 else build.v2(3, values=[b"x", b"y", guests])
    data, infos = build.done()
    host, at = infos[2], data.index(guests)
    forged = bytearray(data)
    forged[host.start + 8 : host.start + 12] = (at - host.start - 12).to_bytes(4, "big")
    made = both.hold(bytes(forged))
    assert [patch[0] for patch in made["patches"]] == [host.start + 8]
    assert [region[2] for region in made["regions"]] == ["intact", "repaired", "intact"]


@pytest.mark.parametrize("name", sorted(bases.made()))
def test_campaign_damage(both: Both, name: str) -> None:
    """Damages of all kinds, several to a file, some of them adjacent."""
    base, rng = bases.made()[name], random.Random(name)
    kinds = list(KINDS)
    for number in range(24):
        chosen = base.segments[number % len(base.segments)]
        data, infos = base.inner[chosen], base.batches[chosen]
        draws = [kinds[number % len(kinds)], *rng.sample(kinds, number % 3), *["flip"] * (number % 5)]
        recipe = "\n".join(KINDS[kind](rng, infos, len(data), len(base.other)) for kind in draws)
        harmed = damage(data, infos, recipe, base.other).data
        index = base.inner[chosen.replace(".log", ".index")] if number % 2 else b""
        later = [int(n.split(".")[0]) for n in base.segments if n > chosen]
        context = SegmentContext(next_base=min(later, default=None), compacted=(None, True, False)[number % 3])
        both.hold(harmed, base=int(chosen.split(".")[0]), index=index, context=context)
