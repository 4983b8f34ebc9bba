"""The library: one function per verb; each command is a thin shell around its twin here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from kafka_salvage import engine
from kafka_salvage.errors import RequestError
from kafka_salvage.integrity.asking import Flags, learned_of, limits_of, make_policy, plan_of
from kafka_salvage.integrity.placing import refuse_output
from kafka_salvage.progress import Progress
from kafka_salvage.regions.journal import Journal
from kafka_salvage.regions.survey import SurveyOptions, survey_replica
from kafka_salvage.scan.limits import Limits
from kafka_salvage.scan.replica import Inventory, take_inventory
from kafka_salvage.vector import needs

if TYPE_CHECKING:
    from kafka_salvage.export.receipt import Receipt
    from kafka_salvage.export.replay.consuming import ClusterVerification
    from kafka_salvage.export.replay.group_target import GroupCommit
    from kafka_salvage.export.replay.offset_map import OffsetMap
    from kafka_salvage.export.replay.positions import NewPositions
    from kafka_salvage.export.replay.replaying import replay as replay
    from kafka_salvage.export.verification import Verification
    from kafka_salvage.integrity.comparison import Comparison
    from kafka_salvage.integrity.listing import show as show
    from kafka_salvage.integrity.opened import OpenedSegment
    from kafka_salvage.integrity.report import Depth, IntegrityReport
    from kafka_salvage.metadata.learning import Learned
    from kafka_salvage.metadata.positions import GroupPositions
    from kafka_salvage.plan.plan import Plan
    from kafka_salvage.scan.records import RecordTable

# What one verb alone needs is imported there, and what is needed only after everything is read, then: it may be imported meanwhile.

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""One PATH or several; a PATH may be ``NAME=PATH``."""


def check(
    paths: Paths,
    *,
    deep: bool = False,
    outputs: Sequence[str | os.PathLike[str]] = (),
    state: str | os.PathLike[str] | None = None,
    resume: bool = False,
    **flags: Unpack[Flags],
) -> IntegrityReport:
    """Accounts for every byte and every offset; writes nothing.

    Args:
        paths: sources: log dirs, trees of them, partition directories or segment files; ``NAME=PATH`` names one.
        deep: inflate and walk every record too.
        outputs: places that the caller will write to; refused, before any work, when they lie inside a source.
        state: file that finished segments are told to, so that a check that was killed can go on.
        resume: go on with what ``state`` tells; segments that changed since are read again.
        **flags: see `Flags`.

    Raises:
        RequestError: a path is missing or holds no Kafka data, one of ``outputs`` lies inside a source, or ``state`` is
            not empty and not to be resumed.
        SourceError: a source could not be read at all.
        DestinationError: ``state`` could not be written.
    """
    if resume and state is None:
        raise RequestError("to resume a check, its state is needed", advice="Give --state FILE as the run before did.")
    inventory = take_inventory(_listed(paths))
    for output in (*outputs, *(() if state is None else (state,))):
        refuse_output(inventory, Path(output))
    with nullcontext() if state is None else Journal(Path(state), resume=resume) as journal:
        return make_report(plan_of(inventory, deep, flags, journal), "deep" if deep else "shallow")


def salvage(
    paths: Paths,
    *,
    out: str | os.PathLike[str],
    formats: Sequence[str] = ("segments",),
    encoding: str = "base64",
    compress: str = "none",
    latest_per_key: bool = False,
    resume: bool = False,
    force: bool = False,
    outputs: Sequence[str | os.PathLike[str]] = (),
    **flags: Unpack[Flags],
) -> Receipt:
    """Checks deep, then writes intact records to ``out`` and quarantines the rest.

    Args:
        paths: as in `check`.
        out: directory to write; must be empty or absent unless ``force`` or ``resume``.
        formats: ``segments``, ``jsonl``, ``parquet``, ``arrow``.
        encoding: how JSONL shows bytes: ``base64`` or ``utf8``.
        compress: JSONL files: ``none``, ``gzip`` or ``zstd``.
        latest_per_key: only the newest record of each key, tombstones included, and a list of the keys whose newest may be
            lost; not with ``segments``.
        resume: go on in a directory that an interrupted run left.
        force: write into a directory that is not empty, or onto a disk that seems too small.
        outputs: other places that the caller will write to; refused when they lie inside a source.
        **flags: see `Flags`.

    Raises:
        RequestError: as in `check`; ``out`` lies inside a source or is not empty.
        DestinationError: the output disk is full or refuses.
    """
    from kafka_salvage.export.affordable import PROMISE, written_at_once
    from kafka_salvage.export.atomic import Stage
    from kafka_salvage.export.estimate import outlook
    from kafka_salvage.export.options import ExportOptions
    from kafka_salvage.export.salvage_plan import refuse_destination, write_rescue

    jobs = flags.get("jobs") or engine.default_jobs()
    options = ExportOptions(
        formats=tuple(dict.fromkeys(formats)),
        encoding=encoding,
        compress=compress,
        latest_per_key=latest_per_key,
        resume=resume,
        force=force,
        jobs=written_at_once(jobs, formats, flags.get("memory", PROMISE), newest=latest_per_key),
        limits=limits_of(flags),
    )
    inventory = take_inventory(_listed(paths))
    refuse_destination(inventory, Path(out), options)
    for output in outputs:
        refuse_output(inventory, Path(output))
    needs.prepare(formats)
    progress = flags.get("progress") or Progress()
    with Stage(Path(out), resume=resume, jobs=jobs) as stage:
        progress.plan(outlook(inventory, options, stage, tried=progress.heard))
        plan = plan_of(inventory, True, flags, stage.journal)
        return write_rescue(plan, make_report(plan, "deep"), Path(out), options, progress, stage)


def records(paths: Paths, *, latest_per_key: bool = False, **flags: Unpack[Flags]) -> Iterator[RecordTable]:
    """Intact records as columns, in offset order per partition, in pieces of bounded size.

    Args:
        paths: as in `check`.
        latest_per_key: only the newest record of each key, tombstones included, as `salvage` gives them.
        **flags: see `Flags`.

    Raises:
        RequestError: as in `check`.
    """
    from kafka_salvage.export.latest import latest_tables
    from kafka_salvage.export.rows import plan_tables

    yield from (latest_tables if latest_per_key else plan_tables)(_plan(paths, True, flags), limits_of(flags))


def groups(
    paths: Paths,
    *,
    group: str | Sequence[str] = (),
    outputs: Sequence[str | os.PathLike[str]] = (),
    **flags: Unpack[Flags],
) -> GroupPositions:
    """Positions of consumer groups from `__consumer_offsets`, clamped to what can be recovered; writes nothing.

    Args:
        paths: as in `check`.
        group: one group or several; all without.
        outputs: places that the caller will write to; refused, before any work, when they lie inside a source.
        **flags: see `Flags`; ``topic`` and ``partition`` are those that groups read.

    Raises:
        RequestError: as in `check`; no copy of `__consumer_offsets` is among the sources.
    """
    from kafka_salvage.metadata.grouping import group_positions

    inventory = take_inventory(_listed(paths))
    for output in outputs:
        refuse_output(inventory, Path(output))
    policy = make_policy(flags)

    def survey(part: Inventory) -> Learned:
        return learned_of(inventory, part, False, policy, flags, None)

    return group_positions(inventory, policy, survey, [group] if isinstance(group, str) else group, limits_of(flags))


def read_offset_map(path: str | os.PathLike[str]) -> OffsetMap:
    """The offset map that a replay wrote: old offsets to new ones, in runs.

    Raises:
        RequestError: this is no offset map, or not a whole one.
        SourceError: it cannot be read.
        MissingExtraError: it is Parquet, and pyarrow is not installed.
    """
    from kafka_salvage.export.replay.map_file import read_map

    return read_map(Path(path))


def new_positions(found: GroupPositions, offset_map: OffsetMap) -> NewPositions:
    """Positions of groups in the cluster that records were replayed to: those of the same records.

    Args:
        found: what `groups` gave.
        offset_map: what `read_offset_map` gave.
    """
    from kafka_salvage.export.replay.positions import translated

    return translated(found, offset_map)


def compare(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str],
    *,
    outputs: Sequence[str | os.PathLike[str]] = (),
    **flags: Unpack[Flags],
) -> Comparison:
    """What can be recovered from one copy and not from another, per partition; writes nothing.

    Args:
        a: one side: a log dir, a tree of them, a partition directory or a segment file.
        b: the other.
        outputs: places that the caller will write to; refused, before any work, when they lie inside a side.
        **flags: see `Flags`.

    Raises:
        RequestError: as in `check`.
        SourceError: bytes that were checked could not be read again.
    """
    from kafka_salvage.integrity.comparison import compare_plans

    inventories = [take_inventory(_listed(side)) for side in (a, b)]
    for inventory in inventories:
        for output in outputs:
            refuse_output(inventory, Path(output))
    one, other = (plan_of(inventory, False, flags) for inventory in inventories)
    return compare_plans(one, other, limits=limits_of(flags), jobs=flags.get("jobs") or engine.default_jobs())


def verify(
    out: str | os.PathLike[str],
    *,
    outputs: Sequence[str | os.PathLike[str]] = (),
    jobs: int | None = None,
    memory: int = 512 << 20,
    inflate_ratio: int = 1024,
    inflate_cap: int = 256 << 20,
    progress: Progress | None = None,
) -> Verification:
    """Reads a rescue again: hashes, counts, and every record of every output against the report; writes nothing.

    Args:
        out: what `salvage` was given as ``out``.
        outputs: places that the caller will write to; refused when they lie inside ``out``.
        jobs: files read at a time. Default: the cores.
        memory: half of it bounds what a batch may inflate to, as in the salvage.
        inflate_ratio: a batch may inflate to this many times its stored bytes.
        inflate_cap: no batch may inflate to more than this.
        progress: is told bytes read.

    Raises:
        RequestError: this is no rescue directory, or one that was never finished, or one of ``outputs`` lies inside.
        SourceError: it cannot be read.
        MissingExtraError: a library that a format needs is not installed.
    """
    real = Path(os.path.realpath(out))
    for output in outputs:
        if Path(os.path.realpath(output)).is_relative_to(real):
            raise RequestError(
                f"{os.fspath(output)} lies inside the rescue, where it would be a file that nothing accounts for",
                advice="Name a file outside of it.",
            )
    from kafka_salvage.export.verification import verify_rescue

    limits = Limits(ratio=inflate_ratio, cap=min(inflate_cap, memory // 2))
    return verify_rescue(Path(out), limits=limits, jobs=jobs or engine.default_jobs(), progress=progress)


def verify_cluster(
    out: str | os.PathLike[str],
    *,
    bootstrap_server: str,
    offset_map: OffsetMap | str | os.PathLike[str] | None = None,
    command_config: str | os.PathLike[str] | None = None,
    **flags: Unpack[Flags],
) -> ClusterVerification:
    """Consumes the cluster that a rescue was replayed or loaded into, and compares every record; writes nothing.

    Args:
        out: what `salvage` was given as ``out``.
        bootstrap_server: ``host:port``, several with commas.
        offset_map: of the replay; without one the same offsets are expected, as after loading segments.
        command_config: a Java client's properties, or librdkafka's names.
        **flags: see `Flags`; filters narrow what is compared.

    Raises:
        RequestError: this is no rescue, the offset map is of another cluster, or a setting makes no sense.
        SourceError: the rescue cannot be read.
        DestinationError: the cluster cannot be reached, or refuses.
        MissingExtraError: confluent-kafka is not installed.
    """
    from kafka_salvage.export.replay.choices import ReplayChoices
    from kafka_salvage.export.replay.config import client_settings
    from kafka_salvage.export.replay.consuming import verify_cluster as compare_cluster
    from kafka_salvage.export.replay.map_file import read_map
    from kafka_salvage.export.replay.rescue import Rescue

    settings = client_settings(None if command_config is None else Path(command_config), bootstrap_server)
    runs = read_map(Path(offset_map)) if isinstance(offset_map, (str, os.PathLike)) else offset_map
    rescue = Rescue(Path(out), limits_of(flags))
    selection = make_policy(flags).selection
    supply = rescue.supply(ReplayChoices(include=frozenset({"divergent"})), selection)
    jobs, progress = flags.get("jobs") or engine.default_jobs(), flags.get("progress")
    return compare_cluster(supply, settings, runs, wanted=selection.wants, jobs=jobs, progress=progress)


def replay_groups(
    paths: Paths,
    *,
    bootstrap_server: str,
    offset_map: OffsetMap | str | os.PathLike[str],
    command_config: str | os.PathLike[str] | None = None,
    group: str | Sequence[str] = (),
    execute: bool = False,
    force: bool = False,
    **flags: Unpack[Flags],
) -> GroupCommit:
    """Looks at what committing recovered group positions in another cluster would do, and does it when told to.

    Args:
        paths: as in `groups`, or a rescue that was written with Kafka's own topics as segments.
        bootstrap_server: ``host:port``, several with commas.
        offset_map: of the replay into that cluster.
        command_config: a Java client's properties, or librdkafka's names.
        group: one group or several; all without.
        execute: commit them.
        force: commit those too whose groups stand elsewhere in the cluster by now.
        **flags: see `Flags`.

    Raises:
        RequestError: as in `groups`; the offset map is of another cluster.
        DestinationError: the cluster cannot be reached or refuses, or a group is active.
        MissingExtraError: confluent-kafka is not installed.
    """
    from kafka_salvage.export.replay.config import client_settings
    from kafka_salvage.export.replay.group_paths import group_paths
    from kafka_salvage.export.replay.group_target import GroupTarget
    from kafka_salvage.export.replay.map_file import read_map
    from kafka_salvage.export.replay.positions import translated

    settings = client_settings(None if command_config is None else Path(command_config), bootstrap_server)
    runs = read_map(Path(offset_map)) if isinstance(offset_map, (str, os.PathLike)) else offset_map
    found = groups(group_paths(_listed(paths)), group=group, **flags)
    target = GroupTarget(settings)
    shown = target.look(translated(found, runs), forced=force)
    return target.commit(shown) if execute else shown


def open_segment(path: str | os.PathLike[str], *, deep: bool = False) -> OpenedSegment:
    """Judges one segment file, with the indexes and checkpoints beside it as witnesses.

    Raises:
        RequestError: there is no such segment file.
    """
    from kafka_salvage.integrity.opened import OpenedSegment

    inventory = take_inventory([os.fspath(path)])
    for replica in inventory.replicas:
        for place, segment in enumerate(replica.segments):
            if segment.file.real == Path(path).resolve():
                return OpenedSegment(survey_replica(replica, SurveyOptions(deep=deep)).segments[place])
    raise RequestError(f"{os.fspath(path)} is no segment file", advice="Give a .log file of a partition directory.")


def make_report(plan: Plan, depth: Depth) -> IntegrityReport:
    """The account of a plan; see `integrity.report`."""
    from kafka_salvage.integrity.report import make_report as made

    return made(plan, depth)


_ELSEWHERE = {"replay": "kafka_salvage.export.replay.replaying", "show": "kafka_salvage.integrity.listing"}


def __getattr__(name: str) -> Any:
    """The verbs that are told where they are done."""
    if name in _ELSEWHERE:
        return getattr(import_module(_ELSEWHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _listed(paths: Paths) -> list[str]:
    return [os.fspath(paths)] if isinstance(paths, (str, os.PathLike)) else [os.fspath(path) for path in paths]


def _plan(paths: Paths, deep: bool, flags: Flags) -> Plan:
    return plan_of(take_inventory(_listed(paths)), deep, flags)
