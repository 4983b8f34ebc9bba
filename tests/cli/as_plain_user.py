"""Runs a command line as a user without privileges: `as_plain_user.py WARM-UP-PATH ARGUMENTS…`.

Everything is imported and compiled first, by a check and a salvage of WARM-UP-PATH, since that user may not be allowed to
read this program's own files.
"""

from __future__ import annotations

import contextlib
import difflib  # noqa: F401 - click imports it when it needs it, too late for the plain user
import io
import os
import sys
import tempfile

from kafka_salvage.cli.main import run
from tests.cli.ground import NOBODY


def main() -> int:
    """Warms up, gives privileges away, runs; its code is the command's."""
    warm, *words = sys.argv[1:]
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
        run(["check", warm])
        run(["check", "--deep", warm])
        run(["salvage", warm, "--out", f"{place}/out", "--format", "jsonl", "--format", "segments"])
        run(["show", "--records", warm])
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    code = run(words)
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main())
