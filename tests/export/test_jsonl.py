"""JsonlSink: every field of every record against what the tests' own writer put there."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from kafka_salvage.plan.plan import Transaction
from kafka_salvage.plan.policy import Include, Policy, Selection
from kafka_salvage.regions.runs import Patch
from kafka_salvage.regions.verdict import Verdict
from tests.export.scenes import Piece, Scene, json_lines
from tests.export.sink_tests import SinkTests
from tests.support.build import EPOCH_MS, GZIP, LEGACY_CODECS, SNAPPY, Build, Rec, v2_batch

FILE = "jsonl/orders/0.jsonl"


def b64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


class TestJsonl(SinkTests):
    format = "jsonl"

    def offsets(self, out: Path) -> dict[str, list[int]]:
        return {
            path.relative_to(out).as_posix(): [line["offset"] for line in json_lines(path.read_bytes())]
            for path in sorted(out.glob("**/jsonl/*/*.jsonl"))
        }


def written(tmp_path: Path, build: Build, **kwargs: Any) -> list[dict[str, Any]]:
    data, infos = build.done()
    Scene(tmp_path / "src").add([Piece(data, infos, base=build.base)], **kwargs).write(
        tmp_path / "out", formats=("jsonl",)
    )
    return json_lines((tmp_path / "out" / FILE).read_bytes())


def test_one_line_is_exactly_as_promised(tmp_path: Path) -> None:
    record = Rec(17, 1234, b"k", None, ((b"a", b"1"), (b"a", None), ('ü"\n'.encode(), b""), (b"\xff", b"2")))
    data = v2_batch(17, [record], producer_id=9, producer_epoch=3, base_sequence=5, attributes=0x10, epoch=4)
    build = Build(base=17).add(data, magic=2, first=17, last=17, records=[record], epoch=4, producer_id=9)
    bytes_, infos = build.done()
    scene = Scene(tmp_path / "src").add([Piece(bytes_, infos, base=10)], labels={17: Transaction.ABORTED})
    scene.write(tmp_path / "out", formats=("jsonl",))
    assert (tmp_path / "out" / FILE).read_text() == (
        '{"topic":"orders","partition":0,"offset":17,"timestamp":1234,"timestampType":"CreateTime","key":"aw==",'
        '"value":null,"headers":[{"key":"a","value":"MQ=="},{"key":"a","value":null},{"key":"ü\\"\\n","value":""},'
        '{"key":{"base64":"/w=="},"value":"Mg=="}],"_salvage":{"source":"broker-1",'
        '"file":"orders-0/00000000000000000010.log","position":0,"verdict":"intact","leaderEpoch":4,"producerId":9,'
        '"producerEpoch":3,"sequence":5,"transaction":"aborted"}}\n'
    )


@pytest.mark.parametrize("magic", [0, 1, 2])
@pytest.mark.parametrize("codec", LEGACY_CODECS)
def test_every_field_survives(tmp_path: Path, magic: int, codec: int) -> None:
    build = Build(base=100)
    for _ in range(6):
        if magic == 2:
            build.v2(13, codec=codec, headers=True)
        elif codec:
            build.wrapper(13, magic=magic, codec=codec)
        else:
            build.legacy(magic=magic)
    lines = written(tmp_path, build)
    expected = [(info, record) for info in build.infos for record in info.records]
    assert len(lines) == len(expected)
    for line, (info, record) in zip(lines, expected, strict=True):
        assert line["offset"] == record.offset
        assert (line["key"], line["value"]) == (b64(record.key), b64(record.value))
        assert line["headers"] == [{"key": key.decode(), "value": b64(value)} for key, value in record.headers]
        assert line["timestamp"] == (None if magic == 0 else record.timestamp)
        assert line["timestampType"] == ("NoTimestampType" if magic == 0 else "CreateTime")
        assert line["_salvage"]["position"] == info.start
        assert line["_salvage"]["transaction"] == "none"


def test_append_time_and_minus_one(tmp_path: Path) -> None:
    build = Build().wrapper(3, magic=1, codec=GZIP, append_time=EPOCH_MS + 99)
    record = Rec(3, -1, None, b"x")
    data = v2_batch(3, [record])
    build.add(data, magic=2, first=3, last=3, records=[record])
    lines = written(tmp_path, build)
    assert [(line["timestamp"], line["timestampType"]) for line in lines] == [
        *[(EPOCH_MS + 99, "LogAppendTime")] * 3,
        (-1, "CreateTime"),
    ]


def test_control_records_are_no_data(tmp_path: Path) -> None:
    build = Build().v2(2, producer_id=5, producer_epoch=0, base_sequence=0, attributes=0x10)
    build.marker(commit=True, producer_id=5).v2(1)
    lines = written(tmp_path, build, labels={0: Transaction.COMMITTED})
    assert [(line["offset"], line["_salvage"]["transaction"]) for line in lines] == [
        (0, "committed"),
        (1, "committed"),
        (3, "none"),
    ]


def test_sequences_count_up_within_a_batch(tmp_path: Path) -> None:
    build = Build().v2(4, keep=(0, 2, 3), producer_id=5, producer_epoch=1, base_sequence=2**31 - 2)
    assert [line["_salvage"]["sequence"] for line in written(tmp_path, build)] == [2**31 - 2, 0, 1]


def test_utf8_encoding(tmp_path: Path) -> None:
    values = [b"plain", "größe\u2028".encode(), b"\xff\xfe", b"", None, b'"\\\x00\x1f\x7f']
    data, infos = Build().v2(6, values=values).done()
    Scene(tmp_path / "src").add([Piece(data, infos)]).write(tmp_path / "out", formats=("jsonl",), encoding="utf8")
    shown = [line["value"] for line in json_lines((tmp_path / "out" / FILE).read_bytes())]
    assert shown == ["plain", "größe\u2028", {"base64": "//4="}, "", None, '"\\\x00\x1f\x7f']


def test_repaired_batches_say_so(tmp_path: Path) -> None:
    data, infos = Build().v2(2).v2(2).done()
    broken = bytearray(data)
    broken[infos[1].start + 8 : infos[1].start + 12] = b"\x7f\xff\xff\xff"
    at = infos[1].start + 8
    patch = Patch(at, bytes(broken[at : at + 4]), data[at : at + 4])
    piece = Piece(bytes(broken), infos, verdicts={infos[1].start: Verdict.REPAIRED}, patches=(patch,))
    receipt = Scene(tmp_path / "src").add([piece]).write(tmp_path / "out", formats=("jsonl",))
    lines = json_lines((tmp_path / "out" / FILE).read_bytes())
    assert [line["_salvage"]["verdict"] for line in lines] == ["intact", "intact", "repaired", "repaired"]
    assert receipt.to_dict()["partitions"][0]["repairs"] == [
        {
            "source": "broker-1",
            "path": "orders-0/00000000000000000000.log",
            "position": at,
            "before": "7fffffff",
            "after": data[at : at + 4].hex(),
        }
    ]


@pytest.mark.parametrize(("compress", "suffix"), [("gzip", ".gz"), ("zstd", ".zst")])
def test_compressed_files_hold_the_same_lines(tmp_path: Path, compress: str, suffix: str) -> None:
    data, infos = Build().v2(500, codec=SNAPPY).v2(500).done()
    scene = Scene(tmp_path / "src").add([Piece(data, infos)])
    scene.write(tmp_path / "a", formats=("jsonl",))
    receipt = scene.write(tmp_path / "b", formats=("jsonl",), compress=compress)
    packed = (tmp_path / "b" / f"{FILE}{suffix}").read_bytes()
    unpack = (
        gzip.decompress if suffix == ".gz" else lambda d: zstandard.ZstdDecompressor().decompressobj().decompress(d)
    )
    assert unpack(packed) == (tmp_path / "a" / FILE).read_bytes()
    assert receipt.records == 1000
    if suffix == ".gz":
        assert packed[4:8] == bytes(4)  # mtime


def test_records_are_cut_by_offset(tmp_path: Path) -> None:
    data, infos = Build().v2(10).v2(10, codec=GZIP).wrapper(10, magic=1, codec=GZIP).done()
    scene = Scene(tmp_path / "src").add([Piece(data, infos)], log_start=3)
    for bounds, expected in (((None, None), range(3, 30)), ((5, 25), range(5, 25)), ((22, None), range(22, 30))):
        out = tmp_path / f"{bounds}"
        policy = Policy(selection=Selection(from_offset=bounds[0], to_offset=bounds[1]))
        scene.write(out, policy, formats=("jsonl",))
        assert [line["offset"] for line in json_lines((out / FILE).read_bytes())] == list(expected)


def test_trimmed_records_need_the_flag(tmp_path: Path) -> None:
    data, infos = Build().v2(10).done()
    scene = Scene(tmp_path / "src").add([Piece(data, infos)], log_start=8)
    scene.write(tmp_path / "b", Policy(include=frozenset({Include.TRIMMED})), formats=("jsonl",))
    assert [line["offset"] for line in json_lines((tmp_path / "b" / FILE).read_bytes())] == list(range(10))


def test_records_are_cut_by_time_and_a_missing_time_counts_as_inside(tmp_path: Path) -> None:
    data, infos = Build().v2(10).legacy(magic=0).v2(10).done()
    policy = Policy(selection=Selection(from_timestamp=EPOCH_MS + 3 * 4, to_timestamp=EPOCH_MS + 3 * 13))
    Scene(tmp_path / "src").add([Piece(data, infos)]).write(tmp_path / "out", policy, formats=("jsonl",))
    offsets = [line["offset"] for line in json_lines((tmp_path / "out" / FILE).read_bytes())]
    assert offsets == list(range(4, 13))


@pytest.mark.parametrize(("show", "value"), [(False, {"masked": 6}), (True, b64(b"\x01\x0b\x00pwd"))])
def test_credentials_in_cluster_metadata_are_masked(tmp_path: Path, show: bool, value: Any) -> None:
    data, infos = Build().v2(2, values=[b"\x01\x0b\x00pwd", b"\x01\x02\x00name"]).done()
    scene = Scene(tmp_path / "src").add([Piece(data, infos)], topic="__cluster_metadata")
    policy = Policy(selection=Selection(internal=True), show_secrets=show)
    scene.write(tmp_path / "out", policy, formats=("jsonl",))
    lines = json_lines((tmp_path / "out" / "jsonl/__cluster_metadata/0.jsonl").read_bytes())
    assert [line["value"] for line in lines] == [value, b64(b"\x01\x02\x00name")]


def test_lines_are_what_a_json_library_would_write(tmp_path: Path) -> None:
    data, infos = Build().v2(40, headers=True).done()
    Scene(tmp_path / "src").add([Piece(data, infos)]).write(tmp_path / "out", formats=("jsonl",))
    for line in (tmp_path / "out" / FILE).read_text().splitlines():
        assert json.dumps(json.loads(line), separators=(",", ":"), ensure_ascii=False) == line
