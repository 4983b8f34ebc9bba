"""ArrowSink: IPC files read back by libraries that are not ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from kafka_salvage.export import arrow
from kafka_salvage.export.blocks import SCHEMA
from tests.export.scenes import Piece, Scene
from tests.export.sink_tests import SinkTests
from tests.support.build import Build

FILE = "arrow/orders/0.arrow"


def read(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
        return file.read_all()


class TestArrow(SinkTests):
    format = "arrow"

    def offsets(self, out: Path) -> dict[str, list[int]]:
        return {
            path.relative_to(out).as_posix(): read(path)["offset"].to_pylist()
            for path in sorted(out.glob("**/arrow/*/*.arrow"))
        }


def written(tmp_path: Path, build: Build) -> Path:
    data, infos = build.done()
    Scene(tmp_path / "src").add([Piece(data, infos, base=build.base)]).write(tmp_path / "out", formats=("arrow",))
    return tmp_path / "out" / FILE


def test_null_is_not_empty(tmp_path: Path) -> None:
    path = written(tmp_path, Build().v2(4, values=[b"", None, b"\x00", b"x"]))
    assert read(path)["value"].to_pylist() == [b"", None, b"\x00", b"x"]
    assert pl.read_ipc(path)["value"].to_list() == [b"", None, b"\x00", b"x"]


def test_record_batches_are_bounded_and_all_of_one_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = arrow.ArrowWriter.__init__

    def init(self: Any, line: Any, setting: Any) -> None:
        made(self, line, setting, 10_000)

    monkeypatch.setattr(arrow.ArrowWriter, "__init__", init)
    build = Build().v2(60).v2(60)
    sizes = [len(record.key or b"") + len(record.value or b"") + 128 for info in build.infos for record in info.records]
    path = written(tmp_path, build)
    with pa.ipc.open_file(path) as file:
        counts = [file.get_batch(i).num_rows for i in range(file.num_record_batches)]
        assert len(counts) > 1
        for start, count in zip(np.cumsum([0, *counts[:-1]]).tolist(), counts, strict=True):
            assert (
                sum(sizes[start : start + count])
                <= 10_000
                < sum(sizes[start : start + count + 1]) + 10_000 * (start + count == 120)
            )
        assert file.schema.remove_metadata() == SCHEMA


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    path = written(tmp_path, Build(base=5).v2(7))
    facts = json.loads(read(path).schema.metadata[b"kafka_salvage"])
    assert facts["version"].count(".") == 2
    assert (facts["topic"], facts["partition"], facts["offsets"]) == ("orders", 0, [5, 12])
    assert [source["path"] for source in facts["sources"]] == ["orders-0/00000000000000000005.log"]
