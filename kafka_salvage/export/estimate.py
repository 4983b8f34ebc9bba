"""Estimate: bytes that the output will need, against the free space, before the first byte is written."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from kafka_salvage.errors import DestinationError
from kafka_salvage.export.atomic import Stage
from kafka_salvage.export.lines import Line
from kafka_salvage.export.options import ExportOptions
from kafka_salvage.export.quarantine import kept_aside, surveys_of
from kafka_salvage.integrity.accounts import runs_met
from kafka_salvage.plan.plan import Plan
from kafka_salvage.progress import Ahead
from kafka_salvage.scan.replica import Inventory

PER_RECORD = 330
"""Bytes of a line of JSON besides key, value and headers."""
PER_ROW = 180
"""Bytes of an Arrow row besides key, value, headers and names."""
PER_KEY = 24
"""Bytes of temporary files for each record, at most, while the latest of each key are looked for."""
DOCUMENTS = 1 << 20
"""Bytes kept free for report, manifest and sums."""
_TRIAL = 16 << 20
_WORTH = 64 << 20
"""Evidence below this is written before a person has read how long that takes."""
_SHARE, _TRIALS = 1 << 10, 16
"""A trial for each so many times its size of evidence, at most so many: a disk that is fast for a moment shows what it can keep up."""
_WORK = {"segments": 1.7, "jsonl": 5.5, "parquet": 5.0, "arrow": 5.0}
"""How many times as long as hashing a byte of evidence the work on it takes, roughly."""
_OUTPUT = {"segments": 1.0, "jsonl": 4.0, "parquet": 1.0, "arrow": 2.0}
"""Bytes that a byte of evidence becomes, roughly."""


def needs(plan: Plan, lines: Sequence[Line], options: ExportOptions) -> dict[str, int]:
    """Bytes per format.

    Segments and quarantine are exact (filters may make them smaller); JSON Lines and Arrow are low estimates, since what
    compressed batches inflate to is not known: a disk that is too small for them is certainly too small. Parquet, which is
    compressed, is taken to need what the evidence needs.
    """
    stored = sum(line.bytes for line in lines)
    wanted: dict[str, int] = {}
    for name in options.formats:
        if name == "jsonl":
            records = sum(runs_met(line.steps) for line in lines)
            full = stored * 4 // 3 + records * PER_RECORD
            wanted[name] = full if options.compress == "none" else stored + records * 8
        elif name == "arrow":
            wanted[name] = stored + PER_ROW * sum(runs_met(line.steps) for line in lines)
        else:
            wanted[name] = stored
    if plan.policy.selection.narrows_records:
        wanted = dict.fromkeys(wanted, 0)
    if options.latest_per_key:
        wanted = dict.fromkeys(wanted, 0)  # how many are the latest of their keys is not known
        wanted["keys"] = PER_KEY * sum(runs_met(line.steps) for line in lines)
    wanted["quarantine"] = sum(region.size for survey in surveys_of(plan) for region in kept_aside(survey))
    wanted["documents"] = DOCUMENTS
    return wanted


def free_bytes(out: Path) -> int:
    """Bytes that this user may write where ``out`` lies or will lie."""
    place = out.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    status = os.statvfs(place)
    return status.f_bavail * status.f_frsize


def refuse_small_disk(out: Path, wanted: Mapping[str, int], *, force: bool, staged: int = 0) -> None:
    """Compares with the free space; ``staged`` bytes of it are written already.

    Raises:
        DestinationError: it is too little, and ``force`` is not given.
    """
    free, total = free_bytes(out), sum(wanted.values())
    if total - staged <= free or force:
        return
    listed = ", ".join(f"{name} {size:,}" for name, size in wanted.items() if size)
    raise DestinationError(
        f"the output needs about {total:,} bytes, and {free:,} are free at {out}",
        target=str(out),
        causes=(f"By format: {listed}.",),
        advice="Give --out on a larger disk, select less, or use --compress; --force tries all the same.",
    )


def outlook(inventory: Inventory, options: ExportOptions, stage: Stage, *, tried: bool = True) -> list[Ahead]:
    """The stages of a salvage, with what a byte of evidence will about take to write; a small trial of the disk tells.

    Args:
        inventory: what will be checked.
        options: formats and jobs.
        stage: where the trial is written, and removed.
        tried: make the trial, where the evidence is worth it; without, nothing is known of the time that writing takes.
    """
    total = sum(segment.file.size for replica in inventory.replicas for segment in replica.segments)
    if not tried or total < _WORTH:
        return [Ahead("check", total), Ahead("write", total, reads_again=total > _kept_in_memory())]
    hashed, kept = _trial(stage, 1 + min(_TRIALS - 1, total // (_TRIAL * _SHARE)))
    work = sum(_WORK.get(name, 1.7) for name in options.formats) * hashed / max(1, options.jobs)
    disk = sum(_OUTPUT.get(name, 1.0) for name in options.formats) * kept
    return [Ahead("check", total), Ahead("write", total, max(work, disk), reads_again=total > _kept_in_memory())]


def _kept_in_memory() -> int:
    """Bytes of evidence that may still be in memory when they are read a second time: half of what the machine has."""
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 1 << 30


def _trial(stage: Stage, times: int) -> tuple[float, float]:
    """Seconds that hashing a byte took just now, and bringing it to the disk: the best of three, since others may use it, too."""
    data, place = bytes(_TRIAL), stage.staging / "trial"
    begun = time.perf_counter()
    hashlib.sha256(data)
    hashed, kept = time.perf_counter() - begun, []
    for _ in range(3):
        begun = time.perf_counter()
        with suppress(OSError), place.open("wb", buffering=0) as file:
            for _ in range(times):
                file.write(data)
            os.fsync(file.fileno())
        kept.append(time.perf_counter() - begun)
        with suppress(OSError):
            place.unlink()
    return hashed / _TRIAL, min(kept) / (_TRIAL * times)
