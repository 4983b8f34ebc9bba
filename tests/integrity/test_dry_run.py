"""What a deep check promises is what a salvage writes, for any damage and any filter."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import kafka_salvage as ks
from tests.support.build import GZIP, ZSTD, Build, segment_name

PRODUCER: dict[str, Any] = {"producer_id": 7, "producer_epoch": 0, "base_sequence": 0, "attributes": 0x10}


def write_logs(root: Path) -> list[Path]:
    """One topic of three files: transactions, compression, batches with holes, old magics."""
    directory = root / "t-0"
    directory.mkdir(parents=True)
    build, files = Build(), []
    shapes: list[Callable[[Build], object]] = [
        lambda b: [b.v2(5, **PRODUCER), b.marker(commit=True, producer_id=7), b.v2(9, codec=ZSTD), b.v2(4)],
        lambda b: [b.v2(6, **PRODUCER), b.v2(8, keep=(1, 4, 7)), b.marker(commit=False, producer_id=7), b.v2(3)],
        lambda b: [b.legacy(magic=1), b.wrapper(6, magic=1, codec=GZIP), b.legacy(magic=0), b.v2(7, codec=GZIP)],
    ]
    for shape in shapes:
        build = Build(base=build.next_offset)
        shape(build)
        shape(build)
        path = directory / segment_name(build.base)
        path.write_bytes(build.done()[0])
        files.append(path)
    return files


damages = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["flip", "zero", "cut", "drop"]), st.floats(0, 0.999)), max_size=4
)
offsets = st.none() | st.integers(0, 110)


@settings(max_examples=15)
@given(damages, offsets, offsets, st.booleans())
def test_the_report_counts_what_is_written(
    hits: list[tuple[int, str, float]], low: int | None, high: int | None, trimmed: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        files = write_logs(root)
        (root / "log-start-offset-checkpoint").write_text("0\n1\nt 0 8\n")
        for which, kind, where in hits:
            data = bytearray(files[which].read_bytes())
            at = int(where * len(data))
            if kind == "flip" and data:
                data[at] ^= 0x10
            elif kind == "zero":
                data[at : at + 40] = bytes(len(data[at : at + 40]))
            elif kind == "cut":
                del data[at:]
            else:
                del data[at : at + 13]
            files[which].write_bytes(bytes(data))
        include = ["trimmed"] if trimmed else []
        report = ks.check(root, deep=True, from_offset=low, to_offset=high, include=include)
        out = Path(folder) / "out"
        receipt = ks.salvage(root, out=out, formats=["jsonl"], from_offset=low, to_offset=high, include=include)
        document = report.to_dict()
        assert receipt.report.to_dict() == document
        (partition,) = document["partitions"]
        main = [f for f in receipt.files if f.path.startswith("jsonl/")]
        assert sum(f.records for f in main) == partition["records"]["data"]
        kept = document["summary"]["records"]
        counted = document["summary"]["offsets"]
        if not trimmed:
            assert kept["intact"] + kept["repaired"] == counted["recovered"] + counted["repaired"]
        shutil.rmtree(out)
