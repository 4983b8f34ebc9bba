"""Cleaning: a log directory at every moment at which a broker may die while it exchanges segments for a compacted one.

What the cleaner does (`kafka-format.md`, 1.3 and 6.6): it writes `N.log.cleaned` and its indexes; renames them to `.swap`; renames
each segment that they replace, and its indexes, to `.deleted`; drops the `.swap`; deletes what is called `.deleted` a while later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.build import segment_name
from tests.support.histories import CLUSTER, TOPIC, Batch, History, segments_of, thinned

Files = dict[str, bytes]
SUFFIXES = (".log", ".index", ".timeindex")


@dataclass(frozen=True)
class Moment:
    """A directory as a crash leaves it.

    Attributes:
        name: what was done last.
        files: the partition's.
    """

    name: str
    files: Mapping[str, bytes]

    def lay(self, root: Path) -> Path:
        """Writes the log directory of a broker."""
        directory = root / f"{TOPIC}-0"
        directory.mkdir(parents=True)
        (root / "meta.properties").write_text(f"version=1\nnode.id=0\ncluster.id={CLUSTER}\n")
        (root / "cleaner-offset-checkpoint").write_text(f"0\n1\n{TOPIC} 0 0\n")
        for name, data in self.files.items():
            (directory / name).write_bytes(data)
        return root


@dataclass(frozen=True)
class Cleaning:
    """One exchange.

    Attributes:
        old: all batches as they were, the active segment's too.
        new: all batches afterwards.
        head: the last offset that was cleaned.
        moments: in order.
    """

    old: tuple[Batch, ...]
    new: tuple[Batch, ...]
    head: int
    moments: tuple[Moment, ...]


def cleaning(batches: int = 24, per_segment: int = 4, cleaned: int = 3, keys: int = 9) -> Cleaning:
    """A log of some segments, the first of which are replaced by one."""
    history = History(1, keys)
    for number in range(batches):
        history.append(1 + number % 3)
    old = tuple(history.copies[0].batches)
    segments = segments_of(old, per_segment)
    head = [batch for _, some in segments[:cleaned] for batch in some]
    kept = thinned(head)
    files = {name: data for base, some in segments for name, data in _files(base, b"".join(b.data for b in some))}
    new = b"".join(batch.data for batch in kept)
    moments = tuple(_moments(files, [base for base, _ in segments[:cleaned]], dict(_files(0, new))))
    return Cleaning(old, (*kept, *old[len(head) :]), head[-1].last, moments)


def _files(base: int, data: bytes) -> Iterator[tuple[str, bytes]]:
    name = segment_name(base).removesuffix(".log")
    yield f"{name}.log", data
    yield f"{name}.index", b""
    yield f"{name}.timeindex", b""


def _moments(files: Files, replaced: list[int], new: Files) -> Iterator[Moment]:
    now = dict(files)
    yield Moment("before", dict(now))
    log = new[segment_name(0)]
    for size in (0, 7, len(log) // 2, len(log) - 3):
        yield Moment(f"{size} bytes written", {**now, f"{segment_name(0)}.cleaned": log[:size]})
    for name, data in new.items():
        now[f"{name}.cleaned"] = data
    yield Moment("written", dict(now))
    for name in new:
        now[f"{name}.swap"] = now.pop(f"{name}.cleaned")
        yield Moment(f"{name} is .swap", dict(now))
    for base in replaced:
        for name, _ in _files(base, b""):
            now[f"{name}.deleted"] = now.pop(name)
            yield Moment(f"{name} is .deleted", dict(now))
    for name in new:
        now[name] = now.pop(f"{name}.swap")
        yield Moment(f"{name} has its name", dict(now))
    for name in sorted(name for name in now if name.endswith(".deleted")):
        del now[name]
        yield Moment(f"{name} is gone", dict(now))
