"""The page docs/cli.md, made from the commands themselves."""

from __future__ import annotations

import click

from kafka_salvage.cli import exits
from kafka_salvage.cli.main import group


def _help(command: click.Command, name: str, parent: click.Context | None) -> str:
    settings = {**group.context_settings, "max_content_width": 100, "terminal_width": 100}
    return command.get_help(click.Context(command, parent, name, **settings))


def page() -> str:
    """The whole page as Markdown."""
    top = click.Context(group, info_name="kafka-salvage")
    lines = [
        "# Command line",
        "",
        "<!-- made by `python -m kafka_salvage.cli.document`; do not edit -->",
        "",
        "```",
        _help(group, "kafka-salvage", None),
        "```",
    ]
    for name in sorted(group.commands):
        lines += ["", f"## {name}", "", "```", _help(group.commands[name], name, top), "```"]
    lines += ["", "## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {int(code)} | {meaning} |" for code, meaning in exits.MEANINGS.items()]
    lines += [
        "",
        "1 is never returned on purpose: it is what a broken interpreter or a missing import gives. When several hold, the"
        " first of 70, 130, 5, 4, 3, 6 is returned, and `summary.conditions` of the report lists all of them.",
        "",
    ]
    return "\n".join(line.rstrip() for line in "\n".join(lines).split("\n"))


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - the page is this program's product
