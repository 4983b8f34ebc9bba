"""The exceptions of kafka_salvage.

Damage is data, never an exception: a damaged file ends as findings in a report. Exceptions are for the
environment, for the person who asks, and for us::

    SalvageError
    ├── SourceError           evidence could not be opened or read at all       (source, range)
    ├── DestinationError      the output could not be written                   (target, receipt so far)
    ├── MissingExtraError     an optional library is not installed              (install line)
    ├── RequestError          the question makes no sense as asked
    └── InvariantError        our bug                                           (stage, place)
"""

from __future__ import annotations


class SalvageError(Exception):
    """Base of all exceptions that this package raises on purpose.

    Attributes:
        causes: likely causes, most likely first, one sentence each.
        advice: what to do next, one sentence.
    """

    def __init__(self, message: str, *, causes: tuple[str, ...] = (), advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.causes = causes
        self.advice = advice


class SourceError(SalvageError):
    """Evidence could not be opened or read."""

    def __init__(
        self,
        message: str,
        *,
        source: str = "",
        where: tuple[int, int] | None = None,
        causes: tuple[str, ...] = (),
        advice: str = "",
    ) -> None:
        super().__init__(message, causes=causes, advice=advice)
        self.source = source
        self.where = where


class DestinationError(SalvageError):
    """The output could not be written (disk full, no permission, broker refused)."""

    def __init__(self, message: str, *, target: str = "", causes: tuple[str, ...] = (), advice: str = "") -> None:
        super().__init__(message, causes=causes, advice=advice)
        self.target = target


class MissingExtraError(SalvageError):
    """A library that is needed for this is not installed."""

    def __init__(self, message: str, *, install: str) -> None:
        super().__init__(message, advice=f"Install it with: {install}")
        self.install = install


class RequestError(SalvageError):
    """The question makes no sense as asked: a wrong path, flags that exclude each other."""


class InvariantError(SalvageError):
    """A promise that this package makes to itself is broken: our bug."""

    def __init__(self, message: str, *, stage: str, where: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.stage = stage
        self.where = where
