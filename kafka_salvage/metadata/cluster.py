"""Cluster metadata: the image of a KRaft cluster, replayed from `__cluster_metadata` and its snapshots.

Steps, for each cluster:

1. All copies of the log make one line: the most up to date one, gaps filled from the others.
2. The newest snapshot that is whole is the ground from its offset on. What the log holds before it is replayed too: it
   knows former leaders and deleted topics. Where the log reaches back to its beginning without a gap, no snapshot is used.
3. Without a whole snapshot and with a log that does not reach back, the intact batches of the newest damaged one are used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kafka_salvage.metadata import topics
from kafka_salvage.metadata.image import ClusterImage
from kafka_salvage.metadata.reading import Stretch, by_reach, joined, tables_of
from kafka_salvage.metadata.replay import BROKER, Replay
from kafka_salvage.plan.piece import Piece
from kafka_salvage.regions.context import SurveyOptions
from kafka_salvage.regions.looking import survey_segment
from kafka_salvage.regions.runs import ReplicaSurvey, SegmentSurvey
from kafka_salvage.regions.verdict import Verdict
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.records import RecordTable
from kafka_salvage.scan.replica import EvidenceFile, SegmentFile, State, Use
from kafka_salvage.wire.control import ControlType, read_control_key
from kafka_salvage.wire.filenames import FileKind, Suffix, parse_file_name, parse_snapshot_epoch

TOPIC = topics.CLUSTER


@dataclass(frozen=True, slots=True)
class _Ground:
    """A snapshot: what it covers, and whether all of it is there."""

    stop: int
    epoch: int
    file: EvidenceFile
    survey: SegmentSurvey
    whole: bool


def images_of(surveys: Iterable[ReplicaSurvey], limits: Limits | None = None) -> list[ClusterImage]:
    """The image of every cluster of which a copy of the metadata log is there, sorted by cluster id.

    Args:
        surveys: of all copies, in any order; those of other topics are passed over.
        limits: bounds on decompression.
    """
    clusters: dict[str | None, list[ReplicaSurvey]] = defaultdict(list)
    for survey in surveys:
        if survey.replica.topic == TOPIC and survey.replica.partition == 0 and survey.replica.state is State.LIVE:
            clusters[survey.replica.cluster_id].append(survey)
    return [
        _image(cluster, clusters[cluster], limits or Limits()) for cluster in sorted(clusters, key=lambda c: c or "")
    ]


def _image(cluster: str | None, copies: Sequence[ReplicaSurvey], limits: Limits) -> ClusterImage:
    pieces, notes = joined(copies, compacted=False), list[str]()
    grounds = sorted(_grounds(copies, limits), key=lambda g: (g.stop, g.epoch, g.file.source, g.file.path))
    end = max((piece.next for piece in pieces), default=0)
    gaps = _gaps(pieces)
    ground = _chosen(grounds, pieces, gaps)
    replay = Replay()
    before = [p for p in pieces if ground is None or p.first < ground.stop]
    _replay(replay, before, limits, notes, stop=ground.stop if ground else None)
    if ground is not None:
        known = replay.forget()
        for offset, value in _values(tables_of(_stretches_of(ground.survey), limits, notes)):
            replay.apply(offset, value)
        replay.discard()
        gone = {i: topic for i, topic in known.items() if i not in replay.topics}
        replay.deleted.update({i: topic for i, topic in gone.items() if i not in replay.deleted})
        _replay(replay, [p for p in pieces if p.next > ground.stop], limits, notes, start=ground.stop)
        state = "whole" if ground.whole else "damaged; its intact batches were used"
        notes.insert(0, f"begins with the snapshot {ground.file.source}:{ground.file.path} ({state})")
        gaps = [(max(low, ground.stop), high) for low, high in gaps if high > ground.stop]
        if pieces and pieces[-1].next > ground.stop and all(p.first > ground.stop for p in pieces):
            gaps.insert(0, (ground.stop, pieces[0].first))
    if replay.discard():
        notes.append("the log ends inside a metadata transaction; what it would have changed is left out")
    notes += [f"offsets {low}..{high - 1} of the metadata log are in no file that is here" for low, high in gaps]
    leading = by_reach(copies)[0].replica
    count = f"{len(copies)} copies" if len(copies) > 1 else "one copy"
    notes.insert(0, f"{count} of the metadata log; {leading.source}:{leading.path} reaches furthest")
    return _made(cluster, replay, max([end, *([ground.stop] if ground else [])]), gaps, notes)


def _made(
    cluster: str | None, replay: Replay, reach: int, gaps: Sequence[tuple[int, int]], notes: Sequence[str]
) -> ClusterImage:
    topics = sorted((replay.topic(topic_id) for topic_id in replay.topics), key=lambda t: (t.name, t.topic_id or ""))
    more = replay.unknown_total - len(replay.unknown)
    return ClusterImage(
        cluster_id=cluster,
        known_from="cluster-metadata",
        topics=tuple(topics),
        deleted=tuple(sorted(replay.deleted.values(), key=lambda t: (t.name, t.topic_id or ""))),
        brokers=tuple(replay.brokers[number] for number in sorted(replay.brokers)),
        controllers=tuple(sorted(replay.controllers)),
        features=dict(sorted(replay.features.items())),
        broker_configs={
            name: dict(sorted(v.items())) for (kind, name), v in sorted(replay.configs.items()) if kind == BROKER
        },
        reach=reach,
        gaps=tuple(gaps),
        unknown=tuple(replay.unknown),
        notes=(*notes, *([f"{more} more records were not understood"] if more else [])),
    )


def _gaps(pieces: Sequence[Piece]) -> list[tuple[int, int]]:
    """Offsets between pieces, and before the first where the log was never trimmed."""
    found, cursor = [], None
    for piece in pieces:
        if cursor is not None and piece.first > cursor:
            found.append((cursor, piece.first))
        cursor = max(cursor or 0, piece.next)
    return found


def _chosen(grounds: Sequence[_Ground], pieces: Sequence[Piece], gaps: Sequence[tuple[int, int]]) -> _Ground | None:
    """The snapshot to begin with; None when the log alone says everything, or there is none."""
    if pieces and pieces[0].first == 0 and not gaps:
        end = pieces[-1].next
        beyond = [g for g in grounds if g.whole and g.stop > end]
        return beyond[-1] if beyond else None
    whole = [g for g in grounds if g.whole]
    if whole:
        return whole[-1]
    if pieces and pieces[0].first == 0:
        return None  # a log from the beginning, with gaps, says more than parts of a snapshot
    return grounds[-1] if grounds else None


def _grounds(copies: Iterable[ReplicaSurvey], limits: Limits) -> Iterator[_Ground]:
    for survey in copies:
        for file in survey.replica.files:
            name = file.path.rpartition("/")[2]
            parsed, epoch = parse_file_name(name), parse_snapshot_epoch(name)
            if parsed.kind is not FileKind.METADATA_SNAPSHOT or parsed.suffix is Suffix.PART or epoch is None:
                continue
            if file.use is Use.UNREADABLE or parsed.base_offset is None:
                continue
            made = survey_segment(SegmentFile(file, 0, State.LIVE, Suffix.NONE), None, SurveyOptions(limits=limits))
            sound = all(region.verdict is Verdict.INTACT for region in made.regions) and bool(len(made.runs))
            whole = sound and _has_footer(made, limits)
            yield _Ground(parsed.base_offset, epoch, file, made, whole)


def _has_footer(survey: SegmentSurvey, limits: Limits) -> bool:
    last = None
    for table in tables_of(_stretches_of(survey), limits, []):
        if len(table):
            key = read_control_key(table.row(len(table) - 1)["key"])
            control = bool(table.batches.is_control[table.batch[-1]])
            last = key.type if control and key is not None else None
    return last is ControlType.SNAPSHOT_FOOTER


def _stretches_of(survey: SegmentSurvey) -> Iterator[Stretch]:
    for start, stop in zip(survey.runs.start.tolist(), survey.runs.stop.tolist(), strict=True):
        yield survey, start, stop


def _replay(
    replay: Replay,
    pieces: Sequence[Piece],
    limits: Limits,
    notes: list[str],
    start: int | None = None,
    stop: int | None = None,
) -> None:
    """Applies the records of a line with offsets in ``[start, stop)``; a metadata transaction does not cross a gap."""
    cursor: int | None = None
    for piece in pieces:
        if cursor is not None and piece.first > cursor and replay.discard():
            notes.append(f"a metadata transaction is cut at offset {cursor}; what it would have changed is left out")
        cursor = piece.next
        for offset, value in _values(tables_of([(piece.segment, piece.start, piece.stop)], limits, notes)):
            if (start is None or offset >= start) and (stop is None or offset < stop):
                replay.apply(offset, value)


def _values(tables: Iterable[RecordTable]) -> Iterator[tuple[int, bytes | None]]:
    """Offset and value of every data record."""
    for table in tables:
        control = table.batches.is_control[table.batch]
        for row in range(len(table)):
            if not control[row]:
                start, size = int(table.value_start[row]), int(table.value_size[row])
                value = None if size < 0 else table.data[start : start + size].tobytes()
                yield int(table.offset[row]), value
