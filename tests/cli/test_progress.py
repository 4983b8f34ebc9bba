"""Progress as a person and as machines read it: a bar, lines, JSON lines, a Prometheus textfile."""

from __future__ import annotations

import io
import json
import math
import os
import pty
import re
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kafka_salvage.cli import metrics, progress, resuming
from kafka_salvage.cli.main import run
from kafka_salvage.cli.progress import Display, JsonLines, Lines, MetricsFile, choose, duration, losses, time_left
from kafka_salvage.progress import Figures
from tests.cli.ground import COMMAND, clean, damaged, ks

FIGURES = Figures(
    stage="check", done=3 << 30, total=12 << 30, skipped=0, all_done=3 << 30, all_total=12 << 30,
    bytes_per_second=1.5 * (1 << 30), records_per_second=1_234_567.8, records=9, damaged=0, lost=0,
    where="broker-1:orders-0/00000000000000000000.log", seconds=20.0, eta=6.0, soonest=5.9, latest=6.2,
)  # fmt: skip


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Noted:
    """An outlet that remembers."""

    every = 1.0

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, int]] = []
        self.code: int | None = -1

    def show(self, figures: Figures, event: str) -> None:
        self.seen.append((event, figures.stage, figures.done))

    def close(self, code: int | None) -> None:
        self.code = code


def test_it_shows_no_more_often_than_it_should() -> None:
    clock, noted = Clock(), Noted()
    display = Display([noted], clock)
    display.stage("check", 1000)
    for _ in range(1000):  # ten seconds of work, told a hundred times a second
        clock.now += 0.01
        display.advance(1)
        display.tick()
    events = [event for event, *_ in noted.seen]
    assert events[0] == "stage"
    assert events[1:] in (["progress"] * 9, ["progress"] * 10)
    assert noted.seen[1][2] in (100, 101)


def test_a_stage_ends_with_its_last_figures_and_the_command_with_its_code() -> None:
    noted = Noted()
    with Display([noted]) as display:
        display.stage("check", 10)
        display.advance(10)
        display.stage("write", 20)
        display.advance(20)
        assert display.outcome(3) == 3
    assert noted.seen == [("stage", "check", 0), ("progress", "check", 10), ("stage", "write", 0), ("end", "write", 20)]
    assert noted.code == 3


def test_a_failure_has_its_code_too() -> None:
    noted = Noted()
    with pytest.raises(KeyboardInterrupt), Display([noted]):
        raise KeyboardInterrupt
    assert (noted.seen, noted.code) == ([], 130)


def test_a_slow_outlet_does_not_slow_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "TICK", 0.01)
    gate = threading.Event()

    class Stuck(Noted):
        every = 0.0

        def show(self, figures: Figures, event: str) -> None:
            if event == "progress":
                gate.wait(30)

    display = Display([Stuck()])
    with display:
        display.stage("check", 10_000)
        begun = time.monotonic()
        for _ in range(10_000):
            display.advance(1)
            if display.figures().done == 5000:
                time.sleep(0.1)
        spent = time.monotonic() - begun
        gate.set()
    assert spent < 5
    assert display.figures().done == 10_000


def test_nothing_asked_for_means_no_thread() -> None:
    before = threading.active_count()
    with choose(False, log_json=False, quiet=False, metrics_file=None, verb="check") as display:
        display.stage("check", 1)
        assert threading.active_count() == before


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (45, "45 s"), (119.7, "2 min"), (600, "10 min"), (12_000, "3 h 20 min"), (190_000, "2 d 4 h")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_time_left_is_a_number_or_a_range() -> None:
    assert time_left(FIGURES) == "6 s"
    assert time_left(replace(FIGURES, eta=600.0, soonest=500.0, latest=900.0)) == "8 min to 15 min"
    assert time_left(replace(FIGURES, eta=None, soonest=None, latest=None)) == "unknown"


def test_losses_are_said() -> None:
    assert losses(FIGURES) == "no loss so far"
    assert losses(replace(FIGURES, damaged=2048, lost=1)) == "2.0 KiB damaged, 1 offset lost so far"


def test_lines_are_for_logs() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    assert lines.every == 10
    lines.show(FIGURES, "stage")
    lines.show(replace(FIGURES, seconds=1.0), "end")
    assert stream.getvalue() == ""
    lines.show(replace(FIGURES, where="evil\x1b[2J"), "progress")
    (line,) = stream.getvalue().splitlines()
    assert line == (
        "check: 3.0 GiB of 12.0 GiB (25 %, 1.5 GiB/s); 1,234,568 records/s; no loss so far; time left: 6 s; evil\\x1b[2J"
    )


def test_json_lines_hold_everything() -> None:
    stream = io.StringIO()
    JsonLines(stream).show(replace(FIGURES, eta=None, soonest=None, latest=None), "progress")
    line = json.loads(stream.getvalue())
    assert line["bytes_done"] == 3 << 30
    assert line["records_per_second"] == 1_234_568
    assert line["eta_seconds"] is None
    assert line["file"] == FIGURES.where
    assert {"stage", "all_bytes_total", "damaged_bytes", "lost_offsets", "bytes_skipped"} <= set(line)


NAME = r"[a-z][a-z0-9_]*"
SAMPLE = re.compile(rf'({NAME})(\{{{NAME}="(?:[^"\\\n]|\\["\\n])*"(?:,{NAME}="(?:[^"\\\n]|\\["\\n])*")*\}})? (\S+)')


def check_exposition(text: str) -> dict[str, float]:
    """The rules of the text format, and those of promtool's linter; gives the samples."""
    samples: dict[str, float] = {}
    kinds: dict[str, str] = {}
    family = ""
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            _, _, family, help_ = line.split(" ", 3)
            assert help_
            assert family not in kinds
            kinds[family] = ""
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family
            kinds[family] = kind
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            assert found[1] == family
            assert line.rsplit(" ", 1)[0] not in samples
            samples[line.rsplit(" ", 1)[0]] = float(found[3])
    for name, kind in kinds.items():
        assert name.startswith("kafka_salvage_")
        assert kind in ("counter", "gauge")
        assert name.endswith("_total") == (kind == "counter"), name
        assert not re.search(r"_(count|sum|bucket)$|(^|_)(counter|gauge|metric)(_|$)", name)
        # base units only, and never cut short
        assert not re.search(r"(^|_)(ms|msec|milliseconds|kib|mib|megabytes|minutes|percent|sec|secs|us)(_|$)", name)
    return samples


def test_metrics_are_what_prometheus_reads(tmp_path: Path) -> None:
    outlet = MetricsFile(tmp_path / "salvage.prom", "salvage")
    outlet.show(replace(FIGURES, stage='odd "stage"\\\n'), "stage")
    check_exposition((tmp_path / "salvage.prom").read_text())
    outlet.show(replace(FIGURES, stage="write", damaged=5, lost=7, eta=None), "progress")
    running = check_exposition((tmp_path / "salvage.prom").read_text())
    assert running["kafka_salvage_running"] == 1
    assert math.isnan(running["kafka_salvage_remaining_seconds"])
    assert "kafka_salvage_exit_code" not in running
    outlet.close(3)
    over = check_exposition((tmp_path / "salvage.prom").read_text())
    assert over["kafka_salvage_running"] == 0
    assert over["kafka_salvage_exit_code"] == 3
    assert over["kafka_salvage_damaged_bytes"] == 5
    assert over["kafka_salvage_lost_offsets"] == 7
    assert over['kafka_salvage_processed_bytes_total{stage="write"}'] == 3 << 30
    assert [path.name for path in tmp_path.iterdir()] == ["salvage.prom"]


def test_metrics_are_exchanged_not_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.prom"
    metrics.exchange(path, "old\n")
    inode = path.stat().st_ino
    with path.open() as reader:
        metrics.exchange(path, "new\n")
        assert reader.read() == "old\n"
    assert path.stat().st_ino != inode

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        metrics.exchange(path, "newer\n")
    assert [each.name for each in tmp_path.iterdir()] == ["m.prom"]
    assert path.read_text() == "new\n"


def test_metrics_that_cannot_be_written_stop_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outlet = MetricsFile(tmp_path / "gone" / "m.prom", "check")
    outlet.show(FIGURES, "progress")
    outlet.show(FIGURES, "progress")
    assert capsys.readouterr().err.count("Metrics could not be written") == 1


def test_the_commands_write_metrics(tmp_path: Path) -> None:
    root = damaged(tmp_path / "b")
    done = ks("check", root, "--metrics", tmp_path / "m.prom")
    samples = check_exposition((tmp_path / "m.prom").read_text())
    assert samples["kafka_salvage_exit_code"] == done.returncode
    assert samples["kafka_salvage_damaged_bytes"] > 0
    size = sum(path.stat().st_size for path in root.rglob("*.log"))
    assert samples['kafka_salvage_processed_bytes_total{stage="check"}'] == size
    assert samples['kafka_salvage_planned_bytes{stage="check"}'] == size
    done = ks("salvage", root, "--out", tmp_path / "out", "--metrics", tmp_path / "m.prom")
    samples = check_exposition((tmp_path / "m.prom").read_text())
    assert samples["kafka_salvage_exit_code"] == done.returncode
    assert samples['kafka_salvage_processed_bytes_total{stage="write"}'] > 0


def test_nothing_of_progress_or_state_is_written_among_evidence(tmp_path: Path) -> None:
    root = clean(tmp_path / "b")
    before = sorted(path for path in root.rglob("*"))
    commands: list[list[str | Path]] = [
        ["check", root, "--metrics", root / "m.prom"],
        ["salvage", root, "--out", tmp_path / "out", "--metrics", root / "m.prom"],
        ["check", root, "--state", root / "state"],
        ["check", root, "--state", next(root.rglob("*.log")), "--resume"],
    ]
    for words in commands:
        done = ks(*words)
        assert done.returncode == 2, words
        assert "source" in done.stderr
    assert sorted(path for path in root.rglob("*")) == before
    assert not (tmp_path / "out").exists()


def test_no_terminal_means_no_progress_unless_asked(tmp_path: Path) -> None:
    root = clean(tmp_path / "b")
    assert ks("check", root).stderr + ks("check", root, "--progress").stderr == ""  # over in less than ten seconds


def _in_a_terminal(words: list[str]) -> str:
    """What a program writes to stderr when that is a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "200", "TERM": "xterm"}
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    process.wait(60)
    os.close(ours)
    return seen.decode(errors="replace")


def test_a_short_check_draws_no_bar_in_a_terminal(tmp_path: Path) -> None:
    words = [*COMMAND, "check", str(clean(tmp_path / "b"))]
    assert any("check" not in _in_a_terminal(words) for _ in range(3))  # the first run may have to compile


DRAW = """
from dataclasses import replace
from kafka_salvage.cli.progress import Bar
from tests.cli.test_progress import FIGURES
bar = Bar()
bar.show(replace(FIGURES, seconds=1.0, stage="early"), "progress")
bar.show(replace(FIGURES, damaged=2048, lost=3, where="[bold]evil\x1b[2J"), "progress")
bar.close(0)
"""


def test_a_bar_is_drawn_and_taken_away() -> None:
    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", _in_a_terminal([COMMAND[0], "-c", DRAW]))
    assert "early" not in said
    assert "3.0/12.0 GiB" in said
    assert "1,234,568 rec/s" in said
    assert "left: 6 s" in said
    assert "3 offsets lost" in said
    assert "[bold]evil\\x1b[2J" in said


def test_the_command_that_goes_on_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming, "journal", None)
    assert resuming.go_on(["check", "x"]) is None
    monkeypatch.setattr(resuming, "journal", tmp_path / "state")
    assert resuming.go_on(["check", "x"]) is None
    (tmp_path / "state").touch()
    assert resuming.go_on(["salvage", "a b", "--force"]) == "Go on with: kafka-salvage salvage 'a b' --resume"
    assert resuming.go_on(["check", "--resume", "--", "-x"]) == "Go on with: kafka-salvage check --resume -- -x"
    assert resuming.go_on(["check", "--", "-x"]) == "Go on with: kafka-salvage check --resume -- -x"


def test_a_check_that_was_interrupted_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, state = clean(tmp_path / "b"), tmp_path / "state"

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("kafka_salvage.integrity.asking.make_plan", interrupted)
        assert run(["check", str(root), "--state", str(state)]) == 130
    again = ks("check", root, "--state", state)
    assert again.returncode == 2
    assert "--resume" in again.stderr
    done = ks("check", root, "--state", state, "--resume", "--log-json", "--json", tmp_path / "a.json")
    assert done.returncode == 0
    last = json.loads(done.stderr.splitlines()[-1])
    assert last["bytes_skipped"] == last["bytes_total"] > 0
    ks("check", root, "--json", tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert ks("check", root, "--resume").returncode == 2


def test_two_checks_do_not_share_a_state(tmp_path: Path) -> None:
    root = clean(tmp_path / "b")
    from kafka_salvage.regions.journal import Journal

    with Journal(tmp_path / "state", resume=False):
        done = ks("check", root, "--state", tmp_path / "state", "--resume")
    assert done.returncode == 2
    assert "another run" in done.stderr


def test_an_interrupted_salvage_says_how_it_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = damaged(tmp_path / "b"), tmp_path / "out"

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kafka_salvage.api.make_report", interrupted)
        assert run(["salvage", str(root), "--out", str(out), "--force"]) == 130
    said = capsys.readouterr().err
    assert said.splitlines()[-1] == f"Go on with: kafka-salvage salvage {root} --out {out} --resume"
    assert run(["salvage", str(root), "--out", str(out), "--resume", "-q"]) in (3, 6)
    assert not (out / ".partial").exists()


def test_sigint_writes_the_last_metrics(tmp_path: Path) -> None:
    root = clean(tmp_path / "b")
    program = (
        "import os, signal; from kafka_salvage import api; from kafka_salvage.cli.main import main\n"
        "real = api.make_report\n"
        "def dying(*words): os.kill(os.getpid(), signal.SIGINT); return real(*words)\n"
        "api.make_report = dying; main()"
    )
    words = [COMMAND[0], "-c", program, "check", str(root), "--metrics", str(tmp_path / "m.prom")]
    done = subprocess.run(words, capture_output=True, check=False)
    assert done.returncode == 128 + signal.SIGINT
    samples = check_exposition((tmp_path / "m.prom").read_text())
    assert samples["kafka_salvage_exit_code"] == 130
    assert samples["kafka_salvage_running"] == 0
