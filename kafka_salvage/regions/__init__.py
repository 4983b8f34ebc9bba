"""Judges: verdicts, findings, the total map of a file."""
