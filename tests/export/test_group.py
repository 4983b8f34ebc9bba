"""Group: what waits behind a file is done after that file's sync and no other order; a failure stops all that is behind it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_salvage.errors import DestinationError
from kafka_salvage.export import group, writeback
from kafka_salvage.export.atomic import Stage
from kafka_salvage.export.group import Group

COUNTS = st.lists(st.integers(0, 5), min_size=1, max_size=30)


class Kept:
    """A file that writes down what is done with it."""

    def __init__(self, told: list[str], name: str, *, fails: str = "", size: int = 1) -> None:
        self._told, self._name, self._fails, self.size = told, name, fails, size

    def _do(self, what: str) -> None:
        self._told.append(f"{what} {self._name}")
        if what == self._fails:
            raise DestinationError("no more", target=self._name)

    def send(self) -> None:
        self._do("send")

    def sent(self) -> None:
        self._do("sent")

    def sync(self) -> None:
        self._do("sync")


@settings(max_examples=40)
@given(counts=COUNTS, beside=st.booleans())
def test_what_waits_is_done_in_order_behind_the_syncs_before_it(counts: list[int], beside: bool) -> None:
    told: list[str] = []
    made = Group(beside=beside)
    for line, count in enumerate(counts):
        for number in range(count):
            made.add(Kept(told, f"{line}.{number}"), None)
        made.add(None, lambda line=line: told.append(f"line {line}"))  # type: ignore[misc]
    made.settled()
    made.end()
    expected = []
    for line, count in enumerate(counts):
        expected += [*(f"sync {line}.{number}" for number in range(count)), f"line {line}"]
    assert [each for each in told if each.split()[0] in ("sync", "line")] == expected


@settings(max_examples=40)
@given(counts=COUNTS, at=st.integers(0, 40), fails=st.sampled_from(["send", "sent", "sync"]), beside=st.booleans())
def test_nothing_behind_a_failure_is_told(counts: list[int], at: int, fails: str, beside: bool) -> None:
    told: list[str] = []
    made, taken, failed = Group(beside=beside), 0, False
    try:
        for line, count in enumerate(counts):
            for _ in range(count):
                made.add(Kept(told, str(taken), fails=fails if taken == at else ""), None)
                taken += 1
            made.add(None, lambda line=line: told.append(f"line {line}"))  # type: ignore[misc]
        made.settled()
    except DestinationError:
        failed = True
        with pytest.raises(DestinationError):
            made.settled()
        with pytest.raises(DestinationError):
            made.add(None, lambda: told.append("line late"))
    made.end()
    before, lines = 0, []
    for line, count in enumerate(counts):
        before += count
        if before <= at:
            lines.append(f"line {line}")
    done = [each for each in told if each.startswith("line")]
    if failed:
        assert f"{fails} {at}" in told
        assert done == lines[: len(done)]
        assert f"sync {at + 1}" not in told
    else:
        assert done == [f"line {line}" for line in range(len(counts))]
    if fails == "sync" and failed:
        assert done == lines  # what lies before the failure was on the disk, and is told


@pytest.mark.parametrize("allowed", [8, 256, 1 << 20])
@pytest.mark.parametrize("beside", [True, False])
def test_files_share_a_group_and_few_of_them_are_open(
    monkeypatch: pytest.MonkeyPatch, beside: bool, allowed: int
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (allowed, allowed))
    room = min(group.MOST, allowed // 4)
    told: list[str] = []
    made = Group(beside=beside)
    for number in range(1000):
        made.add(Kept(told, str(number)), None)
    made.settled()
    made.end()
    open_, most, turns, last = 0, 0, 0, ""
    for each in told:
        what = each.split()[0]
        turns += what in ("send", "sync") and last != what
        open_ += {"send": 1, "sync": -1}.get(what, 0)
        most, last = max(most, open_), what
    assert allowed == 8 or turns <= 4 * 1000 // min(group.FILES, room // 2)
    assert most <= room


def test_large_files_do_not_wait_for_company() -> None:
    told: list[str] = []
    for beside in (True, False):
        made, done = Group(beside=beside), threading.Event()
        begun = time.monotonic()
        made.add(Kept(told, "large", size=group.BYTES), done.set)
        assert done.wait(20)
        assert time.monotonic() - begun < 10
        made.end()
    made, done = Group(beside=True), threading.Event()
    made.add(Kept(told, "small"), done.set)
    assert done.wait(20)  # a moment later, although nobody asks
    made.end()


@pytest.mark.parametrize("flag", [1, 2])
def test_an_error_that_the_disk_tells_early_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: int
) -> None:
    """The system tells it to whoever asks first: a sync behind it would say that all is well."""
    import ctypes
    import errno

    def failing(name: str, *types: type[object]) -> object:
        def call(descriptor: int, *arguments: int) -> int:
            if name != "sync_file_range" or arguments[-1] != flag:
                return 0
            ctypes.set_errno(errno.EIO)
            return -1

        return call

    def write(pieces: int, others: int) -> None:
        with Stage(tmp_path / "out") as stage:
            for number in range(others):
                stage.write(f"other-{number}", "document", b"x")
            file = stage.create("a/b", "jsonl")
            for _ in range(pieces):
                file.write(bytes(1 << 20))
            file.finish()
            stage.commit(last=())

    monkeypatch.setattr(writeback, "_system", failing)
    for pieces, others in ((200, 0), (1, 3)):
        with pytest.raises(DestinationError, match="input/output error"):
            write(pieces, others)
        assert not (tmp_path / "out").exists()
