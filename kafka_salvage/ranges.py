"""Half-open ranges of bytes and of log offsets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class ByteRange:
    """Byte positions ``[start, stop)`` of one file."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.stop:
            raise ValueError(f"byte range {self.start}..{self.stop} is not half-open and non-negative")

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.stop - self.start

    def overlaps(self, other: ByteRange) -> bool:
        """Whether at least one byte is in both."""
        return self.start < other.stop and other.start < self.stop

    def contains(self, position: int) -> bool:
        """Whether ``position`` lies inside."""
        return self.start <= position < self.stop


@dataclass(frozen=True, slots=True, order=True)
class OffsetRange:
    """Log offsets ``[start, stop)`` of one partition."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if self.start > self.stop:
            raise ValueError(f"offset range {self.start}..{self.stop} runs backwards")

    @property
    def size(self) -> int:
        """Number of offsets."""
        return self.stop - self.start

    def overlaps(self, other: OffsetRange) -> bool:
        """Whether at least one offset is in both."""
        return self.start < other.stop and other.start < self.stop

    def contains(self, offset: int) -> bool:
        """Whether ``offset`` lies inside."""
        return self.start <= offset < self.stop
