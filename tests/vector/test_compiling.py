"""Kernels are compiled by a shorter way than Numba's own and loaded without it; both are shown here to make no difference."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.corpus import ROOT

_WALK = """
import sys
{before}
import numpy as np
from kafka_salvage.scan.walk import Fold, walk_folded
from kafka_salvage.source.memory import MemorySource
from kafka_salvage.vector import crc
from tests.scan.test_folding import log
print(crc.crc32c_table(b"123456789"))  # a wrapper with a path for errors comes first
blocks = list(walk_folded(MemorySource(log(300)), 0, Fold(np.empty(0, np.int64))))
told = [block.batches.row(at) for block in blocks for at in range(len(block.batches))]
print(told, blocks[-1].stop, crc.crc32(b"123456789"), crc.crc32c(b"123456789"))
{after}
"""
_OWN_WAY = "from kafka_salvage.vector import compiling; compiling.PIPELINES = None"
_LOADED = 'print("numba" in sys.modules, "llvmlite.binding" in sys.modules, file=sys.stderr)'


def walked(cache: Path | None, *, before: str = "", after: str = "") -> tuple[str, str]:
    """What a fresh process prints."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "KAFKA_SALVAGE_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _WALK.format(before=before, after=after)],
        cwd=ROOT,
        env=kept | {"KAFKA_SALVAGE_CACHE": str(cache or "")},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    return done.stdout, done.stderr.strip()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kernels")


def test_a_warm_process_imports_nothing_that_compiles(cache: Path) -> None:
    cold = walked(cache, after=_LOADED)
    warm = walked(cache, after=_LOADED)
    assert (cold[1], warm[1]) == ("False False", "False False")
    assert warm[0] == cold[0]
    assert str(0xE3069283) in cold[0]  # the check value of CRC-32C
    assert str(0xCBF43926) in cold[0]  # that of zlib's CRC-32


def test_where_numba_is_another_its_own_way_gives_the_same(cache: Path) -> None:
    assert walked(None, before=_OWN_WAY)[0] == walked(cache)[0]
