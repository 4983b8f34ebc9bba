"""The page of a report in a real browser: it is silent, it adds up, and it is used with the keyboard alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog

from kafka_salvage.cli.html_folding import Bounds
from kafka_salvage.cli.html_page import Page, rendered
from kafka_salvage.cli.main import run
from tests.cli.html_scenes import enlarged, three_copies
from tests.cli.test_html_page import EVIL, evil
from tests.support.browser import Watched, browser

MANY, NODES = 10_000, 3_000
WIDTH, SEEN = 1000, 3
Scene = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The page of three damaged copies, and its report."""
    root = tmp_path_factory.mktemp("html")
    command = ["check", *three_copies(root), "--html", str(root / "page.html"), "--json", str(root / "report.json")]
    assert run(command) == 3
    return root / "page.html", json.loads((root / "report.json").read_text())


@pytest.fixture
def shown(chromium: Browser, scene: Scene) -> Iterator[Watched]:
    watched = Watched(chromium, scene[0])
    yield watched
    assert watched.complaints == []
    assert watched.requests == [scene[0].as_uri()]
    watched.page.close()


@pytest.fixture(scope="module")
def crowd(chromium: Browser, scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A page of ten thousand segments, and of a ledger with forty thousand ranges."""
    place = tmp_path_factory.mktemp("crowd") / "page.html"
    place.write_text(rendered(Page(enlarged(scene[1], MANY, 40_000), "next", {}, ()), Bounds()))
    watched = Watched(chromium, place)
    yield watched
    assert watched.complaints == []
    watched.page.close()


def counts(watched: Watched, selector: str) -> dict[str, str]:
    """What a legend says: word -> count."""
    script = "parts => parts.map(part => [part.dataset.name, part.dataset.count])"
    return dict(watched.page.locator(selector).evaluate_all(script))


def test_it_is_silent_and_says_the_verdict_first(shown: Watched, scene: Scene) -> None:
    first = shown.page.locator("main").inner_text().splitlines()[0]
    assert first == "DATA LOST: 1 offset lost"
    assert shown.count(".drawn .row") > 10


def test_bars_add_up_to_the_reports_figures(shown: Watched, scene: Scene) -> None:
    summary = scene[1]["summary"]["offsets"]
    total = dict.fromkeys(summary, 0)
    rows = shown.page.locator("#partitions-table .row")
    for place in range(rows.count()):
        rows.nth(place).click()
        for word, count in counts(shown, "#partition .inview [data-name]").items():
            total[word] += int(count)
    assert total == {**summary, "lost_at_least": total["lost_at_least"]}
    legend = counts(shown, "[data-sum=offsets] tr[data-name]")
    assert {word: int(count) for word, count in legend.items()} == {
        word: count for word, count in summary.items() if count and word != "lost_at_least"
    }


def test_pieces_of_a_bar_are_as_wide_as_their_offsets(shown: Watched, scene: Scene) -> None:
    for entry in scene[1]["partitions"]:
        name = f"{entry['topic']}-{entry['partition']}"
        paths = shown.page.locator("#partitions-table .row", has_text=name).first.locator("path")
        drawn = dict(
            paths.evaluate_all("parts => parts.map(part => [part.getAttribute('class'), part.getAttribute('d')])")
        )
        length = entry["offsets"][-1]["stop"] - entry["offsets"][0]["start"]
        for status in {span["status"] for span in entry["offsets"]}:
            spans = [s for s in entry["offsets"] if s["status"] == status]
            wide = WIDTH * sum(s["stop"] - s["start"] for s in spans) / length
            found = sum(float(b) - float(a) for a, b in re.findall(r"M([\d.]+) [\d.]+H([\d.]+)V", drawn[f"s-{status}"]))
            assert abs(found - max(wide, SEEN)) < 2 * len(spans), (name, status)


def test_columns_sort(shown: Watched) -> None:
    head = shown.page.locator("#segments-table [role=columnheader]", has_text="Size")
    sizes = "#segments-table .row > div:nth-child(3)"
    for order in ("descending", "ascending"):
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == order
        bytes_ = [float(t.split()[0]) * {"B": 1, "KiB": 1024}[t.split()[1]] for t in shown.texts(sizes)]
        assert bytes_ == sorted(bytes_, reverse=order == "descending")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "none"
    names = shown.page.locator("#partitions-table [role=columnheader]", has_text="Partition").get_by_role("button")
    names.press("Enter")
    texts = shown.texts("#partitions-table .row > div:first-child")
    assert texts == sorted(texts)


def test_tables_are_walked_and_filtered_with_keys(shown: Watched) -> None:
    body = shown.page.locator("#segments-table .body")
    body.focus()
    body.press("ArrowDown")
    picked = shown.page.locator("#segments-table [aria-selected=true]")
    assert picked.get_attribute("aria-rowindex") == "3"
    title = shown.page.locator("#segment h3").inner_text()
    assert title == picked.locator("div").first.inner_text()
    body.press("End")
    assert picked.get_attribute("aria-rowindex") == str(81 + 1)
    assert body.get_attribute("aria-activedescendant") == picked.get_attribute("id")
    field = shown.page.get_by_label("Filter segments")
    field.fill("b2: payments")
    texts = shown.texts("#segments-table .row > div:first-child")
    assert texts
    assert all(text.startswith("b2:payments-1/") for text in texts)
    field.fill("no such segment")
    assert shown.texts("#segments-table .none") == ["No segment matches."]


def view(watched: Watched) -> tuple[int, int]:
    start, stop = (watched.page.locator("#partition .zoom").get_attribute("data-view") or "").split()
    return int(start), int(stop)


def test_a_ledger_is_looked_into_with_keys(shown: Watched, scene: Scene) -> None:
    entry = next(p for p in scene[1]["partitions"] if p["topic"] == "orders")
    (lost,) = [s for s in entry["offsets"] if s["status"] == "lost"]
    zoom, said = shown.page.locator("#partition .zoom"), shown.page.locator("#partition .readout")
    whole = (entry["offsets"][0]["start"], entry["offsets"][-1]["stop"])
    assert view(shown) == whole
    zoom.focus()
    assert said.inner_text().startswith(f"{lost['start']}..{lost['stop']} 1 offset lost")
    for _ in range(4):
        zoom.press("+")
    start, stop = view(shown)
    assert start <= lost["start"] < lost["stop"] <= stop
    assert abs((stop - start) - (whole[1] - whole[0]) / 16) <= 1
    inside = sum(map(int, counts(shown, "#partition .inview [data-name]").values()))
    assert abs(inside - (stop - start)) <= 2
    zoom.press("-")
    assert view(shown)[1] - view(shown)[0] > stop - start
    zoom.press("Shift+ArrowRight")
    zoom.press("0")
    assert view(shown) == whole
    zoom.press("ArrowLeft")
    assert said.inner_text().startswith(f"{whole[0]}..{lost['start']}")
    zoom.press("n")
    assert said.inner_text().startswith(f"{lost['start']}..{lost['stop']}")
    zoom.press("ArrowDown")
    assert re.match(r"b\d (gave|damaged|intact)", said.inner_text())


def test_one_leads_to_another(shown: Watched) -> None:
    shown.page.locator("#partition .readout .link").click()
    assert shown.page.locator("#finding h3").inner_text().startswith("crc-mismatch")
    shown.page.locator("#finding dl .link").click()
    assert "orders-0/00000000000000000614.log" in shown.page.locator("#segment h3").inner_text()
    assert shown.page.locator("#segment .readout").inner_text().split()[2] == "damaged"
    hexed = shown.page.locator("#segment .hex")
    cells = hexed.locator("td.m").count() + hexed.locator("table").first.locator("td:not(.m)").count()
    assert (cells, hexed.locator("td.m").count()) == (64, 3)  # a header of 61 bytes, then payload
    hexed.locator(".fields tr", has_text="records_count").focus()
    assert hexed.locator("td.lit").count() == 4


def test_the_tab_key_reaches_everything(shown: Watched) -> None:
    reached = []
    for _ in range(120):
        shown.page.keyboard.press("Tab")
        reached.append(
            shown.page.evaluate(
                "document.activeElement.className + '|' + (document.activeElement.getAttribute('aria-label') || document.activeElement.textContent)"
            )
        )
        if reached[-1].startswith("|") and shown.page.evaluate("document.activeElement === document.body"):
            break
    everything = "\n".join(reached)
    assert reached[0] == "skip|To the partitions"
    for words in (
        "Next command",
        "partitions, rows",
        "Offsets of orders-0",
        "segments, rows",
        "Bytes of",
        "findings, rows",
        "Filter findings",
        "Zoom in",
    ):
        assert words in everything, words


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(watched: Watched, selector: str, ground: str) -> float:
    colour = watched.page.locator(selector).first.evaluate("e => getComputedStyle(e).color")
    behind = watched.page.locator(ground).first.evaluate("e => getComputedStyle(e).backgroundColor")
    dark, light = sorted((luminance(colour), luminance(behind)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark_are_readable(chromium: Browser, scene: Scene, dark: bool) -> None:
    watched = Watched(chromium, scene[0], dark=dark)
    paper = watched.page.locator("html").evaluate("e => getComputedStyle(e).backgroundColor")
    assert (luminance(paper) < 0.1) is dark
    for selector in ("h1", ".account", ".exit", ".legend .what", "#segments-count"):
        assert contrast(watched, selector, "html") >= 4.5, selector
    for selector in (".facts", ".readout .link", ".axis span", ".grid .row .bad"):
        assert contrast(watched, selector, ".detail") >= 4.5, selector
    watched.page.get_by_role("button", name="Light" if dark else "Dark").click()
    changed = watched.page.locator("html").evaluate("e => getComputedStyle(e).backgroundColor")
    assert (luminance(changed) < 0.1) is not dark
    assert watched.complaints == []
    watched.page.close()


def test_paper_gets_rows_in_one_piece_and_is_told_how_many_are_missing(shown: Watched, tmp_path: Path) -> None:
    made = shown.page.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True)
    assert made.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", made)) >= 2
    before = shown.count("#segments-table .row")
    shown.page.emulate_media(media="print")
    shown.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert shown.count("#segments-table .row") == 40
    assert shown.texts("#segments-table .none") == ["… and 41 more, in the page on a screen and in the report"]
    assert not shown.page.locator(".look").is_visible()
    shown.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    shown.page.emulate_media(media="screen")
    assert shown.count("#segments-table .row") == before


def test_ten_thousand_segments_stay_usable(crowd: Watched) -> None:
    page = crowd.page
    assert page.locator("#segments-table .grid").get_attribute("aria-rowcount") == str(MANY + 1)
    nodes = "document.querySelectorAll('*').length"
    assert page.evaluate(nodes) < NODES
    body = page.locator("#segments-table .body")
    body.focus()
    body.press("End")
    assert page.locator("#segments-table [aria-selected=true]").get_attribute("aria-rowindex") == str(MANY + 1)
    spent = page.evaluate(
        """() => {
          const start = performance.now();
          document.querySelectorAll('#segments-table [role=columnheader] button').forEach((button) => button.click());
          const field = document.querySelector('[aria-label="Filter segments"]');
          field.value = 'crowd-7';
          field.dispatchEvent(new Event('input'));
          return performance.now() - start;
        }"""
    )
    assert spent < 3000
    assert all("crowd-7" in text for text in crowd.texts("#segments-table .row > div:first-child"))
    zoom = page.locator("#partition .zoom")
    for key in ("+", "n", "n", "+", "+", "+", "ArrowRight"):
        zoom.press(key)
    assert page.evaluate(nodes) < NODES


def test_dense_damage_does_not_hide_what_came_out(crowd: Watched) -> None:
    lost = crowd.page.locator("#partitions-table .row").first.locator("path.s-lost").get_attribute("d") or ""
    tops = {float(top) for top in re.findall(r"M[\d.]+ ([\d.]+)H", lost)}
    assert min(tops) > 15 / 2  # a sixth of the offsets is lost, all over: low marks, not a bar of loss


def test_hostile_names_stay_text(chromium: Browser, tmp_path: Path) -> None:
    run(["check", f"{EVIL}={evil(tmp_path)}", "--html", str(tmp_path / "page.html")])
    watched = Watched(chromium, tmp_path / "page.html")
    dialogs: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    watched.page.on("dialog", dismiss)
    assert "script><svg onload=alert(1)>{{7*7}}-0" in watched.texts("#partitions-table .row > div:first-child")
    for link in watched.page.locator(".detail .link").all():
        link.click()
    assert watched.count("main i, main svg[onload], main script") == 0
    assert (dialogs, watched.complaints) == ([], [])
    watched.page.close()
