"""LineCheck: one line of a rescue in one format, held against the manifest and the report.

What a report promises of a partition: its `recovered` and `repaired` offsets, without those that are absent, are its data
records and its control records. What a salvage writes of it is those data records, where no filter narrows them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kafka_salvage.export.places import UNLOADABLE_TOPICS
from kafka_salvage.export.rereading import Expected
from kafka_salvage.scan.batches import I64, Bool

Document = Mapping[str, Any]

GIVEN = ("recovered", "repaired")
_BY_INCLUDE = {"suspect": "suspect", "trimmed": "trimmed"}


@dataclass(frozen=True, slots=True)
class LineCheck:
    """One line in one format.

    Attributes:
        path: file or folder.
        records: data records that were read back.
        first, last: their offsets; None without records.
        reasons: where it disagrees; empty when all agrees.
    """

    path: str
    topic: str
    partition: int
    format: str
    records: int
    first: int | None
    last: int | None
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "path": self.path,
            "topic": self.topic,
            "partition": self.partition,
            "format": self.format,
            "records": self.records,
            "first_offset": self.first,
            "last_offset": self.last,
            "reasons": list(self.reasons),
        }


@dataclass(slots=True)
class Tally:
    """Offsets that were read back, added up.

    Attributes:
        spans: starts and stops of the offsets that may come out; None = not known.
        inside: records whose offsets may come out.
        whole: every file of it could be read.
    """

    spans: tuple[I64, I64] | None = None
    records: int = 0
    inside: int = 0
    first: int | None = None
    last: int | None = None
    backwards: int | None = None
    outside: int | None = None
    whole: bool = True

    def add(self, offsets: I64) -> None:
        """Adds offsets, in the order in which they stand."""
        if not len(offsets):
            return
        before = np.concatenate([offsets[:1] - 1 if self.last is None else np.array([self.last]), offsets[:-1]])
        wrong = np.flatnonzero(offsets <= before)
        if len(wrong) and self.backwards is None:
            self.backwards = int(offsets[wrong[0]])
        inside = self._is_inside(offsets)
        self.inside += int(inside.sum())
        if self.outside is None and not inside.all():
            self.outside = int(offsets[np.flatnonzero(~inside)[0]])
        self.records += len(offsets)
        self.first = int(offsets[0]) if self.first is None else self.first
        self.last = int(offsets[-1])

    def _is_inside(self, offsets: I64) -> Bool:
        if self.spans is None:
            return np.ones(len(offsets), np.bool_)
        starts, stops = self.spans
        if not len(starts):
            return np.zeros(len(offsets), np.bool_)
        row = np.searchsorted(starts, offsets, side="right") - 1
        return np.asarray((row >= 0) & (offsets < stops[row.clip(min=0)]))


@dataclass(frozen=True, slots=True)
class Promise:
    """What manifest and report say of one line.

    Attributes:
        places: format -> its files or folders; a folder ends with ``/``.
        records: format -> data records, as the manifest says.
        expected: topic and partition.
        settings: of the salvage.
        exact: no filter narrows what comes out.
        tallies: what was read back.
        partition: of the report; None for a line that the report does not count by itself.
    """

    expected: Expected
    places: Mapping[str, tuple[str, ...]]
    records: Mapping[str, int]
    partition: Document | None
    settings: Document
    exact: bool
    tallies: dict[str, Tally] = field(default_factory=dict)

    def format_of(self, path: str) -> str | None:
        """The format in which a file is of this line."""
        for format_, places in self.places.items():
            if any(path == place or (place.endswith("/") and path.startswith(place)) for place in places):
                return format_
        return None

    def tally(self, format_: str, place: str) -> Tally:
        """Where offsets of a place are added up; loadable and undecided segments are each in order by themselves."""
        key = f"{format_}:{place}"
        if key not in self.tallies:
            self.tallies[key] = Tally(self._spans())
        return self.tallies[key]

    def place_of(self, path: str, format_: str) -> str:
        """The file or folder of a format that a file belongs to."""
        return next(
            place for place in self.places[format_] if path == place or (place.endswith("/") and path.startswith(place))
        )

    def _spans(self) -> tuple[I64, I64] | None:
        if self.partition is None:
            return None
        wanted = {*GIVEN, *(_BY_INCLUDE[name] for name in self.settings["include"] if name in _BY_INCLUDE)}
        spans = [(s["start"], s["stop"]) for s in self.partition["offsets"] if s["status"] in wanted]
        starts, stops = np.array(spans, np.int64).reshape(-1, 2).T
        return starts, stops

    def checks(self) -> Iterator[LineCheck]:
        """One per format, once all files were read."""
        for format_, places in self.places.items():
            tallies = [self.tally(format_, place) for place in places]
            yield LineCheck(
                path=places[0].rstrip("/"),
                topic=self.expected.topic,
                partition=self.expected.partition,
                format=format_,
                records=sum(tally.records for tally in tallies),
                first=min((t.first for t in tallies if t.first is not None), default=None),
                last=max((t.last for t in tallies if t.last is not None), default=None),
                reasons=tuple(self._reasons(format_, tallies)),
            )

    @property
    def absent_formats(self) -> tuple[str, ...]:
        """Formats that were asked for, and that this line should have and does not."""
        wanted = set(self.settings["formats"]) & {"segments", "jsonl", "parquet", "arrow"}
        if self.expected.topic in UNLOADABLE_TOPICS:
            wanted.discard("segments")
        return tuple(sorted(wanted - self.places.keys())) if self._promised() else ()

    def _reasons(self, format_: str, tallies: Sequence[Tally]) -> Iterator[str]:
        for tally in tallies:
            if tally.backwards is not None:
                yield f"offset {tally.backwards} is not behind the one before it"
            if tally.outside is not None and format_ != "segments":
                yield f"offset {tally.outside} is none that the report says is recovered"
        if not all(tally.whole for tally in tallies):
            return
        found, told = sum(tally.records for tally in tallies), self.records[format_]
        if found != told:
            yield f"{found} records are in it, and the manifest counts {told}"
        promised = self._promised()
        inside = sum(tally.inside for tally in tallies)  # segments are cut at batch edges
        if promised is not None and inside != promised:
            yield f"{inside} records are in it, and the report counts {promised}"

    def _promised(self) -> int | None:
        """Data records of the report; None where a filter narrows what comes out."""
        if self.partition is None or not self.exact:
            return None
        records = self.partition["records"]
        if self.settings["isolation"] == "read_committed":
            return int(records["none"] + records["committed"])
        return int(records["data"])


def ledger_reasons(line: Promise) -> Iterator[str]:
    """Where a partition's offsets in the report do not add up to its records; where a filter narrows, they need not."""
    if line.partition is None or not line.exact:
        return
    records, spans = line.partition["records"], line.partition["offsets"]
    given = sum(s["stop"] - s["start"] - s.get("absent", 0) for s in spans if s["status"] in GIVEN)
    total = records["data"] + records["control"]
    if given != total:
        yield f"{given} offsets are recovered, and {total} records are counted"
    labels = sum(records[name] for name in ("none", "committed", "aborted", "open", "unknown"))
    if labels != records["data"]:
        yield f"{labels} records have a transaction label, and {records['data']} are counted"


def promises(manifest: Document, report: Document | None) -> list[Promise]:
    """What is said of every line.

    Raises:
        KeyError, TypeError, ValueError: the documents are not of the expected form.
    """
    settings = manifest["settings"]
    chosen = settings["selection"]
    narrowed = any(chosen[name] is not None for name in _NARROWING)
    narrowed |= bool(settings.get("latest_per_key"))
    plain = not narrowed and not set(settings["include"]) & _BY_INCLUDE.keys() and not manifest["shortfalls"]
    made: list[Promise] = []
    keys = Counter(_key(line) for line in manifest["partitions"])
    for line in manifest["partitions"]:
        places, records, left_out = _places(line["outputs"])
        own = line["kind"] == "main" or (line["kind"] == "incarnations" and keys[_key(line)] == 1)
        partition = _matching(report, line) if report is not None and own else None
        expected = Expected(line["topic"], line["partition"])
        made.append(Promise(expected, places, records, partition, settings, plain and not left_out))
    return made


_NARROWING = ("from_offset", "to_offset", "from_timestamp", "to_timestamp")


def _places(outputs: Document) -> tuple[dict[str, tuple[str, ...]], dict[str, int], int]:
    """Files and folders by format, records by format, and batches that no segment took."""
    places: dict[str, tuple[str, ...]] = {}
    records: dict[str, int] = {}
    logs = [outputs[name] for name in ("segments", "segments_undecided") if name in outputs]
    if logs:
        places["segments"] = tuple(f"{log['directory']}/" for log in logs)
        records["segments"] = sum(log["records"] for log in logs)
    for name in ("jsonl", "arrow", "parquet"):
        if name in outputs:
            places[name] = (outputs[name]["path"] + ("/" if name == "parquet" else ""),)
            records[name] = outputs[name]["records"]
    return places, records, sum(log["overlapping_batches_left_out"] for log in logs)


_NAMES = ("topic", "partition", "cluster_id", "topic_id", "state")


def _key(line: Document) -> tuple[Any, ...]:
    return tuple(line[name] for name in _NAMES)


def _matching(report: Document, line: Document) -> Document | None:
    """The partition of the report whose records a line holds."""
    found = [partition for partition in report["partitions"] if _key(partition) == _key(line)]
    return found[0] if len(found) == 1 else None
