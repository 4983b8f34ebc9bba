"""docs/format.md is what the layouts say."""

from __future__ import annotations

from pathlib import Path

from kafka_salvage.wire.document import SECTIONS, render

PAGE = Path(__file__).resolve().parents[2] / "docs" / "format.md"


def test_the_page_is_not_stale() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run: python -m kafka_salvage.wire.document > docs/format.md"


def test_every_field_of_every_layout_is_on_the_page() -> None:
    text = render()
    for _, _, layouts in SECTIONS:
        for layout in layouts:
            assert f"### {layout.title}" in text
            for field in layout.fields:
                assert f"`{field.name}`" in text
