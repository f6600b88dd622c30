"""Outputs of a graph as machine code over all lanes, made by LLVM: the compiled tier of kernels.

It needs llvmlite (`pip install 'optdsl[jit]'`) and a processor with fused multiplication. Arithmetic has the bits of
the NumPy tier: nothing is reordered or contracted, nan and infinity are kept. Functions are those of `native_math`;
what has no form there is computed by NumPy between two stages of machine code.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from optdsl.engine.graph import Graph
from optdsl.engine.native_math import FORMS, Lines, constant

BLOCK = 4096
"""Lanes that are worked at once where NumPy takes part."""
SWITCH = "OPTDSL_JIT"
"""The environment variable: `0` never compiles, `always` compiles at the first evaluation."""

# Estimates, in seconds, for choosing between the tiers. They are constants, so that equal runs stay equal.
_IMPORT = 0.01
_COMPILE = 0.01
_COMPILE_OPERATION = 0.0002
_COMPILE_FUNCTION = 0.006
_NUMPY_CALL = 6e-7
_NUMPY_ENTRY = 4e-10
_NUMPY_FUNCTION = 4e-9

_ARITHMETIC = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_INTRINSICS = "".join(
    f"declare double @llvm.{name}.f64({', '.join(['double'] * count)})\n"
    for name, count in {"fma": 3, "sqrt": 1, "fabs": 1, "floor": 1, "ceil": 1, "copysign": 2}.items()
)

Function = Callable[..., np.ndarray]


def available() -> bool:
    """Whether kernels can be compiled here: llvmlite is installed, the processor fits, it is not switched off."""
    return os.environ.get(SWITCH) != "0" and _llvm() is not None


def tiers() -> str:
    """Which tiers kernels have here, and why, as a phrase."""
    if os.environ.get(SWITCH) == "0":
        return f"NumPy; {SWITCH} is 0, so that none is compiled"
    if not available():
        return "NumPy; `pip install 'optdsl[jit]'` compiles those that are used much"
    if os.environ.get(SWITCH) == "always":
        return f"machine code, as {SWITCH} is `always`"
    return "NumPy at first; one that has cost as much as compiling it is compiled to machine code"


@cache
def _llvm() -> Any:
    """llvmlite's binding, made ready; None where there is none."""
    try:
        from llvmlite import binding
    except ImportError:
        return None
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    if platform.machine().lower() in ("x86_64", "amd64"):
        return binding if binding.get_host_cpu_features().get("fma") else None
    return binding if platform.machine().lower() in ("arm64", "aarch64") else None


@dataclass(frozen=True)
class Price:
    """What kernels cost, in seconds: `compile` once; by NumPy `call` for each call, and `lane` for each lane."""

    compile: float
    call: float
    lane: float


def price(graph: Graph, outputs: Sequence[int]) -> Price:
    """Estimates from the operations."""
    nodes = [graph.ops[node] for node in graph.below(outputs)]
    plain = sum(op[0] in _ARITHMETIC or op[0] in ("neg", "select") for op in nodes)
    functions = sum(op[0] == "apply" for op in nodes)
    native = sum(op[0] == "apply" and op[1] in FORMS for op in nodes)
    compiling = _IMPORT + _COMPILE + _COMPILE_OPERATION * plain + _COMPILE_FUNCTION * native
    # only what becomes machine code is saved
    return Price(compiling, _NUMPY_CALL * (plain + functions), _NUMPY_ENTRY * plain + _NUMPY_FUNCTION * native)


@dataclass(frozen=True)
class _Stage:
    """Machine code from leaves (slots and results of NumPy) to outputs; `entry` answers 1 where a sine was too far."""

    leaves: tuple[int, ...]
    outputs: tuple[int, ...]
    entry: Any
    engine: Any  # owns the code

    def run(self, known: Mapping[int, np.ndarray], targets: Sequence[np.ndarray], lanes: int) -> bool:
        """Whether it could be done; arrays are contiguous."""
        pointers = [known[leaf].__array_interface__["data"][0] for leaf in self.leaves]
        pointers += [target.__array_interface__["data"][0] for target in targets]
        return not self.entry((ctypes.c_void_p * len(pointers))(*pointers), lanes)


@dataclass(frozen=True)
class Native:
    """Compiled stages with, after each but the last, the functions that NumPy computes from its outputs."""

    graph: Graph
    outputs: tuple[int, ...]
    stages: tuple[_Stage, ...]
    calls: tuple[tuple[tuple[int, Function], ...], ...]

    def __call__(self, slots: Sequence[np.ndarray], lanes: int, out: np.ndarray) -> bool:
        """The outputs (count, lanes) into `out`, whose rows are contiguous; whether it could be done."""
        for k, node in enumerate(self.outputs):
            number = self.graph.value(node)
            if number is not None:
                out[k] = number
        if len(self.stages) == 1:
            return self._block(slots, lanes, out)
        blocks = range(0, lanes, BLOCK)
        parts = (slice(first, min(first + BLOCK, lanes)) for first in blocks)
        return all(self._block([s[p] for s in slots], p.stop - p.start, out[:, p]) for p in parts)

    def _block(self, slots: Sequence[np.ndarray], lanes: int, out: np.ndarray) -> bool:
        known: dict[int, np.ndarray] = {}
        ops = self.graph.ops
        for stage, calls in zip(self.stages, self.calls, strict=True):
            for leaf in stage.leaves:
                if leaf not in known:
                    known[leaf] = np.ascontiguousarray(slots[ops[leaf][1]], dtype=np.float64)
            if stage is self.stages[-1]:
                return stage.run(known, [out[k] for k, n in enumerate(self.outputs) if n in stage.outputs], lanes)
            made = {node: np.empty(lanes) for node in stage.outputs}
            if stage.outputs and not stage.run(known, list(made.values()), lanes):
                return False
            for node, function in calls:
                arguments = [self._argument(a, known, made, slots) for a in self.graph.arguments(node)]
                known[node] = np.ascontiguousarray(function(*arguments), dtype=np.float64)
        raise AssertionError("the last stage answers")

    def _argument(
        self, node: int, known: Mapping[int, np.ndarray], made: Mapping[int, np.ndarray], slots: Sequence[np.ndarray]
    ) -> np.ndarray | float:
        if node in made:
            return made[node]
        if node in known:
            return known[node]
        op = self.graph.ops[node]
        return slots[op[1]] if op[0] == "slot" else float(op[1])


def compiled(graph: Graph, outputs: Sequence[int], function_named: Callable[[str], Function]) -> Native | None:
    """The outputs as machine code; None where it cannot be had. `function_named` gives NumPy's functions by name."""
    wanted_by_code = [n for n in outputs if graph.value(n) is None]
    if not available() or not wanted_by_code:
        return None
    depth: dict[int, int] = {}
    foreign: list[list[int]] = []
    for node in graph.below(outputs):
        op = graph.ops[node]
        depth[node] = max((depth[a] for a in graph.arguments(node)), default=0)
        if op[0] == "apply" and op[1] not in FORMS:
            foreign.extend([] for _ in range(depth[node] + 1 - len(foreign)))
            foreign[depth[node]].append(node)
            depth[node] += 1
    results = frozenset(node for level in foreign for node in level)
    stages, calls = [], []
    for level in foreign:
        wanted = {a for node in level for a in graph.arguments(node)}
        computed = [a for a in sorted(wanted - results) if graph.ops[a][0] not in ("const", "slot")]
        stages.append(_stage(graph, computed, results))
        calls.append(tuple((node, function_named(graph.ops[node][1])) for node in level))
    # a result that is an output, too, is copied by the last stage
    stages.append(_stage(graph, wanted_by_code, results))
    return Native(graph, tuple(outputs), tuple(stages), (*calls, ()))


def _stage(graph: Graph, outputs: Sequence[int], results: frozenset[int]) -> _Stage:
    order = _below(graph, outputs, results)
    leaves = tuple(n for n in order if n in results or graph.ops[n][0] == "slot")
    if not outputs:
        return _Stage((), (), None, None)
    text = _module(graph, order, leaves, outputs)
    engine = _machine_code(text)
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)
    return _Stage(leaves, tuple(outputs), kind(engine.get_function_address("entry")), engine)


def _below(graph: Graph, outputs: Sequence[int], results: frozenset[int]) -> list[int]:
    """All nodes that outputs are computed from, down to slots and to results of NumPy."""
    seen: set[int] = set()
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            if node not in results:
                stack.extend(graph.arguments(node))
    return sorted(seen)


def _module(graph: Graph, order: Sequence[int], leaves: Sequence[int], outputs: Sequence[int]) -> str:
    """LLVM's text: `body` with an argument for each array, and `entry`, which takes the arrays' addresses as a list."""
    code = Lines()
    names: dict[int, str] = {}
    for place, node in enumerate(leaves):
        address = code.line(f"getelementptr inbounds double, ptr %a{place}, i64 %i")
        names[node] = code.line(f"load double, ptr {address}, align 8")
    for node in order:
        if node not in names:
            names[node] = _operation(code, graph.ops[node], [names[a] for a in graph.arguments(node)])
    for place, node in enumerate(outputs, len(leaves)):
        address = code.line(f"getelementptr inbounds double, ptr %a{place}, i64 %i")
        code.text.append(f"  store double {names[node]}, ptr {address}, align 8")
    far = "%before"
    for flag in code.far:
        far = code.line(f"or i32 {far}, {code.line(f'zext i1 {flag} to i32')}")
    count = len(leaves) + len(outputs)
    parameters = "".join(f"ptr noalias %a{k}, " for k in range(count))
    loads = "".join(
        f"  %p{k} = getelementptr ptr, ptr %list, i64 {k}\n  %a{k} = load ptr, ptr %p{k}\n" for k in range(count)
    )
    handed = "".join(f"ptr %a{k}, " for k in range(count))
    body = "\n".join(code.text)
    return (
        f"{_INTRINSICS}\n"
        f"define internal i32 @body({parameters}i64 %n) noinline nounwind {{\nstart:\n  br label %loop\nloop:\n"
        "  %i = phi i64 [0, %start], [%next, %loop]\n  %before = phi i32 [0, %start], [%after, %loop]\n"
        f"{body}\n  %after = or i32 {far}, 0\n"
        "  %next = add nuw nsw i64 %i, 1\n  %done = icmp eq i64 %next, %n\n"
        "  br i1 %done, label %end, label %loop\nend:\n  ret i32 %after\n}\n"
        f"define i32 @entry(ptr %list, i64 %n) nounwind {{\n{loads}"
        f"  %r = call i32 @body({handed}i64 %n)\n  ret i32 %r\n}}\n"
    )


def _operation(code: Lines, op: tuple[Any, ...], arguments: Sequence[str]) -> str:
    kind = op[0]
    if kind == "const":
        return constant(op[1])
    if kind in _ARITHMETIC:
        return code.f(_ARITHMETIC[kind], *arguments)
    if kind == "neg":
        return code.neg(arguments[0])
    if kind == "select":
        return code.select(code.test("ogt", arguments[0], constant(0.0)), arguments[1], arguments[2])
    return FORMS[op[1]](code, *arguments)


def _machine_code(text: str) -> Any:
    llvm = _llvm()
    module = llvm.parse_assembly(text)
    features = llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_default_triple()
    machine = target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=3, jit=True)
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = tuning.slp_vectorization = True
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine
