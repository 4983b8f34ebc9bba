"""What Python and Numba keep on disk, and how it is kept away from evidence."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path


def keep_off(paths: Sequence[str]) -> None:
    """Turns caches off that would lie under a PATH (someone checks a whole home directory, or the whole machine).

    Must be called before anything is imported that compiles.

    Args:
        paths: as given, ``NAME=PATH`` included.
    """
    places = [_real(each) for path in paths for each in (path, path.partition("=")[2]) if each]
    chosen = os.environ.get("KAFKA_SALVAGE_CACHE")
    cache = chosen or os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")  # noqa: PTH111, PTH118 - pathlib raises without a home
    if _inside(cache, places):
        os.environ["KAFKA_SALVAGE_CACHE"] = ""
    if _inside(__file__, places) or (sys.pycache_prefix and _inside(sys.pycache_prefix, places)):
        sys.dont_write_bytecode = True


def _real(path: str) -> str:
    return os.path.realpath(path)


def _inside(path: str, places: Sequence[str]) -> bool:
    real = Path(_real(path))
    return any(real.is_relative_to(place) for place in places)
