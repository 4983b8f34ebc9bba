"""Batches whose fate is known although their marker is lost: a broker would come to another fate, so they stay apart."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

import kafka_salvage
from tests.plan.test_versions import FATES, HOME, LOG, TRUTH, home, hurt
from tests.support.bases import parse

KEYS = {row["offset"]: row["key"] for row in TRUTH["records"]}
OURS = {offset for offset, key in KEYS.items() if "-A-" in key}
TRANSACTIONAL, CONTROL = 0x10, 0x20


def markers() -> list[int]:
    """Numbers of the batches that are markers of producer A."""
    data = (HOME / "pay-0" / LOG).read_bytes()
    infos = parse(data)
    (producer,) = {data[i.start + 43 : i.start + 51] for i in infos if i.base_offset in OURS}
    return [n for n, i in enumerate(infos) if i.control and data[i.start + 43 : i.start + 51] == producer]


def written(place: Path) -> dict[int, bool]:
    """Offset of each data record in a log directory -> whether it is transactional."""
    found: dict[int, bool] = {}
    for path in sorted(place.glob("*.log")):
        data = path.read_bytes()
        for info in parse(data):
            (attributes,) = struct.unpack_from(">h", data, info.start + 21)
            if not attributes & CONTROL:
                found |= dict.fromkeys(range(info.base_offset, info.last_offset + 1), bool(attributes & TRANSACTIONAL))
    return found


@pytest.mark.parametrize("undecided", ["withhold", "keep", "strip"])
def test_what_a_broker_would_misread_is_not_loaded(tmp_path: Path, undecided: str) -> None:
    """All markers of one producer are lost; its coordinator tells how each transaction ended."""
    place = hurt(home(tmp_path / "in", "index"), *markers())
    out = tmp_path / "out"
    kafka_salvage.salvage([place], out=out, formats=["segments", "jsonl"], topic="pay", undecided=undecided)
    with (out / "jsonl" / "pay" / "0.jsonl").open() as stream:
        labels = {row["offset"]: row["_salvage"]["transaction"] for row in map(json.loads, stream)}
    assert {offset: labels[offset] for offset in OURS} == {offset: FATES[offset] for offset in OURS}
    loaded, aside = written(out / "segments" / "pay-0"), written(out / "segments-undecided" / "pay-0")
    assert loaded.keys() | aside.keys() == FATES.keys()
    aborted = {offset for offset in OURS if FATES[offset] == "aborted"}
    committed = {offset for offset in OURS if FATES[offset] == "committed"}
    assert aborted
    assert not aborted & loaded.keys()
    assert committed <= (aside if undecided == "withhold" else loaded).keys()
    if undecided == "strip":
        assert not any(loaded[offset] for offset in committed)
    assert kafka_salvage.verify(out).exit_code == 0
