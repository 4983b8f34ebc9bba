"""Offset maps against a plain dict of every offset."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.errors import RequestError
from kafka_salvage.export.replay.map_file import read_map, write_map
from kafka_salvage.export.replay.offset_map import Fit, OffsetMap, OffsetMapBuilder, OffsetRun, Place

Naive = dict[Place, dict[int, int]]
"""Old partition -> old offset -> new offset."""


@st.composite
def naive_maps(draw: st.DrawFn) -> Naive:
    found: Naive = {}
    for topic in draw(st.lists(st.sampled_from(["a", "b.c", "d-1"]), unique=True, max_size=3)):
        for partition in draw(st.lists(st.integers(0, 3), unique=True, min_size=1, max_size=2)):
            old, new = draw(st.integers(0, 5)), draw(st.integers(0, 5))
            steps = draw(st.lists(st.tuples(st.sampled_from([1, 1, 1, 3]), st.sampled_from([1, 1, 2])), min_size=1))
            records = {}
            for past_old, past_new in steps:
                records[old] = new
                old, new = old + past_old, new + past_new
            found[topic, partition] = records
    return found


def renamed(place: Place) -> Place:
    return f"new.{place[0]}", place[1]


def built(naive: Naive, chunk: int) -> OffsetMap:
    builder = OffsetMapBuilder()
    for place, records in naive.items():
        old, new = np.array(list(records), np.int64), np.array(list(records.values()), np.int64)
        for at in range(0, len(old), chunk):
            builder.add(*place, old[at : at + chunk], *renamed(place), new[at : at + chunk])
    return builder.map("cluster-2")


@given(naive_maps(), st.integers(1, 7))
def test_it_says_what_a_dict_of_all_offsets_says(naive: Naive, chunk: int) -> None:
    made = built(naive, chunk)
    assert made.records == sum(len(records) for records in naive.values())
    for place, records in naive.items():
        for offset in range(max(records) + 4):
            found = made.translate(*place, offset)
            assert found is not None
            assert (found.topic, found.partition) == renamed(place)
            following = [old for old in records if old >= offset]
            if offset in records:
                expected = (records[offset], Fit.EXACT)
            elif following:
                expected = (records[min(following)], Fit.HOLE)
            else:
                end = max(records.values()) + 1
                expected = (end, Fit.EXACT if offset == max(records) + 1 else Fit.END)
            assert (found.offset, found.fit) == expected
    assert made.translate("elsewhere", 0, 1) is None


@given(naive_maps())
def test_both_ways_lead_back(naive: Naive) -> None:
    for place, records in naive.items():
        made = built({place: records}, 1000).partitions[place]
        olds, news = np.arange(max(records) + 3), np.arange(max(records.values()) + 3)
        back = {new: old for old, new in records.items()}
        assert made.new_offsets(olds).tolist() == [records.get(old, -1) for old in olds.tolist()]
        assert made.old_offsets(news).tolist() == [back.get(new, -1) for new in news.tolist()]


@given(naive_maps())
def test_a_run_covers_what_follows_on_and_no_less(naive: Naive) -> None:
    for records in naive.values():
        pairs = list(records.items())
        breaks = sum(1 for a, b in itertools.pairwise(pairs) if (b[0] - a[0], b[1] - a[1]) != (1, 1))
        assert len(built({("t", 0): records}, 2)) == breaks + 1


@pytest.mark.parametrize("name", ["map.jsonl", "map.parquet"])
@given(naive=naive_maps(), chunk=st.integers(1, 5))
def test_it_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, name: str, naive: Naive, chunk: int
) -> None:
    path = tmp_path_factory.mktemp("map") / name
    made = built(naive, chunk)
    write_map(path, made)
    assert [p.name for p in path.parent.iterdir()] == [name]
    read = read_map(path)
    assert read == made
    assert read.cluster == "cluster-2"


def runs(*spans: tuple[int, int, int]) -> list[OffsetRun]:
    return [OffsetRun("t", 0, start, stop, "t", 0, new) for start, stop, new in spans]


def test_the_files_hold_runs_and_not_records(tmp_path: Path) -> None:
    made = OffsetMap.of(runs((0, 1_000_000, 7), (1_000_001, 2_000_000, 1_000_007)))
    write_map(tmp_path / "map.jsonl", made)
    write_map(tmp_path / "map.parquet", made)
    lines = (tmp_path / "map.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {"schema": "kafka-salvage.offset-map/1", "cluster_id": None, "runs": 2}
    assert json.loads(lines[2]) == {
        "topic": "t", "partition": 0, "old_start": 1_000_001, "old_stop": 2_000_000,
        "new_topic": "t", "new_partition": 0, "new_start": 1_000_007,
    }  # fmt: skip
    assert pq.read_table(tmp_path / "map.parquet").to_pylist() == [json.loads(line) for line in lines[1:]]


def test_runs_in_any_order_are_joined() -> None:
    made = OffsetMap.of(runs((10, 20, 10), (0, 10, 0), (20, 21, 25)))
    assert list(made.runs()) == runs((0, 20, 0), (20, 21, 25))


def test_an_empty_partition_has_its_end() -> None:
    made = OffsetMap.of(runs((40, 40, 3)))
    assert made.records == 0
    assert [made.translate("t", 0, offset) for offset in (39, 40, 41)] == [
        made.partitions["t", 0].translate(offset) for offset in (39, 40, 41)
    ]
    found = [made.partitions["t", 0].translate(offset) for offset in (39, 40, 41)]
    assert [(each.offset, each.fit) for each in found] == [(3, Fit.HOLE), (3, Fit.EXACT), (3, Fit.END)]
    assert list(OffsetMap.of(runs((40, 40, 3), (2, 5, 0))).runs()) == runs((2, 5, 0))


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (runs((0, 5, 0), (4, 6, 9)), "twice"),
        (runs((0, 5, 10), (5, 6, 3)), "backwards"),
        ([*runs((0, 5, 0)), OffsetRun("t", 0, 7, 8, "u", 0, 9)], "several"),
        ([*runs((0, 5, 0)), OffsetRun("s", 0, 7, 8, "t", 0, 9)], "t-0"),
        (runs((0, 5, -1)), "below"),
    ],
)
def test_what_is_no_map_is_refused(wrong: list[OffsetRun], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        OffsetMap.of(wrong)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}\n", b"[]\n", b"\xff\xfe\n", b'{"schema":"kafka-salvage.report/1","runs":0,"cluster_id":null}\n',
        b"PAR1 but not really", b"1\n2\n", b'{"schema":"kafka-salvage.offset-map/1","runs":1,"cluster_id":null}\n{"topic":1}\n',
    ],
)  # fmt: skip
def test_what_is_no_map_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "map").write_bytes(content)
    with pytest.raises(RequestError, match="map"):
        read_map(tmp_path / "map")


def test_a_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "map.jsonl"
    write_map(path, OffsetMap.of(runs((0, 5, 0), (8, 9, 20))))
    whole = path.read_text()
    path.write_text(whole[: whole.rindex("{")])
    with pytest.raises(RequestError, match="1 runs are in it, and there should be 2"):
        read_map(path)
    path.write_text(whole[:-9])
    with pytest.raises(RequestError, match="line 3"):
        read_map(path)
    with pytest.raises(RequestError, match="no such file"):
        read_map(tmp_path / "absent")
