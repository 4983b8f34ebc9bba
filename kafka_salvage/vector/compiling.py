"""Compiler: numba's, without the work that nobody asks for: a function that only kernels call becomes no machine code by itself.

Strategy: Numba optimises every function, makes machine code of it and keeps that ready, each with copies of all that it calls.
Ours are `inner` to few kernels: here they stay as they were translated, and a kernel links each of them once, optimises
the whole and makes machine code of that alone. The same instructions come out, in two thirds of the time.

Everything here leans on Numba's inside. Where that has changed, `PIPELINES` says so, and Numba compiles in its own way.
"""

from __future__ import annotations

from typing import Any

from numba.core import compiler, typed_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_machinery import PassManager, register_pass

_base: Any = JITCodeLibrary
_lowering: Any = typed_passes.NativeLowering


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
    """A kernel with all that it calls, each once."""

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


def _lowering_into(library: Any, name: str) -> Any:
    """Numba's lowering pass, with another kind of library."""

    class Lowering(_lowering):  # type: ignore[misc] # numba is untyped
        _name = name

        def run_pass(self, state: Any) -> Any:
            state.library = library(state.targetctx.codegen(), state.func_id.func_qualname)
            state.library.enable_object_caching()
            return super().run_pass(state)

    return register_pass(mutates_CFG=True, analysis_only=False)(Lowering)


def _compiler_with(lowering: Any) -> Any:
    class Compiler(compiler.CompilerBase):
        def define_pipelines(self) -> list[Any]:
            manager = compiler.DefaultPassBuilder.define_nopython_pipeline(self.state)
            passes = [
                (lowering if step is typed_passes.NativeLowering else step, told) for step, told in manager.passes
            ]
            mine: Any = PassManager("kernels")
            mine.passes.extend(passes)
            mine.finalize()
            return [mine]

    return Compiler


_NEEDED = ("_raise_if_finalized", "_ensure_finalized", "add_linking_library", "finalize", "_optimize_final_module")
PIPELINES: tuple[Any, Any] | None = None
"""What compiles (kernels, functions that only kernels call); None: Numba's own way."""
if all(hasattr(_base, name) for name in _NEEDED):
    PIPELINES = (
        _compiler_with(_lowering_into(_Whole, "kernel_lowering")),
        _compiler_with(_lowering_into(_Part, "part_lowering")),
    )
