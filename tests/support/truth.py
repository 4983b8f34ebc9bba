"""Truth: what a consumer read from the live broker, against what a salvage wrote."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Key = tuple[str, int, int]
Content = tuple[Any, ...]


def content(line: dict[str, Any]) -> Content:
    """What must survive of a record: timestamp, its type, key, value, headers in order."""
    headers = tuple(tuple(h.values()) if isinstance(h, dict) else tuple(h) for h in line["headers"])
    timestamp = None if line["timestampType"] == "NoTimestampType" else line["timestamp"]
    return timestamp, line["timestampType"], line["key"], line["value"], headers


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Objects of a JSON Lines file, gzip or plain."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        for text in file:
            yield json.loads(text)


def by_offset(paths: Iterable[Path]) -> dict[Key, Content]:
    """Records by (topic, partition, offset); lines without an offset are left out."""
    return {
        (line["topic"], line["partition"], line["offset"]): content(line)
        for path in paths
        for line in lines(path)
        if line["offset"] is not None
    }


def exported(out: Path, folder: str = "jsonl") -> dict[Key, Content]:
    """Records that a salvage wrote below a folder of ``out``; each (topic, partition, offset) once."""
    found: dict[Key, Content] = {}
    for path in sorted((out / folder).rglob("*.jsonl")):
        if path.name == "index.jsonl":
            continue
        previous = -1
        for line in lines(path):
            key = (line["topic"], line["partition"], line["offset"])
            assert key not in found, f"{key} is there twice"
            assert line["offset"] > previous, f"{path.name}: {line['offset']} after {previous}"
            previous = line["offset"]
            found[key] = content(line)
    return found


def digest(root: Path) -> str:
    """One hash over every file below ``root``: name, size, times of change, bytes."""
    sums = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        state = path.stat()
        sums.update(f"{path.relative_to(root)}\0{state.st_size}\0{state.st_mtime_ns}\0{state.st_mode}\0".encode())
        sums.update(path.read_bytes())
    return sums.hexdigest()
