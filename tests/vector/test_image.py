"""An image is taken whole or not at all, and the function in it takes integers and nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kafka_salvage.vector import cache, compiling, crc, finding, image, linking, store  # noqa: F401 # kernels
from kafka_salvage.vector.cache import KERNELS, inner
from kafka_salvage.vector.names import PARTS
from kafka_salvage.vector.pointers import address_of

LONG_TIME = 200_000_000
if not cache.COMPILED:
    pytest.skip("without compiled kernels there are no images", allow_module_level=True)


def named(begin: str) -> Callable[..., Any]:
    return next(function for name, function in KERNELS.items() if name.startswith(begin))


@pytest.fixture(scope="module")
def made() -> bytes:
    return compiling.compile_image(named("crc._fast-"))


def summed(native: Callable[..., Any]) -> int:
    text = np.frombuffer(b"123456789" + bytes(64), np.uint8)
    return int(native(1, 0, address_of(text), 9))


def test_an_image_is_the_kernel(made: bytes) -> None:
    assert summed(image.load(made, "fast")) == 0xE3069283  # the check value of CRC-32C


def test_llvm_loads_what_the_linker_does_not_know(made: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_data: bytes) -> bytes:
        raise linking.UnlinkableError("another processor")

    monkeypatch.setattr(compiling, "link", refuse)
    other = compiling.compile_image(named("crc._fast-"))
    assert other[:8] != made[:8]
    assert summed(image.load(other, "fast")) == 0xE3069283


def test_object_code_of_another_processor_is_refused() -> None:
    for data in (b"", b"\x7fELF\x02\x01".ljust(18, b"\0") + (183).to_bytes(2, "little"), b"\xcf\xfa\xed\xfe" * 16):
        with pytest.raises(linking.UnlinkableError):
            linking.link(data)


def test_no_part_of_an_image_is_taken_for_the_whole(made: bytes) -> None:
    for size in {*range(0, len(made), 97), 8, 12, 31, 32, 33, len(made) - 1}:
        with pytest.raises(ValueError, match="image"):
            image.load(made[:size], "torn")
    for place in range(0, len(made), 61):
        other = bytearray(made)
        other[place] ^= 0x40
        with pytest.raises(ValueError, match="image"):
            image.load(bytes(other), "flipped")


def test_a_symbol_that_is_nowhere_is_no_image() -> None:
    with pytest.raises(ValueError, match="no_such_function"):
        image.load(image.pack(bytes(64), 0, [(0, "no_such_function")], []), "lost")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((1, 0, 0), TypeError),
        ((1, 0, 0, 0, 0), TypeError),
        ((1, 0, "a", 0), TypeError),
        ((1, 0, 0.5, 0), TypeError),
        ((1, 1 << 63, 0, 0), OverflowError),
    ],
)
def test_what_is_no_integer_is_refused(made: bytes, arguments: tuple[Any, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        image.load(made, "fast")(*arguments)


def test_minus_one_is_an_integer_like_any_other(made: bytes) -> None:
    assert image.load(made, "fast")(1, 0, -1, 0) == 0


def nothing(_a: int) -> None:
    """Of a procedure."""


def truth(a: int) -> bool:
    return a > 3


@inner
def _twice(a: int) -> int:
    return a + a


def least(a: int) -> int:
    return _twice(a)


def spend(rounds: int) -> int:
    state = 1
    for _ in range(rounds):
        state = (state * 6364136223846793005 + 1442695040888963407) ^ (state >> 7)
    return state


@pytest.mark.parametrize(
    ("function", "given", "expected"),
    [(nothing, 1, None), (truth, 4, True), (truth, 3, False), (least, -(1 << 62), -(1 << 63)), (least, 21, 42)],
)
def test_what_comes_back_is_what_python_would_give(function: Callable[..., Any], given: int, expected: Any) -> None:
    got = image.load(compiling.compile_image(function), "result")(given)
    assert (got, type(got)) == (expected, type(expected))


def test_other_threads_run_while_a_kernel_does() -> None:
    native, ticks, done = image.load(compiling.compile_image(spend), "spend"), 0, threading.Event()

    def work() -> None:
        native(LONG_TIME)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.is_set():
        ticks += 1
        time.sleep(0.001)
    thread.join()
    assert ticks > 20  # with the interpreter's lock held there would be one or two


def test_the_parts_of_a_kernel_stay_plain_functions_for_python() -> None:
    compiling.compile_image(named("finding.find-"))
    assert not PARTS
    assert _twice(4) == 8


def test_another_processor_has_another_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stamps: list[str] = []
    for flags in ("fpu sse4_2 avx512f", "fpu sse4_2"):
        told = tmp_path / "cpuinfo"
        told.write_text(
            f"processor\t: 0\nmodel\t\t: 85\ncpu MHz\t\t: {len(stamps)}\nflags\t\t: {flags}\n\nprocessor\t: 1\n"
        )
        monkeypatch.setattr(store, "_PROCESSORS", told)
        stamps.append(store._stamp.__wrapped__())
    told.write_text(told.read_text().replace("cpu MHz\t\t: 1", "cpu MHz\t\t: 2"))
    stamps.append(store._stamp.__wrapped__())
    told.unlink()
    stamps.append(store._stamp.__wrapped__())  # LLVM is asked
    assert len(set(stamps)) == 3
    assert stamps[1] == stamps[2]
    monkeypatch.setenv("NUMBA_CPU_NAME", "haswell")
    assert store._stamp.__wrapped__() not in stamps
