"""Page: the report as one HTML file that needs nothing else, to look at rather than to read.

Strategy: what matters is plain HTML (the verdict, sums, copies, what to do next); bars and long tables are drawn by a script of our
own from tables in the page, so that ten thousand segments cost a few hundred elements. The page may load nothing and run
nothing but this script: its policy names the script's hash, so that no name found in evidence is ever taken for code.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kafka_salvage import __version__
from kafka_salvage.cli import following, hexview
from kafka_salvage.cli.exits import MEANINGS, Exit, safe
from kafka_salvage.cli.html_folding import Bounds
from kafka_salvage.cli.html_rows import STATUSES, VERDICTS, Given, Rows
from kafka_salvage.cli.render import Request, hints_of
from kafka_salvage.cli.verdict import accounts, hazard, verdict
from kafka_salvage.cli.words import number, plural, size
from kafka_salvage.export.receipt import Receipt
from kafka_salvage.integrity.placing import write_text
from kafka_salvage.integrity.report import IntegrityReport

if TYPE_CHECKING:
    from markupsafe import Markup

Document = dict[str, Any]

SCRIPTS = ("words.js", "bars.js", "zoom.js", "table.js", "rows.js", "page.js")
HEADS_PER_SEGMENT = 12
FLAG = 32
"""Words with hyphens that are shorter are not broken."""

_STATUS_MEANINGS = {
    "recovered": "comes out, unchanged",
    "repaired": "comes out; changed, and the change is proved",
    "ambiguous": "copies disagree: a person must decide",
    "undecodable": "the bytes are whole, the records cannot be read",
    "suspect": "whole, but nothing proves that it belongs here",
    "divergent": "only on a branch of history that lost",
    "lost": "damaged bytes lie where it was",
    "missing": "no bytes are there at all",
    "absent": "no damage: never written, or removed by Kafka",
    "trimmed": "deleted by Kafka, below the log start",
}
_VERDICT_MEANINGS = {
    "intact": "as Kafka wrote it",
    "repaired": "changed, and the change is proved",
    "suspect": "its CRC holds, its place is not proved",
    "undecodable": "its CRC holds, its records cannot be read",
    "duplicate": "the same bytes are believed elsewhere",
    "damaged": "no batch, or one whose CRC fails",
    "foreign": "not Kafka's",
    "blank": "zeros behind the end, reserved ahead",
    "unreadable": "the disk did not give it",
    "unread": "was not read",
}


@dataclass(frozen=True, slots=True)
class Page:
    """What a page is made of.

    Attributes:
        document: the report.
        next: the next command, in the words of the terminal.
        given: which copy gave which offsets.
        heads: beginnings of damaged regions.
        verb: ``check`` or ``salvage``.
        hints: what is not written, and the flag that adds it.
    """

    document: Document
    next: str
    given: Given
    heads: Sequence[hexview.Head]
    verb: str = "check"
    hints: Sequence[str] = ()


def write(path: Path, account: IntegrityReport, request: Request, receipt: Receipt | None = None) -> None:
    """Writes the page of a report, whole or not at all; reads the beginnings of damaged regions once more.

    Args:
        path: of the file.
        account: the report.
        request: how it was asked for.
        receipt: of a salvage.

    Raises:
        DestinationError: it could not be written.
    """
    bounds, document = Bounds(), account.document
    if receipt is not None:
        following_line = following.after_salvage(Path(receipt.out))
    else:
        following_line = following.after_check(document, account.plan.inventory, request.paths, request.again)
    page = Page(
        document,
        following_line.removeprefix("Next: "),
        _given(account),
        tuple(hexview.views(iter(account.segments), bounds.heads, HEADS_PER_SEGMENT)),
        "check" if receipt is None else "salvage",
        tuple(hints_of(document, request.internal)),
    )
    write_text(path, rendered(page, bounds))


def rendered(page: Page, bounds: Bounds) -> str:
    """The page as text; the same report gives the same text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("kafka_salvage.cli"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
    environment.filters.update(number=number, size=size, visible=safe, flags=_flags)
    script = '(() => {\n"use strict";\n' + "\n".join(map(_asset, SCRIPTS)) + "})();\n"
    style = _asset("page.css")
    return environment.get_template("page.html").render(
        **_plain(page),
        data=Rows(page.document, page.given, page.heads, bounds).data(),
        script=Markup(script),  # noqa: S704 - our own file; what comes from evidence is in `data`, escaped
        script_hash=_hash(script),
        style=Markup(style),  # noqa: S704 - our own file
        style_hash=_hash(style),
        version=__version__,
    )


def _plain(page: Page) -> dict[str, Any]:
    """What is said without any script."""
    document = page.document
    summary = document["summary"]
    _, sentence = verdict(document, page.verb)
    copies = list(_copies(page))
    head, _, tail = sentence.rpartition("; ")
    return {
        "summary": summary,
        "outcome": summary["outcome"],
        "sentence": sentence,
        "headline": head or sentence,
        "gain": tail if head else "",
        "accounts": list(accounts(document, sentence)),
        "hazard": hazard(document),
        "hints": list(page.hints),
        "meaning": MEANINGS[Exit(summary["exit_code"])],
        "next": page.next,
        "statuses": [(s, summary["offsets"][s], _STATUS_MEANINGS[s]) for s in STATUSES],
        "verdicts": [(v, summary["bytes"][v], _VERDICT_MEANINGS[v]) for v in VERDICTS],
        "copies": copies,
        "clusters": sorted({copy["cluster"] for copy in copies if copy["cluster"]}),
        "schema": document["schema"],
        "depth": document["depth"],
        "verb": page.verb,
        "plural": plural,
    }


def _copies(page: Page) -> Iterator[Document]:
    """A row per log dir, or per source where files lie in none: what it holds, and what it gave."""
    document = page.document
    for source in document["sources"]:
        dirs = {each["id"]: each for each in source["log_dirs"]}
        segments = [s for s in document["segments"] if s["source"] == source["name"]]
        for log_dir in [*dirs, *({None} if any(s["log_dir"] not in dirs for s in segments) else ())]:
            held = [s for s in segments if (s["log_dir"] if s["log_dir"] in dirs else None) == log_dir]
            replicas = [
                (place, copy)
                for place, partition in enumerate(document["partitions"])
                for copy in partition["replicas"]
                if copy["source"] == source["name"]
                and (copy["log_dir"] if copy["log_dir"] in dirs else None) == log_dir
            ]
            yield _copy(source["name"], dirs.get(log_dir or ""), held, replicas, page.given)


def _copy(
    name: str,
    log_dir: Document | None,
    segments: Sequence[Document],
    replicas: Sequence[tuple[int, Document]],
    given: Given,
) -> Document:
    sums = dict.fromkeys(VERDICTS, 0)
    for segment in segments:
        for region in segment["regions"]:
            sums[region["verdict"]] += region["stop"] - region["start"]
    ranges = [given.get((place, copy["source"], copy["path"]), ()) for place, copy in replicas]
    doomed = [
        max((c["intact_records_destroyed"] for c in (would.get("if_clean"), would.get("if_unclean")) if c), default=0)
        for would in ((copy["broker_would"] or {}) for _, copy in replicas)
    ]
    elected = [copy["lost_if_elected"] for _, copy in replicas if copy["lost_if_elected"] is not None]
    return {
        "name": log_dir["id"] if log_dir else name,
        "source": name,
        "cluster": log_dir["cluster_id"] if log_dir else None,
        "node": log_dir["node_id"] if log_dir else None,
        "clean": log_dir["clean_shutdown"] if log_dir else None,
        "partitions": len(replicas),
        "segments": len(segments),
        "bytes": sum(sums.values()),
        "sums": sums,
        "gave": sum(stop - start for each in ranges for start, stop in each),
        "only_here": sum(copy["only_here"] for _, copy in replicas),
        "elected": sum(elected) if elected else None,
        "doomed": sum(doomed),
    }


def _given(account: IntegrityReport) -> dict[tuple[int, str, str], list[tuple[int, int]]]:
    """Ranges of offsets on the line of each partition, by the copy that they come from."""
    found: dict[tuple[int, str, str], list[tuple[int, int]]] = {}
    copies = {
        (survey.replica.source, survey.replica.path): account.document["partitions"][place]["replicas"][at]
        for place, partition in enumerate(account.plan.partitions)
        for at, survey in enumerate(partition.replicas)
    }
    homes = {
        id(segment): (survey.replica.source, survey.replica.path)
        for survey in account.replicas
        for segment in survey.segments
    }
    for place, partition in enumerate(account.plan.partitions):
        for step in partition.line:
            entry = copies[homes[id(step.survey)]]
            ranges = found.setdefault((place, entry["source"], entry["path"]), [])
            if ranges and ranges[-1][1] == step.offsets.start:
                ranges[-1] = ranges[-1][0], step.offsets.stop
            else:
                ranges.append((step.offsets.start, step.offsets.stop))
    return found


def _flags(text: str) -> Markup:
    """Text in which flags and their values are not broken at their hyphens."""
    from markupsafe import Markup, escape

    words = (
        Markup('<span class="flag">{}</span>').format(word) if "-" in word and len(word) < FLAG else escape(word)
        for word in text.split(" ")
    )
    return Markup(" ").join(words)


def _asset(name: str) -> str:
    return resources.files("kafka_salvage.cli").joinpath("templates", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
