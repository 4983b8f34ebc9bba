"""Steps: pieces of a line as stretches of bytes, each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from kafka_salvage.plan.columns import PieceColumns, columns_of
from kafka_salvage.plan.packed import StepCodec, packed_steps
from kafka_salvage.plan.piece import Piece
from kafka_salvage.plan.plan import Step
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.compact import Compact, Same
from kafka_salvage.scan.replica import State

Reason = Callable[[Piece], str]


def steps_of(pieces: Sequence[Piece], home: State, reason: str | Reason) -> Sequence[Step]:
    """Steps of a line, in offset order, disjoint.

    Args:
        pieces: the line, in offset order.
        home: the state that needs no label.
        reason: why pieces of that state are taken; one step has one reason.
    """
    if isinstance(pieces, Compact) and isinstance(reason, str):
        return _in_bulk(columns_of(pieces), home, reason)
    return packed_steps(_steps(pieces, home, reason))


def _in_bulk(pieces: PieceColumns, home: State, reason: str) -> Sequence[Step]:
    """The steps of many pieces that have one reason."""
    file, verdicts = pieces.file, [verdict for _, _, verdict in pieces.homes]
    verdict = np.array([verdicts.index(each) for each in verdicts], np.int64)[pieces.home]
    goes_on = (file[1:] == file[:-1]) & (pieces.stop[:-1] == pieces.start[1:]) & (verdict[1:] == verdict[:-1])
    heads = np.concatenate(([0], np.flatnonzero(~goes_on) + 1))
    tails = np.concatenate((heads[1:], [len(pieces)])) - 1
    shapes = [
        (Same(segment), verdict, segment.segment.state, _because(segment.segment.state, home, reason))
        for _, segment, verdict in pieces.homes
    ]
    made = Compact(StepCodec())
    made.add_columns(
        shapes, pieces.home[heads], [pieces.start[heads], pieces.stop[tails], pieces.first[heads], pieces.next[tails]]
    )
    return made.settled()


def _steps(pieces: Iterable[Piece], home: State, reason: str | Reason) -> Iterator[Step]:
    first = last = None
    because = ""
    for piece in pieces:
        why = reason if isinstance(reason, str) else reason(piece)
        if first is not None and last is not None and not (_continues(last, piece) and why == because):
            yield _step(first, last, home, because)
            first = None
        first, last, because = first or piece, piece, why
    if first is not None and last is not None:
        yield _step(first, last, home, because)


def _continues(last: Piece, piece: Piece) -> bool:
    return last.segment is piece.segment and last.stop == piece.start and last.verdict is piece.verdict


def _step(first: Piece, last: Piece, home: State, reason: str) -> Step:
    return Step(
        survey=first.segment,
        start=first.start,
        stop=last.stop,
        offsets=OffsetRange(first.first, last.next),
        verdict=first.verdict,
        state=first.state,
        reason=_because(first.state, home, reason),
    )


def _because(state: State, home: State, reason: str) -> str:
    return reason if state is home else f"gives offsets that {home} files lack: {state}"
