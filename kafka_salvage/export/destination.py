"""Destination: whether an output directory may be written at all."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from kafka_salvage.errors import DestinationError, RequestError
from kafka_salvage.export import registry
from kafka_salvage.export.atomic import PARTIAL
from kafka_salvage.export.options import ExportOptions
from kafka_salvage.plan.policy import Policy
from kafka_salvage.scan.replica import Inventory

MANIFEST, SUMS, RUN, REPORT = "manifest.json", "SHA256SUMS", "run.json", "report.json"
MARKS = (PARTIAL, MANIFEST, SUMS, RUN)
"""One of these stands in every directory that a salvage has begun."""


def refuse_destination(inventory: Inventory, out: Path, options: ExportOptions) -> None:
    """Looks at the output directory before any work is done; writes nothing.

    Raises:
        RequestError: it lies inside a source or a source inside it, is no directory, or is not empty; or a format is unknown.
        DestinationError: it cannot be looked at.
    """
    for name in options.formats:
        registry.load(name)
    try:
        _refuse_evidence(inventory, Path(os.path.realpath(out)))
        _refuse_content(out, options)
    except OSError as error:
        raise DestinationError(
            f"the output directory {out} cannot be looked at: {error.strerror}",
            target=str(out),
            advice="Give --out where this user may write.",
        ) from error


def _refuse_evidence(inventory: Inventory, real: Path) -> None:
    for place in inventory.places:
        if place.is_dir() and real.is_relative_to(place):
            raise RequestError(
                f"the output directory {real} lies inside the source {place}",
                causes=("Nothing is ever written under a source.",),
                advice="Give --out somewhere else, best on another disk.",
            )
        if place.is_relative_to(real):
            raise RequestError(
                f"the source {place} lies inside the output directory {real}",
                causes=("Evidence must not be mixed with output.",),
                advice="Give an --out of its own.",
            )
    for file in inventory.files:
        if file.real.is_relative_to(real):
            raise RequestError(
                f"the evidence {file.real} lies inside the output directory {real}",
                advice="Give an --out of its own.",
            )


def _refuse_content(out: Path, options: ExportOptions) -> None:
    if not out.exists():
        if out.is_symlink():
            raise RequestError(f"the output directory {out} is a link that leads nowhere", advice="Give another --out.")
        return
    if not out.is_dir():
        raise RequestError(f"the output {out} is not a directory", advice="Give a directory for --out.")
    content = {path.name for path in out.iterdir()}
    if not content or options.force:
        return
    if not options.resume:
        raise RequestError(
            f"the output directory {out} is not empty",
            causes=("An earlier run wrote there.",),
            advice="Give another --out, or --resume to go on with an interrupted run, or --force to write over it.",
        )
    if content.isdisjoint(MARKS):
        raise RequestError(
            f"the output directory {out} was not made by a salvage",
            advice="Give another --out, or --force to write into it all the same.",
        )


def refuse_policy(policy: Policy) -> None:
    """Looks at the choices that only the output depends on.

    Raises:
        RequestError: a topic id or a leader epoch is impossible.
    """
    for topic, topic_id in policy.topic_ids.items():
        if not re.fullmatch(r"[A-Za-z0-9_-]{22}", topic_id) or topic_id == "A" * 22:
            raise RequestError(
                f"{topic_id!r} is no topic id (for {topic})",
                advice="Give the 22 characters that kafka-topics --describe shows as TopicId.",
            )
    if policy.leader_epoch is not None and not 0 <= policy.leader_epoch < 1 << 31:
        raise RequestError(f"{policy.leader_epoch} is no leader epoch", advice="Give keep, or a number such as 0.")


def stale_files(out: Path) -> list[str]:
    """Files that an earlier rescue listed in its manifest, relative; empty when there is none that can be read."""
    try:
        document = json.loads((out / MANIFEST).read_bytes())
        listed = [entry["path"] for entry in document["outputs"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [path for path in listed if isinstance(path, str) and _inside(out, path)]


def _inside(out: Path, path: str) -> bool:
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return False
    return (out / path).parent.resolve().is_relative_to(out.resolve())
