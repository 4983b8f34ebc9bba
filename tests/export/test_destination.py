"""Destination: where an output may lie, seen with real inventories."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kafka_salvage.errors import DestinationError, RequestError
from kafka_salvage.export.atomic import Stage
from kafka_salvage.export.destination import refuse_destination
from kafka_salvage.export.options import ExportOptions
from kafka_salvage.scan.replica import take_inventory
from tests.support.build import segment, segment_name


@pytest.fixture
def broker(tmp_path: Path) -> Path:
    directory = tmp_path / "data" / "broker" / "orders-0"
    directory.mkdir(parents=True)
    (directory / segment_name(0)).write_bytes(segment(3)[0])
    (directory.parent / "meta.properties").write_text("version=1\nbroker.id=1\n")
    return directory.parent


def refused(paths: list[Path], out: Path) -> bool:
    inventory = take_inventory([os.fspath(path) for path in paths])
    try:
        refuse_destination(inventory, out, ExportOptions())
    except RequestError:
        return True
    return False


def test_beside_what_was_given_is_fine(broker: Path) -> None:
    assert not refused([broker], broker.parent / "out")
    assert not refused([broker / "orders-0"], broker / "out")
    assert not refused([broker / "orders-0" / segment_name(0)], broker / "orders-0" / "out")


def test_inside_what_was_given_is_refused(broker: Path) -> None:
    assert refused([broker], broker / "out")
    assert refused([broker / "orders-0"], broker / "orders-0" / "a" / "out")
    assert refused([broker.parent], broker.parent / "out")


def test_a_way_around_by_links_is_refused(broker: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(broker)
    assert refused([broker], tmp_path / "link" / "out")
    assert refused([tmp_path / "link"], broker / "out")


def test_a_log_dir_behind_a_link_is_a_source_too(broker: Path, tmp_path: Path) -> None:
    (tmp_path / "roots").mkdir()
    (tmp_path / "roots" / "disk").symlink_to(broker)
    assert refused([tmp_path / "roots"], broker / "out")


def test_evidence_inside_the_output_is_refused(broker: Path) -> None:
    assert refused([broker], broker.parent)
    assert refused([broker / "orders-0"], broker)


def test_nothing_is_made(broker: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    refused([broker], tmp_path / "deep" / "out")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_directory_that_may_not_be_listed_is_told(
    broker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    inventory = take_inventory([os.fspath(broker)])

    def forbidden(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", forbidden)
    with pytest.raises(DestinationError, match="looked at"):
        refuse_destination(inventory, tmp_path / "out", ExportOptions())


@pytest.mark.parametrize("wrong", [{"encoding": "hex"}, {"compress": "lz4"}, {"formats": ()}])
def test_impossible_options_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(RequestError):
        ExportOptions(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("total", "tried", "told"), [(1 << 30, True, True), (1 << 30, False, False), (1 << 20, True, False)]
)
def test_the_disk_is_tried_only_where_somebody_reads_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, total: int, tried: bool, told: bool
) -> None:
    from kafka_salvage.export import estimate

    sizes = [SimpleNamespace(segments=[SimpleNamespace(file=SimpleNamespace(size=total))])]
    inventory: Any = SimpleNamespace(replicas=sizes)
    with Stage(tmp_path / "out") as stage:
        checking, writing = estimate.outlook(inventory, ExportOptions(), stage, tried=tried)
        stage.discard()
    assert (checking.total, writing.total) == (total, total)
    assert (writing.seconds_per_byte is not None) == told
