"""Document: the report as one versioned JSON document (section 5 of the contract), and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kafka_salvage.errors import RequestError

SCHEMA = "kafka-salvage.report/1"
"""Readers ignore unknown keys; a changed meaning makes it ``/2``."""


def dumps(document: Mapping[str, Any]) -> str:
    """The document as text: keys sorted, integers exact, valid Unicode, a newline at the end."""
    return json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def loads(text: str) -> dict[str, Any]:
    """Reads a document.

    Raises:
        RequestError: it is no report of this version.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise RequestError(f"this is no JSON document: {error}") from error
    found = document.get("schema") if isinstance(document, dict) else None
    if found != SCHEMA:
        raise RequestError(
            f"this is no report of the version {SCHEMA} (schema: {found!r})",
            advice="Use the version of kafka-salvage that wrote it.",
        )
    return dict(document)
