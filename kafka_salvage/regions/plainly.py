"""Plain values of a survey: a segment's judgement as JSON, and back.

Columns are little-endian bytes, deflated, as base64: a segment of many small transactions has a row per batch. Everything
else goes by the fields of its type, so that a field that is added there is kept here. A finding that several regions share
stays one finding.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.compact import Compact
from kafka_salvage.regions.map import Region, RegionMap
from kafka_salvage.regions.runs import (
    RUN_COLUMNS,
    TXN_COLUMNS,
    Patch,
    RunTable,
    SegmentFacts,
    SegmentSurvey,
    TransactionTable,
)
from kafka_salvage.regions.shapes import Picked
from kafka_salvage.regions.verdict import Finding, Verdict
from kafka_salvage.scan.replica import SegmentFile

Plain = dict[str, Any]
_LEVEL = 1


def _columns(table: object, columns: Mapping[str, np.dtype[Any]]) -> Plain:
    made: Plain = {}
    for name, kind in columns.items():
        data = np.ascontiguousarray(getattr(table, name), kind.newbyteorder("<")).tobytes()
        made[name] = base64.b64encode(zlib.compress(data, _LEVEL)).decode("ascii")
    return made


def _arrays(value: Plain, columns: Mapping[str, np.dtype[Any]]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    for name, kind in columns.items():
        data = zlib.decompress(base64.b64decode(value[name]))
        yield name, np.frombuffer(data, kind.newbyteorder("<")).astype(kind)


def _rows(value: Plain, name: str, columns: Mapping[str, np.dtype[Any]]) -> int:
    return len(zlib.decompress(base64.b64decode(value[name]))) // columns[name].itemsize


def _offsets(value: OffsetRange | None) -> list[int] | None:
    return None if value is None else [value.start, value.stop]


def _range(value: list[int] | None) -> OffsetRange | None:
    return None if value is None else OffsetRange(*value)


def _tuples(value: Any) -> Any:
    """Lists as tuples, at any depth: the types here hold no lists."""
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value


def _finding(finding: Finding) -> Plain:
    made = {field.name: getattr(finding, field.name) for field in fields(finding)}
    return {**made, "offsets": _offsets(finding.offsets), "detail": dict(finding.detail)}


_Key = tuple[Any, ...]


def _keyed(findings: Sequence[Finding]) -> Iterator[tuple[_Key, Finding]]:
    """Findings, each with what tells it apart: itself, or all that it says where it is made anew whenever it is looked at."""
    packed = isinstance(findings, (Compact, Picked))
    for each in findings:
        said = each.code, each.source, each.path, each.start, each.stop, each.offsets, each.message, repr(each.detail)
        yield said if packed else (id(each),), each


def _region(region: Region, numbers: Mapping[_Key, int]) -> list[Any]:
    made = {field.name: getattr(region, field.name) for field in fields(region)}
    made |= {
        "verdict": str(region.verdict),
        "offsets": _offsets(region.offsets),
        "findings": [numbers[key] for key, _ in _keyed(region.findings)],
    }
    return list(made.values())


def _read_region(value: list[Any], findings: list[Finding]) -> Region:
    made = dict(zip((field.name for field in fields(Region)), value, strict=True))
    made |= {
        "verdict": Verdict(made["verdict"]),
        "offsets": _range(made["offsets"]),
        "findings": tuple(findings[number] for number in made["findings"]),
    }
    return Region(**made)


def to_plain(survey: SegmentSurvey) -> Plain:
    """The judgement of one segment as plain JSON values; the file itself is not in it."""
    known: dict[_Key, Finding] = {}
    for group in chain((survey.findings,), (region.findings for region in survey.regions)):
        for key, finding in _keyed(group):
            known.setdefault(key, finding)
    numbers = {key: number for number, key in enumerate(known)}
    return {
        "size": survey.regions.size,
        "regions": [_region(region, numbers) for region in survey.regions],
        "runs": _columns(survey.runs, RUN_COLUMNS),
        "transactions": _columns(survey.transactions, TXN_COLUMNS),
        "patches": [[patch.position, patch.before.hex(), patch.after.hex()] for patch in survey.patches],
        "all_findings": [_finding(finding) for finding in known.values()],
        "findings": [numbers[key] for key, _ in _keyed(survey.findings)],
        "facts": {field.name: getattr(survey.facts, field.name) for field in fields(survey.facts)},
    }


def from_plain(value: Plain, segment: SegmentFile) -> SegmentSurvey:
    """The judgement that `to_plain` told, of the file that it is about."""
    runs, fates = value["runs"], value["transactions"]
    findings = [Finding(**{**each, "offsets": _range(each["offsets"])}) for each in value["all_findings"]]
    return SegmentSurvey(
        segment=segment,
        regions=RegionMap(value["size"], (_read_region(each, findings) for each in value["regions"])),
        runs=RunTable.gathered(_arrays(runs, RUN_COLUMNS), _rows(runs, "repaired", RUN_COLUMNS)),
        transactions=TransactionTable.gathered(_arrays(fates, TXN_COLUMNS), _rows(fates, "kind", TXN_COLUMNS)),
        patches=tuple(Patch(at, bytes.fromhex(before), bytes.fromhex(after)) for at, before, after in value["patches"]),
        findings=tuple(findings[number] for number in value["findings"]),
        facts=SegmentFacts(**{name: _tuples(each) for name, each in value["facts"].items()}),
    )
