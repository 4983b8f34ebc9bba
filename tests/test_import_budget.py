"""What the command line imports before it has anything to do."""

from __future__ import annotations

import json
import subprocess
import sys

ALLOWED = {"click", "kafka_salvage", "typing_extensions"}


def _imported(code: str) -> set[str]:
    program = (
        f"import sys, json\nbefore = set(sys.modules)\n{code}\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    names = {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}
    return {name for name in names if name not in sys.stdlib_module_names}


def test_help_imports_nothing_heavy() -> None:
    extra = _imported("from kafka_salvage.cli.main import run\nrun(['--help'])") - ALLOWED
    assert not {name for name in extra if not name.startswith("_")}


def test_importing_the_package_imports_nothing_else() -> None:
    assert _imported("import kafka_salvage") == {"kafka_salvage"}
