"""Replay: the verb: a plan, where asked for held against a cluster, where told to carried out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from kafka_salvage import engine
from kafka_salvage.errors import RequestError
from kafka_salvage.export.replay.choices import ReplayChoices
from kafka_salvage.export.replay.config import client_settings
from kafka_salvage.export.replay.execution import Execution, ReplayReceipt, Survey, survey
from kafka_salvage.export.replay.from_plan import plan_supply
from kafka_salvage.export.replay.plan import ReplayPlan
from kafka_salvage.export.replay.planning import plan_of as plan_replay
from kafka_salvage.export.replay.rescue import Rescue, is_rescue
from kafka_salvage.export.replay.supply import Supply
from kafka_salvage.export.replay.target import Target
from kafka_salvage.integrity.asking import Flags, limits_of, make_policy, plan_of
from kafka_salvage.integrity.placing import refuse_output
from kafka_salvage.integrity.report import make_report
from kafka_salvage.plan.policy import Include
from kafka_salvage.progress import Progress
from kafka_salvage.scan.replica import take_inventory

FAILED = 5


class ReplayFlags(Flags, total=False):
    """Choices of a replay besides `Flags`; see `choices.ReplayChoices` for what they mean.

    ``include`` takes values of both: what counts as recovered (``trimmed``, …), and what is sent (``open``, ``unknown``,
    ``aborted``, ``divergent``).
    """

    topic_map: Mapping[str, str]
    missing_timestamp: str | int | None
    create_topics: bool
    replication_factor: int | None
    topic_config: Mapping[str, str]
    append: bool
    force: bool
    transactions: bool
    compression: str | None
    batch_size: int | None
    rate: float | None
    chunk_bytes: int
    chunk_records: int


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay would do, and did.

    Attributes:
        plan: always.
        survey: the plan held against the cluster (a dry run).
        receipt: what was done; None when nothing was to be done.
        notes: of the client's settings.
    """

    plan: ReplayPlan
    survey: Survey | None = None
    receipt: ReplayReceipt | None = None
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """That of the source's report; 5 when a dry run found what stops the replay."""
        if self.survey is not None and (self.survey.problems or (self.survey.harms and not self.plan.choices.force)):
            return FAILED
        return self.plan.exit_code

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **self.plan.to_dict(),
            "exit_code": self.exit_code,
            "survey": None if self.survey is None else self.survey.to_dict(),
            "receipt": None if self.receipt is None else self.receipt.to_dict(),
        }


def replay(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    bootstrap_server: str,
    execute: bool = False,
    dry_run: bool = False,
    command_config: str | os.PathLike[str] | None = None,
    state: str | os.PathLike[str] | None = None,
    outputs: Sequence[str | os.PathLike[str]] = (),
    **flags: Unpack[ReplayFlags],
) -> Replay:
    """Re-emits recovered records to a cluster, exactly once; without ``execute`` only plans.

    Args:
        paths: a rescue directory, or damaged paths as in `check`.
        bootstrap_server: ``host:port``, several with commas.
        execute: do it.
        dry_run: hold the plan against the cluster; nothing is written there.
        command_config: a Java client's properties, or librdkafka's names.
        state: directory of the journal and the offset map; the same one lets an interrupted replay go on. Default:
            ``replay-`` and the replay's name, in the current directory.
        outputs: places that the caller will write to; refused when they lie inside a source.
        **flags: see `ReplayFlags`.

    Raises:
        RequestError: as in `check`; the choices make no sense; the target or the journal is of something else.
        SourceError: bytes that were checked could not be read again.
        DestinationError: the cluster cannot be reached, or refuses; the same call later goes on.
        MissingExtraError: confluent-kafka is not installed.
    """
    settings = client_settings(None if command_config is None else Path(command_config), bootstrap_server)
    jobs = flags.get("jobs") or engine.default_jobs()
    choices, rest = choices_of(flags, jobs)
    listed = [os.fspath(paths)] if isinstance(paths, (str, os.PathLike)) else [os.fspath(path) for path in paths]
    progress = flags.get("progress") or Progress()
    target = Target(settings) if execute or dry_run else None
    if target is not None:
        target.describe(())  # what cannot be reached shows before the work
    here = ["replay-"] if execute else []  # the journal's default place, whatever its id will be
    places = [*outputs, *(here if state is None else [state])]
    supply = _supply(listed, choices, rest, places)
    plan = plan_replay(supply, choices, jobs=jobs, progress=progress)
    if target is None:
        return Replay(plan, notes=settings.notes)
    home = Path(f"replay-{plan.replay_id}" if state is None else state)
    if not execute:
        return Replay(plan, survey(plan, supply, target, home), notes=settings.notes)
    _refuse_places(listed, [home])
    receipt = Execution(plan, supply, target, home, progress).run()
    return Replay(plan, None, receipt, settings.notes)


_SENT = ("open", "unknown", "aborted", "divergent")


def choices_of(flags: ReplayFlags, jobs: int) -> tuple[ReplayChoices, Flags]:
    """The choices of a replay, and the flags that the plan over the sources is made with.

    Raises:
        RequestError: a value is none of those allowed.
    """
    include = list(flags.get("include", ()))
    given: dict[str, Any] = dict(flags)
    own = {name: given[name] for name in _OWN if name in given}
    rest: Any = {name: value for name, value in given.items() if name not in _OWN and name != "topic_config"}
    rest["include"] = [name for name in include if name not in _SENT]
    known = {str(each) for each in Include}
    for name in rest["include"]:
        if name not in known:
            raise RequestError(f"--include {name}: there is nothing of this name")
    made = ReplayChoices(
        include=frozenset(name for name in include if name in _SENT),
        topic_configs=dict(flags.get("topic_config", {})),
        jobs=jobs,
        **own,
    )
    return made, rest


_OWN = (
    "topic_map", "missing_timestamp", "create_topics", "replication_factor", "append", "force", "transactions",
    "compression", "batch_size", "rate", "chunk_bytes", "chunk_records",
)  # fmt: skip


def _refuse_places(listed: Sequence[str], places: Sequence[str | os.PathLike[str]]) -> None:
    """Refuses what would write into a source."""
    for path in listed:
        real = Path(os.path.realpath(path))
        for place in places:
            if Path(os.path.realpath(place)).is_relative_to(real):
                raise RequestError(
                    f"{os.fspath(place)} lies inside {path}, which is only read",
                    advice="Give a place outside of every source, with --state for the journal.",
                )


def _supply(
    listed: Sequence[str], choices: ReplayChoices, flags: Flags, places: Sequence[str | os.PathLike[str]]
) -> Supply:
    rescues = [path for path in listed if is_rescue(Path(path))]
    if rescues and len(listed) > 1:
        raise RequestError(
            f"{rescues[0]} is a rescue, and is replayed by itself", advice="Give one rescue, or damaged paths."
        )
    limits = limits_of(flags)
    if rescues:
        _refuse_places(listed, places)
        rescue = Rescue(Path(rescues[0]), limits)
        return rescue.supply(choices, make_policy(flags).selection)
    inventory = take_inventory(list(listed))
    for place in places:
        refuse_output(inventory, Path(place))
    plan = plan_of(inventory, True, flags)
    return plan_supply(plan, make_report(plan, "deep").to_dict(), choices, limits, ", ".join(listed))
