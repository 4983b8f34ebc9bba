"""What the command line imports: before it has anything to do, and where its kernels are compiled already."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

from tests.support.build import Rec, segment_name, v2_batch

ALLOWED = {"click", "kafka_salvage", "typing_extensions"}
COMPILERS = ("numba", "llvmlite.binding")
NEEDLESS = ("numpy.ma", "numpy.random", "numpy.fft", "numpy.polynomial", "numpy.testing", "pyarrow", "confluent_kafka",
            "aiokafka", "yaml", "asyncio", "unittest", "multiprocessing", "http", "xml")  # fmt: skip
"""What no command over small evidence has a use for."""
_ROOMS = "kafka_salvage."
_NOT_OF: dict[str, tuple[str, ...]] = {
    "check": ("export.jsonl", "export.replay", "export.rows", "integrity.comparison", "metadata.positions"),
    "check --deep": ("export.jsonl", "export.replay", "export.rows", "integrity.comparison", "metadata.positions"),
    "show": ("api", "export", "metadata", "plan.merge", "regions", "integrity.report"),
    "show --records --json": ("api", "export", "metadata", "plan.merge", "regions", "integrity.report"),
    "salvage": ("export.replay", "export.parquet", "export.arrow", "integrity.comparison", "metadata.positions"),
}
"""Rooms and modules of ours that a command does without."""


def _run(code: str) -> set[str]:
    program = (
        f"import sys, json\nbefore = set(sys.modules)\n{code}\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def _imported(code: str) -> set[str]:
    names = {name.split(".")[0] for name in _run(code)}
    return {name for name in names if name not in sys.stdlib_module_names}


def _under(names: Collection[str], tops: Collection[str]) -> set[str]:
    """Those names that are one of the others, or lie in it."""
    return {name for name in names for top in tops if name == top or name.startswith(f"{top}.")}


def test_help_imports_nothing_heavy() -> None:
    extra = _imported("from kafka_salvage.cli.main import run\nrun(['--help'])") - ALLOWED
    assert not {name for name in extra if not name.startswith("_")}


def test_importing_the_package_imports_nothing_else() -> None:
    assert _imported("import kafka_salvage") == {"kafka_salvage"}


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    place = tmp_path / "orders-0"
    place.mkdir()
    batches = [v2_batch(at, [Rec(at, 1, b"k", b"v" * 300)], codec=codec) for at, codec in enumerate((0, 4, 0))]
    (place / segment_name(0)).write_bytes(b"".join(batches))
    return place


@pytest.mark.parametrize("words", _NOT_OF)
def test_a_command_whose_kernels_are_compiled_imports_no_compiler(words: str, evidence: Path) -> None:
    named = [*words.split(), os.fspath(evidence)]
    named += ["--out", os.fspath(evidence.parent / "out"), "--force"] if named[0] == "salvage" else []
    code = f"from kafka_salvage.cli.main import run\nassert run({named!r}) == 0"
    _run(code)
    names = _run(code)
    assert not _under(names, (*COMPILERS, *NEEDLESS))
    assert named[0] == "salvage" or "importlib.metadata" not in names  # its journal names the codecs that are installed
    assert not _under(names, [_ROOMS + each for each in _NOT_OF[words]])


def test_the_first_file_is_read_before_what_judges_it_is_imported(evidence: Path) -> None:
    code = (
        "from kafka_salvage.cli import loading\n"
        "from kafka_salvage.cli.main import run\n"
        "def begun(names):\n"
        "    raise SystemExit(0)\n"
        "loading.meanwhile = begun\n"
        f"try:\n    run(['check', {os.fspath(evidence)!r}])\n"
        "except SystemExit:\n    pass\n"
    )
    names = _run(code)
    assert "kafka_salvage.vector.framing" in names
    later = ("regions.segment", "regions.together", "regions.runs", "plan.plan", "plan.facts", "metadata.cluster",
             "metadata.zookeeper", "scan.records", "wire.zookeeper", "wire.foreign", "wire.compression")  # fmt: skip
    assert not _under(names, [_ROOMS + each for each in later])
