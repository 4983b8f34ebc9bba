"""Page: ``docs/performance.md``, whose tables stand between marks; what is around them is written by hand and stays."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

HEADS = (
    "| case | ours | reference | the reference is | ratio | spread | goal |",
    "|---|---|---|---|---|---|---|",
)


def line(row: Mapping[str, Any]) -> str:
    """A result (see `benchmarks.__main__`) as a line of a table."""
    ours, goal = f"{row['ours']:.3g} {row['unit']}", f"{row['goal']:g}×" if row["goal"] else ""
    if not row["reference"]:
        return f"| {row['name']} | {ours} |  |  |  |  |  |"
    spread = "" if row["spread"] is None else f"{row['spread'][0]:.2f} to {row['spread'][1]:.2f}"
    return (
        f"| {row['name']} | {ours} | {row['reference']:.3g} {row['unit']} "
        f"| {row['beside']} | **{row['ratio']:.2f}×** | {spread} | {goal} |"
    )


def table(group: Mapping[str, Any]) -> str:
    """A group's table, with when and where it was measured."""
    words = f"{group['date']}, {group['size'] >> 20} MiB, {group['repeats']} turns; {group['machine']}."
    return "\n".join([words, "", *HEADS, *map(line, group["results"])])


def updated(text: str, groups: Sequence[Mapping[str, Any]]) -> str:
    """The page with the tables of these groups in place of the old ones; a group without marks goes to the end."""
    for group in groups:
        opening, closing = f"<!-- bench: {group['name']} -->", f"<!-- end of {group['name']} -->"
        block = f"{opening}\n{table(group)}\n{closing}"
        marked = re.compile(re.escape(opening) + ".*?" + re.escape(closing), re.DOTALL)
        if marked.search(text):
            text = marked.sub(lambda _, block=block: block, text, count=1)  # type: ignore[misc] # bound at once
        else:
            text = f"{text.rstrip()}\n\n## {group['title']}\n\n{block}\n"
    return text
