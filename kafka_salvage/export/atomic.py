"""Stage: the output directory while it is being made; nothing in it looks finished before it is.

Strategy:

1. Files are written below ``OUT/.partial/``, hashed on the way, synced and closed. A lock there keeps a second run out.
2. What is finished is told to a journal beside them. An interruption, a kill or a full disk leaves the journal and what it
   names; all else below `.partial` is removed, at once or by the run that resumes. A failure before anything is finished
   leaves nothing.
3. `Stage.commit` moves files to their places (a rename on one file system is atomic), whole directories of them where their
   places are free, documents last, so that `SHA256SUMS` stands only beside a complete rescue. Every parent of a target is checked
   to be a real directory of ours: a link planted in the output directory leads nowhere.
"""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from kafka_salvage.errors import DestinationError, InvariantError, RequestError
from kafka_salvage.export.digest import Digest, digest_of
from kafka_salvage.export.group import Group
from kafka_salvage.export.lock import NAME as LOCK
from kafka_salvage.export.lock import Lock
from kafka_salvage.export.receipt import WrittenFile
from kafka_salvage.export.refusals import destination_error
from kafka_salvage.export.staged import StagedFile
from kafka_salvage.export.unmixed import candidates, mixed_directories
from kafka_salvage.regions.journal import Journal

__all__ = ["PARTIAL", "STATE", "Stage", "StagedFile"]

PARTIAL = ".partial"
STATE = "state.jsonl"
_OWN = frozenset({LOCK, STATE})
_SYNCING = 4
"""Directories that are synced at the same time."""


class Stage:
    """The output directory while it is being made.

    Args:
        out: made when it is not there.
        resume: go on with what an interrupted run finished in it; otherwise that is removed.
        jobs: with more than one, files are hashed and synced beside the work.

    Attributes:
        out: the real directory.
        staging: where files lie until they are committed.
        journal: what is finished.
        beside: whether files may be hashed in threads of their own.

    Raises:
        DestinationError: it could not be made.
        RequestError: another run is writing there.
    """

    def __init__(self, out: Path, *, resume: bool = False, jobs: int = 1) -> None:
        self._made_out = not out.exists()
        self.beside = jobs > 1
        try:
            out.mkdir(parents=True, exist_ok=True)
            self.out = out.resolve(strict=True)
            self.staging = self.out / PARTIAL
            _make_directory(self.staging)
            self._lock_file = Lock(self.staging)
            try:
                self.journal = self._open_journal(resume)
            except BaseException:
                self._lock_file.release(remove=True)
                _remove_empty(self.staging, self.out if self._made_out else None)
                raise
        except OSError as error:
            raise destination_error(str(out), error) from error
        self._files: dict[str, WrittenFile] = {}
        self._placed: set[str] = set()
        self._open: set[StagedFile] = set()
        self._checked: set[Path] = {self.out}
        self._lock = threading.Lock()
        self._group = Group(beside=self.beside)

    def _open_journal(self, resume: bool) -> Journal:
        place = self.staging / STATE
        if not resume:
            _empty(self.staging, but=frozenset({LOCK}))
        try:
            return Journal(place, resume=True)
        except RequestError:  # it is none of this version's: there is nothing to go on with
            _empty(self.staging, but=frozenset({LOCK}))
            return Journal(place, resume=True)
        except DestinationError:
            if not resume:
                _empty(self.staging, but=frozenset({LOCK}))
            raise

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is not None:
            self.leave()

    @property
    def files(self) -> tuple[WrittenFile, ...]:
        """Finished files, sorted by path."""
        return tuple(self._files[path] for path in sorted(self._files))

    def create(self, path: str, format_: str) -> StagedFile:
        """A new file at ``path`` (relative, ``/`` between parts, of encoded components only).

        Raises:
            DestinationError: it could not be made, or an earlier one could not be synced.
            InvariantError: the path leaves the output directory, or was made before.
        """
        parts = path.split("/")
        if (
            any(part in ("", ".", "..") for part in parts)
            or parts[0] == PARTIAL
            or path in self._files | dict.fromkeys(_OWN)
        ):
            raise InvariantError(f"{path!r} is no place for an output file", stage="export.atomic")
        if self._group.failure is not None:
            raise self._group.failure
        file = StagedFile(self, path, format_)
        with self._lock:
            self._open.add(file)
        return file

    def write(self, path: str, format_: str, data: bytes, *, records: int = 0) -> WrittenFile:
        """A whole small file."""
        file = self.create(path, format_)
        file.write(data)
        return file.finish(records=records)

    # files of an interrupted run

    def verify(self, file: WrittenFile) -> bool:
        """Whether a file that was finished is there as it was: still staged, or at its place already."""
        for place in (self.staging / file.path, self.out / file.path):
            digest = digest_of(place, file.size)
            if digest is not None and digest.hexdigest() == file.sha256 and place.lstat().st_size == file.size:
                return place.is_relative_to(self.staging) or self._is_ours(place.parent)
        return False

    def _is_ours(self, directory: Path) -> bool:
        return directory.resolve() == directory

    def adopt(self, file: WrittenFile) -> None:
        """Takes a verified file as if it had been made now."""
        with self._lock:
            self._files[file.path] = file
            if not (self.staging / file.path).exists():
                self._placed.add(file.path)

    def begun(self, path: str, size: int, sha256: str) -> Digest | None:
        """The digest of what an interrupted run wrote of a file; None when that is not there as it was."""
        digest = digest_of(self.staging / path, size)
        return digest if digest is not None and digest.hexdigest() == sha256 else None

    def reopen(self, path: str, format_: str, size: int, digest: Digest) -> StagedFile:
        """A file that goes on behind its first ``size`` bytes.

        Raises:
            DestinationError: it could not be opened.
        """
        file = StagedFile(self, path, format_, (size, digest))
        with self._lock:
            self._open.add(file)
        return file

    def remove(self, paths: Iterable[str]) -> None:
        """Removes staged files that are not as they were."""
        for path in paths:
            with suppress(OSError):
                (self.staging / path).unlink()

    def staged_bytes(self) -> int:
        """Bytes that lie staged."""
        return sum(path.lstat().st_size for path in self.staging.rglob("*") if path.is_file() and not path.is_symlink())

    def sweep(self, wanted: Mapping[str, int]) -> None:
        """Removes every staged file that is not wanted, and cuts the others to their size."""
        for folder, _, names in os.walk(self.staging, topdown=False):
            for name in names:
                place = Path(folder) / name
                path = place.relative_to(self.staging).as_posix()
                with suppress(OSError):
                    if path in _OWN:
                        continue
                    if path not in wanted:
                        place.unlink()
                    elif place.lstat().st_size > wanted[path] and not place.is_symlink():
                        os.truncate(place, wanted[path])
            with suppress(OSError):
                if folder != os.fspath(self.staging):
                    Path(folder).rmdir()

    # files under way

    def settle(self, file: StagedFile, made: WrittenFile, then: Callable[[WrittenFile], None] | None) -> None:
        """Takes a whole file, which is synced together with others; does ``then`` when it is on the disk."""
        with self._lock:
            self._files[made.path] = made

        def synced() -> None:
            with self._lock:
                self._open.discard(file)
            if then is not None:
                then(made)

        self._group.add(file, synced)

    def afterwards(self, then: Callable[[], None]) -> None:
        """Does something once every file that is finished by now is on the disk, perhaps in another thread.

        Raises:
            DestinationError: an earlier one is not.
        """
        self._group.add(None, then)

    def settled(self) -> None:
        """Comes back when every finished file is on the disk.

        Raises:
            DestinationError: one is not.
        """
        self._group.settled()

    def forget(self, file: StagedFile) -> None:
        """Forgets a file that failed."""
        with self._lock:
            self._open.discard(file)
            self._files.pop(file.path, None)

    # the end

    def commit(self, last: Iterable[str]) -> None:
        """Moves every finished file to its place; those in ``last`` at the end, in that order.

        Raises:
            DestinationError: a place could not be taken.
        """
        self.settled()
        tail = [path for path in last if path in self._files]
        ends = set(tail)
        body = [path for path in sorted(self._files) if path not in ends]
        self._move_whole(body)
        self._sync_directories({self.out, *map(self._move, body)})
        self._sync_directories({self.out, *map(self._move, tail)})
        self.discard()

    def _move_whole(self, paths: Sequence[str]) -> None:
        """Moves directories that hold nothing but these files, and whose places are free, each by one rename."""
        staged = {path for path in paths if path not in self._placed}
        mixed, moved = mixed_directories(self.staging, staged), set[str]()
        for path in paths:
            for place in candidates(path) if path in staged else ():
                if place not in moved and not (place in mixed or os.path.lexists(self.out / place)):
                    self._make_parents((self.out / place).parent)
                    self._replace(place)
                    moved.add(place)
                if place in moved:
                    self._placed.add(path)
                    break

    def _replace(self, path: str) -> None:
        try:
            (self.staging / path).replace(self.out / path)
        except OSError as error:
            raise destination_error(path, error) from error

    def _move(self, path: str) -> Path:
        target = self.out / path
        try:
            self._make_parents(target.parent)
        except OSError as error:
            raise destination_error(path, error) from error
        if path not in self._placed:
            self._replace(path)
        return target.parent

    def _sync_directories(self, directories: set[Path]) -> None:
        """Syncs directories and those that they lie in; each was one wait for the disk, where several share one."""
        wanted = {each for path in directories for each in (path, *path.parents) if each.is_relative_to(self.out)}
        if not self.beside or len(wanted) <= _SYNCING:
            for directory in sorted(wanted):
                _sync_directory(directory)
            return
        with ThreadPoolExecutor(_SYNCING, thread_name_prefix="sync") as pool:
            deque(pool.map(_sync_directory, sorted(wanted)), 0)

    def _make_parents(self, directory: Path) -> None:
        """Makes directories below the output one by one; a link or a file in the way is refused."""
        if directory in self._checked:
            return
        self._make_parents(directory.parent)
        with suppress(FileExistsError):
            directory.mkdir()
        if not stat.S_ISDIR(directory.lstat().st_mode):
            raise DestinationError(
                f"{directory.relative_to(self.out)} in the output directory is a link or a file, not a directory",
                target=str(directory),
                advice="Give an --out that is empty.",
            )
        self._checked.add(directory)

    def abandon(self) -> None:
        """Ends every file that is under way: it is removed, or cut back to its last checkpoint."""
        with suppress(DestinationError):
            self.settled()
        for file in tuple(self._open):
            file.abort()

    def leave(self) -> None:
        """Ends a run that failed: what the journal names stays for the next one; without anything, nothing stays."""
        self.abandon()
        if not len(self.journal):
            self.discard()
            return
        self._end()
        self._lock_file.release()

    def discard(self) -> None:
        """Removes what is staged, and the output directory when this run made it and it is empty."""
        self.abandon()
        self._end()
        with suppress(OSError):
            _empty(self.staging, but=frozenset({LOCK}))
        self._lock_file.release(remove=True)
        _remove_empty(self.staging, self.out if self._made_out else None)

    def _end(self) -> None:
        self._group.end()
        self.journal.close()


def _make_directory(path: Path) -> None:
    """A real directory, whatever was there in its place."""
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            path.unlink()
    except FileNotFoundError:
        pass
    path.mkdir(exist_ok=True)


def _remove_empty(*directories: Path | None) -> None:
    for directory in directories:
        with suppress(OSError):
            if directory is not None:
                directory.rmdir()


def _empty(directory: Path, but: frozenset[str]) -> None:
    for entry in list(directory.iterdir()):
        if entry.name in but:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _sync_directory(directory: Path) -> None:
    with suppress(OSError):  # some file systems refuse to sync a directory; the files themselves are synced
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
