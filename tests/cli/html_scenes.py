"""Scenes for the page: three damaged copies, and a document of any size."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tests.support.bases import parse
from tests.support.cut import CLEAN
from tests.support.damage import damage

EDITS = {
    1: {"orders-0/00000000000000000614.log": "xor b40+200 01\nfield 60 length 2147483647"},
    2: {
        "orders-0/00000000000000000614.log": "zero 8192 8704\nxor b40+210 02",
        "payments-1/00000000000000000164.log": "zero 8192 8704",
    },
    3: {
        "orders-0/00000000000000000614.log": "xor b40+220 04\ncut b-1+90",
        "payments-1/00000000000000000164.log": "zero 4096 4608",
    },
}
"""What happened to each copy: the batch 40 of `orders-0` is damaged on all of them."""


def three_copies(root: Path) -> list[str]:
    """Three damaged copies of a broker's directory, as PATHs with names."""
    for node, edits in EDITS.items():
        place = root / f"broker-{node}"
        shutil.copytree(CLEAN / "cluster" / "broker-1", place)
        properties = place / "meta.properties"
        lines = [
            line for line in properties.read_text().splitlines() if not line.startswith(("node.id", "directory.id"))
        ]
        properties.write_text("\n".join([*lines, f"node.id={node}", ""]))
        for name, recipe in edits.items():
            path = place / name
            data = path.read_bytes()
            path.write_bytes(damage(data, parse(data), recipe).data)
    return [f"b{node}={root / f'broker-{node}'}" for node in EDITS]


def spans(count: int) -> list[dict[str, Any]]:
    """A ledger of so many ranges: ten offsets recovered, two lost, and so on."""
    rows = []
    at = 0
    for place in range(count):
        size, status = ((10, "recovered"), (2, "lost"))[place % 2]
        row: dict[str, Any] = {"start": at, "stop": at + size, "status": status}
        row |= (
            {"absent": 1, "source": "b1"}
            if status == "recovered"
            else {"open_ended": False, "upper_bound": False, "findings": []}
        )
        rows.append(row)
        at += size
    return rows


def enlarged(document: dict[str, Any], segments: int, ranges: int = 0) -> dict[str, Any]:
    """A document with so many segments, made by repeating those of another; one ledger may get so many ranges."""
    model = [s for s in document["segments"] if s["regions"]]
    many = [
        {**model[place % len(model)], "path": f"crowd-{place // 50}/{place % 50:020d}.log"} for place in range(segments)
    ]
    changed = {**document, "segments": many}
    if ranges:
        partitions = [dict(partition) for partition in document["partitions"]]
        partitions[0]["offsets"] = spans(ranges)
        changed["partitions"] = partitions
    return changed
