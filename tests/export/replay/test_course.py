"""A course brings each record to the target once and in order, whatever interrupts it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_salvage.errors import DestinationError, RequestError
from kafka_salvage.export.replay.course import Course, CourseOptions
from kafka_salvage.export.replay.journal import Journal
from kafka_salvage.export.replay.matching import Tolerance
from kafka_salvage.export.replay.offset_map import OffsetMapBuilder
from kafka_salvage.scan.records import RecordTable
from tests.export.replay.cluster_log import FakeLog, Killed, LostError, Partition, Row, Step, table_of

HEAD = {"replay_id": "r", "cluster_id": "c", "now": 5}
PLACE = ("orders", 3)
bodies = st.none() | st.binary(max_size=3)
rows = st.tuples(
    st.integers(1, 3), bodies, bodies, st.lists(st.tuples(st.binary(max_size=2), bodies), max_size=2).map(tuple)
)


def nothing(_: str) -> None:
    """Nothing happens."""


def stock(records: list[Row], piece: int = 4, gap: int = 0) -> Iterator[RecordTable]:
    """The records to send as tables; the old log has a hole of ``gap`` offsets behind each table."""
    for number, low in enumerate(range(0, len(records), piece)):
        part = records[low : low + piece]
        begin = 100 + low + number * gap
        yield table_of(part, list(range(begin, begin + len(part))))


def run(home: Path, partition: Partition, records: list[Row], step: Step = nothing, **choices: object) -> Journal:
    """One run of the process; the journal is closed behind it as the system does."""
    options = {"chunk_records": 5, **choices}
    transactional = bool(options.pop("transactional", True))
    gap = options.pop("gap", 0)
    journal = Journal(home, HEAD)
    try:
        log = FakeLog(partition, step, transactional=transactional)
        Course(log, PLACE, journal, CourseOptions(**options)).run(stock(records, gap=int(str(gap))))  # type: ignore[arg-type]
    finally:
        journal.close()
    return journal


def seen(partition: Partition) -> list[Row]:
    return [row for _, row in partition.visible]


def mapped(journal: Journal) -> dict[int, int]:
    """Old offset -> new offset, as the offset map tells it."""
    builder = OffsetMapBuilder()
    journal.collect(builder, {PLACE: (("orders-old", 3), 999)})
    return {
        old: run.new_start + old - run.old_start
        for run in builder.map().runs()
        for old in range(run.old_start, run.old_stop)
    }


def plain(count: int) -> list[Row]:
    return [(1000 + n, b"k%d" % n, b"v%d" % n, ()) for n in range(count)]


class Trouble:
    """Raises at chosen steps, by number.

    Args:
        at: step number -> ``kill`` or ``lose``.
    """

    def __init__(self, at: dict[int, str]) -> None:
        self.at = at
        self.count = 0
        self.dead = False

    def __call__(self, name: str) -> None:
        if self.dead:  # the process is gone: nothing it would do to tidy up happens
            raise Killed
        self.count += 1
        kind = self.at.get(self.count)
        if kind == "kill":
            self.dead = True
            raise Killed
        if kind == "lose" and name.endswith("!"):
            raise LostError(f"no answer to {name}")


@settings(max_examples=150, deadline=None)
@given(
    records=st.lists(rows, max_size=24),
    troubles=st.lists(st.dictionaries(st.integers(1, 60), st.sampled_from(["kill", "lose"]), max_size=3), max_size=5),
    half=st.integers(0, 24),
    torn=st.booleans(),
)
def test_each_record_is_there_once_and_in_order(
    records: list[Row], troubles: list[dict[int, str]], half: int, torn: bool
) -> None:
    with TemporaryDirectory() as folder:
        home, partition = Path(folder), Partition()
        partition.write(records[:half])  # a target that already holds a part
        for trouble in troubles:
            try:
                run(home, partition, records, Trouble(trouble))
            except (Killed, LostError):
                if torn:  # the kill came in the middle of a line
                    with (home / "journal.jsonl").open("ab") as file:
                        file.write(b'{"partition": 3, "pos')
        journal = run(home, partition, records)
        assert seen(partition) == records
        assert not [entry for entry in partition.entries if entry.state == "open"]
        truth = {100 + n: offset for n, (offset, _) in enumerate(partition.visible)}
        assert mapped(journal) == truth


@settings(max_examples=60, deadline=None)
@given(records=st.lists(rows, min_size=1, max_size=20), kills=st.lists(st.integers(1, 40), max_size=4))
def test_without_transactions_reading_back_tells_what_arrived(records: list[Row], kills: list[int]) -> None:
    with TemporaryDirectory() as folder:
        home, partition = Path(folder), Partition()
        for kill in kills:
            try:
                run(home, partition, records, Trouble({kill: "kill"}), transactional=False)
            except Killed:
                continue
        run(home, partition, records, transactional=False)
        assert seen(partition) == records


@settings(max_examples=60, deadline=None)
@given(records=st.lists(rows, min_size=1, max_size=20), kills=st.lists(st.integers(1, 40), max_size=3))
def test_a_lost_journal_is_found_again_on_the_target(records: list[Row], kills: list[int]) -> None:
    partition = Partition()
    for kill in [*kills, 0]:
        with TemporaryDirectory() as folder:  # each run has a journal that knows nothing
            try:
                journal = run(Path(folder), partition, records, Trouble({kill: "kill"}))
            except Killed:
                continue
    assert seen(partition) == records
    assert mapped(journal) == {100 + n: offset for n, (offset, _) in enumerate(partition.visible)}


def test_a_target_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    partition = Partition()
    partition.write([(1, b"a", b"b", ())])
    with pytest.raises(DestinationError, match="is not empty, and what it holds does not begin like"):
        run(tmp_path, partition, plain(9))
    assert len(partition.entries) == 1


@pytest.mark.parametrize(
    "other",
    [
        (1000, b"k0", b"v1", ()), (1000, b"k", b"0v0", ()), (1001, b"k0", b"v0", ()), (1000, None, b"v0", ()),
        (1000, b"k0", b"v0", ((b"h", None),)), (1000, b"k0", None, ()),
    ],
)  # fmt: skip
def test_every_field_counts(tmp_path: Path, other: Row) -> None:
    partition = Partition()
    partition.write([other])
    with pytest.raises(DestinationError, match="does not begin like"):
        run(tmp_path, partition, plain(3))


def test_null_is_not_empty(tmp_path: Path) -> None:
    partition = Partition()
    partition.write([(1, b"", b"v", ((b"h", b""),))])
    for wanted in ((1, None, b"v", ((b"h", b""),)), (1, b"", b"v", ((b"h", None),))):
        with pytest.raises(DestinationError, match="does not begin like"):
            run(tmp_path / str(wanted[1]), partition, [wanted])


def test_others_behind_everything_are_their_own_affair(tmp_path: Path) -> None:
    partition, records = Partition(), plain(9)
    run(tmp_path, partition, records)
    partition.write([(5, b"x", b"y", ())])
    run(tmp_path, partition, records)
    assert seen(partition) == [*records, (5, b"x", b"y", ())]


def test_another_writer_between_two_runs_is_noticed(tmp_path: Path) -> None:
    partition, records = Partition(), plain(12)
    with pytest.raises(Killed):
        run(tmp_path, partition, records, Trouble({16: "kill"}))
    partition.write([(5, b"x", b"y", ())])
    before = seen(partition)
    with pytest.raises(DestinationError, match="somebody else writes to it"):
        run(tmp_path, partition, records)
    assert seen(partition) == before


@pytest.mark.parametrize("moment", ["begin", "send", "acknowledged"])
def test_another_writer_in_the_middle_is_noticed_before_the_commit(tmp_path: Path, moment: str) -> None:
    partition, records = Partition(), plain(12)

    def intrude(name: str) -> None:
        intrude_once = name == moment and not any(e.owner == "" and e.row for e in partition.entries)
        if intrude_once and len(partition.entries) > 6:
            partition.write([(5, b"x", b"y", ())])

    if moment == "acknowledged":  # behind the last record of a chunk: seen when the next one begins
        with pytest.raises(DestinationError, match="somebody else writes"):
            run(tmp_path, partition, records, intrude)
        return
    with pytest.raises(DestinationError, match="somebody else writes"):
        run(tmp_path, partition, records, intrude)
    ours = [e for e in partition.entries if e.owner == "us" and e.state == "committed"]
    assert len(ours) in (5, 10)


def test_others_are_allowed_when_told(tmp_path: Path) -> None:
    partition, records = Partition(), plain(12)
    strange: Row = (5, b"x", b"y", ())
    partition.write([strange] * 3)

    def intrude(name: str) -> None:
        if name == "send" and len(partition.entries) in (6, 9):
            partition.write([strange])

    trouble = Trouble({30: "kill"})

    def both(name: str) -> None:
        trouble(name)
        intrude(name)

    with pytest.raises(Killed):
        run(tmp_path, partition, records, both, append=True)
    journal = run(tmp_path, partition, records, append=True)
    assert [row for row in seen(partition) if row != strange] == records
    truth = [offset for offset, row in partition.visible if row != strange]
    assert mapped(journal) == {100 + n: offset for n, offset in enumerate(truth)}


STRANGE: Row = (5, b"x", b"y", ())


@pytest.mark.parametrize("killed", [None, 18, 25, 30, 33])
@pytest.mark.parametrize("transactional", [True, False])
def test_appending_without_its_journal_sends_nothing_twice(
    tmp_path: Path, killed: int | None, transactional: bool
) -> None:
    partition, records = Partition(), plain(12)
    partition.write([STRANGE] * 20)

    def intrude(name: str) -> None:
        if name == "send" and len(partition.entries) % 4 == 0:
            partition.write([STRANGE])

    trouble = Trouble({} if killed is None else {killed: "kill"})

    def both(name: str) -> None:
        trouble(name)
        intrude(name)

    with contextlib.nullcontext() if killed is None else pytest.raises(Killed):
        run(tmp_path / "first", partition, records, both, append=True, transactional=transactional)
    partition.write([STRANGE] * 3)
    journal = run(tmp_path / "second", partition, records, append=True, transactional=transactional)
    assert [row for row in seen(partition) if row != STRANGE] == records
    truth = [offset for offset, row in partition.visible if row != STRANGE]
    assert mapped(journal) == {100 + n: offset for n, offset in enumerate(truth)}


def test_the_journal_tells_where_others_were_read_to(tmp_path: Path) -> None:
    partition, records = Partition(), plain(12)
    partition.write([STRANGE] * 20)
    with pytest.raises(Killed):  # where it begins to send: the first 20 are read three times seven
        run(tmp_path, partition, records, Trouble({8: "kill"}), append=True)
    reads: list[str] = []
    run(tmp_path, partition, records, reads.append, append=True)
    assert reads.count("read") == 0
    assert [row for row in seen(partition) if row != STRANGE] == records


def test_a_partition_that_was_made_anew_is_refused(tmp_path: Path) -> None:
    run(tmp_path, Partition(), plain(9))
    with pytest.raises(DestinationError, match="ends at offset 0, and a replay had filled it up to 10"):
        run(tmp_path, Partition(), plain(9))


def test_a_source_that_shrank_is_refused(tmp_path: Path) -> None:
    partition = Partition()
    run(tmp_path, partition, plain(9))
    with pytest.raises(RequestError, match="the source has changed"):
        run(tmp_path, partition, plain(4))


def test_the_journal_of_another_replay_is_refused(tmp_path: Path) -> None:
    run(tmp_path, Partition(), plain(3))
    with pytest.raises(RequestError, match="journal of another replay"):
        Journal(tmp_path, {**HEAD, "cluster_id": "other"})


def test_one_replay_at_a_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path, HEAD)
    with pytest.raises(RequestError, match="another replay is writing"):
        Journal(tmp_path, HEAD)
    journal.close()
    Journal(tmp_path, HEAD).close()


def test_the_time_of_the_first_run_stays(tmp_path: Path) -> None:
    Journal(tmp_path, HEAD).close()
    later = Journal(tmp_path, {**HEAD, "now": 77})
    assert later.head["now"] == 5
    later.close()


def test_a_partition_without_records_is_in_the_map(tmp_path: Path) -> None:
    partition = Partition()
    partition.write([(5, b"x", b"y", ())])
    journal = run(tmp_path, partition, [], append=True)
    builder = OffsetMapBuilder()
    journal.collect(builder, {PLACE: (("old", 3), 42)})
    (only,) = builder.map().runs()
    assert (only.old_start, only.old_stop, only.new_start) == (42, 42, 1)


def test_a_target_that_overwrites_timestamps_is_compared_without_them(tmp_path: Path) -> None:
    partition, records = Partition(), plain(4)
    partition.write([(77, *row[1:]) for row in records[:2]])
    run(tmp_path, partition, records, tolerance=Tolerance(timestamps=True))
    assert len(seen(partition)) == 4


def test_a_header_key_is_compared_as_far_as_a_client_shows_it(tmp_path: Path) -> None:
    partition = Partition()
    partition.write([(1, b"k", b"v", ((b"a", b"x"),))])
    run(tmp_path / "1", partition, [(1, b"k", b"v", ((b"a\0b", b"x"),))])
    assert len(seen(partition)) == 1
    with pytest.raises(DestinationError, match="does not begin like"):
        run(tmp_path / "2", partition, [(1, b"k", b"v", ((b"ab", b"x"),))])


def test_holes_of_the_old_log_break_the_runs(tmp_path: Path) -> None:
    partition, records = Partition(), plain(10)
    journal = run(tmp_path, partition, records, gap=3)
    old = [100 + n + 3 * (n // 4) for n in range(10)]
    assert mapped(journal) == dict(zip(old, [offset for offset, _ in partition.visible], strict=True))
