"""Manifest: the plain values of `manifest.json`, `run.json` and `SHA256SUMS`."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

from kafka_salvage.export.lines import Line
from kafka_salvage.export.options import ExportOptions
from kafka_salvage.export.places import shown
from kafka_salvage.export.quarantine import surveys_of
from kafka_salvage.export.receipt import WrittenFile
from kafka_salvage.integrity.document import dumps, text_of
from kafka_salvage.plan.plan import PartitionPlan, Plan, Status
from kafka_salvage.scan.replica import Inventory

GAPS = frozenset({Status.AMBIGUOUS, Status.UNDECODABLE, Status.SUSPECT, Status.DIVERGENT, Status.LOST, Status.MISSING})
"""Statuses of offsets that a person may have hoped for and does not get in the main line."""


def dump(document: Mapping[str, Any]) -> bytes:
    """A JSON document, the same bytes for the same values."""
    return dumps(document).encode("utf-8", "backslashreplace")


def pieces(document: Mapping[str, Any]) -> Iterator[bytes]:
    """The same piece by piece."""
    return (piece.encode("utf-8", "backslashreplace") for piece in text_of(document))


def dump_line(document: Any) -> bytes:
    """A JSON document on one line."""
    return json.dumps(document, sort_keys=True, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def settings(plan: Plan, options: ExportOptions) -> dict[str, Any]:
    """The choices that the output depends on."""
    policy, chosen = plan.policy, plan.policy.selection
    return {
        "formats": sorted(options.formats),
        "encoding": options.encoding,
        "compress": options.compress,
        "isolation": str(policy.isolation),
        "latest_per_key": options.latest_per_key,
        "undecided": str(policy.undecided),
        "leader_epoch": policy.leader_epoch,
        "include": sorted(str(each) for each in policy.include),
        "prefer": policy.prefer,
        "strict": policy.strict,
        "topic_ids": dict(policy.topic_ids),
        "selection": {
            "topics": sorted(chosen.topics),
            "topic_regex": chosen.topic_regex,
            "partition": chosen.partition,
            "from_offset": chosen.from_offset,
            "to_offset": chosen.to_offset,
            "from_timestamp": chosen.from_timestamp,
            "to_timestamp": chosen.to_timestamp,
            "internal": chosen.internal,
        },
    }


def sources(plan: Plan) -> tuple[dict[str, Any], ...]:
    """Per source: the segment files with sizes and bytes per verdict."""
    listed: dict[str, list[dict[str, Any]]] = {source.name: [] for source in plan.inventory.sources}
    for survey in surveys_of(plan):
        file = survey.segment.file
        totals = {str(verdict): size for verdict, size in survey.regions.totals().items() if size}
        listed.setdefault(file.source, []).append(
            {"path": shown(file.path), "size": survey.regions.size, "bytes": totals}
        )
    return tuple({"name": shown(name), "segments": listed[name]} for name in sorted(listed))


def gaps(partition: PartitionPlan) -> list[dict[str, Any]]:
    """Offset ranges that do not come out, with the codes of their findings."""
    return [
        {
            "start": span.offsets.start,
            "stop": span.offsets.stop,
            "status": str(span.status),
            "open_ended": span.open_ended,
            "upper_bound": span.upper_bound,
            "reason": span.reason,
            "findings": sorted({finding.code for finding in span.findings}),
        }
        for span in partition.ledger
        if span.status in GAPS
    ]


def repairs(line: Line) -> list[dict[str, Any]]:
    """Bytes that a proved repair exchanged in what a line is made of."""
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for step in line.steps:
        file = step.survey.segment.file
        for patch in step.survey.patches:
            if step.start <= patch.position < step.stop:
                found[file.source, file.path, patch.position] = {
                    "source": shown(file.source),
                    "path": shown(file.path),
                    "position": patch.position,
                    "before": patch.before.hex(),
                    "after": patch.after.hex(),
                }
    return [found[key] for key in sorted(found)]


def partition_entry(line: Line, notes: Mapping[str, Any]) -> dict[str, Any]:
    """What became of one line."""
    partition = line.partition_plan
    return {
        "topic": shown(line.topic),
        "partition": line.partition,
        "cluster_id": partition.cluster_id,
        "topic_id": partition.topic_id,
        "kind": line.kind,
        "root": line.root,
        "state": str(line.state),
        "log_start": partition.log_start,
        "leans_on_leftovers": partition.leans_on_leftovers,
        "gaps": gaps(partition),
        "repairs": repairs(line),
        "outputs": dict(notes),
    }


def sums(files: Iterable[WrittenFile]) -> bytes:
    """The content of `SHA256SUMS`, as `sha256sum -c` reads it."""
    return "".join(f"{file.sha256}  {file.path}\n" for file in sorted(files, key=lambda f: f.path)).encode("ascii")


def run_block(inventory: Inventory, options: ExportOptions, out: str) -> dict[str, Any]:
    """Everything that differs from run to run: times, host, command line, real paths."""
    system = os.uname()
    return {
        "version": _version(),
        "argv": list(options.argv or sys.argv),
        "started": options.begun.isoformat(),
        "finished": dt.datetime.now(dt.UTC).isoformat(),
        "host": system.nodename,
        "system": f"{system.sysname}-{system.release}-{system.machine}",  # `platform` would run a program
        "python": platform.python_version(),
        "process": os.getpid(),
        "out": shown(out),
        "sources": _roots(inventory),
    }


def _roots(inventory: Inventory) -> Sequence[dict[str, str]]:
    return [{"name": shown(source.name), "path": shown(os.fspath(source.root))} for source in inventory.sources]


def _version() -> str:
    try:
        return metadata.version("kafka-salvage")
    except metadata.PackageNotFoundError:
        return "unknown"
