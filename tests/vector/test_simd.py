"""The IR for the other architecture is valid and comes to the instructions that it is meant to come to."""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
import pytest
from llvmlite import ir

from kafka_salvage.vector import simd
from kafka_salvage.vector.names import Emit
from kafka_salvage.vector.pointers import LONG


def assembly(monkeypatch: pytest.MonkeyPatch, emit: Emit, kinds: list[Any], result: Any) -> str:
    monkeypatch.setattr(simd, "target", lambda: ("aarch64", "neoverse-n1", frozenset({"crc", "aes"})))
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = ir.Module("try")
    module.triple = "aarch64-unknown-linux-gnu"
    function = ir.Function(module, ir.FunctionType(result, kinds), "tried")
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(emit(builder, list(function.args)))
    try:
        target = llvm.Target.from_triple(module.triple)
    except RuntimeError:
        pytest.skip("this LLVM compiles for no other architecture")
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    machine = target.create_target_machine(cpu="neoverse-n1", features="+crc,+aes")
    return str(machine.emit_assembly(parsed))


@pytest.mark.parametrize(
    ("castagnoli", "size", "instruction"),
    [(True, 8, "crc32cx"), (True, 1, "crc32cb"), (False, 8, "crc32x"), (False, 1, "crc32b")],
)
def test_crc_instructions_on_aarch64(
    monkeypatch: pytest.MonkeyPatch, castagnoli: bool, size: int, instruction: str
) -> None:
    emit = simd._step(castagnoli=castagnoli, size=size)
    assert f"\t{instruction}\t" in assembly(monkeypatch, emit, [LONG, LONG], LONG)


def test_folding_on_aarch64_is_two_carryless_products(monkeypatch: pytest.MonkeyPatch) -> None:
    text = assembly(monkeypatch, simd._fold_128, [simd.X2] * 3, simd.X2)
    assert text.count("\tpmull") == 2


def test_registers_exist_in_kernels_only() -> None:
    with pytest.raises(NotImplementedError):  # plain Python has no vector registers to load into
        simd.load_512(0)
