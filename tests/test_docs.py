"""The documents agree with the program."""

from __future__ import annotations

import re
from pathlib import Path

from kafka_salvage.cli import document
from kafka_salvage.cli.main import group
from tests.support import capture

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
CONTRACT = [
    "crc-mismatch",
    "length-past-end",
    "length-too-small",
    "bad-magic",
    "bad-attributes",
    "torn-tail",
    "zero-fill",
    "garbage",
    "offset-gap",
    "offset-overlap",
    "offset-backwards",
    "offset-repaired",
    "epoch-repaired",
    "epoch-backwards",
    "embedded-batch",
    "uncorroborated",
    "record-malformed",
    "count-mismatch",
    "inflate-failed",
    "inflate-limit",
    "codec-missing",
    "index-disagrees",
    "index-missing",
    "time-index-disagrees",
    "txn-index-disagrees",
    "snapshot-corrupt",
    "checkpoint-corrupt",
    "segment-missing",
    "name-disagrees",
    "foreign-format",
    "unreadable",
]


def _described() -> set[str]:
    return set(re.findall(r"^## `([a-z-]+)`$", (DOCS / "findings.md").read_text(), re.MULTILINE))


def _given() -> set[str]:
    """Finding codes that stand in the package as `code="…"` or as the first argument of a finding's constructor."""
    found: set[str] = set()
    for path in (ROOT / "kafka_salvage").rglob("*.py"):
        text = path.read_text()
        found |= set(re.findall(r"""code=["']([a-z][a-z-]+)["']""", text))
        found |= set(re.findall(r"""(?:Finding|SideFact|finding)\(\s*["']([a-z][a-z-]+)["']""", text))
    return found


def test_every_finding_code_has_a_paragraph() -> None:
    missing = (_given() | set(CONTRACT)) - _described()
    assert not missing


def test_the_command_page_is_fresh() -> None:
    assert (DOCS / "cli.md").read_text() == document.page()


def test_every_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    assert all(f"kafka-salvage {name}" in text for name in group.commands)


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{page.name}: {target}"
        for page in [ROOT / "README.md", *DOCS.glob("*.md")]
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert not broken


def test_the_capture_in_the_readme_is_what_the_command_prints() -> None:
    assert capture.shown() == capture.capture()
