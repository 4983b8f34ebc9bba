"""The part `--groups` of the command `replay`: positions of groups, shown and then committed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from kafka_salvage.cli import new_positions


def run(
    paths: Sequence[str],
    *,
    bootstrap_server: str,
    offset_map: str | None,
    command_config: str | None,
    execute: bool,
    force: bool,
    json_file: str | None,
    **flags: Any,
) -> int:
    """Shows what would be committed, commits it when told to, and returns the exit code."""
    from kafka_salvage import api
    from kafka_salvage.integrity.placing import write_text

    if offset_map is None:
        raise click.UsageError("--groups needs the --offset-map of the replay into this cluster")
    found = api.replay_groups(
        paths,
        bootstrap_server=bootstrap_server,
        offset_map=offset_map,
        command_config=command_config,
        execute=execute,
        force=force,
        **flags,
    )
    content = json.dumps(found.to_dict(), sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    if json_file == "-":
        click.echo(content.encode(), nl=False)
        return found.exit_code
    if json_file is not None:
        write_text(Path(json_file), content)
    for line in new_positions.commit_lines(found):
        click.echo(line)
    if not execute and found.wanted:
        click.echo("\nNothing was committed yet: the same command with --execute does it.")
    return found.exit_code
