"""Renderer: its lines equal those of the obvious reference, whatever the records hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.export.render import Renderer
from kafka_salvage.export.sink import RecordChunk
from kafka_salvage.plan.plan import Step
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.records import decode
from kafka_salvage.scan.replica import State
from kafka_salvage.scan.walk import walk
from kafka_salvage.source.memory import MemorySource
from tests.export.plain_lines import PlainLines
from tests.export.scenes import Piece, survey_of
from tests.support.build import GZIP, Build, Rec, v2_batch

DATA = st.none() | st.binary(max_size=40) | st.text(max_size=20).map(str.encode)
HEADERS = st.lists(st.tuples(st.binary(max_size=6) | st.text(max_size=6).map(str.encode), DATA), max_size=3).map(tuple)
RECORDS = st.lists(st.tuples(DATA, DATA, HEADERS, st.integers(-1, 2**41)), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("render")


def chunks(root: Path, build: Build, *, source: str = "b", codes: int = 5) -> list[RecordChunk]:
    data, infos = build.done()
    survey = survey_of(root, source, "orders-0", Piece(data, infos))
    step = Step(survey, 0, len(data), OffsetRange(0, 1 << 40), Verdict.REPAIRED, State.LIVE, "only copy")
    made: list[RecordChunk] = []
    memory = MemorySource(data)
    for block in walk(memory):
        for decoded in decode(memory, block.batches, chunk=300):
            labels = np.arange(len(decoded.table.batches)) % codes
            made.append(RecordChunk(step, decoded.table, labels.astype(np.int8)))
    return made


@given(RECORDS, st.sampled_from(["base64", "utf8"]), st.booleans())
def test_lines_equal_the_reference(root: Path, contents: list[tuple[bytes | None, ...]], how: str, mask: bool) -> None:
    build = Build()
    for key, value, headers, timestamp in contents:
        at = build.next_offset
        record = Rec(at, timestamp, key, value, headers)  # type: ignore[arg-type]
        data = v2_batch(at, [record], producer_id=at, producer_epoch=2, base_sequence=at)
        build.add(data, magic=2, first=at, last=at, records=[record])
    build.wrapper(3, magic=0, codec=GZIP).legacy(magic=1)
    fast, plain = (kind('t"ö\n', 7, how, mask_secrets=mask) for kind in (Renderer, PlainLines))
    for chunk in chunks(root, build, source="ß\\"):
        assert b"".join(fast.lines(chunk)) == b"".join(plain.lines(chunk))


@pytest.mark.parametrize("size", [1, 400, 9000])
def test_pieces_of_any_size_give_the_same_lines(root: Path, size: int) -> None:
    build = Build().v2(200, headers=True).v2(100, codec=GZIP)
    (whole, *_rest) = chunks(root, build)
    expected = b"".join(Renderer("t", 0, "base64").lines(whole))
    texts = list(Renderer("t", 0, "base64", piece=size).lines(whole))
    assert b"".join(texts) == expected
    assert len(texts) > 5
    assert all(bytes(text).endswith(b"}\n") for text in texts)
