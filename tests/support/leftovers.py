"""Leftovers: what a run that was killed could not take away, found by the process that its name tells, and removed by the next."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path


def named(kind: str) -> str:
    """The beginning of the name of a temporary directory that this process makes; `sweep` knows it by that."""
    return f"kafka-salvage-{kind}-{os.getpid()}-"


def sweep(kind: str, root: Path | None = None) -> list[Path]:
    """Removes directories of a kind whose process is gone; gives those that were there."""
    swept = []
    for path in sorted((root or Path(tempfile.gettempdir())).glob(f"kafka-salvage-{kind}-*")):
        process = re.match(r"(\d+)-", path.name.removeprefix(f"kafka-salvage-{kind}-"))
        if process is None or _runs(int(process[1])) or path.is_symlink() or path.stat().st_uid != os.geteuid():
            continue
        discard(path)
        swept.append(path)
    return swept


def discard(folder: Path) -> None:
    """Removes a directory, also where directories in it are read-only."""
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            with suppress(OSError):
                path.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
