"""Forecast of a broker start: what release 4.1 would truncate and delete in one copy of a partition, or why it would not start.

The loader's steps, in its order (`LogLoader`, `LogManager`, `UnifiedLog`):

1. `.deleted` and `.cleaned` files go; `.swap` files at or above the lowest `.cleaned` go.
2. Other `.swap` files take the place of every segment inside their range.
3. A segment without `.index`, or with an insane `.txnindex`, is recovered: scanned by CRC and cut at the first batch that
   does not hold. Later segments stay. This happens on a clean start, too.
4. After an unclean stop every segment from the one that holds the recovery point on is recovered; the first cut deletes all
   later segments.
5. A log end below the log start checkpoint deletes everything.
6. Producer state is built from the newest snapshot on; what it cannot follow stops the broker.

It holds for the files as they lie and for default settings; no broker is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kafka_salvage.errors import SourceError
from kafka_salvage.integrity.loader_producers import check_producers
from kafka_salvage.integrity.loader_segment import MAX_SIZE, FatalStartError, LoaderSegment
from kafka_salvage.regions.compact import Compact
from kafka_salvage.regions.runs import ReplicaSurvey, SegmentSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.replica import Replica, State
from kafka_salvage.scan.walk import walk
from kafka_salvage.source.opening import open_source
from kafka_salvage.wire.filenames import FileKind, Suffix

RELEASE = "4.1"
SUFFIXES_WITH_OFFSET = (".log", ".index", ".timeindex", ".txnindex", ".snapshot", ".swap", ".cleaned")
HARMLESS = frozenset({Verdict.INTACT, Verdict.BLANK, Verdict.DUPLICATE})
_digits = re.compile(r"[+-]?[0-9]{1,40}")


@dataclass(slots=True)
class _Start:
    """One simulated start.

    Attributes:
        survey: the copy.
        clean: the clean shutdown marker lies there.
        live: segments the loader has, by base offset.
        deleted: surveys of files that vanish.
        cut: survey -> bytes that stay, where fewer than before.
        notes: sentences about what happens.
        snapshots: offsets of producer snapshots on disk.
    """

    survey: ReplicaSurvey
    clean: bool
    live: dict[int, LoaderSegment] = field(default_factory=dict)
    deleted: list[SegmentSurvey] = field(default_factory=list)
    cut: list[tuple[SegmentSurvey, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    snapshots: set[int] = field(default_factory=set)

    @property
    def replica(self) -> Replica:
        return self.survey.replica

    @property
    def recovery_point(self) -> int:
        return self.replica.recovery_point or 0

    @property
    def log_start(self) -> int:
        return self.replica.log_start or 0

    def ordered(self) -> list[LoaderSegment]:
        return [self.live[base] for base in sorted(self.live)]

    def run(self) -> None:
        """All steps.

        Raises:
            FatalStartError: the broker stops at one of them.
        """
        if self.replica.state == State.DELETED_TOPIC:
            self.deleted.extend(self.survey.segments)
            self.notes.append("The directory is marked for deletion and is removed with everything in it.")
            return
        _refuse_names(self.replica)
        _refuse_epochs(self.replica)
        bad = {fact.file.path for fact in self.replica.facts if fact.code == "snapshot-corrupt"}
        self.snapshots = {offset for offset, file in self.replica.snapshots if file.path not in bad and file.size}
        self._collect()
        self._swap()
        self._load()
        if self.clean:
            self._note_unseen(self.ordered(), "a clean start does not look at it")
        else:
            self._recover_unflushed()
        self._check_log_start()
        if self.live:
            self._check_producers(self.ordered(), last=True)

    def _check_producers(
        self, segments: Sequence[LoaderSegment], *, up_to: int | None = None, last: bool = False
    ) -> None:
        check_producers(
            segments,
            self.snapshots,
            self.log_start,
            clean=self.clean and last,
            compacted=self.survey.compaction.compacted,
            up_to=up_to,
            recovered_from=min((s.base for s in self.live.values() if s.rebuilt), default=None) if last else None,
        )

    def _collect(self) -> None:
        cleaned = [s for s in self.survey.segments if s.segment.suffix == Suffix.CLEANED]
        # Index files count, too: `N.index.cleaned` alone condemns the swap files from N on.
        lowest = min((n for f in self.replica.files if (n := _offset_of(f.path, ".cleaned")) is not None), default=None)
        for survey in self.survey.segments:
            suffix, base = survey.segment.suffix, survey.segment.base_offset
            if suffix == Suffix.NONE and base is not None:
                self.live[base] = LoaderSegment.of(survey, base)
            elif suffix == Suffix.DELETED or survey in cleaned:
                self.deleted.append(survey)
            elif suffix == Suffix.SWAP and lowest is not None and base is not None and base >= lowest:
                self.deleted.append(survey)
                self.notes.append(f"{survey.segment.file.path} belongs to an unfinished split and is deleted.")

    def _swap(self) -> None:
        swaps = [s for s in self.survey.segments if s.segment.suffix == Suffix.SWAP and s not in self.deleted]
        incoming = [LoaderSegment.of(s, s.segment.base_offset) for s in swaps if s.segment.base_offset is not None]
        if not incoming:
            return
        low = min(s.base for s in incoming)
        high = max(s.next_offset() for s in incoming)
        bases = {s.base for s in incoming}
        for base in [b for b in self.live if low <= b < high or b in bases]:
            self.deleted.append(self.live.pop(base).survey)
        for segment in incoming:
            segment.reads_index = True  # computing its end has made an index file, if there was none
            self.live[segment.base] = segment
            self.notes.append(f"{segment.path} takes the place of the segments in [{low}, {high}).")

    def _load(self) -> None:
        for segment in self.ordered():
            if segment.size > MAX_SIZE:
                raise FatalStartError(f"{segment.path} is larger than {MAX_SIZE} bytes")
            if segment.index is None and not segment.reads_index:
                why = "has no .index"
            elif segment.insane_txn_index():
                why = "has a .txnindex that does not belong to it"
            else:
                continue
            before = segment.size
            earlier = [s for s in self.ordered() if s.base < segment.base]
            self._check_producers(earlier, up_to=segment.base)
            outcome = segment.recover()
            if outcome.emptied:
                raise FatalStartError(f"InvalidOffsetException while the index of {segment.path} is built anew")
            self._snapshot_after(segment)
            if outcome.split:
                self.notes.append(f"{segment.path} is split, since its offsets do not fit one segment.")
            if segment.size < before:
                self.cut.append((segment.survey, segment.size))
                self.notes.append(
                    f"{segment.path} {why}, so it is scanned, and cut at byte {segment.size}; later segments stay."
                )

    def _snapshot_after(self, segment: LoaderSegment) -> None:
        self.snapshots = {o for o in self.snapshots if o <= segment.base} | {segment.base}
        if segment.next is not None:
            self.snapshots.add(segment.next)

    def _recover_unflushed(self) -> None:
        ordered = self.ordered()
        first = max((i for i, s in enumerate(ordered) if s.base <= self.recovery_point), default=0)
        for i, segment in enumerate(ordered[first:], first):
            if i == first:
                self._check_producers(ordered[:i], up_to=segment.base)
            before, rebuilt = segment.size, segment.rebuilt
            outcome = segment.recover()
            self._snapshot_after(segment)
            if outcome.split and not rebuilt:
                self.notes.append(f"{segment.path} is split, since its offsets do not fit one segment.")
            if segment.size < before:
                later = ordered[i + 1 :]
                self.cut.append((segment.survey, segment.size))
                why = "offsets run backwards at an index entry" if outcome.emptied else "the scan stops there"
                self.notes.append(
                    f"{segment.path} is cut at byte {segment.size} ({why}) and {len(later)} later segments are deleted."
                )
                for other in later:
                    self.deleted.append(other.survey)
                    del self.live[other.base]
                break
        self._note_unseen(ordered[:first], f"it lies below the recovery point {self.recovery_point}")

    def _note_unseen(self, segments: Iterable[LoaderSegment], why: str) -> None:
        looked_over = [s for s in segments if not s.rebuilt]
        hidden = [s.path for s in looked_over if any(r.verdict not in HARMLESS for r in s.survey.regions)]
        if hidden:
            self.notes.append(f"The damage in {', '.join(hidden)} goes unnoticed, since {why}.")

    def _check_log_start(self) -> None:
        ordered = self.ordered()
        if not ordered:
            return
        end = ordered[-1].next_offset()
        if end < self.log_start:
            self.deleted.extend(s.survey for s in ordered)
            self.live.clear()
            self.notes.append(
                f"The log end {end} lies below the log start checkpoint {self.log_start}, so every segment is deleted."
            )


def broker_would(survey: ReplicaSurvey) -> dict[str, Any]:
    """What starting a broker on this copy would do to it, after a clean and after an unclean stop.

    Args:
        survey: the judgement of the copy; its files are read again only where they are odd.

    Returns:
        the ``broker_would`` object of the report: ``release``, ``recovery_point``, ``assumed`` (no checkpoint says the
        recovery point, 0 is taken), and ``if_clean`` and ``if_unclean``, each with ``starts``, ``reason``, ``segments``
        (only what changes: ``path``, ``truncate_to`` in bytes or null, ``deleted``), ``intact_records_destroyed`` and
        ``damaged_records_discarded``. A start that fails is told as far as it got.
    """
    return {
        "release": RELEASE,
        "recovery_point": survey.replica.recovery_point or 0,
        "assumed": survey.replica.recovery_point is None,
        "if_clean": _outcome(_Start(survey, clean=True)),
        "if_unclean": _outcome(_Start(survey, clean=False)),
    }


def _outcome(start: _Start) -> dict[str, Any]:
    starts = True
    try:
        start.run()
    except FatalStartError as error:
        starts = False
        start.notes.append(f"The broker does not start: {error}.")
    except SourceError as error:
        starts = False
        start.notes.append(f"What a start would do cannot be told: {error}.")
    cut = {survey.segment.file.path: (survey, size) for survey, size in start.cut}
    gone = {survey.segment.file.path: survey for survey in start.deleted}
    segments: list[dict[str, Any]] = [{"path": path, "truncate_to": None, "deleted": True} for path in gone]
    segments += [
        {"path": path, "truncate_to": size, "deleted": False} for path, (_, size) in cut.items() if path not in gone
    ]
    # A leftover is a second copy of what retention or compaction took: it vanishes, and is no loss of the log.
    live = [s for s in gone.values() if s.segment.suffix in {Suffix.NONE, Suffix.SWAP}]
    parts = [(s, 0) for s in live] + [(s, size) for path, (s, size) in cut.items() if path not in gone]
    return {
        "starts": starts,
        "reason": " ".join(start.notes) or "Nothing is truncated or deleted.",
        "segments": sorted(segments, key=lambda s: str(s["path"])),
        "intact_records_destroyed": sum(_intact_after(s, size) for s, size in parts),
        "damaged_records_discarded": sum(_damaged_after(s, size) for s, size in parts),
    }


def _later(count: int) -> str:
    return {0: "there is no later segment", 1: "and the later segment is deleted"}.get(
        count, f"and all {count} later segments are deleted"
    )


def _intact_after(survey: SegmentSurvey, position: int) -> int:
    """Data records of unrepaired believed batches at or behind a position."""
    runs = survey.runs
    behind = (runs.start >= position) & ~runs.repaired
    records = int((runs.records[behind].clip(0) - runs.control[behind]).clip(0).sum())
    crossing = (runs.start < position) & (runs.stop > position) & ~runs.repaired
    return records + sum(_count(survey, position, int(runs.stop[i])) for i in crossing.nonzero()[0])


def _count(survey: SegmentSurvey, start: int, stop: int) -> int:
    # A cut inside a run: only where Kafka stops at what we believe (a wrapper with inner messages counts as one).
    try:
        with open_source(survey.segment.file.real) as source:
            batches = [block.batches for block in walk(source, start, stop)]
    except SourceError:  # it was there when it was surveyed; now nothing more can be told
        return 0
    return sum(int(b.record_count[~b.is_control].clip(1).sum()) for b in batches)


def _damaged_after(survey: SegmentSurvey, position: int) -> int:
    """Records, or offsets where no record could be counted, of what is not intact behind a position."""
    regions = survey.regions.regions
    if isinstance(regions, Compact):
        return sum(_damaged_in(shape, columns, position) for shape, _, columns in regions.tables())
    total = 0
    for region in regions:
        if region.stop > position and region.verdict not in HARMLESS:
            total += region.records or (region.offsets.size if region.offsets else 0)
    return total


def _damaged_in(shape: Any, columns: Sequence[Any], position: int) -> int:
    """The same of packed regions of one shape."""
    verdict, _, nowhere, _ = shape
    if verdict in HARMLESS:
        return 0
    _, stop, _, records, *named = columns
    sizes = 0 * records if nowhere else named[1] - named[0]
    return int(np.where(records != 0, records, sizes)[stop > position].sum())


def _offset_of(path: str, suffix: str) -> int | None:
    name = path.rsplit("/", 1)[-1]
    head = name.split(".", 1)[0]
    return _number(head, 63) if name.endswith(suffix) else None


def _refuse_names(replica: Replica) -> None:
    for file in replica.files:
        name = file.path.rsplit("/", 1)[-1]
        if "/" in file.path and not file.path.startswith(replica.path + "/"):
            continue
        if name.endswith(SUFFIXES_WITH_OFFSET) and _offset_of(name, "") is None:
            raise FatalStartError(f"NumberFormatException: the name {name} does not begin with an offset")


def _refuse_epochs(replica: Replica) -> None:
    for file in replica.files:
        if file.kind != FileKind.EPOCH_CHECKPOINT:
            continue
        with open_source(file.real) as source:
            text = source.read(0, source.size).tobytes()
        reason = _epoch_fault(text)
        if reason is not None:
            raise FatalStartError(f"{file.path}: {reason}")


def _epoch_fault(text: bytes) -> str | None:
    """Why Kafka cannot read a `leader-epoch-checkpoint`; None when it can."""
    try:
        lines = text.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        return "MalformedInputException"
    if not lines:
        return None
    if _number(lines[0]) != 0:
        return "Unrecognised version or malformed line"
    if len(lines) < 2:
        return None
    expected = _number(lines[1])
    if expected is None:
        return "Malformed line in checkpoint file"
    return _entries_fault(lines[2:], expected)


def _entries_fault(lines: Sequence[str], expected: int) -> str | None:
    for line in lines:
        tokens = re.split(r"\s+", line)
        if len(tokens) != 2:
            return "Malformed line in checkpoint file"
        if _number(tokens[0]) is None or _number(tokens[1], 63) is None:
            return "NumberFormatException"
    return None if len(lines) == expected else f"Expected {expected} entries in checkpoint file, but found {len(lines)}"


def _number(text: str, bits: int = 31) -> int | None:
    """`Integer.parseInt` or, with 63 bits, `Long.parseLong`; None for a NumberFormatException."""
    value = int(text) if _digits.fullmatch(text) else None
    return value if value is not None and -(1 << bits) <= value < 1 << bits else None
