"""Kernels equal their oracles in every variant, touch no byte beyond, and compile only when they are called."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kafka_salvage.vector.target import VARIANTS, available
from tests.support.corpus import ROOT


def run(module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", module, *arguments]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "KAFKA_SALVAGE_"))}
    return subprocess.run(
        command, cwd=ROOT, env=kept | environment, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_agrees_with_the_oracles(variant: str) -> None:
    if variant not in available():
        pytest.skip(f"this CPU has no {variant}")
    done = run("tests.vector.checks", KAFKA_SALVAGE_CRC=variant)
    assert (done.returncode, done.stdout) == (0, f"{variant}\n"), done.stderr


def test_the_same_functions_run_without_numba() -> None:
    done = run("tests.vector.checks", "--small", NUMBA_DISABLE_JIT="1")
    assert (done.returncode, done.stdout) == (0, "table\n"), done.stderr


def test_a_generic_cpu_gets_the_table() -> None:
    """Asking for more than the target has must not kill the process."""
    done = run("tests.vector.checks", "--small", NUMBA_CPU_NAME="generic", KAFKA_SALVAGE_CRC="avx512")
    assert (done.returncode, done.stdout) == (0, "table\n"), done.stderr


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_kernel_touches_a_byte_beyond_its_own(variant: str) -> None:
    if variant not in available():
        pytest.skip(f"this CPU has no {variant}")
    done = run("tests.vector.guarded", KAFKA_SALVAGE_CRC=variant)
    assert done.returncode == 0, done.stderr


def test_the_fence_kills_whoever_crosses_it() -> None:
    done = run("tests.vector.guarded", "--trespass")
    assert done.returncode == -signal.SIGSEGV


_IMPORT = """
import pkgutil, importlib, kafka_salvage.vector as folder
for found in pkgutil.iter_modules(folder.__path__):
    importlib.import_module(f"kafka_salvage.vector.{found.name}")
from kafka_salvage.vector import cache
print(len(cache.KERNELS) > 20, cache.ORIGIN)
"""

_USE = """
import sys
import numpy as np
from kafka_salvage.vector import crc, framing, finding, cache
from kafka_salvage.scan.walk import walk
from kafka_salvage.scan.resync import find_candidates, Sanity
from kafka_salvage.source.memory import MemorySource
from tests.vector.checks import sample
source = MemorySource(sample())
list(walk(source)), list(walk(source, 1)), find_candidates(source, 1, source.size, source.size, Sanity(40, 1 << 31))
crc.crc32c(b"a"), crc.crc32c(np.zeros(3, np.uint8), 7)
names = ("framing.follow-", "framing.follow_usual-", "finding.find-", "finding.trace-", "finding.describe-", "crc._fast-")
ways = {origin for name, origin in cache.ORIGIN.items() if name.startswith(names)}
print(len([name for name in cache.ORIGIN if name.startswith(names)]), ways, "numba" in sys.modules)
"""
_HERE, _BESIDE, _KEPT = "6 {'made here'} True", "6 {'made beside'} False", "6 {'kept'} False"


def python(code: str, **environment: str) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "KAFKA_SALVAGE_"))}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=kept | environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_importing_compiles_nothing() -> None:
    assert python(_IMPORT, KAFKA_SALVAGE_CACHE="") == "True {}"


def test_each_kernel_is_compiled_once_and_comes_from_the_cache(tmp_path: Path) -> None:
    place = {"KAFKA_SALVAGE_CACHE": str(tmp_path)}
    assert python(_USE, **place) == _BESIDE
    assert python(_USE, **place) == _KEPT
    for stored in tmp_path.rglob("*-*[0-9]"):  # a torn cache is a miss
        if stored.is_file():
            stored.write_bytes(stored.read_bytes()[:100])
    assert python(_USE, **place) == _BESIDE
    assert python(_USE, **place) == _KEPT


def test_kernels_of_old_versions_are_forgotten_after_a_month(tmp_path: Path) -> None:
    for name, days in (("kernels-old", 31), ("kernels-young", 29), ("other", 99)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - days * 86400,) * 2)
    code = "from kafka_salvage.vector.cache import cache_directory; print(cache_directory())"
    made = Path(python(code, KAFKA_SALVAGE_CACHE=str(tmp_path)))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([made.name, "kernels-young", "other"])


@pytest.mark.parametrize("place", ["", "/proc/none/of/this", "/dev/null"])
def test_a_cache_that_cannot_be_written_is_no_error(place: str) -> None:
    assert python(_USE, KAFKA_SALVAGE_CACHE=place) == _HERE
