"""Bookmark: how far a line was written, told to the stage's journal and found again after an interruption.

Everything is told under a fingerprint of all that the output depends on: the program, the choices, the report and what shows
that the sources are still the same. With another fingerprint nothing is found, and what lies staged is removed. A bookmark is
used only when every file that it names is there with its size and hash.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafka_salvage import engine
from kafka_salvage.export.atomic import Stage
from kafka_salvage.export.receipt import Shortfall, WrittenFile
from kafka_salvage.export.staged import StagedFile
from kafka_salvage.plan.plan import Plan
from kafka_salvage.progress import Progress
from kafka_salvage.regions.known import program
from kafka_salvage.source.identity import identity_of

LINE, ASIDE, FILE = "line", "aside", "file"
_ROOMS = ("export", "integrity", "metadata", "plan")


@functools.cache
def _writers() -> str:
    """Digest of the program's rooms that decide and write."""
    digest = hashlib.sha256(program().encode())
    root = Path(__file__).resolve().parents[1]
    for room in _ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def fingerprint(plan: Plan, report: Iterable[bytes], choices: Mapping[str, Any]) -> str:
    """A digest of all that the output depends on.

    Args:
        plan: names the evidence.
        report: `report.json`, piece by piece.
        choices: of plan and writer, plain values.
    """
    segments = {
        (segment.file.source, segment.file.path): segment.file.real
        for replica in plan.inventory.replicas
        for segment in replica.segments
    }
    identities = [[*name, identity_of(segments[name])] for name in sorted(segments)]
    digest = hashlib.sha256()
    for piece in report:
        digest.update(piece)
    text = {
        "program": _writers(),
        "choices": choices,
        "report": digest.hexdigest(),
        "files": identities,
    }
    return hashlib.sha256(json.dumps(text, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Bookmark:
    """How far a line was written.

    Attributes:
        step: the step that comes next.
        producers: those with a transaction open in what went out.
        writers: state by name of sink.
        files: whole files besides those that ``writers`` name. opened: files under way, as `StagedFile.checkpoint` tells them.
        shortfalls: what could not be read again so far.
        entry: the line's entry of the manifest, when the line is finished.
    """

    step: int = 0
    producers: tuple[int, ...] = ()
    writers: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[WrittenFile, ...] = ()
    opened: tuple[Mapping[str, Any], ...] = ()
    shortfalls: tuple[Shortfall, ...] = ()
    entry: Mapping[str, Any] | None = None


class Bookmarks:
    """The bookmarks of one output directory.

    A large line has many files, and many bookmarks: each file is told once, and a bookmark tells how many there are.

    Args:
        stage: whose journal has them.
        mark: the fingerprint.
    """

    def __init__(self, stage: Stage, mark: str) -> None:
        self._stage = stage
        self._mark = mark
        self._told: dict[str, int] = {}
        self._whole: set[WrittenFile] = set()

    def review(self, progress: Progress, jobs: int) -> None:
        """Looks which of the files that are told are there as they were, and removes whatever else is staged.

        Args:
            progress: is told bytes of output that were hashed again.
            jobs: files looked at at the same time.
        """
        files = sorted({file for value in self._values() for file in _whole(value)}, key=lambda file: file.path)
        self.sweep()
        if not files:
            return
        progress.stage("verify", sum(file.size for file in files))

        def verify(file: WrittenFile) -> bool:
            good = self._stage.verify(file)
            progress.advance(file.size, file.path)
            return good

        found = engine.ordered_map(verify, files, jobs)
        self._whole = {file for file, good in zip(files, found, strict=True) if good}

    def sweep(self) -> None:
        """Removes all that is staged and that no bookmark names."""
        wanted: dict[str, int] = {}
        for value in self._values():
            wanted.update((file.path, file.size) for file in _whole(value))
            wanted.update((each["path"], each["size"]) for each in value["opened"])
        self._stage.sweep(wanted)

    def _values(self) -> Iterator[dict[str, Any]]:
        for kind in (LINE, ASIDE):
            for key in self._stage.journal.keys(kind):
                mark, _, name = key.partition(":")
                value = self._value(kind, name) if mark == self._mark else None
                if value is not None:
                    yield value

    def _value(self, kind: str, name: str) -> dict[str, Any] | None:
        """What was told of a line, with its files; None when nothing was, or not all of it can be read."""
        value: dict[str, Any] | None = self._stage.journal.find(kind, f"{self._mark}:{name}")
        if value is None:
            return None
        try:
            return {**value, "writers": self._unpacked(value["writers"], name)}
        except LookupError:
            return None

    def _packed(self, state: Any, place: str) -> Any:
        """A state whose lists of files became their lengths; files that were not told yet are."""
        if not isinstance(state, dict):
            return state
        made = {key: self._packed(each, f"{place}/{key}") for key, each in state.items()}
        if isinstance(state.get("files"), list):
            for number in range(self._told.get(place, 0), len(state["files"])):
                self._stage.journal.append(FILE, f"{self._mark}:{place}:{number}", state["files"][number])
            self._told[place] = made["files"] = len(state["files"])
        return made

    def _unpacked(self, state: Any, place: str) -> Any:
        if not isinstance(state, dict):
            return state
        made = {key: self._unpacked(each, f"{place}/{key}") for key, each in state.items()}
        if isinstance(state.get("files"), int):
            made["files"] = []
            for number in range(state["files"]):
                file = self._stage.journal.find(FILE, f"{self._mark}:{place}:{number}")
                if file is None:
                    raise LookupError(place)
                made["files"].append(file)
        return made

    def tell(self, kind: str, name: str, bookmark: Bookmark) -> None:
        """Tells how far a line is; every file that it names must be on the disk.

        Raises:
            DestinationError: it could not be told.
        """
        value = {
            "step": bookmark.step,
            "producers": list(bookmark.producers),
            "writers": self._packed(dict(bookmark.writers), name),
            "files": [file.to_dict() for file in bookmark.files],
            "opened": [dict(each) for each in bookmark.opened],
            "shortfalls": [shortfall.to_dict() for shortfall in bookmark.shortfalls],
            "entry": bookmark.entry,
        }
        self._stage.journal.append(kind, f"{self._mark}:{name}", value)

    def find(self, kind: str, name: str) -> tuple[Bookmark, dict[str, StagedFile]]:
        """How far a line is, with the files under way; an empty one when it must begin anew.

        Raises:
            DestinationError: a file could not be opened again.
        """
        value = self._value(kind, name)
        if value is None:
            return Bookmark(), {}
        opened = [(each, self._stage.begun(each["path"], each["size"], each["sha256"])) for each in value["opened"]]
        files = tuple(_whole(value))
        if any(digest is None for _, digest in opened) or not self._whole.issuperset(files):
            self._stage.remove([*(file.path for file in files), *(each["path"] for each, _ in opened)])
            return Bookmark(), {}
        for file in files:
            self._stage.adopt(file)
        bookmark = Bookmark(
            step=value["step"],
            producers=tuple(value["producers"]),
            writers=value["writers"],
            files=files,
            opened=tuple(value["opened"]),
            shortfalls=tuple(Shortfall(**each) for each in value["shortfalls"]),
            entry=value["entry"],
        )
        return bookmark, {
            each["path"]: self._stage.reopen(each["path"], each["format"], each["size"], digest)
            for each, digest in opened
            if digest is not None
        }


def _whole(value: Mapping[str, Any]) -> Iterator[WrittenFile]:
    """Every whole file that a bookmark names: its own, and those of its writers' states."""
    yield from (WrittenFile(**file) for file in value["files"])
    yield from _of_state(value["writers"])


def _of_state(state: Any) -> Iterator[WrittenFile]:
    if isinstance(state, dict):
        if isinstance(state.get("files"), list):
            yield from (WrittenFile(**file) for file in state["files"])
        for each in state.values():
            yield from _of_state(each)
