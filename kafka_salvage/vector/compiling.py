"""Compiler: a kernel's Python function made into an image, by Numba, without the work that nobody asks for.

Strategy: Numba optimises every function, makes machine code of it and keeps that ready, each with copies of all that it calls.
Ours are `inner` to few kernels: here they stay as they were translated, and a kernel links each of them once, optimises
the whole and makes machine code of that alone. Around it lies what the interpreter calls: integers are taken, the
interpreter's lock is given away, the kernel runs, an integer is given.

Importing this module imports Numba; that takes longer than most commands, so nothing but a missing kernel does. Everything here leans
on Numba's inside. Where that has changed, `PIPELINES` says so, and Numba compiles in its own way, and keeps nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba.core import cgutils, compiler, lowering, typed_passes, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.registry import cpu_target
from numba.core.targetconfig import ConfigStack
from numba.core.typing import npydecl
from numba.extending import lower_builtin, models, register_model, type_callable

from kafka_salvage.vector import image
from kafka_salvage.vector.linking import UnlinkableError, link
from kafka_salvage.vector.names import LONG, LOWERED, PARTS, VOID, Kind, Lowered

_base: Any = JITCodeLibrary
_native: Any = typed_passes.NativeLowering
_lower: Any = lowering.Lower
_njit: Any = numba.njit
_config: Any = numba.config
_BARE = {"boundscheck": False, "error_model": "numpy", "no_cfunc_wrapper": True}
_POINTER, _SIZE, _STATUS = ir.IntType(8).as_pointer(), ir.IntType(64), ir.IntType(32)


def disabled() -> bool:
    """Whether Numba is told to leave Python functions as they are."""
    return bool(_config.DISABLE_JIT)


def target_words() -> tuple[str, str, str]:
    """(triple, CPU name, features) that Numba compiles for."""
    triple, cpu, features = cpu_target.target_context.codegen().magic_tuple()
    return str(triple), str(cpu), str(features)


class _NoEnvironment:
    """A code generator for functions that have no environment: kernels need none, since they touch no Python object."""

    def __init__(self, codegen: Any) -> None:
        self._codegen = codegen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codegen, name)

    def set_env(self, _name: str, _environment: Any) -> None:
        """Nothing: there is no machine code that would have a place for it."""


class _Part(_base):  # type: ignore[misc] # numba is untyped
    """Code that is only linked into other code."""

    def _optimize_functions(self, ll_module: Any) -> None:
        """Nothing yet: the whole is optimised."""
        ll_module.data_layout = self._codegen._data_layout

    @property
    def codegen(self) -> Any:
        return _NoEnvironment(self._codegen)

    def add_linking_library(self, library: Any) -> None:
        self._linking_libraries.append(library)

    def finalize(self) -> None:
        """Leaves everything to who links it."""
        self._raise_if_finalized()
        self._final_module.verify()
        self._finalized = True

    def get_pointer_to_function(self, _name: str) -> int:
        return 0


class _Whole(_base):  # type: ignore[misc] # numba is untyped
    """A kernel with all that it calls, each once; its machine code is left to who asks."""

    def _optimize_functions(self, ll_module: Any) -> None:
        """Nothing yet: the whole is optimised."""
        ll_module.data_layout = self._codegen._data_layout

    @property
    def codegen(self) -> Any:
        return _NoEnvironment(self._codegen)

    def add_linking_library(self, library: Any) -> None:
        if library in self._linking_libraries:
            return
        library._ensure_finalized()
        self._linking_libraries.append(library)
        if isinstance(library, _Part):
            for other in library._linking_libraries:
                self.add_linking_library(other)

    def _optimize_final_module(self) -> None:
        """Once: Numba's first, cheaper pass is for reference counts, of which there are none."""
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)

    def _finalize_final_module(self) -> None:
        self._finalized = True

    def get_pointer_to_function(self, _name: str) -> int:
        self._ensure_finalized()
        return 0

    def object_code(self) -> bytes:
        """What a linker takes, for any place in memory."""
        _, cpu, features = target_words()
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=cpu, features=features, opt=int(_config.OPT), reloc="pic", codemodel="small"
        )
        return bytes(machine.emit_object(self._final_module))


class _Lower(_lower):  # type: ignore[misc] # numba is untyped
    """Numba's lowering, with our own function for the interpreter instead of its wrapper."""

    def create_cpython_wrapper(self, release_gil: bool = False) -> None:
        self.library.add_ir_module(_entry(self.context, self.fndesc))


def _entry(context: Any, fndesc: Any) -> Any:
    """A module with the function that the interpreter calls: ``(self, arguments, how many) -> object``."""
    module = context.create_module("entry")
    kind = ir.FunctionType(_POINTER, [_POINTER, _POINTER.as_pointer(), _SIZE])
    entry = ir.Function(module, kind, image.ENTRY)
    builder = ir.IRBuilder(entry.append_basic_block())
    outside = functools.partial(_call, builder)
    none = ir.Constant(_POINTER, None)
    _, given, count = entry.args
    with builder.if_then(builder.icmp_signed("!=", count, ir.Constant(_SIZE, len(fndesc.argtypes))), likely=False):
        outside("PyErr_BadArgument", _STATUS)
        builder.ret(none)
    words = []
    for at in range(len(fndesc.argtypes)):
        argument = builder.load(builder.gep(given, [ir.Constant(_SIZE, at)]))
        words.append(outside("PyLong_AsLongLong", _SIZE, argument))
    failed = functools.reduce(
        builder.or_,
        [builder.icmp_signed("==", w, ir.Constant(_SIZE, -1)) for w in words],
        ir.Constant(ir.IntType(1), 0),
    )
    with builder.if_then(failed, likely=False):
        error = outside("PyErr_Occurred", _POINTER)
        with builder.if_then(cgutils.is_not_null(builder, error), likely=False):
            builder.ret(none)
    function = context.declare_function(module, fndesc)
    function.linkage = "external"
    lock = outside("PyEval_SaveThread", _POINTER)
    _, value = context.call_conv.call_function(builder, function, fndesc.restype, fndesc.argtypes, words)
    outside("PyEval_RestoreThread", ir.VoidType(), lock)
    if fndesc.restype == types.none:
        nothing = ir.GlobalVariable(module, ir.IntType(64), "_Py_NoneStruct")
        nothing.linkage = "external"
        pointer = builder.bitcast(nothing, _POINTER)
        outside("Py_IncRef", ir.VoidType(), pointer)
        builder.ret(pointer)
    elif fndesc.restype == types.boolean:
        builder.ret(outside("PyBool_FromLong", _POINTER, builder.zext(value, _SIZE)))
    else:
        wide = context.cast(builder, value, fndesc.restype, types.int64)
        builder.ret(outside("PyLong_FromLongLong", _POINTER, wide))
    return module


def _call(builder: Any, name: str, result: Any, *operands: Any) -> Any:
    kind = ir.FunctionType(result, [each.type for each in operands])
    return builder.call(builder.module.globals.get(name) or ir.Function(builder.module, kind, name), operands)


def _lowering_into(library: Any, name: str, way: Any) -> Any:
    """Numba's lowering pass, with another kind of library."""

    class Lowering(_native):  # type: ignore[misc] # numba is untyped
        _name = name

        @property
        def lowering_class(self) -> Any:
            return way

        def run_pass(self, state: Any) -> Any:
            state.library = library(state.targetctx.codegen(), state.func_id.func_qualname)
            state.library.enable_object_caching()
            return super().run_pass(state)

    return register_pass(mutates_CFG=True, analysis_only=False)(Lowering)


_IDLE_PASSES = frozenset(
    (
        "WithLifting",
        "InlineClosureLikes",
        "RewriteDynamicRaises",
        "MakeFunctionToJitFunction",
        "InlineInlinables",
        "FindLiterallyCalls",
        "LiteralUnroll",
        "LiteralPropagationSubPipelinePass",
        "InlineOverloads",
        "NopythonRewrites",
        "NoPythonSupportedFeatureValidation",
        "DumpParforDiagnostics",
    )
)
"""Steps of Numba that look for what no kernel has: arrays, closures, ``with``, exceptions, literals to unroll."""


class _Steps(PassManager):
    """Numba's steps, without looking everything over after each of them."""

    _ENFORCING = False


def _compiler_with(lowering_pass: Any) -> Any:
    class Compiler(compiler.CompilerBase):
        def define_pipelines(self) -> list[Any]:
            manager = compiler.DefaultPassBuilder.define_nopython_pipeline(self.state)
            mine: Any = _Steps("kernels")
            known: set[Any] = set()
            for step, told in manager.passes:
                if step.__name__ not in _IDLE_PASSES and step not in known:  # one of them prunes dead branches thrice
                    known.add(step)
                    mine.passes.append((lowering_pass if step is typed_passes.NativeLowering else step, told))
            mine.finalize()
            return [mine]

    return Compiler


def _scalars_first() -> None:
    """Lets Numba not ask its rules for arrays about integers: they would go through all kinds of numbers each time, in vain."""
    rules: Any = npydecl.NumpyRulesArrayOperator
    asked = rules.generic

    def generic(self: Any, args: Any, kws: Any) -> Any:
        return None if all(isinstance(each, types.Number) for each in args) else asked(self, args, kws)

    rules.generic = generic


def _asked_once() -> None:
    """Lets Numba keep what a builtin gives for arguments, and for a caller inlined by force or not, rather than look again."""
    builtin: Any = types.BaseFunction
    asked, known = builtin.get_call_type, {}

    def get_call_type(self: Any, context: Any, args: Any, kws: Any) -> Any:
        told = ConfigStack.top_or_none()
        if kws or told is None or not hasattr(self, "_impl_keys"):
            return asked(self, context, args, kws)
        question = self, context, args, told.forceinline, told.release_gil, told.no_cpython_wrapper
        if question not in known:
            found = asked(self, context, args, kws)
            known[question] = found, self._impl_keys[found.args]
        found, self._impl_keys[found.args] = known[question]
        return found

    builtin.get_call_type = get_call_type


if hasattr(npydecl, "NumpyRulesArrayOperator"):
    _scalars_first()
if hasattr(types, "BaseFunction"):
    _asked_once()
_NEEDED = (
    "_raise_if_finalized",
    "_ensure_finalized",
    "add_linking_library",
    "finalize",
    "_optimize_final_module",
    "_finalize_final_module",
)
PIPELINES: tuple[Any, Any] | None = None
"""What compiles (kernels, functions that only kernels call); None: Numba's own way."""
if all(hasattr(_base, name) for name in _NEEDED) and hasattr(_lower, "create_cpython_wrapper"):
    PIPELINES = (
        _compiler_with(_lowering_into(_Whole, "kernel_lowering", _Lower)),
        _compiler_with(_lowering_into(_Part, "part_lowering", _lower)),
    )


def _pipeline(which: int) -> dict[str, Any]:
    return {} if PIPELINES is None else {"pipeline_class": PIPELINES[which]}


def _type_of(kind: Kind) -> Any:
    """Numba's type for a kind of value: a register gets one of its own."""
    if kind in _TYPES:
        return _TYPES[kind]

    class Register(types.Type):
        def __init__(self) -> None:
            super().__init__(name=kind.name)

    class Model(models.PrimitiveModel):
        def __init__(self, manager: Any, frontend: Any) -> None:
            super().__init__(manager, frontend, kind.vector)

    register_model(Register)(Model)
    _TYPES[kind] = Register()
    return _TYPES[kind]


_TYPES: dict[Kind, Any] = {LONG: types.int64, VOID: types.none}
_TYPERS: tuple[Callable[[Any], Any], ...] = (
    lambda result: lambda: result,
    lambda result: lambda a: result,
    lambda result: lambda a, b: result,
    lambda result: lambda a, b, c: result,
    lambda result: lambda a, b, c, d: result,
    lambda result: lambda a, b, c, d, e: result,
    lambda result: lambda a, b, c, d, e, f: result,
    lambda result: lambda a, b, c, d, e, f, g: result,
    lambda result: lambda a, b, c, d, e, f, g, h: result,
)


def _teach(told: Lowered) -> None:
    """Tells Numba what stands in a kernel where a function is called."""
    result = _type_of(told.result)

    def typing(context: Any) -> Any:
        return _TYPERS[len(told.operands)](result)

    def lower(context: Any, builder: Any, given: Any, args: Any) -> Any:
        pairs = zip(args, given.args, told.operands, strict=True)
        words = [context.cast(builder, a, t, types.int64) if kind is LONG else a for a, t, kind in pairs]
        made = told.emit(builder, words)
        return context.get_dummy_value() if told.result is VOID else made

    type_callable(told.function)(typing)
    lower_builtin(told.function, *[types.Integer if kind is LONG else _type_of(kind) for kind in told.operands])(lower)


def _once(made: Any) -> Any:
    """Compiles a function once for integers: Numba would do it again for each constant that is passed to it."""
    template = made.get_call_template

    def get_call_template(args: Any, kws: Any) -> Any:
        return template(tuple(types.unliteral(a) for a in args), {k: types.unliteral(a) for k, a in kws.items()})

    made.get_call_template = get_call_template
    return made


_learned: list[Any] = []
"""What the type of a function refers to only weakly."""


def _learn() -> None:
    """Takes in what modules have told since the last time."""
    while LOWERED:
        _teach(LOWERED.pop())
    while PARTS:
        function, forced = PARTS.pop()
        how = {"forceinline": True} if forced else {}
        made = _once(_njit(**how, **_BARE, no_cpython_wrapper=True, **_pipeline(1))(function))
        function.__dict__["_numba_type_"] = types.Dispatcher(made)
        _learned.append(made)


def compile_image(function: Callable[..., Any]) -> bytes:
    """The image of a kernel.

    Raises:
        UnlinkableError: Numba is another than this was written for.
    """
    if PIPELINES is None:
        raise UnlinkableError("numba is another")
    _learn()
    made = _njit(nogil=True, **_BARE, **_pipeline(0))(function)
    compiled = made._compiler.compile((types.int64,) * function.__code__.co_argcount, None)
    data = compiled.library.object_code()
    try:
        return link(data)
    except UnlinkableError:
        return image.pack_object(data)


def compile_here(function: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel as Numba compiles it by itself; kept nowhere."""
    _learn()
    made: Callable[..., Any] = _njit(nogil=True, **_BARE)(function)
    return made
