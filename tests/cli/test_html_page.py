"""The page of a report as a file: the same words and figures, nothing of the payload, nothing that runs or loads."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kafka_salvage.cli.html_folding import Bounds, allowance, exact, folded, spread
from kafka_salvage.cli.html_page import Page, rendered
from kafka_salvage.cli.html_rows import STATUSES, VERDICTS
from kafka_salvage.cli.main import run
from tests.cli.ground import clean, damaged, tree
from tests.cli.html_scenes import enlarged, three_copies

Caught = pytest.CaptureFixture[str]
EVIL = "<script>alert(1)<!--"


class Reading(HTMLParser):
    """Tags with their attributes, and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append((self.tags[-1][0] if self.tags else "", data))

    def data(self) -> Any:
        """The tables inside the page."""
        return json.loads(next(text for tag, text in self.texts if tag == "script"))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path, dict[str, Any]]:
    """PATHs of three damaged copies, their page, and their report."""
    root = tmp_path_factory.mktemp("html")
    paths = three_copies(root)
    assert run(["check", *paths, "--html", str(root / "page.html"), "--json", str(root / "report.json")]) == 3
    return paths, root / "page.html", json.loads((root / "report.json").read_text())


def sums_in(rows: Any, words: tuple[str, ...], size_of: Any) -> dict[str, int]:
    """What the ranges of the page add up to, by word."""
    sums = dict.fromkeys(words, 0)
    for start, row in rows:
        if isinstance(row[1], list):
            for word, count in zip(words, row[1], strict=True):
                sums[word] += int(count)
        else:
            for word, count in size_of(int(start), row):
                sums[word] += count
    return sums


def ledger_sums(data: Any) -> dict[str, int]:
    rows = []
    for partition in data["partitions"]:
        start = partition[4]
        for span in partition[5] if partition[3] else ():
            rows.append((start, span))
            start = span[0]

    def sizes(start: int, row: Any) -> list[tuple[str, int]]:
        absent = int(row[2]) if len(row) > 2 else 0
        return [(STATUSES[row[1]], int(row[0]) - start - absent), ("absent", absent)]

    return sums_in(rows, STATUSES, sizes)


def byte_sums(data: Any) -> dict[str, int]:
    rows = []
    for segment in data["segments"]:
        start = 0
        for region in segment[6]:
            rows.append((start, region))
            start = region[0]
    return sums_in(rows, VERDICTS, lambda start, row: [(VERDICTS[row[1]], row[0] - start)])


def test_tables_add_up_to_the_report(scene: tuple[list[str], Path, dict[str, Any]]) -> None:
    _, page, report = scene
    data = Reading(page.read_text()).data()
    expected = report["summary"]["offsets"]
    assert ledger_sums(data) == {status: expected[status] for status in STATUSES}
    assert byte_sums(data) == {verdict: report["summary"]["bytes"][verdict] for verdict in VERDICTS}
    assert {finding[0] for finding in data["findings"]} == {finding["id"] for finding in report["findings"]}
    assert expected["lost"] == 1  # the batch that is damaged on every copy


def test_plain_html_says_what_the_terminal_says(scene: tuple[list[str], Path, dict[str, Any]], capsys: Caught) -> None:
    paths, page, report = scene
    run(["check", *paths])
    lines = capsys.readouterr().out.splitlines()
    reading = Reading(page.read_text())
    sentence = next(attrs["data-sentence"] for tag, attrs in reading.tags if tag == "h1")
    assert sentence == lines[0]
    said = " ".join("".join(text for tag, text in reading.texts if tag not in ("script", "style")).split())
    assert lines[1] in said
    assert lines[-1].removeprefix("Next: ") in said
    counts = {
        attrs["data-name"]: attrs["data-count"] for tag, attrs in reading.tags if tag == "tr" and "data-name" in attrs
    }
    for word, count in (*report["summary"]["offsets"].items(), *report["summary"]["bytes"].items()):
        if word in counts and word != "repaired":
            assert counts[word] == str(count)


def test_what_each_copy_gave_covers_what_was_recovered(scene: tuple[list[str], Path, dict[str, Any]]) -> None:
    _, page, report = scene
    for row in Reading(page.read_text()).data()["partitions"]:
        name, number, copies = row[0], row[1], row[9]
        entry = next(p for p in report["partitions"] if (p["topic"], p["partition"]) == (name, number))
        given = sorted(range_ for copy in copies for range_ in copy[11])
        assert all(one[1] <= other[0] for one, other in pairwise(given))
        held = [s for s in entry["offsets"] if s["status"] in ("recovered", "repaired")]
        records = sum(s["stop"] - s["start"] - s["absent"] for s in held)
        assert sum(stop - start for start, stop in given) >= records
        calm = [
            (s["start"], s["stop"])
            for s in entry["offsets"]
            if s["status"] in ("recovered", "repaired", "absent", "trimmed")
        ]
        covered = sum(max(0, min(stop, high) - max(start, low)) for start, stop in given for low, high in calm)
        assert covered == sum(stop - start for start, stop in given)
    orders = next(row for row in Reading(page.read_text()).data()["partitions"] if row[0] == "orders")
    assert [sum(stop - start for start, stop in copy[11]) for copy in orders[9]] == [1238, 1, 0]


def test_two_runs_give_the_same_bytes_whatever_the_order(
    scene: tuple[list[str], Path, dict[str, Any]], tmp_path: Path
) -> None:
    paths, page, _ = scene

    def drawn(*words: str) -> str:
        run(["check", *words, "--html", str(tmp_path / "again.html")])
        return (tmp_path / "again.html").read_text()

    assert drawn(*paths) == page.read_text()
    command = re.compile("<pre.*?</pre>", re.DOTALL)
    assert command.sub("", drawn(*reversed(paths), "--jobs", "1")) == command.sub("", page.read_text())


def test_nothing_is_loaded_and_only_our_script_may_run(scene: tuple[list[str], Path, dict[str, Any]]) -> None:
    text = scene[1].read_text()
    reading = Reading(text)
    assert not [attrs for _, attrs in reading.tags if {"src", "srcset", "data", "poster", "background"} & set(attrs)]
    assert not [attrs for tag, attrs in reading.tags if tag in ("link", "iframe", "object", "embed", "base", "form")]
    assert not [key for _, attrs in reading.tags for key in attrs if key.startswith("on") or key == "style"]
    assert {attrs["href"] for tag, attrs in reading.tags if tag == "a"} == {"#partitions"}
    policy = next(attrs["content"] for _, attrs in reading.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert policy
    assert policy.startswith(f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'sha256-")
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def evil(root: Path) -> Path:
    """A source whose paths hold `</script>`, handlers, a template and a mark that turns text around."""
    broker = damaged(root / "<i onclick=alert(1)>&amp;\u202e" / "b<")
    (broker / "orders-0").rename(broker / "script><svg onload=alert(1)>{{7*7}}-0")
    return broker.parent


def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    assert run(["check", f"{EVIL}={evil(tmp_path)}", "--html", str(tmp_path / "page.html")]) == 3
    text = (tmp_path / "page.html").read_text()
    reading = Reading(text)
    assert [tag for tag, _ in reading.tags].count("script") == 2
    assert not [tag for tag, _ in reading.tags if tag == "i"]
    assert not [key for _, attrs in reading.tags for key in attrs if key.startswith("on")]
    assert "\u202e" not in text
    data = reading.data()
    assert EVIL in data["names"]
    assert "script><svg onload=alert(1)>{{7*7}}" in [row[0] for row in data["partitions"]]
    assert "b</script><svg onload=alert(1)>{{7*7}}-0" in data["names"]


def test_no_payload_is_in_the_page(tmp_path: Path) -> None:
    broker = clean(tmp_path / "b")
    path = next((broker / "orders-0").glob("*0.log"))
    data = bytearray(path.read_bytes())
    marker = bytes(range(0xA0, 0xC0)) * 4
    middle = len(data) // 3
    data[middle : middle + len(marker)] = marker
    data[-700:-700] = marker  # where a header must stand, and on both sides of it
    path.write_bytes(data)
    run(["check", str(broker), "--html", str(tmp_path / "page.html")])
    text = (tmp_path / "page.html").read_text()
    heads = Reading(text).data()["heads"]
    assert heads
    for start in range(len(marker) - 5):
        assert marker[start : start + 5].hex() not in text


@pytest.mark.parametrize("place", ["orders-0/page.html", "page.html"])
def test_a_page_inside_a_source_is_refused(tmp_path: Path, capsys: Caught, place: str) -> None:
    broker = damaged(tmp_path / "b")
    before = tree(broker)
    assert run(["check", str(broker), "--html", str(broker / place)]) == 2
    assert "evidence is never written to" in capsys.readouterr().err
    assert tree(broker) == before


def test_a_page_of_a_salvage_lies_beside_it(tmp_path: Path, capsys: Caught) -> None:
    broker, out = damaged(tmp_path / "b"), tmp_path / "out"
    assert run(["salvage", str(broker), "--out", str(out), "--html", str(out / "page.html")]) == 2
    assert "there is no such directory" in capsys.readouterr().err
    out.mkdir()
    assert run(["salvage", str(broker), "--out", str(out), "--html", str(out / "page.html")]) == 2
    assert "beside" in capsys.readouterr().err
    assert not list(out.iterdir())
    assert run(["salvage", str(broker), "--out", str(out), "--html", str(tmp_path / "page.html")]) == 3
    text = (tmp_path / "page.html").read_text()
    assert "records recovered." in text
    assert "sha256sum --quiet -c SHA256SUMS" in text
    assert run(["verify", str(out)]) == 0


@pytest.mark.parametrize("word", ["-", "nowhere/page.html", "."])
def test_a_file_must_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["check", str(damaged(tmp_path / "b")), "--html", word]) == 2


class TestFolding:
    """What does not fit is folded, and sums stay."""

    @pytest.mark.parametrize(
        ("sizes", "budget", "share"), [([], 5, 1), ([3, 4], 9, 4), ([3, 100, 100], 13, 5), ([9, 9], 1, 1)]
    )
    def test_allowance(self, sizes: list[int], budget: int, share: int) -> None:
        assert allowance(sizes, budget) == share

    def test_folded_keeps_every_row_in_order(self) -> None:
        for count in range(30):
            for most in range(1, 12):
                groups = folded(list(range(count)), most)
                assert [row for group in groups for row in group] == list(range(count))
                assert len(groups) <= most

    def test_spread_takes_of_each(self) -> None:
        assert spread([[1, 2, 3, 4], [5], [6, 7]], 4) == [1, 5, 6]
        assert spread([[1, 2, 3, 4], [5]], 9) == [1, 2, 3, 4, 5]

    def test_large_integers_go_as_text(self) -> None:
        assert [exact(v) for v in (None, 0, (1 << 53) - 1, 1 << 53, -(1 << 63))] == [
            None, 0, 9007199254740991, "9007199254740992", "-9223372036854775808",
        ]  # fmt: skip

    def test_a_small_page_still_adds_up(self, scene: tuple[list[str], Path, dict[str, Any]]) -> None:
        report = enlarged(scene[2], 500, 3000)
        bounds = Bounds(partitions=4, segments=60, findings=5, spans=40, regions=80, words=40)
        small = Reading(rendered(Page(report, "next", {}, ()), bounds)).data()
        assert [len(small[name]) for name in ("partitions", "segments")] == [4, 60]
        assert 0 < len(small["findings"]) <= 5
        assert {row[1] for row in small["findings"]} == {small["names"].index(code) for code, _ in small["codes"]}
        assert small["totals"] == {"partitions": 5, "segments": 500, "findings": report["summary"]["findings_total"]}
        assert sum(len(row[5]) for row in small["partitions"]) <= 40
        assert sum(len(row[6]) for row in small["segments"]) <= 80 + 60
        first = small["partitions"][0]
        assert dict(zip(STATUSES, first[6], strict=True))["lost"] == 3000
        assert ledger_sums({"partitions": [first]})["lost"] == 3000
        assert ledger_sums({"partitions": [first]})["recovered"] == 1500 * 9

    def test_a_page_of_many_segments_has_a_bound(self, scene: tuple[list[str], Path, dict[str, Any]]) -> None:
        text = rendered(Page(enlarged(scene[2], 10_000), "next", {}, ()), Bounds())
        assert len(text.encode()) < 4 << 20


def test_offsets_beyond_a_browsers_numbers_stay_exact(scene: tuple[list[str], Path, dict[str, Any]]) -> None:
    report = json.loads(json.dumps(scene[2]))
    high = (1 << 62) + 1
    span = {"start": high, "stop": high + 7, "status": "lost", "open_ended": True, "upper_bound": False, "findings": []}
    report["partitions"][0]["offsets"] = [span]
    row = Reading(rendered(Page(report, "next", {}, ()), Bounds())).data()["partitions"][0]
    assert (row[4], row[5][0][0]) == (str(high), str(high + 7))
