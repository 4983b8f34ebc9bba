"""Group: cases that are run together: a module of this folder with ``run(options) -> Iterator[Result]``.

To add one: write the module, and give it a line here. Its table goes into ``docs/performance.md`` between two marks of its name;
what it means is said there, around them.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.timing import Options, Result


@dataclass(frozen=True, slots=True)
class Group:
    """Cases that are run together.

    Attributes:
        name: of the module.
        title: its heading in the docs.
    """

    name: str
    title: str

    @property
    def there(self) -> bool:
        """Whether the module is."""
        return importlib.util.find_spec(f"benchmarks.{self.name}") is not None

    def run(self, options: Options) -> Iterator[Result]:
        """Its results, one by one."""
        yield from importlib.import_module(f"benchmarks.{self.name}").run(options)


GROUPS = (
    Group("machine", "The machine's own limits"),
    Group("check", "Check"),
    Group("start", "First batch"),
    Group("damage", "Damage"),
    Group("decode", "Decode"),
    Group("codecs", "Codecs"),
    Group("export", "Segments"),
    Group("jsonl", "JSON Lines"),
    Group("parquet", "Parquet and Arrow"),
    Group("plan", "Merging copies"),
    Group("replay", "Replay"),
    Group("corpus", "What real brokers wrote"),
    Group("dump", "Whole commands"),
)
"""In the order in which they are run."""


def groups() -> tuple[Group, ...]:
    """Groups whose modules are there."""
    return tuple(group for group in GROUPS if group.there)
