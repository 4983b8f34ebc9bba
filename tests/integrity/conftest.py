"""What tests of the report share: surveys without files have no forecast of a broker start."""

from __future__ import annotations

from typing import Any

import pytest

NOTHING: dict[str, Any] = {
    "release": "4.1",
    "if_clean": {"starts": True, "segments": []},
    "if_unclean": {
        "starts": True,
        "reason": "",
        "segments": [],
        "intact_records_destroyed": 0,
        "damaged_records_discarded": 0,
    },
}


@pytest.fixture
def no_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kafka_salvage.integrity.report.broker_would", lambda survey: NOTHING)
