"""Asked: what the flags of a verb come to: the plan over an inventory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kafka_salvage import engine
from kafka_salvage.errors import RequestError
from kafka_salvage.integrity.choices import Flags, limits_of, make_policy
from kafka_salvage.metadata.learning import Learned, learn, witnesses_of
from kafka_salvage.plan.policy import Policy, Selection
from kafka_salvage.progress import Progress
from kafka_salvage.regions.survey import SurveyOptions, survey_replica
from kafka_salvage.regions.watching import Watch
from kafka_salvage.scan.replica import Inventory, Replica, Use
from kafka_salvage.vector import needs

if TYPE_CHECKING:
    from kafka_salvage.plan.plan import Plan
    from kafka_salvage.regions.journal import Journal
    from kafka_salvage.regions.runs import ReplicaSurvey

_PROGRAM, _SEGMENT = 175 << 20, 10 << 20
"""Memory of the program with its kernels, and what each segment that is checked at the same time adds; measured."""


def plan_of(inventory: Inventory, deep: bool, flags: Flags, journal: Journal | None = None) -> Plan:
    """The plan over an inventory.

    Raises:
        RequestError: a flag makes no sense, names no source, or selects nothing.
    """
    policy = make_policy(flags)
    names = {s.name for s in inventory.sources} | {each.id for s in inventory.sources for each in s.log_dirs}
    if policy.prefer is not None and policy.prefer not in names:
        raise RequestError(
            f"--prefer {policy.prefer}: no source has this name",
            advice=f"The names are: {', '.join(sorted(names))}. Give one with NAME=PATH.",
        )
    selected = _selected(inventory, policy.selection)
    learned = learned_of(inventory, selected, deep, policy, flags, journal)
    return make_plan(selected, learned.surveys, learned.informed(policy))


def make_plan(inventory: Inventory, surveys: Sequence[ReplicaSurvey], policy: Policy) -> Plan:
    """The plan over surveys; see `plan.merge`, which is imported here: evidence may be read meanwhile."""
    from kafka_salvage.plan import merge

    return merge.make_plan(inventory, surveys, policy)


def learned_of(
    inventory: Inventory, selected: Inventory, deep: bool, policy: Policy, flags: Flags, journal: Journal | None
) -> Learned:
    """Surveys, Kafka's own topics first: what they say helps to judge the others."""
    most = max(1, (flags.get("memory", 512 << 20) - _PROGRAM) // _SEGMENT)
    jobs = min(flags.get("jobs") or engine.default_jobs(), most)
    inside = max(1, jobs // max(1, len(selected.replicas)))
    options = SurveyOptions(deep=deep, limits=limits_of(flags), strict=policy.strict, jobs=inside)
    progress = flags.get("progress") or Progress()
    asked = {(r.source, r.path): r for r in (*witnesses_of(inventory), *selected.replicas)}
    progress.stage("check", sum(s.file.size for r in asked.values() for s in r.segments))
    known = None
    if journal is not None:
        from kafka_salvage.regions.known import Known

        known = Known(journal)
    watch = Watch(progress, known)
    if deep:
        needs.prepare()

    def survey(replica: Replica, options: SurveyOptions) -> ReplicaSurvey:
        return survey_replica(replica, options, judge=watch)

    return learn(inventory, selected, options, survey, jobs)


def _selected(inventory: Inventory, selection: Selection) -> Inventory:
    """The inventory without the partitions that are not asked for; their files stay listed, as ignored."""
    wanted = tuple(r for r in inventory.replicas if selection.wants(r.topic, r.partition))
    if len(wanted) == len(inventory.replicas):
        return inventory
    if not wanted:
        raise RequestError(
            "no partition under the sources matches the filters",
            advice="Run check without --topic, --topic-regex and --partition to see what is there.",
        )
    kept = {f.real for r in wanted for f in r.files}
    dropped = {f.real for r in inventory.replicas for f in r.files} - kept
    files = tuple(
        replace(f, use=Use.IGNORED, reason="not selected") if f.real in dropped and f.use is Use.READ else f
        for f in inventory.files
    )
    return replace(inventory, replicas=wanted, files=files)


__all__ = ["Flags", "learned_of", "limits_of", "make_policy", "plan_of"]
