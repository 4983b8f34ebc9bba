"""Orphans: indexes without a log. Kafka writes them together and takes the log away first, renamed: one alone is what is left."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

import numpy as np

from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.index_reach import index_reach
from kafka_salvage.regions.runs import EndEvidence
from kafka_salvage.regions.verdict import Finding
from kafka_salvage.scan.batches import BatchTable
from kafka_salvage.scan.evidence import EvidenceFile
from kafka_salvage.scan.replica import Replica
from kafka_salvage.scan.sidecars import load_offset_index
from kafka_salvage.wire.filenames import FileKind, Suffix, parse_file_name


def orphans(replica: Replica) -> dict[int, EvidenceFile]:
    """Base offset -> an index whose segment is there in no state, at or above the first segment that is; by offset."""
    known = {segment.base_offset for segment in replica.segments}
    own = [s.base_offset for s in replica.segments if s.suffix is Suffix.NONE and s.base_offset is not None]
    found: dict[int, EvidenceFile] = {}
    if replica.partial or not own:
        return found
    for file in replica.files:
        if file.kind not in (FileKind.OFFSET_INDEX, FileKind.TIME_INDEX):
            continue
        name = parse_file_name(file.path.rpartition("/")[2])
        base = name.base_offset
        if base is not None and name.suffix is Suffix.NONE and base not in known and base > min(own):
            found.setdefault(base, file)
    return dict(sorted(found.items()))


def missing_files(replica: Replica) -> Iterator[Finding]:
    """A finding for each segment between others of which only an index is left."""
    bases = sorted({s.base_offset for s in replica.segments if s.suffix is Suffix.NONE and s.base_offset is not None})
    for base, file in orphans(replica).items():
        at = bisect_right(bases, base)
        if at < len(bases):
            message = (
                f"the segment of this index is in no file: offsets {base}..{bases[at] - 1} were there, or some of them"
            )
            yield Finding("segment-missing", file.source, file.path, 0, 0, OffsetRange(base, bases[at]), message)


def orphan_ends(replica: Replica) -> Iterator[EndEvidence]:
    """What indexes without a log say of how far the log reached."""
    for base, file in orphans(replica).items():
        yield EndEvidence(base, "index name", file.path)
        entries = load_offset_index(file, base).value if file.kind is FileKind.OFFSET_INDEX else None
        if entries is not None and len(entries):
            order = np.argsort(entries.position, kind="stable")
            last = index_reach(entries.position[order], entries.offset[order], BatchTable.empty(), base)
            if last is not None:
                yield EndEvidence(last[0] + 1, "index-entry", file.path)
