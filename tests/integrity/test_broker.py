"""The forecast of a broker start agrees with what real brokers did, file by file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kafka_salvage.integrity.broker import broker_would
from kafka_salvage.regions.runs import ReplicaSurvey
from kafka_salvage.regions.survey import survey_replica
from kafka_salvage.scan.replica import Replica, State
from kafka_salvage.source.opening import open_source
from tests.broker.cases import CASES, FATAL, ORDERS, Case, batch, copy_base, log, payload, place
from tests.support.corpus import scene
from tests.support.cut import CLEAN
from tests.support.surveys import headers, replica_of, survey_by_hand

Surveyor = Callable[[Replica], ReplicaSurvey]
Changes = dict[str, list[Any]]

RECORDED: dict[str, dict[str, Changes | None]] = json.loads(Path(__file__).with_name("real_starts.json").read_text())[
    "starts"
]
"""What a Kafka 4.1.1 broker did with each case (null: it did not start); tests/broker/test_start.py tries it anew."""
SURVEYORS: dict[str, Surveyor] = {"judged": survey_replica, "by hand": survey_by_hand}


def _changes(outcome: dict[str, Any]) -> Changes:
    return {s["path"].rsplit("/", 1)[-1]: [s["truncate_to"], s["deleted"]] for s in outcome["segments"]}


def _made(tmp_path: Path, case: Case) -> Replica:
    (tmp_path / "case-0").mkdir()
    place(tmp_path, "case-0", case)
    (tmp_path / "case-0" / "partition.metadata").write_text("version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ")
    return replica_of(tmp_path, "case-0")


@pytest.mark.parametrize("surveyor", SURVEYORS)
@pytest.mark.parametrize("name", [*CASES, *FATAL])
def test_the_forecast_is_what_a_real_broker_did(tmp_path: Path, name: str, surveyor: str) -> None:
    would = broker_would(SURVEYORS[surveyor](_made(tmp_path, {**CASES, **FATAL}[name])))
    for key, start in (("if_clean", "clean"), ("if_unclean", "unclean")):
        recorded = RECORDED[name][start]
        assert would[key]["starts"] == (recorded is not None), would[key]["reason"]
        if recorded is not None:
            assert _changes(would[key]) == recorded, would[key]["reason"]


def _apply(directory: Path, edits: list[dict[str, Any]], file: Path) -> None:
    data = bytearray(file.read_bytes())
    for edit in edits:
        at = edit["position"]
        if "truncatedFrom" in edit:
            del data[at:]
            continue
        after = edit["after"]
        new = bytes(int(after.split()[0])) if after.endswith("bytes of 00") else bytes.fromhex(after)
        data[at : at + len(new)] = new
    file.write_bytes(data)


def _eaten() -> dict[str, Any]:
    try:
        return dict(json.loads((scene("modern-1", "eaten") / "cases.json").read_text()))
    except pytest.skip.Exception:
        return {}


@pytest.mark.corpus
def test_nine_damages_of_the_corpus_are_foretold(tmp_path: Path) -> None:
    origin = scene("modern-1", "eaten")
    cases = _eaten()
    assert len(cases) == 9
    for name, case in cases.items():
        data = tmp_path / name
        data.mkdir()
        shutil.copytree(origin / "before" / "events-0", data / "events-0")
        for file in (origin / "before").glob("*-checkpoint"):
            shutil.copyfile(file, data / file.name)
        damage = case["damage"]
        if damage:
            _apply(data, damage["edits"], data / damage["file"])
        if case["recoveryPointCheckpoint"] == "deleted":
            (data / "recovery-point-offset-checkpoint").unlink()
        outcome = broker_would(survey_replica(replica_of(data, "events-0")))["if_unclean"]
        expected: Changes = {n: [None, True] for n in case["deleted"] if n.endswith(".log")}
        expected |= {n: [sizes[1], False] for n, sizes in case["resized"].items() if n.endswith(".log")}
        assert outcome["starts"] == case["brokerStarted"], name
        assert _changes(outcome) == expected, name
        lost = outcome["intact_records_destroyed"] + outcome["damaged_records_discarded"]
        assert lost == case["recordsLost"], (name, outcome)


def test_records_behind_the_damage_are_counted(tmp_path: Path) -> None:
    (tmp_path / "case-0").mkdir()
    copy_base(ORDERS, tmp_path / "case-0")
    rows = [row for file in sorted((tmp_path / "case-0").glob("*.log")) for row in headers(file.read_bytes())[0]]
    damaged = batch(log(tmp_path / "case-0", 2), 40)
    payload(2, 40)(tmp_path / "case-0")
    outcome = broker_would(survey_replica(replica_of(tmp_path, "case-0")))["if_unclean"]
    assert outcome["intact_records_destroyed"] == sum(r["records"] for r in rows if r["first"] > damaged["last"])
    assert outcome["damaged_records_discarded"] == damaged["records"]
    assert "is cut at byte 22080" in outcome["reason"]


def test_a_missing_recovery_point_is_assumed_to_be_zero(tmp_path: Path) -> None:
    would = broker_would(survey_by_hand(_made(tmp_path, CASES["untouched"])))
    assert (would["release"], would["recovery_point"], would["assumed"]) == ("4.1", 0, True)


def test_a_recovery_point_that_is_there_is_named(tmp_path: Path) -> None:
    would = broker_would(survey_replica(_made(tmp_path, CASES["payload bit, recovery point behind it"])))
    assert (would["recovery_point"], would["assumed"]) == (1240, False)
    assert "goes unnoticed, since it lies below the recovery point 1240" in would["if_unclean"]["reason"]
    assert "goes unnoticed" in would["if_clean"]["reason"]


def test_healthy_segments_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log_dir = CLEAN / "cluster" / "broker-1"
    names = ("orders-0", "payments-1", "profiles-0", "trimmed-0", "audit.events_v1-0")
    surveys = [survey_replica(replica_of(log_dir, name)) for name in names]

    def refuse(path: Path, name: str = "") -> Any:
        if str(path).endswith(".log"):
            raise AssertionError(f"{path} was opened")
        return open_source(path, name)

    for module in ("broker", "loader_segment"):
        monkeypatch.setattr(f"kafka_salvage.integrity.{module}.open_source", refuse)
    for survey in surveys:
        would = broker_would(survey)
        for key in ("if_clean", "if_unclean"):
            assert (would[key]["starts"], would[key]["segments"]) == (True, []), would[key]["reason"]


def test_a_directory_of_a_deleted_topic_is_removed_whole(tmp_path: Path) -> None:
    survey = survey_by_hand(_made(tmp_path, CASES["untouched"]))
    gone = replace(survey, replica=replace(survey.replica, state=State.DELETED_TOPIC))
    outcome = broker_would(gone)["if_clean"]
    assert [s["deleted"] for s in outcome["segments"]] == [True] * 5
    assert outcome["intact_records_destroyed"] == 1240


def test_a_segment_above_two_gibibytes_stops_the_broker(tmp_path: Path) -> None:
    survey = survey_by_hand(_made(tmp_path, CASES["untouched"]))
    first = survey.segments[0]
    huge = replace(first, segment=replace(first.segment, file=replace(first.segment.file, size=1 << 31)))
    outcome = broker_would(replace(survey, segments=(huge, *survey.segments[1:])))["if_clean"]
    assert not outcome["starts"]
    assert "larger than 2147483647 bytes" in outcome["reason"]


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("", True),
        ("0\n", True),
        ("0\n0\n", True),
        ("0\n1\n0 250\n", True),
        ("0\n1\n0\t250\n", True),
        ("1\n0\n", False),
        ("zero\n0\n", False),
        ("0\nx\n", False),
        ("0\n1\n0 250 1\n", False),
        ("0\n1\n0 99999999999999999999\n", False),
        ("0\n1\n9999999999 250\n", False),
        ("0\n2\n0 250\n", False),
        ("0\n1\n0 250\n\n", False),
    ],
)
def test_an_epoch_file_that_kafka_cannot_read_stops_the_broker(tmp_path: Path, text: str, starts: bool) -> None:
    replica = _made(tmp_path, Case(lambda d: (d / "leader-epoch-checkpoint").write_text(text)))
    assert broker_would(survey_by_hand(replica))["if_clean"]["starts"] == starts
