"""Capture: what the terminal shows of a check of the demonstration's log directory, for the README.

`python -m tests.support.capture` (`make docs`) writes it into README.md, between its two marks.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.corpus import ROOT
from tests.support.demo import assemble

README = ROOT / "README.md"
COMMAND = "kafka-salvage check demo/broker-1"
_BLOCK = re.compile(r"(?<=<!-- capture, made by `make docs` -->\n).*(?=\n<!-- end of the capture -->)", re.DOTALL)


def capture() -> str:
    """A block of Markdown: the command and what it prints where stdout is no terminal."""
    with tempfile.TemporaryDirectory() as place:
        assemble(Path(place) / "demo" / "broker-1")
        words = [sys.executable, "-m", "kafka_salvage", *COMMAND.split()[1:]]
        done = subprocess.run(words, cwd=place, capture_output=True, text=True, check=False)
    return f"```console\n$ {COMMAND}\n{done.stdout}$ echo $?\n{done.returncode}\n```"


def shown() -> str | None:
    """The block that stands in the README."""
    found = _BLOCK.search(README.read_text())
    return found[0] if found else None


if __name__ == "__main__":
    README.write_text(_BLOCK.sub(lambda _: capture(), README.read_text()))
