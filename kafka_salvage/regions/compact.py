"""Compact: a sequence of values that is kept as columns of integers; a value is made while it is looked at.

A disk may have lost every second batch of a file: millions of regions, findings, ranges and steps, of which each is like the
one before but for a few numbers. A value is parted into its *shape* (all that repeats, kept once) and its numbers; those of a
thousand values and one shape become columns of the smallest type that holds them or their differences.

A short sequence is kept as the values themselves.
"""

from __future__ import annotations

import functools
import itertools
import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar, overload

import numpy as np
import numpy.typing as npt

from kafka_salvage.regions.block import Block, Numbers, numbers_of
from kafka_salvage.regions.packing import Column
from kafka_salvage.scan.batches import I64

T = TypeVar("T")
BLOCK = 1024
"""Values that are packed together."""
FEW = 256
"""Values of a sequence that is not worth packing."""
PLAIN = 1 << 14
"""Values of all longer sequences that are kept as themselves, about 1 KB each: packing takes longer than it saves there."""
_OPENED = 12
"""Blocks whose values are kept, over all sequences, for who looks at neighbours one by one."""


class Codec(Protocol[T]):
    """Parts values of one kind and puts them together again."""

    def part(self, value: T) -> tuple[Hashable, Numbers]:
        """Shape and numbers of a value; numbers fit into 64 bits, and values of one shape have as many of them."""
        ...

    def make(self, shape: Any, numbers: Numbers) -> T:
        """The value, equal to the one that was parted."""
        ...


class Same:
    """Something that is part of a shape by its identity."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value


class Turned(Same):
    """The same of a part whose members are told in another order than they lie in.

    Attributes:
        value: the part.
        turn: which member comes first, second, and so on.
    """

    __slots__ = ("turn",)

    def __init__(self, value: Any, turn: tuple[int, ...]) -> None:
        super().__init__(value)
        self.turn = turn

    def __hash__(self) -> int:
        return hash((id(self.value), self.turn))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Turned) and self.value is other.value and self.turn == other.turn


class _Opened:
    """Values of the blocks that were looked at last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int], list[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: tuple[int, int], make: Callable[[], list[Any]]) -> list[Any]:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        found = make()
        with self._lock:
            self._kept[key] = found
            if len(self._kept) > _OPENED:
                self._kept.popitem(last=False)
        return found


def _unkeyed(value: object) -> int:
    return 0


class _Room:
    """How many values more may be kept as themselves."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._lock = threading.RLock()

    def take(self, count: int) -> bool:
        with self._lock:
            if count > self._left:
                return False
            self._left -= count
            return True

    def give(self, count: int) -> None:
        with self._lock:
            self._left += count


_room = _Room(PLAIN)


class _Values(tuple[T, ...]):
    """Values that are kept as themselves, in room that is given back with them."""

    room: _Room

    def __del__(self) -> None:
        self.room.give(len(self))


_opened = _Opened()
_serial = itertools.count()


class Compact(Sequence[T], Generic[T]):
    """A sequence to which values are added at the end.

    Args:
        codec: parts the values.
        values: the first ones.
        key: of a value; where it ascends from value to value, `find` looks for one.
    """

    def __init__(self, codec: Codec[T], values: Iterable[T] = (), key: Callable[[T], int] = _unkeyed) -> None:
        self._codec = codec
        self._key = key
        self._shapes: list[Any] = []
        self._places: dict[Hashable, int] = {}
        self._blocks: list[Block] = []
        self._stops: list[int] = []
        self._keys: list[int] = []
        self._rest: list[T] = []
        self._serial = next(_serial)
        self._room = _room
        self._taken = 0
        self.extend(values)

    def append(self, value: T) -> None:
        """Adds a value."""
        self._rest.append(value)
        if len(self._rest) >= BLOCK + self._taken:
            if not self._blocks and self._room.take(BLOCK):
                self._taken += BLOCK
            else:
                self._pack()

    def extend(self, values: Iterable[T]) -> None:
        """Adds values."""
        for value in values:
            self.append(value)

    def __iadd__(self, values: Iterable[T]) -> Compact[T]:
        self.extend(values)
        return self

    def settled(self) -> Sequence[T]:
        """The same for good: the values themselves where they are few, otherwise all of them packed."""
        self._give_back()
        if not self._blocks and len(self._rest) < FEW:
            return tuple(self._rest)
        if not self._blocks and self._room.take(len(self._rest)):
            values = _Values(self._rest)
            values.room = self._room
            return values
        if self._rest:
            self._pack()
        return self

    def _give_back(self) -> None:
        self._room.give(self._taken)
        self._taken = 0

    def __del__(self) -> None:
        self._give_back()

    def _place(self, shape: Hashable) -> int:
        place = self._places.get(shape)
        if place is None:
            place = self._places[shape] = len(self._shapes)
            self._shapes.append(shape)
        return place

    def add_columns(
        self,
        shapes: Sequence[Hashable],
        which: npt.NDArray[Any],
        columns: Sequence[I64],
        widths: Sequence[int] | None = None,
    ) -> None:
        """Adds many values at once, none of which is made.

        Args:
            shapes: as the codec gives them.
            which: of these the shape of each value.
            columns: its numbers: the first of each value, the second, and so on.
            widths: how many numbers each shape has, where not all have as many as there are columns.
        """
        counts = [len(columns)] * len(shapes) if widths is None else widths
        if len(which) < FEW:
            numbers = zip(*(column.tolist() for column in columns), strict=True)
            made = zip(which.tolist(), numbers, strict=True)
            self.extend(self._codec.make(shapes[at], each[: counts[at]]) for at, each in made)
            return
        if self._rest:
            self._pack()
        own = [self._place(shape) for shape in shapes]
        places, width = np.array(own, np.int64)[which], dict(zip(own, counts, strict=True))
        for start in range(0, len(which), BLOCK):
            here, rows = places[start : start + BLOCK], [column[start : start + BLOCK] for column in columns]
            foremost = tuple(int(row[0]) for row in rows[: width[int(here[0])]])
            first = self._codec.make(self._shapes[int(here[0])], foremost)
            block = Block(here.tolist(), functools.partial(numbers_of, here, rows, width))
            self._add(self._key(first), block)

    def _pack(self) -> None:
        rest, self._rest = self._rest, []
        self._give_back()
        for start in range(0, len(rest), BLOCK):
            self._pack_some(rest[start : start + BLOCK])

    def _pack_some(self, values: list[T]) -> None:
        shapes: list[int] = []
        numbers: list[Numbers] = []
        for value in values:
            shape, each = self._codec.part(value)
            shapes.append(self._place(shape))
            numbers.append(each)

        def table(kind: int) -> I64:
            mine = [each for each, shape in zip(numbers, shapes, strict=True) if shape == kind]
            return np.array(mine, np.int64).reshape(len(mine), -1)

        self._add(self._key(values[0]), Block(shapes, table))

    def _add(self, key: int, block: Block) -> None:
        self._keys.append(key)
        self._stops.append(self._packed + block.size)
        self._blocks.append(block)

    @property
    def _packed(self) -> int:
        return self._stops[-1] if self._stops else 0

    def __len__(self) -> int:
        return self._packed + len(self._rest)

    def _values(self, block: int) -> list[T]:
        return self._blocks[block].values(self._shapes, self._codec.make)

    def _open(self, block: int) -> list[T]:
        return _opened.find((self._serial, block), lambda: self._values(block))

    def __iter__(self) -> Iterator[T]:
        for block in range(len(self._blocks)):
            yield from self._values(block)
        yield from self._rest

    def of_shape(self, wanted: Callable[[Any], bool]) -> Iterator[T]:
        """The values of some shapes, none of the others being made; of what is not packed yet all."""
        places = frozenset(place for place, shape in enumerate(self._shapes) if wanted(shape))
        for block in self._blocks:
            if not places.isdisjoint(block.kinds):
                yield from block.values(self._shapes, self._codec.make, places)
        yield from self._rest

    def tables(self) -> Iterator[tuple[Any, I64, list[Column]]]:
        """Shape, places and numbers by column of all values, some at a time."""
        start = 0
        for block, stop in zip(self._blocks, self._stops, strict=True):
            for kind, places, columns in block.tables():
                yield self._shapes[kind], places + start, columns
            start = stop
        for at, value in enumerate(self._rest, start):
            shape, numbers = self._codec.part(value)
            yield shape, np.array([at]), [np.array([number]) for number in numbers]

    def all_shapes(self) -> Iterator[Any]:
        """The shapes that its values have; those of what is not packed yet may repeat."""
        used = set[int]().union(*(block.kinds for block in self._blocks))
        yield from (self._shapes[kind] for kind in sorted(used))
        yield from (self._codec.part(value)[0] for value in self._rest)

    def shapes_at(self, places: I64) -> I64:
        """Numbers that tell the shapes of the values at some ascending places apart; -1 of what is not packed yet."""
        found = np.full(len(places), -1, np.int64)
        block = np.searchsorted(np.array(self._stops, np.int64), places, side="right")
        for at in np.unique(block[places < self._packed]).tolist():
            mine = block == at
            found[mine] = self._blocks[at].shapes()[places[mine] - (self._stops[at - 1] if at else 0)]
        return found

    def shape(self, number: int) -> Any:
        """The shape that `shapes_at` tells by a number."""
        return self._shapes[number]

    @property
    def loose(self) -> bool:
        """Whether nothing is packed yet."""
        return not self._blocks

    @property
    def codec(self) -> Codec[T]:
        """What parts the values."""
        return self._codec

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        if isinstance(index, slice):
            return tuple(self[at] for at in range(*index.indices(len(self))))
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(index)
        if at >= self._packed:
            return self._rest[at - self._packed]
        block = bisect_left(self._stops, at + 1)
        return self._open(block)[at - (self._stops[block - 1] if block else 0)]

    def find(self, key: int) -> int:
        """Place of the first value whose key is not below ``key``; the length when there is none."""
        block = bisect_left(self._keys, key)
        if self._rest and key > self._key(self._rest[0]):
            return self._packed + bisect_left(self._rest, key, key=self._key)
        if not block:
            return 0
        start = self._stops[block - 2] if block > 1 else 0
        return start + bisect_left(self._open(block - 1), key, key=self._key)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (Compact, tuple, list)):
            return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment] # like a list: values may be added

    def __repr__(self) -> str:
        return f"Compact({len(self)} values)"
