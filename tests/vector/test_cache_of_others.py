"""A cache of kernels that is not ours to write, not ours to read, full, or spoilt: the answer is the same, and nobody complains.

Where tests run as root, the process is root without the right to pass over permissions, and the cache another user's, as it is
when a tool was run with ``sudo`` once and without it ever after. Elsewhere the permissions of our own directory do.
"""

from __future__ import annotations

import ctypes
import os
import random
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kafka_salvage.vector import store
from tests.support.corpus import ROOT
from tests.vector.test_workshop import CHECKED, used

_PROGRAM = """
import os, sys
from kafka_salvage.vector import cache, crc, store
said = hex(crc.crc32c(b"123456789"))
print(said, cache.ORIGIN[next(name for name in cache.ORIGIN if "_fast" in name)], store.cache_directory() is not None)
"""
_STRANGER = 65_534
_DROP = 24
"""``PR_CAPBSET_DROP``: what is dropped before a program is started, the program has not, root's or not."""
_OVERRIDING = (1, 2, 3)
"""``CAP_DAC_OVERRIDE``, ``CAP_DAC_READ_SEARCH``, ``CAP_FOWNER``."""
_ROOT = os.geteuid() == 0


def _plainly() -> None:
    """Makes the program that is started next obey permissions."""
    if _ROOT:
        library = ctypes.CDLL(None, use_errno=True)
        for right in _OVERRIDING:
            if library.prctl(_DROP, right, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "prctl")


def _small() -> None:
    """Lets no file grow: what a full disk does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))


def told(environment: dict[str, str], before: Callable[[], None] = _plainly) -> str:
    """What a fresh process prints, which must not complain."""
    usual = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "KAFKA_SALVAGE_", "XDG_CACHE"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-B", "-c", _PROGRAM],
        cwd=ROOT,
        env=usual | environment,
        preexec_fn=before,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def _all(place: Path) -> list[Path]:
    return [place, *sorted(place.rglob("*"))]


def _contents(place: Path) -> dict[str, bytes]:
    return {os.fspath(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Callable[[Path, int, int], None]]:
    """Gives a tree away, with these modes for directories and files."""
    given: list[Path] = []

    def give(place: Path, folders: int, files: int) -> None:
        given.extend(paths := _all(place))
        for path in reversed(paths):
            path.chmod(folders if path.is_dir() else files)
            if _ROOT:
                os.chown(path, _STRANGER, _STRANGER)

    yield give
    for path in given:
        path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A cache with the kernels of the program."""
    place = tmp_path / "cache"
    assert used(place) == f"{CHECKED} made beside"
    return place


def test_what_another_has_compiled_is_used(filled: Path, foreign: Callable[[Path, int, int], None]) -> None:
    foreign(filled, 0o555, 0o444)
    assert told({"KAFKA_SALVAGE_CACHE": os.fspath(filled)}) == f"{CHECKED} kept True"


@pytest.mark.parametrize(
    "spoilt", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: bytes(len(data))]
)
def test_what_another_has_spoilt_is_compiled_and_left_alone(
    filled: Path, foreign: Callable[[Path, int, int], None], spoilt: Callable[[bytes], bytes]
) -> None:
    for path in filled.rglob("*"):
        if path.is_file():
            path.write_bytes(spoilt(path.read_bytes()))
    before = _contents(filled)
    foreign(filled, 0o555, 0o444)
    assert told({"KAFKA_SALVAGE_CACHE": os.fspath(filled)}) == f"{CHECKED} made here True"
    assert _contents(filled) == before


def test_an_empty_directory_of_another_stays_empty(tmp_path: Path, foreign: Callable[[Path, int, int], None]) -> None:
    place = tmp_path / "cache"
    place.mkdir()
    foreign(place, 0o555, 0o444)
    assert told({"KAFKA_SALVAGE_CACHE": os.fspath(place)}) == f"{CHECKED} made here False"
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("base", [True, False], ids=["all of it", "the inner one"])
def test_a_directory_that_may_not_be_looked_into_is_done_without(
    filled: Path, foreign: Callable[[Path, int, int], None], base: bool
) -> None:
    (inner,) = filled.iterdir()
    foreign(filled if base else inner, 0o700 if _ROOT else 0o000, 0o600)
    assert told({"KAFKA_SALVAGE_CACHE": os.fspath(filled)}) == f"{CHECKED} made here False"


def test_permissions_that_are_taken_away_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, **_: object) -> bool:
        raise PermissionError(13, "denied")

    monkeypatch.setattr(Path, "exists", refuse)
    assert store.has("target") is False


def test_code_in_a_home_that_is_not_ours_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``sudo`` may keep HOME; what lies there could be anybody's, unless root put it there."""
    monkeypatch.delenv("KAFKA_SALVAGE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    find = store.cache_directory.__wrapped__
    place = find()
    assert place is not None
    monkeypatch.setattr(os, "geteuid", lambda: _STRANGER + 1)
    if _ROOT:
        assert find() == place  # root's: one run with sudo must not slow down all that come after
        os.chown(place, _STRANGER, _STRANGER)
    assert find() is None
    monkeypatch.setenv("KAFKA_SALVAGE_CACHE", os.fspath(place.parent))
    assert find() == place  # whoever names a directory has chosen it


def test_garbage_in_our_own_directory_is_replaced(filled: Path) -> None:
    rng = random.Random(4)
    for path in filled.rglob("*"):
        if path.is_file():
            path.write_bytes(b"KSimage1" + rng.randbytes(5000))
    assert told({"KAFKA_SALVAGE_CACHE": os.fspath(filled)}) == f"{CHECKED} made beside True"
    assert told({"KAFKA_SALVAGE_CACHE": os.fspath(filled)}) == f"{CHECKED} kept True"


def test_a_directory_in_the_place_of_a_file_is_done_without(filled: Path) -> None:
    for path in [each for each in filled.rglob("*") if each.is_file()]:
        path.unlink()
        path.mkdir()
    assert told({"KAFKA_SALVAGE_CACHE": os.fspath(filled)}) == f"{CHECKED} made here True"


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    assert told({"KAFKA_SALVAGE_CACHE": os.fspath(tmp_path)}, _small) == f"{CHECKED} made here True"
    assert all(len(data) <= 64 for data in _contents(tmp_path).values())
    assert told({"KAFKA_SALVAGE_CACHE": os.fspath(tmp_path)}) == f"{CHECKED} made beside True"


@pytest.mark.parametrize("home", ["/proc/no/such/home", "relative/nowhere", ""])
def test_without_a_home_nothing_is_kept(home: str, tmp_path: Path, foreign: Callable[[Path, int, int], None]) -> None:
    place = tmp_path / "of-another"
    place.mkdir()
    foreign(place, 0o555, 0o444)
    said = told({"HOME": os.fspath(place / home) if home.startswith("relative") else home or os.fspath(place)})
    assert said == f"{CHECKED} made here False"
    assert list(place.iterdir()) == []
