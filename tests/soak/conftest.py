"""Room for gigabytes: what a test made is gone when it ends, and what a killed run left when the next one begins."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.leftovers import discard, named, sweep

_KINDS = ("soak", "long")


def pytest_configure(config: pytest.Config) -> None:
    """Temporary files go to a directory that tells whose it is; only where these tests alone are run."""
    for kind in _KINDS:
        sweep(kind)
    if config.option.basetemp is None:
        config.option.basetemp = tempfile.mkdtemp(prefix=named("soak"))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Takes that directory away."""
    place = Path(config.option.basetemp or "")
    if place.name.startswith(named("soak")):
        discard(place)


@pytest.fixture(autouse=True)
def _emptied(tmp_path: Path) -> Iterator[None]:
    yield
    discard(tmp_path)
