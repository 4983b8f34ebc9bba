"""Producer state at a start: what the loader of Kafka 4.1 cannot follow in the batches that it keeps.

Producer state is built from the newest snapshot on, without looking at CRCs. Three things stop the broker there: a length
below 14 in a damaged segment that recovery did not visit, a batch outside the open transaction of its producer, and a
control batch of a producer whose type is neither commit nor abort. A healthy copy is answered without reading it.

Source: `UnifiedLog.rebuildProducerState`, `ProducerStateManager`, `ProducerAppendInfo`, `EndTransactionMarker`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

from kafka_salvage.integrity.loader_segment import FatalStartError, LoaderSegment
from kafka_salvage.regions.runs import TXN_DATA
from kafka_salvage.scan.batches import CONTROL, TRANSACTIONAL


def check_producers(
    segments: Sequence[LoaderSegment],
    snapshots: Collection[int],
    log_start: int,
    *,
    clean: bool,
    compacted: bool,
    up_to: int | None = None,
    recovered_from: int | None = None,
) -> None:
    """Builds the producer state of a log.

    Args:
        segments: what the loader has, ascending.
        snapshots: offsets of the producer snapshots on disk.
        log_start: the log start checkpoint.
        clean: the clean shutdown marker lies there.
        compacted: gaps between segments mean nothing here.
        up_to: the offset up to which it is built; the log end without.
        recovered_from: base of the first segment that recovery walks as well.

    Raises:
        FatalStartError: the broker stops.
    """
    if not segments:
        return
    end = segments[-1].next_offset() if up_to is None else up_to
    usable = [offset for offset in snapshots if offset <= end]
    if clean and not snapshots:
        return  # nothing is built, since there never was anything to follow
    start = max(usable, default=log_start)
    if start < end:
        for i, segment in enumerate(segments):
            following = segments[i + 1].base if i + 1 < len(segments) else end + 1
            if following > start and segment.base < end and not segment.rebuilt and not segment.healthy:
                for _ in segment.unchecked():
                    pass
    walked_from = start if recovered_from is None else min(start, recovered_from)
    if walked_from < end:
        _replay(segments, walked_from, end, compacted)


def _replay(segments: Sequence[LoaderSegment], start: int, end: int, compacted: bool) -> None:
    for segment in segments:
        if segment.base < end:
            _refuse_foreign_control(segment, start)
    if not any(len(s.survey.transactions) for s in segments) or _whole(segments, compacted):
        return
    open_since: dict[int, int] = {}
    for segment in segments:
        for row in segment.rows():
            if row["base_offset"] >= end:
                return
            _follow(row, open_since, row["last_offset"] >= start)


def _whole(segments: Sequence[LoaderSegment], compacted: bool) -> bool:
    """Whether no batch is missing: then every batch lies in its own producer's transaction, since a broker wrote it so."""
    if not all(segment.healthy for segment in segments):
        return False
    if compacted:
        return True
    return all(not s.survey.facts.gap_pairs for s in segments) and all(
        a.next_offset() >= b.base for a, b in pairwise(segments)
    )


def _follow(row: dict[str, int], open_since: dict[int, int], counts: bool) -> None:
    producer = row["producer_id"]
    if row["magic"] < 2 or producer < 0:
        return
    if row["attributes"] & CONTROL:
        open_since.pop(producer, None)
    elif row["attributes"] & TRANSACTIONAL:
        open_since.setdefault(producer, row["base_offset"])
    elif producer in open_since and counts:
        raise FatalStartError(
            f"InvalidTxnStateException: expected a transactional write from producer {producer} at offset "
            f"{row['base_offset']}, its transaction is open since {open_since[producer]}"
        )


def _refuse_foreign_control(segment: LoaderSegment, start: int) -> None:
    markers = int((segment.survey.transactions.kind != TXN_DATA).sum())
    if int(segment.survey.runs.control.sum()) <= markers:
        return
    known = {int(p) for p, k in zip(*_markers(segment), strict=True) if k != TXN_DATA}
    for row in segment.rows():
        foreign = row["attributes"] & CONTROL and row["magic"] >= 2 and row["producer_id"] >= 0
        if foreign and row["last_offset"] >= start and row["position"] not in known:
            raise FatalStartError(
                f"the control batch of producer {row['producer_id']} at offset {row['base_offset']} is neither commit nor abort"
            )


def _markers(segment: LoaderSegment) -> tuple[list[int], list[int]]:
    table = segment.survey.transactions
    return table.position.tolist(), table.kind.tolist()
