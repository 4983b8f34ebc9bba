"""EvidenceSums: the sums that any other program computes."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from kafka_salvage.export import evidence_sums
from kafka_salvage.export.evidence_sums import EvidenceSums
from kafka_salvage.scan.replica import EvidenceFile
from kafka_salvage.wire.filenames import FileKind


def evidence(path: Path) -> EvidenceFile:
    return EvidenceFile("b", path.name, path, path.stat().st_size, FileKind.SEGMENT)


@pytest.mark.parametrize("size", [0, 1, 4096, (8 << 20) + 3])
def test_sums_are_those_of_sha256sum(tmp_path: Path, size: int) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(bytes(range(251)) * (size // 251) + b"x" * (size % 251))
    told = subprocess.run(["sha256sum", str(path)], capture_output=True, text=True, check=True).stdout.split()[0]
    assert EvidenceSums().of(evidence(path)) == told


def test_holes_are_summed_as_zeros(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    with path.open("wb") as stream:
        stream.write(b"data")
        stream.truncate(3 << 20)
    assert EvidenceSums().of(evidence(path)) == hashlib.sha256(b"data" + bytes((3 << 20) - 4)).hexdigest()


def test_each_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"data")
    sums, file = EvidenceSums(), evidence(path)
    first = sums.of(file)
    monkeypatch.setattr(evidence_sums, "open_source", None)
    assert sums.of(file) == first


def test_what_cannot_be_read_has_no_sum(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"data")
    file = evidence(path)
    path.unlink()
    assert EvidenceSums().of(file) is None
