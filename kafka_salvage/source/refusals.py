"""Refusals: what the operating system said about a path, as a sentence with likely causes and advice."""

from __future__ import annotations

import errno
import os
import stat

from kafka_salvage.errors import SourceError

_IMAGE = "Make an image of the disk first (for example with ddrescue), and work on the image."

# errno -> (end of the sentence, likely causes, advice)
_SENTENCES: dict[int, tuple[str, tuple[str, ...], str]] = {
    errno.ENOENT: (
        "does not exist",
        ("The path is mistyped.", "The volume is not mounted.", "It was moved or deleted while this ran."),
        "Check the path and whether the volume is mounted.",
    ),
    errno.ENOTDIR: (
        "does not exist: a part of its path is a file",
        ("The path is mistyped.",),
        "Check the path.",
    ),
    errno.EACCES: (
        "may not be read by this user",
        ("It belongs to the user that ran the broker.", "The volume is mounted for another user."),
        "Run this as a user that may read it, or work on a readable copy.",
    ),
    errno.EPERM: (
        "may not be opened by this user",
        ("A security module or the mount forbids it.",),
        "Run this as a user that may read it, or work on a readable copy.",
    ),
    errno.ELOOP: (
        "is a symbolic link that leads back to itself",
        ("The link was copied without what it named.",),
        "Give the path of the real directory or file.",
    ),
    errno.EIO: (
        "cannot be read: the device reports an input/output error",
        ("The disk is failing.", "The file system's own structures are damaged."),
        _IMAGE,
    ),
    errno.EMFILE: (
        "cannot be opened: this process has too many open files",
        ("The limit on open files is very low.",),
        "Raise it (ulimit -n 1024) and run the same command again.",
    ),
    errno.ENFILE: (
        "cannot be opened: the system has too many open files",
        ("Another process holds very many files.",),
        "Close other programs and run the same command again.",
    ),
    errno.ENAMETOOLONG: (
        "has a path that is too long for this system",
        ("Directories are nested very deep.",),
        "Change to a directory further down and give a shorter path.",
    ),
    errno.ESTALE: (
        "cannot be opened: the network file system has forgotten it",
        ("The server restarted or removed the file.",),
        "Mount it again and run the same command again.",
    ),
    getattr(errno, "EUCLEAN", errno.EIO): (
        "cannot be read: the file system says its structures are damaged",
        ("The file system needs repair.",),
        _IMAGE,
    ),
}


def kind_sentence(mode: int) -> str | None:
    """What a file is that is neither regular file nor directory (``st_mode``); None for those two."""
    if stat.S_ISFIFO(mode):
        return "named pipe"
    if stat.S_ISBLK(mode):
        return "block device"
    if stat.S_ISCHR(mode):
        return "character device"
    if stat.S_ISSOCK(mode):
        return "socket"
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "special file"


def reason(error: OSError) -> str:
    """The end of a sentence for an error of the operating system ("may not be read by this user")."""
    known = _SENTENCES.get(error.errno or 0)
    return known[0] if known else f"cannot be opened: {os.strerror(error.errno) if error.errno else error}"


def refused(name: str, error: OSError) -> SourceError:
    """The exception for a path that could not be opened."""
    _, causes, advice = _SENTENCES.get(error.errno or 0, ("", (), "Check the path and the state of the volume."))
    return SourceError(f"{name} {reason(error)}", source=name, causes=causes, advice=advice)


def refused_kind(name: str, mode: int) -> SourceError:
    """The exception for a path that is no regular file."""
    what = "directory" if stat.S_ISDIR(mode) else kind_sentence(mode) or "special file"
    causes = ("A disk image was meant, not the device.",) if "device" in what else ("Another path was meant.",)
    advice = "Mount the volume read-only and give the directory." if "device" in what else "Give a regular file."
    return SourceError(f"{name} is a {what}, not a regular file", source=name, causes=causes, advice=advice)
