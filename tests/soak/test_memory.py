"""Memory at full scale: segments as large as Kafka makes them, batches as large as anyone sends, two million tiny ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.promise import CASES, hold

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("name", CASES)
def test_the_promise_holds(name: str, tmp_path: Path) -> None:
    for words, mib in hold(name, tmp_path, full=True).items():
        sys.stdout.write(f"{name}: {words}: {mib} MiB\n")
