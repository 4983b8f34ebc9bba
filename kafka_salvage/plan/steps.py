"""Steps: pieces of a line as stretches of bytes, each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from kafka_salvage.plan.packed import packed_steps
from kafka_salvage.plan.plan import Step
from kafka_salvage.plan.timeline import Piece
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.scan.replica import State

Reason = Callable[[Piece], str]


def steps_of(pieces: Sequence[Piece], home: State, reason: str | Reason) -> Sequence[Step]:
    """Steps of a line, in offset order, disjoint.

    Args:
        pieces: the line, in offset order.
        home: the state that needs no label.
        reason: why pieces of that state are taken; one step has one reason.
    """
    return packed_steps(_steps(pieces, home, reason))


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
    if first.state is not home:
        reason = f"gives offsets that {home} files lack: {first.state}"
    return Step(
        survey=first.segment,
        start=first.start,
        stop=last.stop,
        offsets=OffsetRange(first.first, last.next),
        verdict=first.verdict,
        state=first.state,
        reason=reason,
    )
