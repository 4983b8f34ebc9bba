"""Name: what a kernel may call, as told by the modules of this folder and learned by the compiler when it has to compile.

Strategy: lists that modules add to as they are imported. Nothing here knows Numba, which is imported by `compiling` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Emit = Callable[[Any, list[Any]], Any]
"""Makes IR: (builder, operands) -> value, or None."""


class Kind:
    """A kind of value.

    Attributes:
        name: for messages.
        vector: the LLVM type of a register; None of integers, and of nothing at all.
    """

    def __init__(self, name: str, vector: Any = None) -> None:
        self.name = name
        self.vector = vector


LONG, VOID = Kind("int64"), Kind("nothing")


@dataclass(frozen=True, slots=True)
class Lowered:
    """A function that stands for instructions.

    Attributes:
        function: what kernels call.
        emit: builds the instructions.
        operands: integers are given as i64.
        result: of what `emit` gives.
    """

    function: Callable[..., Any]
    emit: Emit
    operands: tuple[Kind, ...]
    result: Kind


KERNELS: dict[str, Callable[..., Any]] = {}
"""Every kernel whose module is imported, by its name."""
WORKER: list[int] = []
"""Not empty in a process that does nothing but compile: it asks no other."""
LOWERED: list[Lowered] = []
"""Functions that stand for instructions, and are not learned yet."""
PARTS: list[tuple[Callable[..., Any], bool]] = []
"""Functions that only kernels call, whether they are inlined by force; not learned yet."""


def lower(function: Callable[..., Any], emit: Emit, operands: tuple[Kind, ...], result: Kind) -> None:
    """Says what stands in a kernel where ``function`` is called."""
    LOWERED.append(Lowered(function, emit, operands, result))
