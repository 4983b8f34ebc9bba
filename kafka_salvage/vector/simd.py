"""Vector: 128- and 512-bit registers for carry-less multiplication, and the CPU's CRC instructions, as kernel functions.

Strategy: every function here exists in kernels only (called from plain Python it raises); what runs without Numba is the
table variant. A register holds 64-bit words, the earlier bytes of the message in the lower word. The instruction behind each
name is chosen when the kernel is compiled, by `target`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from kafka_salvage.vector import names
from kafka_salvage.vector.names import Emit, Kind
from kafka_salvage.vector.pointers import BYTE, LONG, WORD, lowered
from kafka_salvage.vector.target import target

BIT = ir.IntType(1)
WIDE = ir.IntType(128)
X2, X8 = ir.VectorType(LONG, 2), ir.VectorType(LONG, 8)
B16, B64 = ir.VectorType(BYTE, 16), ir.VectorType(BYTE, 64)


R128, R512 = Kind("R128", X2), Kind("R512", X8)


def _only_in_kernels(*_args: Any) -> Any:
    raise NotImplementedError("vector registers exist in compiled kernels only")  # Python has no such values


def _function(name: str, signature: tuple[Kind, ...], emit: Emit) -> Any:
    """A new kernel function: ``signature`` is the result's type, then the operands'."""

    def stub(*args: Any) -> Any:
        return _only_in_kernels(*args)

    stub.__name__ = stub.__qualname__ = name
    names.lower(stub, emit, signature[1:], signature[0])
    return stub


def _arm() -> bool:
    return target()[0] == "aarch64"


def _intrinsic(builder: Any, name: str, result: Any, operands: list[Any]) -> Any:
    kind = ir.FunctionType(result, [o.type for o in operands])
    found = builder.module.globals.get(name)
    return builder.call(found or ir.Function(builder.module, kind, name), operands)


def _lane(builder: Any, vector: Any, index: int) -> Any:
    return builder.extract_element(vector, ir.Constant(WORD, index))


def _load(kind: Any) -> Emit:
    def emit(builder: Any, args: list[Any]) -> Any:
        return builder.load(builder.inttoptr(args[0], kind.as_pointer()), align=1)

    return emit


def _pair(builder: Any, low: Any, high: Any) -> Any:
    vector = builder.insert_element(ir.Constant(X2, ir.Undefined), low, ir.Constant(WORD, 0))
    return builder.insert_element(vector, high, ir.Constant(WORD, 1))


def _fourfold(builder: Any, args: list[Any]) -> Any:
    pair = _pair(builder, *args)
    return builder.shuffle_vector(pair, pair, ir.Constant(ir.VectorType(WORD, 8), [0, 1] * 4))


def _multiply_128(builder: Any, a: Any, b: Any, lane: int) -> Any:
    """Carry-less product of word ``lane`` of both."""
    if _arm():
        words = [_lane(builder, a, lane), _lane(builder, b, lane)]
        return builder.bitcast(_intrinsic(builder, "llvm.aarch64.neon.pmull64", B16, words), X2)
    chosen = ir.Constant(BYTE, 0x11 * lane)
    return _intrinsic(builder, "llvm.x86.pclmulqdq", X2, [a, b, chosen])


def _fold_128(builder: Any, args: list[Any]) -> Any:
    x, k, following = args
    low, high = _multiply_128(builder, x, k, 0), _multiply_128(builder, x, k, 1)
    return builder.xor(builder.xor(low, high), following)


def _fold_512(builder: Any, args: list[Any]) -> Any:
    x, k, following = args
    low, high = (_intrinsic(builder, "llvm.x86.pclmulqdq.512", X8, [x, k, ir.Constant(BYTE, c)]) for c in (0x00, 0x11))
    return builder.xor(builder.xor(low, high), following)


def _masked_load(builder: Any, address: Any, mask: Any) -> Any:
    """The bytes whose bit is set in an i64; the others are not touched, and zero."""
    bits = builder.bitcast(mask, ir.VectorType(BIT, 64))
    pointer = builder.inttoptr(address, B64.as_pointer())
    kind = ir.FunctionType(B64, [pointer.type, WORD, bits.type, B64])
    name = "llvm.masked.load.v64i8.p0"
    load = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.bitcast(builder.call(load, [pointer, ir.Constant(WORD, 1), bits, ir.Constant(B64, None)]), X8)


def _load_right(builder: Any, args: list[Any]) -> Any:
    address, count = args
    return _masked_load(builder, address, builder.shl(ir.Constant(LONG, -1), builder.sub(ir.Constant(LONG, 64), count)))


def _load_left(builder: Any, args: list[Any]) -> Any:
    address, count = args
    mask = builder.lshr(ir.Constant(LONG, -1), builder.sub(ir.Constant(LONG, 64), count))
    return _masked_load(builder, address, mask)


def _load_fourfold(builder: Any, args: list[Any]) -> Any:
    pair = builder.load(builder.inttoptr(args[0], X2.as_pointer()), align=1)
    return builder.shuffle_vector(pair, pair, ir.Constant(ir.VectorType(WORD, 8), [0, 1] * 4))


def _octet(builder: Any, args: list[Any]) -> Any:
    vector = ir.Constant(X8, ir.Undefined)
    for lane, word in enumerate(args):
        vector = builder.insert_element(vector, word, ir.Constant(WORD, lane))
    return vector


def _differs(builder: Any, args: list[Any]) -> Any:
    x, y, mask = args
    other = builder.and_(builder.xor(x, y), mask)
    lanes = builder.icmp_unsigned("!=", other, ir.Constant(X8, None))
    return builder.zext(builder.bitcast(lanes, BYTE), LONG)


def _load_swapped(builder: Any, args: list[Any]) -> Any:
    loaded = builder.load(builder.inttoptr(args[0], B16.as_pointer()), align=1)
    places = ir.Constant(ir.VectorType(WORD, 16), [7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8])
    return builder.bitcast(builder.shuffle_vector(loaded, loaded, places), X2)


def _chosen(sign: str) -> Emit:
    def emit(builder: Any, args: list[Any]) -> Any:
        return builder.select(builder.icmp_signed(sign, *args), *args)

    return emit


def _word(index: int) -> Emit:
    def emit(builder: Any, args: list[Any]) -> Any:
        return _lane(builder, args[0], index)

    return emit


def _quarter(index: int) -> Emit:
    def emit(builder: Any, args: list[Any]) -> Any:
        lanes = ir.Constant(ir.VectorType(WORD, 2), [2 * index, 2 * index + 1])
        return builder.shuffle_vector(args[0], args[0], lanes)

    return emit


def _last_lane(builder: Any, args: list[Any]) -> Any:
    """The fourth 128 bits, zeros before them."""
    lanes = ir.Constant(ir.VectorType(WORD, 8), [8, 9, 10, 11, 12, 13, 6, 7])
    return builder.shuffle_vector(args[0], ir.Constant(X8, None), lanes)


def _shifted(builder: Any, args: list[Any]) -> Any:
    """Moves a register's bytes up by ``count`` places, zeros in front (a 128-bit shift)."""
    vector, count = args
    wide = builder.bitcast(vector, WIDE)
    bits = builder.zext(builder.shl(count, ir.Constant(LONG, 3)), WIDE)
    return builder.bitcast(builder.shl(wide, bits), X2)


def _clmul(lane: int) -> Emit:
    def emit(builder: Any, args: list[Any]) -> Any:
        zero = ir.Constant(LONG, 0)
        a, b = (_pair(builder, word, zero) for word in args)
        return _lane(builder, _multiply_128(builder, a, b, 0), lane)

    return emit


def _step(castagnoli: bool, size: int) -> Emit:
    def emit(builder: Any, args: list[Any]) -> Any:
        state, data = args
        if _arm():
            name = f"llvm.aarch64.crc32{'c' if castagnoli else ''}{'x' if size == 8 else 'b'}"
            operands = [builder.trunc(state, WORD), data if size == 8 else builder.trunc(data, WORD)]
            return builder.zext(_intrinsic(builder, name, WORD, operands), LONG)
        if size == 8:
            return _intrinsic(builder, "llvm.x86.sse42.crc32.64.64", LONG, [state, data])
        operands = [builder.trunc(state, WORD), builder.trunc(data, BYTE)]
        return builder.zext(_intrinsic(builder, "llvm.x86.sse42.crc32.32.8", WORD, operands), LONG)

    return emit


def _shift_right(builder: Any, args: list[Any]) -> Any:
    return builder.lshr(args[0], args[1])


def shift_right(value: int, bits: int) -> int:
    """Logical shift of a 64-bit word."""
    return (value & (1 << 64) - 1) >> bits


lowered(shift_right, _shift_right, 2)
I = names.LONG  # noqa: E741 # reads like the signature it is
load_128 = _function("load_128", (R128, I), _load(X2))
load_512 = _function("load_512", (R512, I), _load(X8))
load_right = _function("load_right", (R512, I, I), _load_right)
"""(address - (64 - count), count): the last ``count`` (1..64) of these 64 bytes; the others are not touched, and zero."""
load_left = _function("load_left", (R512, I, I), _load_left)
"""(address, count): the first ``count`` (1..64) bytes there; the others are not touched, and zero."""
load_swapped = _function("load_swapped", (R128, I), _load_swapped)
"""Two big-endian words."""
load_fourfold = _function("load_fourfold", (R512, I), _load_fourfold)
"""Two words, four times."""
octet = _function("octet", (R512, *[I] * 8), _octet)
differs = _function("differs", (I, R512, R512, R512), _differs)
"""(x, y, mask): not 0 if they differ in a bit of the mask."""
lesser = _function("lesser", (R128, R128, R128), _chosen("<"))
greater = _function("greater", (R128, R128, R128), _chosen(">"))
"""Of two signed words each."""
pair = _function("pair", (R128, I, I), lambda b, a: _pair(b, *a))
fourfold = _function("fourfold", (R512, I, I), _fourfold)
masked_512 = _function("masked_512", (R512, R512, R512, R512), lambda b, a: b.xor(b.and_(a[0], a[1]), a[2]))
"""(x, mask, y): bits of the mask of x, changed where y has ones."""
xor_512 = _function("xor_512", (R512, R512, R512), lambda b, a: b.xor(*a))
xor_128 = _function("xor_128", (R128, R128, R128), lambda b, a: b.xor(*a))
fold_128 = _function("fold_128", (R128, R128, R128, R128), _fold_128)
"""(x, constant, following): x moved onto the register that follows it."""
fold_512 = _function("fold_512", (R512, R512, R512, R512), _fold_512)
quarters = tuple(_function(f"quarter_{i}", (R128, R512), _quarter(i)) for i in range(4))
words = tuple(_function(f"word_{i}", (I, R512), _word(i)) for i in range(8))
last_lane = _function("last_lane", (R512, R512), _last_lane)
shifted = _function("shifted", (R128, R128, I), _shifted)
low_word = _function("low_word", (I, R128), lambda b, a: _lane(b, a[0], 0))
high_word = _function("high_word", (I, R128), lambda b, a: _lane(b, a[0], 1))
clmul_low = _function("clmul_low", (I, I, I), _clmul(0))
clmul_high = _function("clmul_high", (I, I, I), _clmul(1))
crc32c_step = _function("crc32c_step", (I, I, I), _step(castagnoli=True, size=8))
crc32c_byte = _function("crc32c_byte", (I, I, I), _step(castagnoli=True, size=1))
crc32_step = _function("crc32_step", (I, I, I), _step(castagnoli=False, size=8))
crc32_byte = _function("crc32_byte", (I, I, I), _step(castagnoli=False, size=1))
