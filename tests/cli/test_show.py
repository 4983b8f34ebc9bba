"""The command `show` as a person runs it."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from kafka_salvage.cli.main import run
from tests.support import build
from tests.support.build import GZIP, Build, Rec
from tests.support.truth import digest


def _write(tmp_path: Path, data: bytes, directory: str = "t-0", base: int = 0) -> Path:
    place = tmp_path / directory / f"{base:020d}.log"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(data)
    return place


def test_batches_are_said_in_the_words_of_kafka_dump_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Build(base=7).v2(3, producer_id=9, producer_epoch=2, base_sequence=4, epoch=1)
    made.marker(commit=True, producer_id=9, producer_epoch=2, epoch=1)
    data, infos = made.done()
    place = _write(tmp_path, data, base=7)
    assert run(["show", str(place)]) == 0
    crc = struct.unpack(">I", data[17:21])[0]
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        f"Dumping {place}",
        "Log starting offset: 7",
        "baseOffset: 7 lastOffset: 9 count: 3 baseSequence: 4 lastSequence: 6 producerId: 9 producerEpoch: 2 "
        "partitionLeaderEpoch: 1 isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty "
        f"position: 0 CreateTime: {build.EPOCH_MS + 27} size: {infos[0].size} magic: 2 compresscodec: none "
        f"crc: {crc} isvalid: true",
    ]
    assert len(lines) == 4


def test_records_are_shown_without_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [
        Rec(0, build.EPOCH_MS, None, b"", ((b"h", None), (b"h", b""), (b"\xff", b"x"))),
        Rec(1, build.EPOCH_MS, b"", None),
        Rec(2, build.EPOCH_MS, b"null", b"\xff\x00"),
        Rec(3, build.EPOCH_MS, "ü\n\x1b[31m".encode(), b'"'),
    ]
    data = build.v2_batch(0, records) + build.marker(4, commit=True, producer_id=1)
    assert run(["show", "--records", str(_write(tmp_path, data))]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    head = f"CreateTime: {build.EPOCH_MS}"
    assert lines == [
        f'| offset: 0 {head} keySize: -1 valueSize: 0 sequence: -1 headerKeys: ["h","h",base64:/w==] key: null '
        'payload: "" headers: [null,"","x"]',
        f'| offset: 1 {head} keySize: 0 valueSize: -1 sequence: -1 headerKeys: [] key: "" payload: null',
        f'| offset: 2 {head} keySize: 4 valueSize: 2 sequence: -1 headerKeys: [] key: "null" payload: base64:/wA=',
        f'| offset: 3 {head} keySize: 8 valueSize: 1 sequence: -1 headerKeys: [] key: "ü\\n\\u001b[31m" payload: "\\""',
        f"| offset: 4 CreateTime: {build.EPOCH_MS + 12} keySize: 4 valueSize: 6 sequence: -1 headerKeys: [] "
        "endTxnMarker: COMMIT coordinatorEpoch: 0",
    ]


def test_old_magics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, infos = Build().legacy(magic=0).wrapper(3, magic=1, codec=GZIP, append_time=build.EPOCH_MS).done()
    assert run(["show", str(_write(tmp_path, data))]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert lines[0].startswith(f"offset: 0 position: 0 NoTimestampType: -1 size: {infos[0].size} magic: 0 ")
    assert f"offset: 3 position: {infos[1].start} LogAppendTime: {build.EPOCH_MS} " in lines[1]


def test_json_is_one_object_per_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, _ = build.segment(2)
    assert run(["show", "--json", "--records", str(_write(tmp_path, data))]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["type"] for row in rows] == ["file", *(["batch", *["record"] * 10] * 2), "end"]


def test_damage_is_shown_and_gives_code_6(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, infos = build.segment(3)
    damaged = data[: infos[1].start] + b"\xff" * 30 + data[infos[1].start + 30 :]
    assert run(["show", str(_write(tmp_path, damaged))]) == 6
    out = capsys.readouterr().out
    assert f"!! damaged: position: {infos[1].start} to {infos[1].stop} " in out
    assert "see check" in out
    assert out.count("baseOffset:") == 2


def test_a_blank_tail_is_no_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, _ = build.segment(1)
    assert run(["show", str(_write(tmp_path, data + bytes(500)))]) == 0
    assert f"-- zeros to the end of the file: position: {len(data)} to {len(data) + 500} size: 500" in (
        capsys.readouterr().out
    )


def test_no_such_path_is_code_2_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(tmp_path / "none")]) == 2
    caught = capsys.readouterr()
    assert caught.out == ""
    assert caught.err.startswith("Error: ")
    assert "Traceback" not in caught.err


def test_a_file_that_cannot_be_opened_is_code_5(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, infos = build.segment(2)
    shut = _write(tmp_path, data)
    _write(tmp_path, data[: infos[1].start + 70], base=10)
    real = os.open

    def guarded(path: object, *rest: int) -> int:
        if str(path) == str(shut):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", guarded)
    assert run(["show", str(shut.parent)]) == 5
    caught = capsys.readouterr()
    assert "may not be read by this user" in caught.err
    assert "!! not opened" in caught.out
    assert "baseOffset: 0 " in caught.out


def test_names_cannot_speak_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, _ = build.segment(1)
    _write(tmp_path, data, "evil\x1b[2J\n-0")
    assert run(["show", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "evil\\x1b[2J\\n-0" in out


def test_side_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / f"{0:020d}.index").write_bytes(struct.pack(">ii", 83, 4183) + bytes(16))
    (tmp_path / "replication-offset-checkpoint").write_bytes(bytes(30))
    assert run(["show", str(tmp_path)]) == 6
    out = capsys.readouterr().out
    assert "offset: 83 position: 4183\n-- padding: 16 zero bytes behind the entries; a broker counts 3 entries" in out
    assert "!! checkpoint-corrupt: " in out


def test_nothing_under_the_source_changes(tmp_path: Path) -> None:
    data, _ = build.segment(2)
    _write(tmp_path, data + b"x")
    before = digest(tmp_path), sorted(tmp_path.rglob("*"))
    assert run(["show", "--records", str(tmp_path)]) == 6
    assert (digest(tmp_path), sorted(tmp_path.rglob("*"))) == before


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    data, _ = build.segment(3000)
    place = _write(tmp_path, data)
    command = f"{sys.executable} -m kafka_salvage show --records {place} | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.startswith("Dumping")
    assert done.stderr == ""
