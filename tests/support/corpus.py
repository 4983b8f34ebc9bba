"""The large corpus of real brokers' data directories, when it lies beside the checkout."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

import pytest
import zstandard

ROOT = Path(__file__).resolve().parents[2]
ARCHIVES = ROOT.parent / "shared" / "corpus"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kafka_salvage-tests" / "corpus"


def _unpack(archive: Path) -> Path:
    target = CACHE / f"{archive.name.split('.')[0]}-{archive.stat().st_size}"
    if not target.is_dir():
        partial = target.with_name(f"{target.name}.{os.getpid()}.part")
        partial.mkdir(parents=True)
        with (
            archive.open("rb") as packed,
            zstandard.ZstdDecompressor().stream_reader(packed) as stream,
            tarfile.open(fileobj=stream, mode="r|") as tar,  # keeps holes of sparse files as holes
        ):
            tar.extractall(partial, filter="tar")
        try:
            partial.rename(target)
        except OSError:  # another process was faster
            shutil.rmtree(partial)
    return next(p for p in target.iterdir() if p.is_dir())


def scene(archive: str, name: str) -> Path:
    """Directory of one scene (read only by convention); skips the test when the corpus is not there.

    Args:
        archive: ``modern-1`` or ``old-1``.
        name: the scene.
    """
    path = ARCHIVES / f"{archive}.tar.zst"
    if not path.is_file():
        pytest.skip(f"the corpus archive {archive} is not beside the checkout")
    return _unpack(path) / name
