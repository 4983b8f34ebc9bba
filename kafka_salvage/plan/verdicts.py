"""Verdicts: what is said to a person of how copies compare, as findings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kafka_salvage.plan.disputes import Compared
from kafka_salvage.plan.lineage import Fork, Lineage
from kafka_salvage.plan.strands import Strand, clipped, size_of
from kafka_salvage.plan.timeline import UNBOUNDED
from kafka_salvage.ranges import OffsetRange
from kafka_salvage.regions.verdict import Finding

_MOST = 1_000
"""Findings of one kind and copy; more of them say no more."""


@dataclass(frozen=True, eq=False)
class Verdicts:
    """Findings of a comparison.

    Attributes:
        strands: the copies.
        found: how they compare.
        lineage: what was decided.
        prefer: the person's choice.
    """

    strands: Sequence[Strand]
    found: Compared
    lineage: Lineage
    prefer: str | None

    def all(self) -> Iterator[Finding]:
        """Every finding."""
        yield from self.forks()
        yield from self.doubts()
        yield from self._misread()
        yield from self._quarrels()
        yield from self._variants()

    def forks(self) -> Iterator[Finding]:
        """One for each losing branch."""
        for fork in self.lineage.forks:
            loser, winner = self.strands[fork.strand], self.strands[fork.winner]
            end = max(loser.end, fork.offset + 1)
            message = (
                f"This copy leaves the history of {winner.name} at offset {fork.offset}: "
                f"{_epoch(fork.epoch)} here, {_epoch(fork.winning_epoch)} there; {_why(fork)}"
            )
            yield self._finding(
                "replica-diverges",
                fork.strand,
                OffsetRange(fork.offset, end),
                message,
                fork=fork.offset,
                epoch=-1 if fork.epoch is None else fork.epoch,
                winning_epoch=-1 if fork.winning_epoch is None else fork.winning_epoch,
                winner=winner.name,
                told_by=fork.told_by,
                records=size_of(clipped(loser.covered(), fork.offset, UNBOUNDED)),
            )

    def doubts(self) -> Iterator[Finding]:
        """One for each range and copy in which nothing decides."""
        end = max(strand.end for strand in self.strands)
        low, high = clipped(self.lineage.ambiguous, -UNBOUNDED, end)
        names = ", ".join(strand.name for strand in self.strands)
        for start, stop in list(zip(low.tolist(), high.tolist(), strict=True))[:_MOST]:
            for at, strand in enumerate(self.strands):
                if len(clipped(strand.covered(), start, stop)[0]):
                    message = (
                        f"Other bytes stand at these offsets on another copy, and nothing decides between them; "
                        f"--prefer NAME does (one of: {names})"
                    )
                    yield self._finding("replica-differs", at, OffsetRange(start, stop), message)

    def reason(self, at: int) -> str:
        """Why a copy's batches are set aside."""
        fork = next((fork for fork in self.lineage.forks if fork.strand == at), None)
        if fork is None and not len(self.lineage.ambiguous[0]):
            return "another form of these batches, which holds records that the one taken lacks"
        if fork is None:
            return "copies disagree, and nothing decides"
        return f"left the history of {self.strands[fork.winner].name} at offset {fork.offset}: {_why(fork)}"

    def _misread(self) -> Iterator[Finding]:
        for at, lines in enumerate(self.lineage.misread):
            if lines:
                told = ", ".join(f"{epoch} from {start}" for epoch, start in lines[:8])
                message = (
                    f"leader-epoch-checkpoint contradicts batches, or the other copies (epoch {told}); epochs are taken from "
                    "batches"
                )
                path = f"{self.strands[at].survey.replica.path}/leader-epoch-checkpoint"
                yield self._finding(
                    "checkpoint-corrupt", at, None, message, path=path, lines=[list(x) for x in lines[:8]]
                )

    def _quarrels(self) -> Iterator[Finding]:
        for quarrel, epoch in self.lineage.quarrels[:_MOST]:
            for at, told in quarrel.epochs:
                if told != epoch and quarrel.low < self.lineage.cuts[at]:
                    message = (
                        f"The same batches carry leader epoch {told} here and {epoch} on another copy, which is taken"
                    )
                    where = OffsetRange(quarrel.low, quarrel.high)
                    yield self._finding("epoch-repaired", at, where, message, before=told, after=epoch)

    def _variants(self) -> Iterator[Finding]:
        if not self.found.variants:
            return
        mixed = len(set(self.found.mixed))
        message = (
            f"{self.found.variants} batches were compacted differently on several copies; of each the form that holds most is "
            f"taken"
            + (f"; in {mixed} places another form holds records that it lacks, and is written apart" if mixed else "")
        )
        shared = self.found.shared
        where = OffsetRange(int(shared[0][0]), int(shared[1][-1]))
        yield self._finding(
            "replica-differs", 0, where, message, harmless=True, variants=self.found.variants, mixed=mixed
        )

    def _finding(
        self, code: str, at: int, offsets: OffsetRange | None, message: str, *, path: str | None = None, **detail: Any
    ) -> Finding:
        replica = self.strands[at].survey.replica
        return Finding(code, replica.source, path or replica.path, 0, 0, offsets, message, detail)


def _epoch(epoch: int | None) -> str:
    return "no believed batch" if epoch is None else f"leader epoch {epoch}"


def _why(fork: Fork) -> str:
    told = {
        "prefer": "the preferred copy wins",
        "batches": "the higher leader epoch wins, as the batches show",
    }
    return told.get(fork.told_by, "the higher leader epoch wins, as leader-epoch-checkpoint confirms")
