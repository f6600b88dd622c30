"""Outputs of a graph as straight-line NumPy code over all lanes, worked in blocks that stay in cache.

The code is made once from the operations, with as few work arrays as the order of computation allows. One lane alone
is computed with Python's floats, which is faster than arrays of one entry. A kernel that has cost as much as compiling
it is compiled (`optdsl.engine.native`), where that is possible; so the whole costs at most twice the better choice.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import special

from optdsl.atoms import ENTRIES
from optdsl.engine.graph import Graph
from optdsl.engine.native import SWITCH, Native, compiled, price

BLOCK = 8192
"""Lanes that are worked at once: a dozen work arrays of this length stay in the cache of a core."""

_ARITHMETIC = {"add": "np.add", "sub": "np.subtract", "mul": "np.multiply", "div": "np.divide"}
_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}

# NumPy's own functions where they answer like the kernel of the row, nan or infinite outside the domain.
NUMPY = {
    "exp": "np.exp", "log": "np.log", "log10": "np.log10", "log2": "np.log2", "log1p": "np.log1p",
    "expm1": "np.expm1", "sinh": "np.sinh", "cosh": "np.cosh", "tanh": "np.tanh", "sqrt": "np.sqrt",
    "sin": "np.sin", "cos": "np.cos", "tan": "np.tan", "asin": "np.arcsin", "acos": "np.arccos",
    "atan": "np.arctan", "atan2": "np.arctan2", "abs": "np.abs", "hypot": "np.hypot", "sigmoid": "special.expit",
    "erf": "special.erf", "sign": "np.sign", "floor": "np.floor", "ceil": "np.ceil", "max": "np.maximum",
    "min": "np.minimum", "cbrt": "np.cbrt",
}  # fmt: skip
_PYTHON = {
    "exp": "math.exp", "log": "math.log", "log10": "math.log10", "log2": "math.log2", "log1p": "math.log1p",
    "expm1": "math.expm1", "sinh": "math.sinh", "cosh": "math.cosh", "tanh": "math.tanh", "sqrt": "math.sqrt",
    "sin": "math.sin", "cos": "math.cos", "tan": "math.tan", "asin": "math.asin", "acos": "math.acos",
    "atan": "math.atan", "atan2": "math.atan2", "abs": "abs", "hypot": "math.hypot", "erf": "math.erf",
}  # fmt: skip

Compiled = Callable[[Sequence[np.ndarray], np.ndarray, list[np.ndarray]], None]
Scalar = Callable[[Sequence[float]], tuple[float, ...]]


class Kernel:
    """Computes several outputs of a graph over lanes; `outputs` may be constants."""

    def __init__(self, graph: Graph, outputs: Sequence[int]) -> None:
        self.count = len(outputs)
        self.constants = {k: graph.value(node) for k, node in enumerate(outputs) if graph.value(node) is not None}
        self._graph, self._outputs = graph, tuple(outputs)
        self._code: tuple[Compiled, int] | None = None
        self._scalar: Scalar | None = None
        self._native: Native | None = None
        self._price = price(graph, outputs)
        self._left = 0.0 if os.environ.get(SWITCH) == "always" else self._price.compile
        """Seconds of NumPy, as estimated, before the kernel is compiled; infinite where it cannot be."""

    def __call__(self, slots: Sequence[np.ndarray], lanes: int, out: np.ndarray | None = None) -> np.ndarray:
        """The outputs (count, lanes), from slots of (lanes,) each."""
        if out is None:
            out = np.empty((self.count, lanes))
        if not self.count or not lanes:
            return out
        if lanes == 1 and self._one_lane(slots, out):
            return out
        if out.strides[1] == out.itemsize:
            native = self._compiled(lanes)
            if native is not None and native(slots, lanes, out):
                return out
        if self._code is None:
            self._code = _vector_code(self._graph, self._outputs)
        code, buffers = self._code
        work = [np.empty(min(lanes, BLOCK)) for _ in range(buffers)]
        if lanes <= BLOCK:
            code(slots, out, work)
            return out
        for first in range(0, lanes, BLOCK):
            part = slice(first, first + BLOCK)
            size = min(BLOCK, lanes - first)
            views = work if size == BLOCK else [w[:size] for w in work]
            code([s[part] for s in slots], out[:, part], views)
        return out

    def _compiled(self, lanes: int) -> Native | None:
        """The machine code: it is made once NumPy has cost as much."""
        if self._native is not None:
            return self._native
        self._left -= self._price.call + self._price.lane * lanes
        if self._left <= 0:
            self._native = compiled(self._graph, self._outputs, function_named)
            self._left = math.inf
        return self._native

    def _one_lane(self, slots: Sequence[np.ndarray], out: np.ndarray) -> bool:
        """Whether Python's floats could do it: they raise where arrays answer nan or infinity."""
        if self._scalar is None:
            self._scalar = scalar_code(self._graph, self._outputs)
        try:
            out[:, 0] = self._scalar([s[0] for s in slots])
        except (ArithmeticError, ValueError):
            return False
        return True


def function_named(name: str) -> Callable[..., Any]:
    """NumPy's function where there is one, else the kernel of the row."""
    path = NUMPY.get(name)
    if path is None:
        return ENTRIES[name].kernel
    module, attribute = path.split(".")
    return getattr({"np": np, "special": special}[module], attribute)  # type: ignore[no-any-return]


def _vector_code(graph: Graph, outputs: Sequence[int]) -> tuple[Compiled, int]:
    """The function over one block, and how many work arrays it takes."""
    order = graph.below(outputs)
    last: dict[int, int] = {}
    for place, node in enumerate(order):
        for argument in graph.arguments(node):
            last[argument] = place
    wanted: dict[int, list[int]] = {}
    for k, node in enumerate(outputs):
        wanted.setdefault(node, []).append(k)
    names: dict[int, str] = {}
    free: list[int] = []
    held: dict[int, int] = {}
    buffers = 0
    lines: list[str] = []
    kernels: dict[str, Any] = {}
    for place, node in enumerate(order):
        op = graph.ops[node]
        if op[0] == "const":
            names[node] = _literal(op[1])
        elif op[0] == "slot":
            names[node] = f"s[{op[1]}]"
        else:
            arguments = [names[a] for a in graph.arguments(node)]
            # a buffer whose last reader is this operation may take its result: ufuncs allow that
            for argument in graph.arguments(node):
                if argument in held and last[argument] == place:
                    free.append(held.pop(argument))
            if node in wanted and node not in last:
                target = f"o[{wanted[node][0]}]"
            else:
                if free:
                    number = free.pop()
                else:
                    number, buffers = buffers, buffers + 1
                held[node] = number
                target = f"w[{number}]"
            lines.append(_statement(op, arguments, target, kernels))
            names[node] = target
        for k in wanted.get(node, ()):
            if names[node] != f"o[{k}]":
                lines.append(f"o[{k}][...] = {names[node]}")
    scope: dict[str, Any] = {"np": np, "special": special, **kernels}
    text = "def code(s, o, w):\n" + "".join(f"    {line}\n" for line in lines or ["pass"])
    exec(compile(text, "<kernel>", "exec"), scope)  # the text is made above from the graph alone
    return scope["code"], buffers


def _literal(number: float) -> str:
    if math.isnan(number):
        return "np.nan"
    if math.isinf(number):
        return "np.inf" if number > 0 else "(-np.inf)"
    return f"({number!r})"


def _statement(op: tuple[Any, ...], arguments: list[str], target: str, kernels: dict[str, Any]) -> str:
    kind = op[0]
    if kind in _ARITHMETIC:
        if kind == "mul" and arguments[0] == arguments[1]:
            return f"np.square({arguments[0]}, {target})"
        return f"{_ARITHMETIC[kind]}({arguments[0]}, {arguments[1]}, {target})"
    if kind == "neg":
        return f"np.negative({arguments[0]}, {target})"
    if kind == "select":
        return f"{target}[...] = np.where(np.greater({arguments[0]}, 0.0), {arguments[1]}, {arguments[2]})"
    name = op[1]
    if name in NUMPY:
        return f"{NUMPY[name]}({', '.join(arguments)}, out={target})"
    kernels[f"f_{name}"] = ENTRIES[name].kernel
    return f"{target}[...] = f_{name}({', '.join(arguments)})"


def scalar_code(graph: Graph, outputs: Sequence[int]) -> Scalar:
    """The function of one lane, in Python's floats; raises where the value is no finite number."""
    lines: list[str] = []
    names: dict[int, str] = {}
    kernels: dict[str, Any] = {}
    for node in graph.below(outputs):
        op = graph.ops[node]
        if op[0] == "const":
            names[node] = f"({op[1]!r})" if math.isfinite(op[1]) else f"math.{op[1]}".replace(".-inf", ".inf*-1.0")
            continue
        names[node] = f"t{node}"
        arguments = [names[a] for a in graph.arguments(node)]
        if op[0] == "slot":
            text = f"float(s[{op[1]}])"
        elif op[0] in _SIGNS:
            text = f"{arguments[0]} {_SIGNS[op[0]]} {arguments[1]}"
        elif op[0] == "neg":
            text = f"-{arguments[0]}"
        elif op[0] == "select":
            text = f"{arguments[1]} if {arguments[0]} > 0.0 else {arguments[2]}"
        elif op[1] in _PYTHON:
            text = f"{_PYTHON[op[1]]}({', '.join(arguments)})"
        elif op[1] == "pow":
            text = f"math.pow({', '.join(arguments)})"
        else:
            kernels[f"f_{op[1]}"] = ENTRIES[op[1]].kernel
            text = f"float(f_{op[1]}({', '.join(arguments)}))"
        lines.append(f"    {names[node]} = {text}\n")
    result = "".join(f"{names[node]}, " for node in outputs)
    scope: dict[str, Any] = {"math": math, **kernels}
    text = "def code(s):\n" + "".join(lines) + f"    return ({result})\n"
    exec(compile(text, "<kernel>", "exec"), scope)  # the text is made above from the graph alone
    found: Scalar = scope["code"]
    return found
