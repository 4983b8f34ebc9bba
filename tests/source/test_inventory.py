"""The lister against trees with every kind of file."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from kafka_salvage.source.inventory import Lister, Nature


def _seen(entries: list[object]) -> dict[str, tuple[str, str | None]]:
    return {e.path: (e.nature.value, e.reason) for e in entries}  # type: ignore[attr-defined]


def test_lists_everything_sorted_with_sizes(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two").write_bytes(b"12")
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "c").mkdir()
    entries = Lister().tree(tmp_path)
    assert [(e.path, e.nature, e.size) for e in entries] == [
        ("", Nature.DIRECTORY, 0),
        ("a", Nature.FILE, 1),
        ("b", Nature.DIRECTORY, 0),
        ("b/two", Nature.FILE, 2),
        ("c", Nature.DIRECTORY, 0),
    ]
    assert entries[3].modified == (tmp_path / "b" / "two").stat().st_mtime_ns
    assert (entries[3].name, entries[3].parent, entries[1].parent) == ("two", "b", "")


def test_pipes_devices_and_sockets_are_named_and_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    if os.geteuid() == 0:  # only root may make a device
        os.mknod(tmp_path / "null", 0o600 | 0o020000, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "sock"))
    real = os.open
    opened: list[Path] = []

    def spy(place: Path, *rest: int) -> int:
        opened.append(place)
        return real(place, *rest)

    monkeypatch.setattr(os, "open", spy)
    listed = _seen(list(Lister().tree(tmp_path)))
    assert listed.pop("null", None) in (("special", "a character device, never opened"), None)
    assert listed == {
        "": ("directory", None),
        "pipe": ("special", "a named pipe, never opened"),
        "sock": ("special", "a socket, never opened"),
    }
    assert opened == [tmp_path]


def test_links_are_listed_and_not_followed_unless_wanted(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f").write_bytes(b"x")
    (tmp_path / "root" / "link").symlink_to("../outside")
    (tmp_path / "root" / "file").symlink_to("../outside/f")
    (tmp_path / "root" / "gone").symlink_to("nowhere")
    listed = _seen(list(Lister().tree(tmp_path / "root")))
    assert set(listed) == {"", "link", "file", "gone"}
    assert listed["gone"] == ("symbolic link", "a symbolic link that leads to nothing")
    followed = _seen(list(Lister(lambda place, depth: depth == 1).tree(tmp_path / "root")))
    assert followed["link/f"] == ("file", None)
    assert followed["file"][0] == "symbolic link"


def test_loops_end_and_each_directory_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"x")
    (tmp_path / "d" / "up").symlink_to("..")
    (tmp_path / "again").symlink_to("d")
    (tmp_path / "self").symlink_to("self")
    listed = _seen(list(Lister(lambda place, depth: True).tree(tmp_path)))
    assert set(listed) == {"", "d", "d/f", "d/up", "again", "self"}
    assert listed["d/up"] == ("symbolic link", "a symbolic link to the root, which is read")
    assert listed["again"] == ("symbolic link", "a symbolic link to d, which is read")
    assert "leads back to itself" in str(listed["self"][1])


def test_a_hard_link_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert _seen(list(Lister().tree(tmp_path)))["b"] == ("file", "the same file as a, which is read")


def test_two_roots_share_what_was_seen(tmp_path: Path) -> None:
    (tmp_path / "one" / "d").mkdir(parents=True)
    (tmp_path / "one" / "d" / "f").write_bytes(b"x")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "d").symlink_to("../one/d")
    lister = Lister(lambda place, depth: True)
    lister.tree(tmp_path / "one", label="one")
    assert _seen(list(lister.tree(tmp_path / "two", label="two")))["d"] == (
        "symbolic link",
        "a symbolic link to one/d, which is read",
    )


def test_a_directory_that_may_not_be_listed_becomes_an_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "shut").mkdir()
    (tmp_path / "open" / "f").write_bytes(b"x")
    real = os.open

    def guarded(place: Path, *rest: int) -> int:
        if Path(place).name == "shut":
            raise PermissionError(13, "Permission denied", str(place))
        return real(place, *rest)

    monkeypatch.setattr(os, "open", guarded)
    listed = _seen(list(Lister().tree(tmp_path)))
    assert listed["shut"] == ("unreadable", "may not be read by this user")
    assert listed["open/f"] == ("file", None)


def test_names_that_are_no_text_are_kept(tmp_path: Path) -> None:
    name = b"caf\xe9\n\x1b[31m"
    (Path(os.fsdecode(bytes(tmp_path) + b"/" + name))).write_bytes(b"x")
    entry = Lister().tree(tmp_path)[1]
    assert os.fsencode(entry.path) == name
    assert entry.real.read_bytes() == b"x"


def test_deep_trees_are_no_problem(tmp_path: Path) -> None:
    place = tmp_path
    for _ in range(300):
        place = place / "d"
    place.mkdir(parents=True)
    assert len(Lister().tree(tmp_path)) == 301


def test_listing_keeps_access_times(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"x")
    old = (1_000_000_000, 1_000_000_000)
    os.utime(tmp_path / "d", old)  # older than the last change, so that even `relatime` would note a read
    os.utime(tmp_path, old)
    Lister().tree(tmp_path)
    assert [place.stat().st_atime for place in (tmp_path, tmp_path / "d")] == [old[0], old[0]]
