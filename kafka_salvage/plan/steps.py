"""Steps: pieces of a line as stretches of bytes, each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kafka_salvage.plan.plan import Step
from kafka_salvage.plan.timeline import Piece
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.scan.replica import State

Reason = Callable[[Piece], str]


def steps_of(pieces: Sequence[Piece], home: State, reason: str | Reason) -> tuple[Step, ...]:
    """Steps of a line, in offset order, disjoint.

    Args:
        pieces: the line, in offset order.
        home: the state that needs no label.
        reason: why pieces of that state are taken; one step has one reason.
    """
    steps: list[Step] = []
    group: list[Piece] = []
    because = ""
    for piece in pieces:
        why = reason if isinstance(reason, str) else reason(piece)
        if group and not (_continues(group[-1], piece) and why == because):
            steps.append(_step(group, home, because))
            group = []
        group.append(piece)
        because = why
    if group:
        steps.append(_step(group, home, because))
    return tuple(steps)


def _continues(last: Piece, piece: Piece) -> bool:
    return last.segment is piece.segment and last.stop == piece.start and last.verdict is piece.verdict


def _step(group: Sequence[Piece], home: State, reason: str) -> Step:
    first = group[0]
    if first.state is not home:
        reason = f"gives offsets that {home} files lack: {first.state}"
    return Step(
        survey=first.segment,
        start=first.start,
        stop=group[-1].stop,
        offsets=OffsetRange(first.first, group[-1].next),
        verdict=first.verdict,
        state=first.state,
        reason=reason,
    )
