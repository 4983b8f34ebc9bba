"""The command `replay`: its plan as text and JSON, and what it refuses."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from pathlib import Path

import pytest

from kafka_salvage.cli.main import run
from tests.support.broker import free_ports
from tests.support.build import Build
from tests.support.logdirs import log_dir

SERVER = ["--bootstrap-server", "127.0.0.1:1"]
Caught = pytest.CaptureFixture[str]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = log_dir(tmp_path / "b1", 1)
    build = Build(base=100)
    build.v2(4, producer_id=8, producer_epoch=0, base_sequence=0, attributes=0x10).marker(commit=False, producer_id=8)
    build.v2(3)
    for name, data in (("pay-1", build.done()[0]), ("old-0", Build(base=0).legacy(magic=0).done()[0])):
        (made / name).mkdir()
        (made / name / f"{100 if name == 'pay-1' else 0:020d}.log").write_bytes(data)
    return made


def test_the_plan_is_what_is_printed_by_default(root: Path, capsys: Caught) -> None:
    assert run(["replay", str(root), *SERVER, "--topic-map", "pay=money"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].startswith("4 records (")
    assert lines[0].endswith("of 2 partitions would be sent to 127.0.0.1:1.")
    assert any(line.split()[:5] == ["money", "(was", "pay)", "1", "3"] for line in lines)
    assert "Not sent: 4 records of aborted transactions (--include aborted)." in lines
    assert "Without a timestamp: 1 record; they need --missing-timestamp now, or --missing-timestamp MS." in lines
    assert "  money: 2 partitions" in lines
    assert lines[-1] == "Nothing was sent. Next: the same command with --dry-run, then with --execute."
    assert said.err == ""


def test_everything_is_in_the_json(root: Path, tmp_path: Path, capsys: Caught) -> None:
    assert run(["replay", str(root), *SERVER, "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "kafka-salvage.replay-plan/1"
    assert (told["records"], told["receipt"], told["survey"], told["exit_code"]) == (4, None, None, 0)
    assert [(p["topic"], p["partition"], p["left_out"]) for p in told["partitions"]] == [
        ("old", 0, {}),
        ("pay", 1, {"aborted": 4}),
    ]
    assert run(["replay", str(root), *SERVER, "--json", str(tmp_path / "plan.json")]) == 0
    assert json.loads((tmp_path / "plan.json").read_text()) == told
    assert "would be sent" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--execute", "--dry-run"], "give one of them"),
        (["--topic-map", "pay"], "write OLD=NEW"),
        (["--topic-map", "pay=a", "--topic-map", "pay=b"], "given twice"),
        (["--missing-timestamp", "soon"], "write now, or milliseconds"),
        (["--missing-timestamp", "0"], "write now, or milliseconds"),
        (["--internal"], "--groups for positions"),
        (["--offset-map", "FILE"], "does not exist"),
        (["--group", "g"], "go with --groups"),
        (["--groups"], "--offset-map"),
        (["--rate", "0"], "at least one byte"),
        (["--topic", "none"], "matches"),
        (["--topic-map", "pay=old"], "would both go to"),
    ],
)
def test_what_makes_no_sense_is_refused(root: Path, capsys: Caught, words: list[str], sentence: str) -> None:
    wanted = words if words != ["--topic-map", "pay=old"] else [*words, "--topic-map", "old=old"]
    assert run(["replay", str(root), *SERVER, *wanted]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert sentence in said.err or "sends two topics to one" in said.err


def test_a_server_is_needed_and_must_be_an_address(root: Path, capsys: Caught) -> None:
    assert run(["replay", str(root)]) == 2
    assert "--bootstrap-server" in capsys.readouterr().err
    assert run(["replay", str(root), "--bootstrap-server", "nowhere"]) == 2
    assert "is no address of a broker" in capsys.readouterr().err


def test_a_missing_library_is_named_with_the_line_that_installs_it(
    root: Path, capsys: Caught, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "confluent_kafka", None)
    monkeypatch.setitem(__import__("sys").modules, "confluent_kafka.admin", None)
    assert run(["replay", str(root), *SERVER, "--dry-run"]) == 5
    said = capsys.readouterr().err
    assert "confluent-kafka" in said
    assert "pip install 'kafka-salvage[replay]'" in said
    assert run(["replay", str(root), *SERVER]) == 0  # the plan needs no library


def test_a_cluster_that_is_not_there_is_one_sentence_and_5(
    root: Path, capsys: Caught, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kafka_salvage.export.replay.target import Target

    monkeypatch.setattr(Target.__init__, "__kwdefaults__", {"wait": 1.0})
    (port,) = free_ports(1)
    assert run(["replay", str(root), "--bootstrap-server", f"127.0.0.1:{port}", "--execute"]) == 5
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"Error: no broker answers at 127.0.0.1:{port}"
    assert "connection was refused" in lines[1]
    assert lines[-1].startswith("  do: ")
    assert not list(Path.cwd().glob("replay-*"))


def test_an_address_where_nothing_listens_is_named_within_seconds(root: Path, capsys: Caught) -> None:
    (port,) = free_ports(1)
    begun = time.monotonic()
    assert run(["replay", str(root), "--bootstrap-server", f"127.0.0.1:{port}", "--dry-run"]) == 5
    assert time.monotonic() - begun < 8
    assert f"no broker answers at 127.0.0.1:{port}" in capsys.readouterr().err


class _NoBroker(socketserver.BaseRequestHandler):
    """Another service."""

    def handle(self) -> None:
        self.request.recv(1000)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


def test_another_service_at_the_address_is_named_so(root: Path, capsys: Caught) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _NoBroker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_address[1]}"
        assert run(["replay", str(root), "--bootstrap-server", address, "--execute"]) == 5
        server.shutdown()
    said = capsys.readouterr().err
    assert said.startswith(f"Error: what answers at {address} does not speak as a Kafka broker does")
    assert "TLS" in said
