"""The terminal report: what a person reads at three in the morning."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from math import ceil
from pathlib import Path

import pytest

from kafka_salvage.cli import following, hexview
from kafka_salvage.cli.main import run
from kafka_salvage.cli.words import clipped, listed, number, plural, quoted, short, size
from tests.cli.ground import COMMAND, clean, damaged, flip, lay, leaning
from tests.cli.html_scenes import three_copies
from tests.support.build import GZIP, Build, segment, segment_name

Caught = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    """A stdout that is a terminal."""

    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, *words: str) -> tuple[int, str]:
    """Exit code and what a terminal of so many columns is sent."""
    screen = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", screen)
        patch.setenv("COLUMNS", str(columns))
        patch.setenv("LINES", "50")
        patch.setenv("TERM", "xterm-256color")
        patch.delenv("NO_COLOR", raising=False)
        code = run(list(words))
    return code, screen.getvalue()


def bare(text: str) -> str:
    """Without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def crowd(root: Path) -> Path:
    """Sixty partitions with long names, every other one damaged in one of several ways, and broken side files."""
    data, infos = segment(6)
    for place in range(60):
        name = f"{'department-of-long-names.' * 3}{place:02d}-{place}"
        path = lay(root / name, (0, data)) / segment_name(0)
        match place % 10:
            case 1:
                flip(path, infos[2].start + 90)
            case 2:
                path.write_bytes(data[: infos[2].start] + bytes(512) + data[infos[2].start + 512 :])
            case 3:
                path.write_bytes(data[:-50])
            case 4:
                path.write_bytes(data[: infos[3].start] + data[infos[4].start :])
            case 5:
                path.write_bytes(data[: infos[3].start] + b"garbage" * 9 + data[infos[3].start :])
            case 6:
                flip(path, infos[3].start + 16)
            case 7:
                flip(path, infos[3].start + 8)
            case 8:
                (path.parent / segment_name(0, "index")).write_bytes(b"\1" * 16)
    for name in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint"):
        (root / name).write_bytes(b"no\n")
    return root


def test_one_screen_whatever_the_input(tmp_path: Path, capsys: Caught) -> None:
    root = crowd(tmp_path / "b")
    assert run(["check", str(root)]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert sum(max(1, ceil(len(line) / 100)) for line in lines) <= 42
    assert lines[0].startswith("DATA LOST: ")
    assert lines[-1].startswith("Next: kafka-salvage salvage ")
    assert any(re.match(r"… and \d+ partitions more, \d+ of them damaged \(-v lists all\)", line) for line in lines)
    assert any(re.match(r"  crc-mismatch ×\d+  ", line) for line in lines)
    assert run(["salvage", str(root), "--out", str(tmp_path / "out")]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert sum(max(1, ceil(len(line) / 100)) for line in lines) <= 44


def test_verbose_leaves_nothing_out(tmp_path: Path, capsys: Caught) -> None:
    root = crowd(tmp_path / "b")
    assert run(["check", str(root), "-v"]) == 3
    out = capsys.readouterr().out
    for place in range(60):
        assert f"department-of-long-names.{place:02d}-{place}" in out.replace("\n", "")
    assert "more (-v" not in out


@pytest.mark.parametrize("columns", [80, 100, 140])
def test_narrow_terminals(columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = crowd(tmp_path / "b")
    code, text = on_terminal(monkeypatch, columns, "check", str(root))
    assert code == 3
    lines = bare(text).splitlines()
    assert all(len(line) <= columns for line in lines if not line.startswith("Next: "))
    assert lines[0].startswith("DATA LOST")
    header = next(line for line in lines if line.startswith("Partition"))
    assert header.split() == ["Partition", "Offsets", "Records", "Lost"]
    rows = lines[lines.index(header) + 1 :]
    assert re.match(r"depart\S*-\d+ +0\.\.60 +50 +10$", rows[0])


def test_colour_on_terminals_only(tmp_path: Path, capsys: Caught, monkeypatch: pytest.MonkeyPatch) -> None:
    root = damaged(tmp_path / "b")
    _, text = on_terminal(monkeypatch, 100, "check", str(root))
    assert "\x1b[1;31mDATA LOST" in text
    assert run(["check", str(root)]) == 3
    plain = capsys.readouterr().out
    assert "\x1b" not in plain
    assert not [line for line in plain.splitlines() if line != line.rstrip()]


def test_evidence_is_no_markup(tmp_path: Path, capsys: Caught, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path / "b" / "[bold]x:bug:-0", (0, segment(2)[0]))
    _, text = on_terminal(monkeypatch, 100, "check", str(tmp_path / "b"))
    assert "[bold]x:bug:-0" in bare(text)


def test_what_a_broker_start_would_destroy_is_said(tmp_path: Path, capsys: Caught) -> None:
    assert run(["check", str(damaged(tmp_path / "b"))]) == 3
    out = capsys.readouterr().out
    assert "DO NOT START A BROKER ON THIS COPY: it could destroy 40 intact records (orders-0)." in out
    assert run(["check", str(clean(tmp_path / "c"))]) == 0
    assert "BROKER" not in capsys.readouterr().out


def test_columns_that_say_nothing_are_left_out(tmp_path: Path, capsys: Caught) -> None:
    assert run(["check", str(clean(tmp_path / "b"))]) == 0
    assert "Partition   Offsets  Records\n" in capsys.readouterr().out
    assert (
        run(["check", str(clean(tmp_path / "x" / "b")), f"other={leaning(tmp_path / 'c')}", "--topic", "payments"]) == 0
    )
    assert "Partition   Source    Offsets  Records\n" in capsys.readouterr().out


def test_leftovers_are_named_also_where_something_is_lost(tmp_path: Path, capsys: Caught) -> None:
    root = leaning(tmp_path / "b")
    flip(root / "orders-0" / segment_name(0), 120)
    assert run(["check", str(root)]) == 3
    assert "Of what was found, 20 offsets come from deleted segments (orders-0)." in capsys.readouterr().out


def test_bytes_of_a_damaged_region_are_shown_as_far_as_they_are_structure(tmp_path: Path, capsys: Caught) -> None:
    assert run(["check", str(damaged(tmp_path / "b")), "-v"]) == 3
    out = capsys.readouterr().out
    data, infos = segment(4)
    start = infos[1].start
    head = data[start : start + 16].hex(" ")
    assert f"orders-0/{segment_name(0)} at {start}: damaged, {infos[1].size} bytes" in out
    assert f"  {start:08x}  {head[:23]}  {head[24:]}" in out
    assert "base_offset 10, batch_length " in out
    assert "records_count 10" in out


def test_payload_is_masked() -> None:
    data, infos = Build().v2(3).wrapper(3, magic=1, codec=GZIP).legacy(magic=0, value=b"secret", key=b"k").done()
    for info, known in zip(infos, (61, 30, 22), strict=True):
        rows = list(hexview.view(data[info.start : info.stop], info.start))
        cells = [cell for row in rows[:-1] for cell in row.split()[1:]]
        shown = min(64, info.size)
        assert cells[:known] == [f"{byte:02x}" for byte in data[info.start : info.start + min(known, shown)]]
        assert cells[known:shown] == ["··"] * (shown - known)
    rows = list(hexview.view(b"\xff" * 100, 5))
    telling = {8, 9, 10, 11, 16}  # the length and the magic: payload may stand anywhere else
    assert [cell for row in rows for cell in row.split()[1:]] == ["ff" if at in telling else "··" for at in range(64)]
    assert list(hexview.view(b"", 0)) == []


class TestNextCommand:
    """The last line can be pasted into a shell and does what it says."""

    def last(self, words: list[str], capsys: Caught) -> str:
        run(words)
        line = capsys.readouterr().out.splitlines()[-1]
        assert line.startswith("Next: kafka-salvage ")
        return line.removeprefix("Next: ")

    def typed(self, command: str) -> int:
        whole = command.replace("kafka-salvage", " ".join(COMMAND), 1)
        return subprocess.run(["bash", "-c", whole], capture_output=True, timeout=240, check=False).returncode

    def test_odd_names(self, tmp_path: Path, capsys: Caught, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        name = "-it's a\n$(touch pwned) \x1b[2J\udcff"
        damaged(Path(f"./{name}"))
        command = self.last(["check", "--", name], capsys)
        assert command.isprintable()
        assert self.typed(command) == 3
        assert Path("rescued/SHA256SUMS").is_file()
        assert not Path("pwned").exists()

    def test_it_carries_the_flags(self, tmp_path: Path, capsys: Caught, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        damaged(Path("b"))
        words = [
            "check",
            "b",
            "--topic",
            "orders",
            "--topic-regex",
            "o.*",
            "--strict",
            "--include",
            "suspect",
            "--jobs",
            "1",
        ]
        words += [
            "--from-datetime",
            "2001-01-01",
            "--memory",
            "64MiB",
            "--prefer",
            "broker-1",
            "--deep",
            "-v",
            "--internal",
        ]
        assert self.last(words, capsys) == (
            "kafka-salvage salvage b --out rescued --include suspect --prefer broker-1 --strict --topic orders "
            "--topic-regex 'o.*' --from-datetime 2001-01-01T00:00:00+00:00 --internal --jobs 1 --memory 67108864"
        )

    def test_it_leads_to_a_free_place_outside_of_the_evidence(
        self, tmp_path: Path, capsys: Caught, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = damaged(tmp_path / "all" / "b")
        monkeypatch.chdir(root)
        assert self.last(["check", "."], capsys) == f"kafka-salvage salvage . --out {tmp_path}/all/rescued"
        assert self.last(["check", str(root), str(tmp_path / "all")], capsys).endswith(f"--out {tmp_path}/rescued")
        monkeypatch.chdir(tmp_path)
        (tmp_path / "rescued").symlink_to("nowhere")
        assert self.last(["check", str(root)], capsys) == f"kafka-salvage salvage {root} --out rescued-2"

    def test_a_long_one_is_described(self, tmp_path: Path, capsys: Caught, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        roots = [str(lay(tmp_path / f"{n:03d}" / f"t{n}-0", (0, segment(1)[0])).parent) for n in range(12)]
        assert run(["check", *roots]) == 0
        line = capsys.readouterr().out.splitlines()[-1]
        assert line == "Next: the same command with salvage for check, and --out rescued"


def test_after_a_salvage_the_sums_are_checked() -> None:
    assert following.after_salvage(Path("-x y")).startswith("Next: (cd './-x y' && sha256sum --quiet -c SHA256SUMS)")


def test_words() -> None:
    assert [size(n) for n in (0, 1023, 1024, 1 << 20, 3 << 30, 5 << 40, 7 << 50)] == [
        "0 B", "1023 B", "1.0 KiB", "1.0 MiB", "3.0 GiB", "5.0 TiB", "7168.0 TiB",
    ]  # fmt: skip
    assert number(1234567) == "1,234,567"
    assert [plural(n, "record") for n in (0, 1, 2000)] == ["0 records", "1 record", "2,000 records"]
    assert plural(2, "batch") == "2 batches"
    assert listed(["a", "b\n", "c", "d", "e"]) == "a, b\\n, c and 2 more"
    assert short("abcdefghij", 7) == "ab…ghij"
    assert short("abc", 3) == clipped("abc", 3) == "abc"
    assert clipped("abcdef", 4) == "abc…"


@pytest.mark.parametrize(
    "text", ["plain", "a b", "it's", "$x`y`", "-n", "ü数", "a\nb", "\x1b[0m'\\", "\udcff\udc80\tx", "*?[~"]
)
def test_quoted_words_come_through_a_shell_as_they_are(text: str) -> None:
    done = subprocess.run(["bash", "-c", f"printf %s {quoted(text)}"], capture_output=True, check=True)
    assert done.stdout == text.encode("utf-8", "surrogateescape")
    assert quoted(text).isprintable()


def test_copies_below_one_path_are_named_by_their_brokers(tmp_path: Path, capsys: Caught) -> None:
    three_copies(tmp_path / "rescue")
    run(["check", str(tmp_path / "rescue")])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Electing ")]
    assert line == (
        "Electing rescue/broker-2 alone would have lost 12 records that rescue/broker-1 and rescue/broker-3 together have "
        "(orders-0, payments-1); rescue/broker-3: 4."
    )
