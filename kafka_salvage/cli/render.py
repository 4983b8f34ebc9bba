"""The terminal report: one screen, verdict first, next command last."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kafka_salvage import __version__
from kafka_salvage.cli import following, hexview
from kafka_salvage.cli.exits import safe
from kafka_salvage.cli.verdict import accounts, harm_of, hazard, rank_of, sums_of, verdict
from kafka_salvage.cli.words import clipped, listed, number, plural, short, size
from kafka_salvage.export.places import INTERNAL_TOPICS
from kafka_salvage.export.receipt import Receipt
from kafka_salvage.integrity.report import IntegrityReport

Document = dict[str, Any]

WIDTH = 100
"""Columns where stdout is no terminal."""
UNBROKEN = 4096
"""Columns of a table where stdout is no terminal: names stay in one piece, to be searched for."""
LINES = 40
"""One screen."""
ROWS = 5
"""Partitions that are shown in any case."""
FINDINGS = 5
HINTS = 3
HEADS = 6

_OTHER = ("trimmed", "undecodable", "suspect", "ambiguous", "divergent")


@dataclass(frozen=True, slots=True)
class Request:
    """How the report was asked for.

    Attributes:
        paths: as the person gave them.
        again: flags that a salvage must be given too.
        verbose: 0 = one screen.
        internal: internal topics are written too.
    """

    paths: Sequence[str]
    again: Sequence[str] = ()
    verbose: int = 0
    internal: bool = False


class Page:
    """Lines on stdout; what comes from evidence is escaped and never taken for markup."""

    def __init__(self) -> None:
        terminal = sys.stdout.isatty()
        self._console = Console(
            file=sys.stdout, highlight=False, markup=False, emoji=False, width=None if terminal else WIDTH
        )
        self._wrap = terminal
        self.width = max(self._console.width, 40)

    def line(self, text: str = "", style: str = "") -> None:
        """One sentence; broken into lines only on a terminal."""
        self._console.print(Text(text, style=style), soft_wrap=not self._wrap)

    def whole(self, text: str) -> None:
        """A line that is never broken, for copying."""
        self._console.print(Text(text), soft_wrap=True)

    def table(self, table: Table) -> None:
        """A table, as wide as it must be; its cells are broken only on a terminal."""
        if self._wrap:
            self._console.print(table)
            return
        with self._console.capture() as captured:
            self._console.width = UNBROKEN
            self._console.print(table)
        self._console.width = WIDTH
        self._console.out("\n".join(line.rstrip() for line in captured.get().splitlines()), highlight=False)


def run_block() -> dict[str, Any]:
    """Version and command line of this run."""
    return {"version": __version__, "argv": sys.argv[1:]}


def _name(partition: Document, width: int) -> str:
    return short(safe(f"{partition['topic']}-{partition['partition']}"), width)


def _table(partitions: Sequence[Document], several_sources: bool, width: int) -> Table:
    """One row per partition; columns that say nothing are left out."""
    sums = [sums_of(partition) for partition in partitions]
    columns: list[tuple[str, list[str]]] = [("Partition", [_name(p, width) for p in partitions])]
    if any(p["state"] != "live" for p in partitions):
        columns.append(("State", [p["state"] for p in partitions]))
    if several_sources:
        columns.append(("Source", [_sources(p) for p in partitions]))
    reaches = [(p["offsets"][0]["start"], p["offsets"][-1]["stop"]) if p["offsets"] else None for p in partitions]
    columns.append(("Offsets", [f"{reach[0]}..{reach[1]}" if reach else "empty" for reach in reaches]))
    columns.append(("Records", [number(p["records"]["data"]) for p in partitions]))
    columns += [
        (status.capitalize(), [number(each.get(status, 0)) for each in sums])
        for status in ("lost", "missing", "repaired")
        if any(each.get(status) for each in sums)
    ]
    others = [", ".join(f"{number(each[s])} {s}" for s in _OTHER if each.get(s)) for each in sums]
    if any(others):
        columns.append(("Other", others))
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for title, _ in columns:
        right = title in ("Records", "Lost", "Missing", "Repaired")
        table.add_column(title, justify="right" if right else "left", overflow="fold", no_wrap=right)
    for at, each in enumerate(sums):
        table.add_row(*(Text(cells[at]) for _, cells in columns), style="red" if _bad(each) else "")
    return table


def _bad(sums: dict[str, int]) -> bool:
    return any(sums.get(status) for status in ("lost", "missing", "ambiguous", "undecodable", "suspect"))


def _sources(partition: Document) -> str:
    names = sorted({span["source"] for span in partition["offsets"] if span.get("source")})
    return listed([short(name, 20) for name in names], 2)


def _print_partitions(page: Page, document: Document, verbose: int, rows: int) -> None:
    partitions = [p for p in document["partitions"] if p["selected"]]
    worst = sorted(
        partitions, key=lambda p: ([-count for count in harm_of(p)], not p["offsets"], p["topic"], p["partition"])
    )
    shown = worst if verbose else worst[: rows + (len(worst) == rows + 1)]
    rest = worst[len(shown) :]
    shown = sorted(shown, key=lambda p: (not any(harm_of(p)), p["topic"], p["partition"]))
    if shown:
        page.line()
        page.table(_table(shown, len(document["sources"]) > 1, 300 if verbose else max(page.width - 60, 24)))
    if rest:
        harmed = sum(1 for p in rest if any(harm_of(p)))
        tail = f", {number(harmed)} of them damaged" if harmed else ", none of them damaged"
        page.line(f"… and {plural(len(rest), 'partition')} more{tail} (-v lists all)", "dim")


def _finding_lines(document: Document, verbose: int, width: int) -> list[tuple[str, str]]:
    """Each finding in two lines, as (text, style); where there are many, the first of each code stands for the others."""
    findings = sorted((f for f in document["findings"] if not f["detail"].get("harmless")), key=rank_of)
    if not findings:
        return []
    groups: dict[str, list[Document]] = {}
    for finding in findings:
        groups.setdefault(finding["code"], []).append(finding)
    few = len(findings) <= FINDINGS
    omitted = document["summary"]["findings_omitted"]
    whole = bool(few or verbose)
    lines = [("Findings" if whole else f"Findings ({number(len(findings) + omitted)}, the first of each kind)", "")]
    several = len(document["sources"]) > 1
    for group in [[finding] for finding in findings] if whole else list(groups.values())[:FINDINGS]:
        lines += _group_lines(group, several, 10_000 if verbose else width)
    unseen = 0 if whole else max(0, len(groups) - FINDINGS)
    if unseen:
        lines.append((f"  … and {plural(unseen, 'kind')} more (-v lists all, --json FILE has everything)", "dim"))
    elif omitted:
        lines.append((f"  … and {number(omitted)} more that only findings.jsonl of a salvage holds", "dim"))
    return lines


def _group_lines(group: Sequence[Document], several: bool, width: int) -> Iterator[tuple[str, str]]:
    """The first finding of a group, and where the others lie."""
    finding = group[0]
    title = finding["code"] if len(group) == 1 else f"{finding['code']} ×{number(len(group))}"
    where = f"{finding['source']}:{finding['path']}" if several else finding["path"]
    tail = f" bytes {finding['start']}..{finding['stop']}" if finding["stop"] > finding["start"] else ""
    if finding["offsets"]:
        tail += f"{',' if tail else ''} offsets {finding['offsets'][0]}..{finding['offsets'][1]}"
    yield f"  {title}  {short(safe(where), max(width - len(title) - len(tail) - 4, 24))}{tail}", ""
    yield f"    {clipped(safe(finding['message']), width - 4)}", "dim"
    if len(group) > 1:
        places = list(dict.fromkeys(each["path"].rpartition("/")[0] or each["path"] for each in group[1:]))
        yield f"    also in {clipped(listed(places, 5, 28), width - 12)}", "dim"


def _print_outputs(page: Page, receipt: Receipt) -> None:
    """What was written, per format."""
    made: dict[str, list[int]] = {}
    for file in receipt.files:
        if file.format != "document":
            sums = made.setdefault(file.format, [0, 0, 0])
            sums[0] += 1
            sums[1] += file.records
            sums[2] += file.size
    parts = [
        f"{name}: {plural(count, 'file')}" + (f", {plural(records, 'record')}" if records else "") + f", {size(total)}"
        for name, (count, records, total) in sorted(made.items())
    ]
    page.line()
    page.line(
        f"Written to {safe(receipt.out)}: {'; '.join(parts) or 'no records'}; report.json, manifest.json, SHA256SUMS."
    )
    latest = [p["outputs"]["latest"] for p in receipt.partitions if "latest" in p["outputs"]]
    if latest:
        keys, gone, doubtful = (sum(each[name] for each in latest) for name in ("keys", "tombstones", "doubtful"))
        tail = f"; the latest of {number(doubtful)} may be lost, see doubtful-keys/" if doubtful else ""
        page.line(f"Latest per key: {plural(keys, 'key')}, {number(gone)} of them with a tombstone{tail}.")
    if receipt.shortfalls:
        first = receipt.shortfalls[0]
        page.line(
            f"{plural(len(receipt.shortfalls), 'range')} could not be read again and did not come out; the first is "
            f"{safe(first.path)} at {first.start}..{first.stop}: {safe(first.reason)}", "bold red")  # fmt: skip


def hints_of(document: Document, internal: bool) -> Iterable[str]:
    """What is not written, and the flag that adds it."""
    inside = sum(
        p["records"]["data"] for p in document["partitions"] if p["selected"] and p["topic"] in INTERNAL_TOPICS
    )
    if inside and not internal:
        yield f"Internal topics hold {number(inside)} of these records; --internal writes them too."
    yield from document.get("hints", ())


@contextmanager
def first() -> Iterator[ExitStack]:
    """What is said within comes before any file is written; what is called back is done all the same where stdout fails.

    A full disk under a file must not take from the screen what was learned in hours, nor a reader that goes away the file.
    """
    with ExitStack() as afterwards:
        yield afterwards
        sys.stdout.flush()


def report(account: IntegrityReport, request: Request, receipt: Receipt | None = None) -> None:
    """Prints the report on stdout: one screen, unless ``verbose``.

    Args:
        account: what is to be said.
        request: how it was asked for.
        receipt: of a salvage.
    """
    page, document = Page(), account.document
    style, sentence = verdict(document, "salvage" if receipt else "check")
    findings = _finding_lines(document, request.verbose, page.width)
    hints = list(hints_of(document, request.internal))
    hints = hints if request.verbose else hints[:HINTS]
    warning = hazard(document)
    page.line(sentence, style)
    for line in accounts(document, sentence):
        page.line(line)
    taken = 12 + len(findings) + 2 * len(hints) + 3 * bool(warning) + 3 * (receipt is not None)
    _print_partitions(page, document, request.verbose, max(ROWS, LINES - taken))
    if findings:
        page.line()
    for text, dim in findings:
        page.line(text, dim)
    if request.verbose:
        for line in hexview.heads(iter(account.segments), HEADS * request.verbose):
            page.whole(line)
    if warning:
        page.line()
        page.line(*warning)
    if receipt is not None:
        _print_outputs(page, receipt)
    elif hints and not warning:
        page.line()
    for hint in hints:
        page.line(safe(hint), "dim")
    page.line()
    if receipt is not None:
        page.whole(following.after_salvage(Path(receipt.out)))
    else:
        inventory = account.plan.inventory
        page.whole(following.after_check(document, inventory, request.paths, request.again))
