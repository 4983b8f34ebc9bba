"""The table of sinks: lazy, open to other packages, closed to takeovers."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from kafka_salvage.errors import MissingExtraError
from kafka_salvage.export import registry


def test_known_sinks_load() -> None:
    assert hasattr(registry.load("segments"), "batch_writer")
    for name in ("jsonl", "parquet", "arrow"):
        assert hasattr(registry.load(name), "record_writer")


def test_the_table_imports_no_sink() -> None:
    program = (
        "import sys, kafka_salvage.export.registry;"
        "sys.exit(any(m in sys.modules for m in ('kafka_salvage.export.jsonl', 'numba', 'numpy', 'pyarrow')))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("name", ["parquet", "arrow"])
def test_formats_of_an_extra_say_what_to_install(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for module in [m for m in sys.modules if m.startswith(("pyarrow", "kafka_salvage.export."))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match="pyarrow") as caught:
        registry.load(name)
    assert "kafka-salvage[parquet]" in caught.value.advice


def _points(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    def entry_points(*, group: str, **wanted: Any) -> list[EntryPoint]:
        assert group == "kafka_salvage.sinks"
        return [EntryPoint(name, value, group)] if wanted.get("name", name) == name else []

    monkeypatch.setattr(registry, "entry_points", entry_points)


def test_other_packages_add_sinks(monkeypatch: pytest.MonkeyPatch) -> None:
    _points(monkeypatch, "mine", "collections:OrderedDict")
    assert type(registry.load("mine")).__name__ == "OrderedDict"
    assert registry.names() == ("arrow", "jsonl", "mine", "parquet", "segments")


def test_other_packages_cannot_take_over_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    _points(monkeypatch, "jsonl", "collections:OrderedDict")
    assert type(registry.load("jsonl")).__name__ == "JsonlSink"


def test_a_missing_library_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    _points(monkeypatch, "mine", "no_such_library:Sink")
    with pytest.raises(MissingExtraError, match="no_such_library") as caught:
        registry.load("mine")
    assert "pip install" in caught.value.advice
