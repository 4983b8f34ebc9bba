"""A real broker truncates and deletes exactly what `broker_would` foretold, and refuses to start where it said so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kafka_salvage.integrity.broker import broker_would
from kafka_salvage.regions.survey import survey_replica
from kafka_salvage.scan.replica import take_inventory
from tests.broker.cases import CASES, FATAL, place
from tests.support.broker import Cluster, StartFailedError

pytestmark = pytest.mark.broker

Changes = dict[str, tuple[int | None, bool]]
CLEAN_MARKER = ".kafka_cleanshutdown"
FORGOTTEN_SOON = {"broker.session.timeout.ms": "1000", "broker.heartbeat.interval.ms": "100"}
"""Settings: a broker that was killed may register again only after its session, which would be six seconds of waiting each time."""


@pytest.fixture(scope="module")
def cluster(kafka: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("start"), extra=FORGOTTEN_SOON) as made:
        made.start()
        made.create("case", len(CASES))
        made.first.stop()
        yield made


@pytest.fixture(scope="module")
def lonely(kafka: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("alone"), extra=FORGOTTEN_SOON) as made:
        made.start()
        made.create("alone")
        made.first.stop()
        yield made


def _forecast(data: Path, clean: bool) -> dict[str, dict[str, Any]]:
    inventory = take_inventory([str(data)])
    key = "if_clean" if clean else "if_unclean"
    return {r.path.rsplit("/", 1)[-1]: broker_would(survey_replica(r))[key] for r in inventory.replicas}


def _foretold(outcome: dict[str, Any]) -> Changes:
    return {s["path"].rsplit("/", 1)[-1]: (s["truncate_to"], s["deleted"]) for s in outcome["segments"]}


def _logs(directory: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(directory.iterdir()) if ".log" in p.name}


def _observed(before: dict[str, bytes], directory: Path) -> Changes:
    after = _logs(directory)
    new = b"".join(after[name] for name in sorted(after) if name not in before and not name.endswith(".deleted"))
    changes: Changes = {}
    for name, data in before.items():
        lasting = name.removesuffix(".swap")
        if name.endswith((".deleted", ".cleaned")):
            assert name not in after
            changes[name] = (None, True)
        elif f"{name}.deleted" in after and after.get(name, b"") + new == data:
            continue  # split in two, no byte is lost
        elif f"{name}.deleted" in after or lasting not in after or not data.startswith(after[lasting]):
            changes[name] = (None, True)
        elif len(after[lasting]) < len(data):
            changes[name] = (len(after[lasting]), False)
    return changes


def _mark(data: Path, clean: bool) -> None:
    marker = data / CLEAN_MARKER
    if clean:
        marker.write_text('{"version":0,"brokerEpoch":-1}')
    else:
        marker.unlink(missing_ok=True)


@pytest.mark.parametrize("clean", [False, True], ids=["unclean", "clean"])
def test_a_start_changes_exactly_what_was_foretold(cluster: Cluster, clean: bool) -> None:
    data = cluster.first.data
    directories = {name: f"case-{i}" for i, name in enumerate(CASES)}
    for name, directory in directories.items():
        place(data, directory, CASES[name])
    _mark(data, clean)
    forecast = _forecast(data, clean)
    for directory in directories.values():
        if not forecast[directory]["starts"]:  # tried alone below
            place(data, directory, CASES["empty directory"])
    before = {directory: _logs(data / directory) for directory in directories.values()}
    cluster.first.start()
    cluster.first.kill()
    wrong = {}
    for name, directory in directories.items():
        told = _foretold(forecast[directory]) if forecast[directory]["starts"] else {}
        seen = _observed(before[directory], data / directory)
        if told != seen:
            wrong[name] = {"told": told, "seen": seen, "reason": forecast[directory]["reason"]}
    assert not wrong


ALONE = [
    *((name, False) for name in FATAL),
    ("offsets below the name", True),
    ("a base offset in the middle does not fit", True),
    ("foreign control batch", True),
    ("plain batch behind a lost marker", True),
    ("zeros behind the last segment", True),
    ("length too small, recovery point behind it", False),
    ("log start above the end", True),
    ("length too small", True),
]


@pytest.mark.parametrize(("name", "clean"), ALONE)
def test_a_broker_refuses_to_start_where_it_was_foretold(lonely: Cluster, name: str, clean: bool) -> None:
    data = lonely.first.data
    place(data, "alone-0", {**CASES, **FATAL}[name])
    _mark(data, clean)
    outcome = _forecast(data, clean)["alone-0"]
    before = _logs(data / "alone-0")
    try:
        lonely.first.start()
        started = True
    except StartFailedError:
        started = False
    finally:
        lonely.first.kill()
    assert started == outcome["starts"], outcome["reason"]
    if started:
        assert _observed(before, data / "alone-0") == _foretold(outcome)
    else:
        place(data, "alone-0", CASES["empty directory"])
