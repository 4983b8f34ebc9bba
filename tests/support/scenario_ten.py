"""Scenario S10 at any scale: air-gapped, two cores, a read-only mount, a plain user, 512 MiB, killed twice."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support import volume
from tests.support.build import NONE
from tests.support.leftovers import discard, named, sweep
from tests.support.long_run import NOBODY, Line, Told, go
from tests.support.promise import PROMISE

Tree = dict[str, tuple[int, str]]


class Scene:
    """A log directory, where a rescue may be written, and what a command comes to.

    Args:
        folder: open to everybody.
        partitions, segments, size: of the evidence; ``size`` bytes each segment.
        every: seconds between two lines of progress.
        codec: of the batches.
    """

    def __init__(
        self, folder: Path, partitions: int, segments: int, size: int, every: float, codec: int = NONE
    ) -> None:
        self.evidence, self.warm, self.work = folder / "evidence", folder / "warm", folder / "work"
        self.size = size
        self._every = every
        self.records = 0
        for number in range(partitions):
            self.records += volume.plain(90, 110, codec).partition(self.evidence / f"orders-{number}", segments, size)[
                0
            ]
        volume.plain(codec=codec).partition(self.warm / "orders-0", 1, 100_000)
        self.work.mkdir()
        for path in (*folder.rglob("*"), folder):
            path.chmod(0o555 if path.is_dir() else 0o444)
        self.work.chmod(0o777)
        if os.geteuid() == 0:
            os.chown(self.work, NOBODY, NOBODY)
        os.sync()  # what is still being written to the disk would slow down what is measured
        self.bytes = sum(path.stat().st_size for path in self.evidence.rglob("*.log"))

    def run(self, words: Sequence[str], kill_at: float | None = None) -> Told:
        """Runs a command over the evidence; kills it when so much of all its work is done."""

        def kill(line: Line) -> bool:
            share = line["all_bytes_done"] / max(1, line["all_bytes_total"])
            return kill_at is not None and share >= kill_at

        return go(self.warm, self.evidence, [*words, str(self.evidence), "-q"], every=self._every, kill=kill)

    def tree(self, name: str) -> Tree:
        """Every file but the one that differs from run to run, with size and hash."""
        root, made = self.work / name, {}
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.name != "run.json":
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                made[path.relative_to(root).as_posix()] = (path.stat().st_size, digest)
        return made

    def finished(self, journal: Path) -> int:
        """Bytes of segments that a journal tells as checked."""
        told = [json.loads(line)["line"] for line in journal.read_bytes().splitlines() if b'"segment"' in line]
        return self.size * len({key for kind, key, _ in told if kind == "segment"})


@contextmanager
def staged(partitions: int, segments: int, size: int, every: float, codec: int = NONE) -> Iterator[Scene]:
    """A scene in a folder that a plain user may look into."""
    sweep("long")
    folder = Path(tempfile.mkdtemp(prefix=named("long")))
    try:
        yield Scene(folder, partitions, segments, size, every, codec)
    finally:
        discard(folder)


def killed_twice(scene: Scene, words: Sequence[str], name: str) -> list[Told]:
    """A salvage to ``work/name`` that is killed in its check and in its writing, and ends."""
    out = ["--out", str(scene.work / name)]
    runs = [scene.run([*words, *out], kill_at=0.25)]
    runs.append(scene.run([*words, *out, "--resume"], kill_at=0.75))
    assert [each.code for each in runs] == [None, None], [each.stderr[-1500:] for each in runs]
    assert not (scene.work / name / "SHA256SUMS").exists()
    runs.append(scene.run([*words, *out, "--resume"]))
    return runs


def hold(scene: Scene, formats: Sequence[str]) -> Told:
    """Plays the scenario; gives the run that was left alone."""
    words = ["salvage", *(word for each in formats for word in ("--format", each))]
    whole = scene.run([*words, "--out", str(scene.work / "whole")])
    assert whole.code == 0, whole.stderr[-3000:]
    expected = scene.tree("whole")
    report = json.loads((scene.work / "whole" / "report.json").read_bytes())
    assert report["summary"]["records"]["intact"] == scene.records
    shutil.rmtree(scene.work / "whole")
    runs = killed_twice(scene, words, "killed")
    assert runs[-1].code == 0, runs[-1].stderr[-3000:]
    assert scene.tree("killed") == expected
    peaks = [each.peak for each in (whole, runs[-1])]
    assert max(peaks) <= PROMISE, peaks
    skipped = [line["bytes_skipped"] for line in runs[-1].lines if line["stage"] == "check"]
    assert skipped[-1] == scene.bytes  # the run before was killed while it wrote
    shutil.rmtree(scene.work / "killed")
    return whole
