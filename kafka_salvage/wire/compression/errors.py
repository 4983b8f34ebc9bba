"""CodecError: why a payload did not come out, as one sentence."""

from __future__ import annotations


class CodecError(ValueError):
    """A payload could not be inflated (a fact about the bytes or this machine, never a crash).

    Attributes:
        sentence: what is wrong, for a finding.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class InflateFailed(CodecError):  # noqa: N818 (an outcome, named as the finding is)
    """The compressed bytes are damaged, cut, or of a variant that Kafka does not read."""


class InflateLimit(CodecError):  # noqa: N818
    """The output would be larger than allowed."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the payload inflates to more than {limit} bytes")
        self.limit = limit


class CodecMissing(CodecError):  # noqa: N818
    """The library of this codec is not installed.

    Attributes:
        install: the command that installs it.
    """

    def __init__(self, codec: str, package: str) -> None:
        self.install = f"pip install {package}"
        super().__init__(f"the library for {codec} is not installed: {self.install}")


class UnknownCodec(CodecError):  # noqa: N818
    """No such codec in Kafka, or not in batches of this magic."""
