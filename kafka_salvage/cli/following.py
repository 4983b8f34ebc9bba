"""Next command: what to type after a report, as it can be pasted."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kafka_salvage.cli.words import quoted
from kafka_salvage.scan.replica import Inventory

LONGEST = 320
"""Characters of a command line that is still printed whole."""


def after_check(document: dict[str, Any], inventory: Inventory, paths: Sequence[str], again: Sequence[str]) -> str:
    """What to type after a check.

    Args:
        document: the report.
        inventory: of the run; the proposed output directory lies outside of it.
        paths: as the person gave them.
        again: flags of the check that a salvage must be given too.
    """
    if document["summary"]["outcome"] == "failed":
        lead = (
            "Next: make readable what is named above, then run the same command again. What can be read comes out with:"
        )
        return f"{lead}\n  {_salvage(inventory, paths, again)}"
    return f"Next: {_salvage(inventory, paths, again)}"


def after_salvage(out: Path) -> str:
    """What to type after a salvage."""
    place = quoted(out if not str(out).startswith("-") else f"./{out}")
    return f"Next: (cd {place} && sha256sum --quiet -c SHA256SUMS), then load or hand over as docs/runbook.md says"


def _salvage(inventory: Inventory, paths: Sequence[str], again: Sequence[str]) -> str:
    out = quoted(free_directory(inventory))
    sources = [quoted(path if not path.startswith("-") else f"./{path}") for path in paths]
    flags = "".join(f" {quoted(word)}" for word in again)
    whole = f"kafka-salvage salvage {' '.join(sources)} --out {out}{flags}"
    if len(whole) <= LONGEST:
        return whole
    return f"the same command with salvage for check, and --out {out}"


def free_directory(inventory: Inventory) -> str:
    """A directory for the output that is neither taken nor among evidence, relative to the current one where possible."""
    here = Path.cwd()
    inside = inventory.place_of(here)
    while inside is not None:
        here = inside.parent if inside != inside.parent else Path.home()
        inside = inventory.place_of(here) if inside != here else None
    others = (place for place in (Path.home(), Path(tempfile.gettempdir())) if inventory.place_of(place) is None)
    here = next((place for place in (here, *others) if os.access(place, os.W_OK | os.X_OK)), here)
    name, count = "rescued", 1
    while os.path.lexists(here / name):
        count += 1
        name = f"rescued-{count}"
    return name if here == Path.cwd() else str(here / name)
