"""A broker for this folder; without Java or Maven the tests here are skipped, loudly (with CI=true they fail)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import jars
from tests.support.cluster import Security, Trio

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


@pytest.fixture(scope="session")
def trio(kafka: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    """Three brokers that several tests share; each with topics of its own."""
    with Trio(tmp_path_factory.mktemp("trio")) as cluster:
        cluster.start()
        yield cluster


@pytest.fixture(scope="session")
def secured(kafka: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    """A broker with TLS, logins and ACLs on its second listener, shared in the same way."""
    directory = tmp_path_factory.mktemp("secured")
    with Trio(directory / "nodes", 1, security=Security("SASL_SSL", directory / "certificates")) as cluster:
        cluster.start()
        yield cluster


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _why:
        terminalreporter.section("NOT TESTED AGAINST A REAL BROKER", sep="!", red=True, bold=True)
        terminalreporter.write_line(f"tests/broker was skipped: {_why[0]}", red=True)
