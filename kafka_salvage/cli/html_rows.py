"""Rows: the report's document as the compact tables that the page's own script draws.

Strategy: every range of a ledger and of a segment is a short list that begins where the one before it ends. Names that
repeat are written once and referred to by number. Where a list is folded, its row carries the sums of what it stands for, so
that all sums stay those of the report.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kafka_salvage.cli.exits import safe
from kafka_salvage.cli.hexview import Head
from kafka_salvage.cli.html_folding import Bounds, allowance, exact, folded, spread
from kafka_salvage.cli.verdict import harm_of, rank_of, sums_of
from kafka_salvage.cli.words import short

Document = dict[str, Any]
Given = Mapping[tuple[int, str, str], Sequence[tuple[int, int]]]
"""(place of the partition, source, path of the copy) -> the ranges of offsets that come from this copy."""

STATUSES = (
    "recovered",
    "repaired",
    "ambiguous",
    "undecodable",
    "suspect",
    "divergent",
    "lost",
    "missing",
    "absent",
    "trimmed",
)
VERDICTS = (
    "intact",
    "repaired",
    "suspect",
    "undecodable",
    "duplicate",
    "damaged",
    "foreign",
    "blank",
    "unreadable",
    "unread",
)
_HARMLESS = frozenset({"intact", "blank"})
_OPEN_ENDED, _UPPER_BOUND = 1, 2


class Names:
    """Texts that repeat, each once, in the order in which they are first met."""

    def __init__(self, words: int) -> None:
        self._places: dict[str, int] = {}
        self._words = words

    def place(self, text: str | None) -> int:
        """Number of a text; -1 for none."""
        if text is None:
            return -1
        return self._places.setdefault(short(safe(text), self._words), len(self._places))

    def whole(self) -> list[str]:
        """All of them."""
        return list(self._places)


@dataclass
class Rows:
    """Tables of one page, made in turn from a document.

    Args:
        document: the report.
        given: which copy gave which offsets.
        heads: beginnings of damaged regions.
        bounds: what the page holds at most.
    """

    document: Document
    given: Given
    heads: Sequence[Head]
    bounds: Bounds = field(default_factory=Bounds)

    def __post_init__(self) -> None:
        self.names = Names(self.bounds.words)
        partitions = list(enumerate(self.document["partitions"]))
        partitions.sort(key=lambda p: (not p[1]["selected"], [-count for count in harm_of(p[1])], p[0]))
        self._partitions = partitions[: self.bounds.partitions]
        self._findings = self._chosen_findings()
        self._shown = {finding["id"]: place for place, finding in enumerate(self._findings)}
        self._homes: dict[tuple[str, str], tuple[int, int]] = {}

    def data(self) -> dict[str, Any]:
        """All tables, as plain values for JSON."""
        partitions = self._partition_rows()
        segments = self._segment_rows()
        return {
            "statuses": STATUSES,
            "verdicts": VERDICTS,
            "partitions": partitions,
            "segments": segments,
            "findings": [self._finding(finding) for finding in self._findings],
            "codes": self._codes(),
            "heads": [_head(head, self.names) for head in self.heads],
            "names": self.names.whole(),
            "totals": {
                "partitions": len(self.document["partitions"]),
                "segments": len(self.document["segments"]),
                "findings": self.document["summary"]["findings_total"],
            },
        }

    def _text(self, value: str) -> str:
        return short(safe(value), self.bounds.words)

    def _partition_rows(self) -> list[list[Any]]:
        rows = [entry for _, entry in self._partitions]
        spans = allowance((len(entry["offsets"]) for entry in rows), self.bounds.spans)
        given = allowance((len(ranges) for ranges in self.given.values()), self.bounds.given)
        return [self._partition(place, home, spans, given) for home, (place, _) in enumerate(self._partitions)]

    def _partition(self, place: int, home: int, spans: int, given: int) -> list[Any]:
        entry = self.document["partitions"][place]
        sums = sums_of(entry)
        copies = [
            self._copy(place, home, at, copy, given) for at, copy in enumerate(entry["replicas"][: self.bounds.copies])
        ]
        return [
            self._text(entry["topic"]),
            entry["partition"],
            self.names.place(entry["state"]),
            int(entry["selected"]),
            exact(entry["offsets"][0]["start"]) if entry["offsets"] else 0,
            [self._span(group) for group in folded(entry["offsets"], spans)],
            [exact(sums.get(status, 0)) for status in STATUSES],
            [entry["records"][kind] for kind in ("data", "control", "none", "committed", "aborted", "open", "unknown")],
            [exact(entry["log_start_offset"]), exact(entry["high_watermark"])],
            copies,
            len(entry["replicas"]) - len(copies),
            self.names.place(entry["topic_id"]),
        ]

    def _span(self, group: Sequence[Document]) -> list[Any]:
        stop = exact(group[-1]["stop"])
        if len(group) > 1:
            sums = sums_of({"offsets": group})
            return [stop, [exact(sums.get(status, 0)) for status in STATUSES], len(group)]
        span = group[0]
        flags = _OPEN_ENDED * span.get("open_ended", False) | _UPPER_BOUND * span.get("upper_bound", False)
        row = [
            stop,
            STATUSES.index(span["status"]),
            exact(span.get("absent", 0)),
            self.names.place(span.get("source")),
            self.names.place(span.get("reason")),
            flags,
            self._first_shown(span.get("findings", ())),
        ]
        return _clipped(row, [None, None, 0, -1, -1, 0, -1])

    def _copy(self, place: int, home: int, at: int, copy: Document, most: int) -> list[Any]:
        ranges = self.given.get((place, copy["source"], copy["path"]), ())
        self._homes.setdefault((copy["source"], copy["path"]), (home, at))
        would = copy["broker_would"] or {}
        cases = [would.get(case) for case in ("if_clean", "if_unclean")]
        flat = [[exact(group[0][0]), exact(group[-1][1])] for group in folded(ranges, most)]
        return [
            self.names.place(copy["log_dir"] or copy["source"]),
            self.names.place(copy["source"]),
            self._text(copy["path"]),
            self.names.place(copy["state"]),
            [exact(bound) for bound in copy["offsets"]] if copy["offsets"] else None,
            exact(copy["high_watermark"]),
            copy["size"],
            copy["intact_records"],
            copy["only_here"],
            copy["lost_if_elected"],
            exact(sum(stop - start for start, stop in ranges)),
            flat,
            [
                case and [int(case["starts"]), case["intact_records_destroyed"], self._text(case["reason"])]
                for case in cases
            ],
        ]

    def _segment_rows(self) -> list[list[Any]]:
        def badness(entry: Document) -> int:
            return sum(r["stop"] - r["start"] for r in entry["regions"] if r["verdict"] not in _HARMLESS)

        order = sorted(enumerate(self.document["segments"]), key=lambda pair: (-badness(pair[1]), pair[0]))
        chosen = [entry for _, entry in order[: self.bounds.segments]]
        most = allowance((len(entry["regions"]) for entry in chosen), self.bounds.regions)
        heads: dict[tuple[str, str], list[int]] = defaultdict(list)
        for place, head in enumerate(self.heads):
            heads[head.source, head.path].append(place)
        return [self._segment(entry, most, heads[entry["source"], entry["path"]]) for entry in chosen]

    def _segment(self, entry: Document, most: int, heads: list[int]) -> list[Any]:
        directory, _, name = entry["path"].rpartition("/")
        home, copy = self._homes.get((entry["source"], directory), (-1, -1))
        return [
            self.names.place(entry["source"]),
            self.names.place(directory),
            self._text(name),
            self.names.place(entry["state"]),
            home,
            copy,
            [self._region(group) for group in folded(entry["regions"], most)],
            heads,
        ]

    def _region(self, group: Sequence[Document]) -> list[Any]:
        stop = group[-1]["stop"]
        if len(group) > 1:
            sums = dict.fromkeys(VERDICTS, 0)
            for region in group:
                sums[region["verdict"]] += region["stop"] - region["start"]
            return [stop, list(sums.values()), len(group)]
        region = group[0]
        offsets = [exact(bound) for bound in region["offsets"]] if region["offsets"] else 0
        row = [
            stop,
            VERDICTS.index(region["verdict"]),
            region["batches"],
            region["records"],
            offsets,
            self._first_shown(region["findings"]),
        ]
        return _clipped(row, [None, None, 0, 0, 0, -1])

    def _first_shown(self, ids: Sequence[str]) -> int:
        return next((self._shown[name] for name in ids if name in self._shown), -1)

    def _chosen_findings(self) -> list[Document]:
        groups: dict[tuple[bool, str], list[Document]] = defaultdict(list)
        for finding in sorted(self.document["findings"], key=rank_of):
            groups[bool(finding["detail"].get("harmless")), finding["code"]].append(finding)
        ordered = sorted(groups.items(), key=lambda item: item[0][0])
        return spread([group for _, group in ordered], self.bounds.findings)

    def _codes(self) -> list[list[Any]]:
        """Code, and how many findings of it the report holds."""
        counts: dict[str, int] = {}
        for finding in sorted(self.document["findings"], key=rank_of):
            counts[finding["code"]] = counts.get(finding["code"], 0) + 1
        return [[code, count] for code, count in counts.items()]

    def _finding(self, finding: Document) -> list[Any]:
        detail = [
            [self._text(key), self._text(value if isinstance(value, str) else repr(value))]
            for key, value in sorted(finding["detail"].items())
        ]
        return [
            finding["id"],
            self.names.place(finding["code"]),
            self.names.place(finding["source"]),
            self._text(finding["path"]),
            finding["start"],
            finding["stop"],
            [exact(bound) for bound in finding["offsets"]] if finding["offsets"] else 0,
            self._text(finding["message"]),
            detail,
        ]


def _clipped(row: list[Any], defaults: list[Any]) -> list[Any]:
    """The row without the last values that say nothing."""
    while row[-1] == defaults[len(row) - 1]:
        row.pop()
    return row


def _head(head: Head, names: Names) -> list[Any]:
    cells = "".join(cell if len(cell) == 2 and cell.isalnum() else ".." for cell in head.cells)
    fields = [[name, at, width, exact(value)] for name, at, width, value in head.fields]
    return [head.start, head.stop, names.place(head.verdict), cells, fields, head.problem]
