"""Rows: tables for the library, in order and filtered like a salvage."""

from __future__ import annotations

from pathlib import Path

import pytest

from kafka_salvage.errors import SourceError
from kafka_salvage.export.rows import plan_tables
from kafka_salvage.plan.plan import Transaction
from kafka_salvage.plan.policy import Policy, Selection
from tests.export.scenes import Piece, Scene
from tests.support.build import GZIP, Build


def test_tables_hold_every_record_and_say_where_it_is_from(tmp_path: Path) -> None:
    build = Build().v2(4, codec=GZIP).v2(3, producer_id=4, producer_epoch=0, base_sequence=0, attributes=0x10)
    data, infos = build.marker(commit=True, producer_id=4).wrapper(3, magic=0, codec=GZIP).done()
    scene = Scene(tmp_path / "src").add([Piece(data, infos)], labels={4: Transaction.COMMITTED})
    tables = list(plan_tables(scene.plan()))
    rows = [row for table in tables for row in table.to_pylist()]
    expected = [record for info in infos for record in info.records]
    assert [(row["offset"], row["key"], row["value"]) for row in rows] == [(r.offset, r.key, r.value) for r in expected]
    labels: list[str] = []
    for table in tables:
        assert table.origin is not None
        assert (table.origin.topic, table.origin.partition, table.origin.source) == ("orders", 0, "broker-1")
        assert (table.origin.path, table.origin.verdict) == ("orders-0/00000000000000000000.log", "intact")
        labels += [table.origin.transactions[code] for code in table.origin.transaction[table.batch].tolist()]
    assert labels == ["none"] * 4 + ["committed"] * 3 + ["none"] * 3


def test_tables_obey_the_filters(tmp_path: Path) -> None:
    data, infos = Build().v2(10).v2(10).done()
    scene = Scene(tmp_path / "src").add([Piece(data, infos)], log_start=2)
    tables = plan_tables(scene.plan(Policy(selection=Selection(to_offset=13))))
    assert [offset for table in tables for offset in table.offset.tolist()] == list(range(2, 13))


def test_what_cannot_be_read_again_is_an_error_here(tmp_path: Path) -> None:
    data, infos = Build().v2(10).v2(10).done()
    scene = Scene(tmp_path / "src").add([Piece(data, infos)])
    file = scene.partitions[0].replicas[0].segments[0].segment.file.real
    file.write_bytes(data[: infos[1].start + 70] + b"\xff" + data[infos[1].start + 71 :])
    with pytest.raises(SourceError, match="changed") as caught:
        list(plan_tables(scene.plan()))
    assert caught.value.where == (infos[1].start, infos[1].stop)
