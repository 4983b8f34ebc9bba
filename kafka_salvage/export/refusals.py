"""Refusals: operating system errors while writing, as sentences."""

from __future__ import annotations

import errno

from kafka_salvage.errors import DestinationError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors that more room would mend."""
_SENTENCES: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", "Free space and run the same command again with --resume."),
    errno.EDQUOT: ("the quota is used up", "Raise the quota and run the same command again with --resume."),
    errno.EROFS: ("it is mounted read-only", "Give --out on a disk that can be written."),
    errno.EACCES: ("this user may not write there", "Give --out where this user may write."),
    errno.EPERM: ("this user may not write there", "Give --out where this user may write."),
    errno.EFBIG: ("the file system allows no file of that size", "Give --out on another file system."),
    errno.EIO: ("the device reports an input/output error", "Give --out on another disk."),
    errno.ENAMETOOLONG: ("its path is too long", "Give an --out that is nearer to the root."),
}


def destination_error(path: str, error: OSError) -> DestinationError:
    """The exception for an operating system error while writing ``path``."""
    reason, advice = _SENTENCES.get(error.errno or 0, (error.strerror or str(error), "Check the output disk."))
    causes = ("The estimate of the output was too low.", "Another program writes to the same disk.")
    return DestinationError(
        f"{path} could not be written: {reason}",
        target=path,
        causes=causes if error.errno in FULL else (),
        advice=advice,
    )


def is_full(error: DestinationError) -> bool:
    """Whether more room would have helped."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in FULL
