"""The 52 batches of fixtures/kafka-vectors.json and Kafka's verdicts on them, parsed from its printed lines."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "fixtures" / "kafka-vectors.json"

_FACTS = re.compile(
    r"valid=(?P<valid>\w+) size=(?P<size>\d+) base=(?P<base>-?\d+) last=(?P<last>-?\d+) ctl=(?P<ctl>\w+) "
    r"ep=(?P<ep>-?\d+) maxTs=(?P<ts>-?\d+) dh=OptionalLong(?P<dh>\S+)$"
)
_RECORD = re.compile(
    r"off=(?P<off>-?\d+) ts=(?P<ts>-?\d+) seq=(?P<seq>-?\d+) key=(?P<key>.*?) val=(?P<val>.*?) "
    r"hdr=\[(?P<hdr>.*)\](?: type=(?P<type>\w+))?$"
)
_HEADER = re.compile(r"RecordHeader\(key = (?P<key>.*?), value = (?P<value>null|\[[-0-9, ]*\])\)")
_CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


@dataclass
class KafkaRecord:
    offset: int
    timestamp: int
    sequence: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[bytes, bytes | None], ...]
    control_type: str | None


@dataclass
class KafkaBatch:
    magic: int
    codec: int
    crc: int
    valid: bool
    size: int
    base: int
    last: int
    control: bool
    transactional: bool
    append_time: bool
    epoch: int
    max_timestamp: int
    delete_horizon: int | None
    sequences: tuple[int, int]
    records: list[KafkaRecord] = field(default_factory=list)
    raises: str | None = None


@dataclass
class Vector:
    name: str
    data: bytes
    batches: list[KafkaBatch]
    raises_at_once: str | None


def _text(printed: str) -> bytes | None:
    if printed == "null":
        return None
    quoted: bytes = ast.literal_eval("b'" + printed.replace("'", "\\'") + "'")
    return quoted


def _batch(line: str) -> KafkaBatch:
    facts = _FACTS.search(line)
    assert facts, line
    horizon = re.fullmatch(r"\[(\d+)\]", facts["dh"])
    sequence = re.search(r"sequence=\[(-?\d+), (-?\d+)\]", line)
    codec, crc = re.search(r"compression=(\w+)", line), re.search(r"crc=(\d+)", line)
    magic = re.search(r"magic=(\d)", line)
    assert codec
    assert crc
    assert magic
    return KafkaBatch(
        magic=int(magic[1]),
        codec=_CODECS[codec[1]],
        crc=int(crc[1]),
        valid=facts["valid"] == "true",
        size=int(facts["size"]),
        base=int(facts["base"]),
        last=int(facts["last"]),
        control=facts["ctl"] == "true",
        transactional="isTransactional=true" in line,
        append_time="LogAppendTime" in line,
        epoch=int(facts["ep"]),
        max_timestamp=int(facts["ts"]),
        delete_horizon=int(horizon[1]) if horizon else None,
        sequences=(int(sequence[1]), int(sequence[2])) if sequence else (-1, -1),
    )


def _record(line: str) -> KafkaRecord:
    found = _RECORD.match(line)
    assert found, line
    headers = []
    for header in _HEADER.finditer(found["hdr"]):
        value = ast.literal_eval(header["value"].replace("null", "None"))
        headers.append((header["key"].encode(), None if value is None else bytes(b & 0xFF for b in value)))
    return KafkaRecord(
        int(found["off"]),
        int(found["ts"]),
        int(found["seq"]),
        _text(found["key"]),
        _text(found["val"]),
        tuple(headers),
        found["type"],
    )


def _vector(entry: dict[str, object]) -> Vector:
    batches: list[KafkaBatch] = []
    at_once = None
    lines = entry["kafka"]
    assert isinstance(lines, list)
    for line in lines:
        if line.startswith("EXC "):
            if batches:
                batches[-1].raises = line[4:]
            else:
                at_once = line[4:]
        elif line.startswith("off="):
            batches[-1].records.append(_record(line))
        else:
            batches.append(_batch(line))
    return Vector(str(entry["name"]), bytes.fromhex(str(entry["hex"])), batches, at_once)


def load() -> list[Vector]:
    return [_vector(entry) for entry in json.loads(FILE.read_text(encoding="utf-8"))]
