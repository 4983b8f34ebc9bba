"""Placing: one document at its path, whole or not at all, and never among evidence."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from kafka_salvage.errors import DestinationError, RequestError
from kafka_salvage.scan.replica import Inventory

_ADVICE = {
    errno.ENOSPC: "Free space, or name a file on another disk.",
    errno.EDQUOT: "Raise the quota, or name a file on another disk.",
    errno.EFBIG: "Name a file on another file system.",
    errno.ENOENT: "Make its directory first.",
    errno.ENOTDIR: "Make its directory first.",
}


def refuse_output(inventory: Inventory, output: Path) -> None:
    """Looks at a file or directory that is to be written; links are followed.

    Raises:
        RequestError: it lies inside a source, or a source inside it.
    """
    inside = inventory.place_of(output)
    if inside is not None:
        raise RequestError(
            f"{output} lies inside the source {inside}; evidence is never written to",
            advice="Give a place outside of every source, best on another disk.",
        )
    real = Path(os.path.realpath(output))
    for place in inventory.places:
        if place.is_relative_to(real):
            raise RequestError(
                f"the source {place} lies inside {output}; evidence must not be mixed with output",
                advice="Give a directory of its own.",
            )


def write_text(path: Path, text: str | Iterable[str]) -> None:
    """Writes UTF-8 text under a temporary name, syncs and renames; a device or pipe is written to directly.

    Args:
        path: a link is followed; what stands there is replaced.
        text: the whole content, or piece by piece.

    Raises:
        DestinationError: it could not be written; nothing half-written is left.
    """
    pieces = (text,) if isinstance(text, str) else text
    partial: Path | None = None
    try:
        target = Path(os.path.realpath(path))
        if target.exists() and not target.is_file() and not target.is_dir():
            with target.open("wb") as stream:
                stream.writelines(piece.encode("utf-8") for piece in pieces)
            return
        partial = target.with_name(f".{target.name[:200]}.{os.getpid()}.partial")
        _forget_torn(target)
        with partial.open("xb") as stream:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            stream.writelines(piece.encode("utf-8") for piece in pieces)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(target)
    except OSError as error:
        raise DestinationError(
            f"{path} could not be written: {(error.strerror or str(error)).lower()}",
            target=str(path),
            advice=_ADVICE.get(error.errno or 0, "Name a file where this user may write."),
        ) from error
    finally:
        if partial is not None:
            with suppress(OSError):
                partial.unlink()


def _forget_torn(target: Path) -> None:
    """Removes what killed runs left of the same file; what a run is writing now is locked, and stays."""
    ours = re.compile(re.escape(f".{target.name[:200]}.") + r"\d+\.partial")
    with suppress(OSError):
        for torn in target.parent.iterdir():
            if not ours.fullmatch(torn.name) or torn.is_symlink() or not torn.is_file():
                continue
            with suppress(OSError), torn.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                torn.unlink()
