"""Speaks to a person: commands, rendering, exit codes."""
