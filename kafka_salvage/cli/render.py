"""The terminal report: one screen, verdict first, next command last."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kafka_salvage import __version__
from kafka_salvage.cli.exits import safe

Document = dict[str, Any]

ROWS = 12
FINDINGS = 8

_HARM = ("lost", "missing", "ambiguous", "undecodable", "suspect", "repaired", "divergent")


def number(value: int) -> str:
    """1234567 as 1,234,567."""
    return f"{value:,}"


def size(count: float) -> str:
    """Bytes for people: 1.2 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("unreachable")


def run_block() -> dict[str, Any]:
    """Version and command line of this run."""
    return {"version": __version__, "argv": sys.argv[1:]}


def plural(count: int, noun: str) -> str:
    """3 records, 1 record."""
    return f"{number(count)} {noun}" if count == 1 else f"{number(count)} {noun}{'es' if noun.endswith('ch') else 's'}"


def verdict(document: Document) -> tuple[str, str]:
    """(style, sentence): what a person needs to know first."""
    summary = document["summary"]
    offsets, records = summary["offsets"], summary["records"]
    kept = plural(records["intact"] + records["repaired"], "record")
    match summary["outcome"]:
        case "intact":
            return "bold green", f"INTACT: every byte is intact or harmless; {kept} can be recovered."
        case "covered":
            return "bold yellow", f"DAMAGED, NOTHING LOST: {kept} can be recovered; no offset is lost."
        case "ambiguous":
            return "bold red", f"A PERSON MUST DECIDE: copies disagree on {plural(offsets['ambiguous'], 'offset')}."
        case "failed":
            return "bold red", f"NOT ALL COULD BE READ: {kept} can be recovered; see the findings."
    return "bold red", f"DATA LOST: {_losses(offsets)}; {kept} can be recovered."


def _losses(offsets: dict[str, Any]) -> str:
    least = "at least " if offsets.get("lost_at_least") else ""
    parts = [
        f"{least if status == 'lost' else ''}{plural(offsets[status], 'offset')} {word}"
        for status, word in (
            ("lost", "lost"),
            ("missing", "missing"),
            ("undecodable", "not decodable"),
            ("suspect", "not proved"),
        )
        if offsets[status]
    ]
    return ", ".join(parts) or "the end of a log is torn off"


def _spans(partition: Document) -> dict[str, int]:
    sums: dict[str, int] = {}
    for span in partition["offsets"]:
        count = span["stop"] - span["start"]
        sums[span["status"]] = sums.get(span["status"], 0) + count - span.get("absent", 0)
        sums["absent"] = sums.get("absent", 0) + span.get("absent", 0)
    return sums


def _partition_table(partitions: Sequence[Document]) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for title, justify in (("Partition", "left"), ("State", "left"), ("Offsets", "left"), ("Records", "right"), ("Lost", "right"),
                           ("Missing", "right"), ("Repaired", "right"), ("Other", "left")):  # fmt: skip
        table.add_column(title, justify=justify, no_wrap=title != "Other")  # type: ignore[arg-type]
    for partition in partitions:
        sums = _spans(partition)
        spans = partition["offsets"]
        reach = f"{spans[0]['start']}..{spans[-1]['stop']}" if spans else "empty"
        others = ", ".join(
            f"{number(sums[s])} {s}"
            for s in ("trimmed", "undecodable", "suspect", "ambiguous", "divergent")
            if sums.get(s)
        )
        bad = "red" if sums.get("lost") or sums.get("missing") else ""
        table.add_row(
            escape(safe(f"{partition['topic']}-{partition['partition']}")), partition["state"], reach,
            number(partition["records"]["data"]), number(sums.get("lost", 0)), number(sums.get("missing", 0)),
            number(sums.get("repaired", 0)), others, style=bad,
        )  # fmt: skip
    return table


def _harm(partition: Document) -> int:
    sums = _spans(partition)
    return sum(sums.get(status, 0) for status in _HARM)


def _print_partitions(console: Console, partitions: Sequence[Document], verbose: int) -> None:
    worst = sorted(partitions, key=lambda p: (-_harm(p), p["topic"], p["partition"]))
    shown = worst if verbose else worst[:ROWS]
    shown = sorted(shown, key=lambda p: (_harm(p) == 0, p["topic"], p["partition"]))
    console.print(_partition_table(shown))
    if len(shown) < len(partitions):
        rest = partitions_without_harm = len(partitions) - len(shown)
        harmed = sum(1 for p in worst[len(shown) :] if _harm(p))
        partitions_without_harm = rest - harmed
        tail = f", {number(harmed)} of them damaged" if harmed else ""
        console.print(
            f"[dim]… and {plural(partitions_without_harm + harmed, 'partition')} more{tail} (-v lists all)[/dim]"
        )


_RANK = ("crc-mismatch", "length-past-end", "length-too-small", "bad-magic", "zero-fill", "segment-missing", "torn-tail",
         "unreadable", "offset-gap", "inflate-failed", "record-malformed", "uncorroborated")  # fmt: skip


def _print_findings(console: Console, findings: Sequence[Document], verbose: int) -> None:
    if not findings:
        return
    rank = {code: i for i, code in enumerate(_RANK)}
    ordered = sorted(findings, key=lambda f: (rank.get(f["code"], 99), f["source"], f["path"], f["start"]))
    shown = ordered if verbose else ordered[:FINDINGS]
    console.print()
    console.print("[bold]Findings[/bold]")
    for finding in shown:
        offsets = f", offsets {finding['offsets'][0]}..{finding['offsets'][1]}" if finding.get("offsets") else ""
        console.print(
            f"  [yellow]{finding['code']}[/yellow] {escape(safe(finding['source']))}:{escape(safe(finding['path']))} "
            f"bytes {finding['start']}..{finding['stop']}{offsets}: {escape(safe(finding['message']))}",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    if len(shown) < len(findings):
        console.print(
            f"[dim]  … and {number(len(findings) - len(shown))} more (-v lists all, --json has everything)[/dim]"
        )


def hazard(partitions: Iterable[Document]) -> str | None:
    """What a broker start on this copy would destroy; None when nothing."""
    doomed, where = 0, []
    for partition in partitions:
        for replica in partition["replicas"]:
            would = replica.get("broker_would") or {}
            worst = max(
                (would.get(case, {}).get("intact_records_destroyed", 0) for case in ("if_clean", "if_unclean")),
                default=0,
            )
            if worst:
                doomed += worst
                where.append(f"{partition['topic']}-{partition['partition']}")
    if not doomed:
        return None
    names = ", ".join(safe(name) for name in where[:3]) + (f" and {len(where) - 3} more" if len(where) > 3 else "")
    return f"A broker start on this copy would destroy {plural(doomed, 'intact record')} ({names}). Do not start one on it."


def _next_command(document: Document, paths: Sequence[str], verb: str, out: Path | None) -> str:
    quoted = " ".join(shlex.quote(safe(path)) for path in paths)
    if verb == "check":
        return f"kafka-salvage salvage {quoted} --out rescued"
    return f"cd {shlex.quote(safe(out))} && sha256sum --quiet -c SHA256SUMS"


def _print_outputs(console: Console, document: Document, out: Path, formats: Sequence[str]) -> None:
    console.print()
    folders = [name for name in ("segments", "segments-undecided", "segments-internal", "jsonl", "incarnations", "divergent", "quarantine")
               if (out / name).is_dir()]  # fmt: skip
    console.print(f"Written to {escape(safe(out))}: {', '.join(name + '/' for name in folders)} report.json manifest.json SHA256SUMS",
                  highlight=False, soft_wrap=True)  # fmt: skip


def report(
    document: Document,
    *,
    paths: Sequence[str],
    verb: str,
    verbose: int = 0,
    out: Path | None = None,
    formats: Sequence[str] = (),
) -> None:
    """Prints the report on stdout: one screen, unless ``verbose``."""
    console = Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else 140)
    summary = document["summary"]
    style, sentence = verdict(document)
    console.print(f"[{style}]{escape(sentence)}[/{style}]")
    bytes_ = summary["bytes"]
    rest = ", ".join(f"{size(bytes_[v])} {v}" for v in bytes_ if v not in ("total", "intact") and bytes_[v])
    console.print(
        f"{plural(summary['segments'], 'segment')}, {size(bytes_['total'])}: {size(bytes_['intact'])} intact"
        + (f", {rest}" if rest else "")
        + f" ({document['depth']} check)"
    )
    console.print()
    _print_partitions(console, document["partitions"], verbose)
    _print_findings(console, document["findings"], verbose)
    warning = hazard(document["partitions"])
    if warning:
        console.print()
        console.print(f"[bold red]{escape(warning)}[/bold red]", soft_wrap=True)
    if out is not None:
        _print_outputs(console, document, out, formats)
    for hint in document.get("hints", ()):
        console.print(escape(safe(hint)), soft_wrap=True)
    console.print()
    console.print(f"Next: {escape(_next_command(document, paths, verb, out))}", soft_wrap=True)
