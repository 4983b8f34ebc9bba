"""Tests that run the record and line kernels in another interpreter: fenced, uncompiled, for a plainer CPU."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INTEL = platform.machine() in ("x86_64", "AMD64")
PLAINER = {"NUMBA_CPU_NAME": "x86-64-v2", "NUMBA_CPU_FEATURES": "+sse4.2,+ssse3"} if INTEL else {}


def run(module: str, argument: int, **environment: str) -> None:
    made = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", f"tests.vector.{module}", str(argument)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=280,
        cwd=ROOT,
    )
    assert made.returncode == 0, made.stderr[-2000:]
    assert made.stdout.endswith("done\n")


@pytest.mark.parametrize("environment", [{}, PLAINER], ids=["this-cpu", "plainer-cpu"])
def test_not_a_byte_outside_is_touched(environment: dict[str, str]) -> None:
    run("guarded_records", 4000, **environment)


def test_without_the_compiler_it_says_the_same() -> None:
    run("uncompiled_records", 5, NUMBA_DISABLE_JIT="1")


def test_without_byte_permutes_it_says_the_same() -> None:
    run("uncompiled_records", 1, **PLAINER)
