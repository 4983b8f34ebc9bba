"""The house rules that a machine can check."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "kafka_salvage"
MODULES = sorted(PACKAGE.rglob("*.py"))
PROGRAMS = sorted([*MODULES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])
FORBIDDEN = {"utils", "helpers", "common", "manager", "core"}


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_stay_under_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_functions_stay_under_60_lines(path: Path) -> None:
    tree = ast.parse(path.read_text())
    long = [
        (node.name, node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0)
        - node.body[0].lineno
        - (1 if ast.get_docstring(node) else 0)
        + 1
        - (ast.get_docstring(node) or "").count("\n")
        > 60
    ]
    assert not long


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not [p for p in MODULES if p.stem in FORBIDDEN]


def test_the_folders_sort_into_the_dependency_order() -> None:
    folders = [p.name for p in sorted(PACKAGE.iterdir()) if p.is_dir() and (p / "__init__.py").exists()]
    assert folders == ["cli", "export", "integrity", "metadata", "plan", "regions", "scan", "source", "vector", "wire"]


def test_every_module_begins_with_a_docstring() -> None:
    assert not [p for p in PROGRAMS if p.read_text().strip() and not ast.get_docstring(ast.parse(p.read_text()))]


def test_no_line_names_a_place_of_one_machine() -> None:
    words = ("/ro" + "ot/", "/wo" + "rk/", "/far" + "m/")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in [
            *PROGRAMS,
            *ROOT.glob("*.*"),
            *(ROOT / "docs").rglob("*.md"),
            ROOT / "Makefile",
            ROOT / ".ci" / "run",
        ]
        if path.is_file() and path.suffix != ".svg"
        for line in path.read_text(errors="replace").splitlines()
        if any(word in line for word in words)
    ]
    assert not found
