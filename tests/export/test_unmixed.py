"""Commit: whole directories move at once where they can, and what stands at the end is the same wherever they cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_salvage.errors import DestinationError
from kafka_salvage.export.atomic import PARTIAL, Stage
from kafka_salvage.export.unmixed import mixed_directories
from tests.export.scenes import tree

FILES = {f"segments/orders-{n}/{name}": f"{n}{name}".encode() for n in range(5) for name in ("log", "epochs")}
DOCUMENTS = {"report.json": b"{}", "SHA256SUMS": b"sums"}
PATHS = st.sets(st.sampled_from(["a", "b/c", "b/d/e", "b/d/f", "g/h/i", "g/j", "k/l/m/n"]), min_size=1)


def staged(out: Path) -> Stage:
    stage = Stage(out, jobs=2)
    for path, data in {**FILES, **DOCUMENTS}.items():
        stage.write(path, "segments", data)
    return stage


def renames(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    real = Path.replace

    def spied(self: Path, target: Path) -> Path:
        told.append(self.name)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", spied)
    return told


def test_one_rename_where_the_place_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, out = renames(monkeypatch), tmp_path / "out"
    with staged(out) as stage:
        stage.commit(last=("SHA256SUMS",))
    assert tree(out) == {**FILES, **DOCUMENTS}
    assert told == ["segments", "report.json", "SHA256SUMS"]
    assert not (out / PARTIAL).exists()


@pytest.mark.parametrize("mine", ["segments/mine", "segments/orders-3/mine", "segments/orders-3/log", "other/mine"])
def test_what_is_there_already_stays(tmp_path: Path, mine: str) -> None:
    out = tmp_path / "out"
    (out / mine).parent.mkdir(parents=True)
    (out / mine).write_bytes(b"mine")
    with staged(out) as stage:
        stage.commit(last=("SHA256SUMS",))
    assert tree(out) == {mine: b"mine", **FILES, **DOCUMENTS}


@pytest.mark.parametrize("stray", ["segments/stray", "segments/orders-2/stray", "segments/empty/", "segments/link/"])
def test_nothing_goes_out_with_its_directory(tmp_path: Path, stray: str) -> None:
    out = tmp_path / "out"
    with staged(out) as stage:
        place = stage.staging / stray
        if stray.endswith("link/"):
            place.symlink_to(tmp_path)
        elif stray.endswith("/"):
            place.mkdir()
        else:
            place.write_bytes(b"torn")
        stage.commit(last=("SHA256SUMS",))
    assert tree(out) == {**FILES, **DOCUMENTS}
    assert sorted(path.name for path in (out / "segments").iterdir()) == [f"orders-{n}" for n in range(5)]


def test_a_link_in_the_way_is_refused(tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    out.mkdir()
    (out / "segments").symlink_to(elsewhere)
    with pytest.raises(DestinationError, match="link"), staged(out) as stage:
        stage.commit(last=("SHA256SUMS",))
    assert list(elsewhere.iterdir()) == []
    assert not (out / "SHA256SUMS").exists()


@given(wanted=PATHS, strays=st.sets(st.sampled_from(["b/x", "b/d/x", "g/h/x", "k/x", "z/x", "x"])))
def test_a_directory_is_mixed_when_anything_below_it_is_not_wanted(
    tmp_path_factory: pytest.TempPathFactory, wanted: set[str], strays: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("staging")
    for path in wanted | strays:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"")
    mixed = mixed_directories(folder, wanted)
    for directory in (path for path in folder.rglob("*") if path.is_dir()):
        below = {path.relative_to(folder).as_posix() for path in directory.rglob("*") if path.is_file()}
        assert (directory.relative_to(folder).as_posix() in mixed) == bool(below - wanted)
