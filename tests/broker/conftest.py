"""A broker for this folder; without Java or Maven the tests here are skipped, loudly (with CI=true they fail)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import jars

_why: list[str] = []


@pytest.fixture(scope="session")
def kafka() -> Path:
    """Directory with Kafka's jars."""
    try:
        jars.java()
        return jars.jars()
    except jars.UnavailableError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no Kafka broker can run here: {error}")
        _why.append(str(error))
        pytest.skip(f"no Kafka broker can run here: {error}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _why:
        terminalreporter.section("NOT TESTED AGAINST A REAL BROKER", sep="!", red=True, bold=True)
        terminalreporter.write_line(f"tests/broker was skipped: {_why[0]}", red=True)
