"""Outputs of a tensor graph as straight-line NumPy code with buffers made once for each number of members at hand.

Elementwise operations, sums and matrix products write into their buffers; nothing is allocated while batches of the
same size go by, but for what NumPy needs inside. A buffer is used again as soon as its last reader is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import special

from optdsl.atoms import ENTRIES
from optdsl.engine.kernel import NUMPY
from optdsl.training.graph import BATCH, ELEMENTWISE, LEAVES, VIEWS, Shape, TensorGraph


@dataclass(frozen=True, eq=False)
class Numbers:
    """An array of the data. `batched`: its first axis runs over lanes; `lane_of` gives a member's (None: its own)."""

    values: np.ndarray
    batched: bool
    lane_of: np.ndarray | None = None

    @property
    def whole(self) -> bool:
        """Whether it holds positions rather than numbers to compute with."""
        return self.values.dtype.kind in "iu"

    def at(self, batch: np.ndarray | slice, dtype: np.dtype, buffer: np.ndarray | None) -> np.ndarray:
        """The part for a batch of members, as `dtype`; positions stay whole numbers."""
        lanes: Any = batch if self.lane_of is None else self.lane_of[batch]
        if isinstance(lanes, slice):
            part = self.values[lanes]
        elif buffer is not None and buffer.dtype == self.values.dtype:
            return np.take(self.values, lanes, axis=0, out=buffer, mode="clip")
        else:
            part = self.values[lanes]
        return part if self.whole or part.dtype == dtype else part.astype(dtype)


@dataclass(eq=False)
class Inputs:
    """What a run of a program reads: arrays by name, in the program's type; the batch; two factors."""

    variables: Mapping[str, np.ndarray]
    batch: np.ndarray | slice
    size: int
    scale: float = 1.0
    share: float = 1.0
    directions: Mapping[str, np.ndarray] = field(default_factory=dict)
    weights: Sequence[np.ndarray] = ()


class Program:
    """Computes outputs, nodes of a graph; `data` are the graph's arrays by number."""

    def __init__(self, graph: TensorGraph, outputs: Sequence[int], data: Sequence[Numbers], dtype: np.dtype) -> None:
        self.graph, self.outputs, self.data, self.dtype = graph, tuple(outputs), data, dtype
        self._order = graph.below(outputs)
        self._used = sorted({graph.ops[n][1] for n in self._order if graph.ops[n][0] == "data"})
        self._held = {k: data[k].at(slice(None), dtype, None) for k in self._used if not data[k].batched}
        self._bound: dict[int, _Bound] = {}

    def __call__(self, inputs: Inputs, out: Sequence[np.ndarray | None] | None = None) -> list[Any]:
        """The outputs in order; where `out` has an array it is filled. Others are valid until the next run."""
        bound = self._bound.get(inputs.size)
        if bound is None:
            if len(self._bound) > 4:  # chunks, batches and last batches of a few sizes: others are rare
                self._bound.clear()
            bound = self._bound[inputs.size] = _Bound(self, inputs.size)
        arrays = dict(self._held)
        for k in self._used:
            if self.data[k].batched:
                arrays[k] = self.data[k].at(inputs.batch, self.dtype, bound.slices[k])
        return bound.run(inputs, arrays, out)


class _Bound:
    """A program for one number of members at hand: its code and its buffers."""

    def __init__(self, program: Program, size: int) -> None:
        self.size, self.dtype = size, program.dtype
        self.graph, self.outputs = program.graph, program.outputs
        self.slices: dict[int, np.ndarray | None] = {}
        for k in program._used:
            numbers = program.data[k]
            if numbers.batched and (numbers.whole or numbers.values.dtype == program.dtype):
                self.slices[k] = np.empty((size, *numbers.values.shape[1:]), numbers.values.dtype)
            else:
                self.slices[k] = None
        self.scope: dict[str, Any] = {
            "np": np, "special": special, "put": put, "scatter": scatter, "logsumexp": logsumexp, "unpick": unpick,
        }  # fmt: skip
        self.names: dict[int, str] = {}
        self.buffers = 0
        self.free: dict[Shape, list[str]] = {}
        self._code = self._make(program._order)

    def concrete(self, shape: Shape) -> Shape:
        return tuple(self.size if n == BATCH else n for n in shape)

    def shape(self, node: int) -> Shape:
        return self.concrete(self.graph.shapes[node])

    def run(self, inputs: Inputs, data: Mapping[int, np.ndarray], out: Sequence[np.ndarray | None] | None) -> list[Any]:
        own = self.arrays if out is None else [a if b is None else b for a, b in zip(self.arrays, out, strict=True)]
        with np.errstate(all="ignore"):
            scalars = self._code(inputs, data, own)
        for k, array in enumerate(self.arrays):
            if array is None and own[k] is not None:  # a number goes into an array without axes
                own[k][...] = scalars[k]  # type: ignore[index]
        return [scalars[k] if own[k] is None else own[k] for k in range(len(own))]

    # ------------------------------------------------------------------------------------------------------- code

    def _make(self, order: Sequence[int]) -> Any:
        graph = self.graph
        base: dict[int, int] = {}
        for node in order:
            base[node] = base[graph.arguments(node)[0]] if graph.ops[node][0] in VIEWS else node
        last: dict[int, int] = {}
        for place, node in enumerate(order):
            for argument in graph.arguments(node):
                last[base[argument]] = place
        for node in self.outputs:
            last[base[node]] = len(order)
        self.arrays: list[np.ndarray | None] = [
            np.empty(self.shape(node), self.dtype) if self.shape(node) else None for node in self.outputs
        ]
        targets: dict[int, str] = {}
        for k, node in enumerate(self.outputs):
            kind = graph.ops[node][0]
            if self.shape(node) and kind not in VIEWS and kind not in LEAVES:
                targets.setdefault(node, f"out[{k}]")
        lines: list[str] = []
        held: dict[int, str] = {}
        for place, node in enumerate(order):
            kind = graph.ops[node][0]
            dying = [b for b in {base[a] for a in graph.arguments(node)} if last[b] == place and b in held]
            if kind in ELEMENTWISE:  # a buffer may be read and written in one elementwise operation
                self._release(dying, held)
                dying = []
            text = self._statement(node, targets.get(node), held)
            if text:
                lines.append(text)
            self._release(dying, held)
        scalars = []
        for k, node in enumerate(self.outputs):
            name = self.names[node]
            if not self.shape(node):
                scalars.append(name)
                continue
            scalars.append("None")
            if name != f"out[{k}]":
                lines.append(f"out[{k}][...] = {name}")
        head = "def code(inputs, data, out):\n    scale, share = inputs.scale, inputs.share\n"
        text = head + "".join(f"    {line}\n" for line in lines) + f"    return [{', '.join(scalars)}]\n"
        exec(compile(text, "<program>", "exec"), self.scope)  # the text is made above from the graph alone
        return self.scope["code"]

    def _release(self, nodes: Sequence[int], held: dict[int, str]) -> None:
        for node in nodes:
            self.free.setdefault(self.shape(node), []).append(held.pop(node))

    def _target(self, node: int, given: str | None, held: dict[int, str]) -> str:
        if given is not None:
            return given
        shape = self.shape(node)
        spare = self.free.get(shape)
        if spare:
            name = spare.pop()
        else:
            name = f"b{self.buffers}"
            self.buffers += 1
            self.scope[name] = np.empty(shape, self.dtype)
        held[node] = name
        return name

    def _statement(self, node: int, given: str | None, held: dict[int, str]) -> str:
        op, kind = self.graph.ops[node], self.graph.ops[node][0]
        if kind in LEAVES:
            return self._leaf(node, op)
        arguments = [self.names[a] for a in self.graph.arguments(node)]
        if kind not in ELEMENTWISE and kind != "whole":
            for k, a in enumerate(self.graph.arguments(node)):
                assert self.shape(a) or kind in ("gather", "put", "take"), (op, k)
        if kind in VIEWS:
            self.names[node] = f"t{node}"
            return f"t{node} = {self._view(op, arguments[0], node)}"
        if not self.shape(node):
            self.names[node] = f"t{node}"
            return f"t{node} = {self._number(node, op, arguments)}"
        target = self._target(node, given, held)
        self.names[node] = target
        return self._filled(node, op, arguments, target)

    def _leaf(self, node: int, op: tuple[Any, ...]) -> str:
        kind = op[0]
        if kind == "const":
            value = float(op[1])
            self.names[node] = repr(value) if np.isfinite(value) else f"float('{value}')"
            return ""
        if kind in ("scale", "share"):
            self.names[node] = kind
            return ""
        self.names[node] = f"t{node}"
        source = {"variable": "inputs.variables", "direction": "inputs.directions", "weights": "inputs.weights"}
        return f"t{node} = {source.get(kind, 'data')}[{op[1]!r}]"

    def _view(self, op: tuple[Any, ...], a: str, node: int) -> str:
        kind = op[0]
        if kind == "transpose":
            return f"{a}.transpose({op[2]})"
        if kind == "whole":
            return f"np.broadcast_to(np.asarray({a}, dtype=np.{self.dtype.name}), {self.shape(node)})"
        if kind == "expand":
            index = ", ".join(":" if k in op[2] else "None" for k in range(op[3]))
        else:
            index = ", ".join("0" if k in op[2] else ":" for k in range(len(self.graph.shapes[op[1]])))
        return f"{a}[{index}]"

    def _number(self, node: int, op: tuple[Any, ...], arguments: list[str]) -> str:
        """The expression of a result that is one number."""
        kind = op[0]
        if kind == "dot":
            return f"np.dot({arguments[0]}.reshape(-1), {arguments[1]}.reshape(-1))"
        if kind == "sum":
            return f"np.add.reduce({arguments[0]}, axis=None)"
        if kind in ("pick", "largest", "logsumexp"):
            row = arguments[0]
            return {"pick": f"{row}[{arguments[-1]}]", "largest": f"{row}.max()"}.get(
                kind, f"logsumexp({row}, np.empty((), {row}.dtype))[()]"
            )
        if kind == "select":
            return f"({arguments[1]} if {arguments[0]} > 0.0 else {arguments[2]})"
        signs = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
        if kind == "div":
            return f"np.divide({arguments[0]}, {arguments[1]})"
        if kind in signs:
            return f"{arguments[0]} {signs[kind]} {arguments[1]}"
        if kind == "neg":
            return f"-{arguments[0]}"
        return self._function(op[1], arguments, "")

    def _function(self, name: str, arguments: list[str], out: str) -> str:
        if name in NUMPY:
            return f"{NUMPY[name]}({', '.join(arguments)}{out})"
        self.scope[f"f_{name}"] = ENTRIES[name].kernel
        return f"f_{name}({', '.join(arguments)})"

    def _filled(self, node: int, op: tuple[Any, ...], arguments: list[str], target: str) -> str:
        """The statement that fills the target with an operation's result."""
        kind = op[0]
        ufuncs = {"add": "np.add", "sub": "np.subtract", "mul": "np.multiply", "div": "np.divide", "neg": "np.negative"}
        if kind == "mul" and op[1] == op[2]:
            return f"np.square({arguments[0]}, out={target})"
        if kind in ufuncs:
            return f"{ufuncs[kind]}({', '.join(arguments)}, out={target})"
        if kind == "apply":
            if op[1] in ("pos", "relu"):
                return f"np.maximum({arguments[0]}, 0.0, out={target})"
            if op[1] in NUMPY:
                return self._function(op[1], arguments, f", out={target}")
            return f"{target}[...] = {self._function(op[1], arguments, '')}"
        if kind == "select":
            if (arguments[1], arguments[2]) == ("1.0", "0.0"):
                return f"np.greater({arguments[0]}, 0.0, out={target})"
            return f"{target}[...] = np.where(np.greater({arguments[0]}, 0.0), {arguments[1]}, {arguments[2]})"
        if kind == "sum":
            return f"np.add.reduce({arguments[0]}, axis={op[2]}, out={target})"
        if kind == "dot":
            return self._dot(op, arguments, target)
        if kind == "take":
            return f"np.take({arguments[0]}, {arguments[1]}, axis={op[2]}, out={target}, mode='clip')"
        if kind == "put":
            return f"put({arguments[0]}, {op[2]}, {arguments[1]}, {target})"
        if kind == "gather":
            return f"np.take({arguments[0]}.reshape(-1), {arguments[1]}, out={target}, mode='clip')"
        if kind == "scatter":
            return f"scatter({arguments[0]}, {arguments[1]}, {target})"
        if kind == "pick":
            places = f"np.broadcast_to({arguments[1]}, {self.shape(node)})[..., None]"
            return f"{target}[...] = np.take_along_axis({arguments[0]}, {places}, -1)[..., 0]"
        if kind == "unpick":
            return f"unpick({arguments[0]}, {arguments[1]}, {target})"
        if kind == "largest":
            return f"np.maximum.reduce({arguments[0]}, axis=-1, out={target})"
        assert kind == "logsumexp", kind
        return f"logsumexp({arguments[0]}, {target})"

    def _dot(self, op: tuple[Any, ...], arguments: list[str], target: str) -> str:
        _, a, b, count = op
        left, right = self.shape(a), self.shape(b)
        inner = int(np.prod(right[:count], dtype=np.int64))
        rows = left[: len(left) - count]
        columns = right[count:]
        m, n = int(np.prod(rows, dtype=np.int64)), int(np.prod(columns, dtype=np.int64))
        one, other = arguments[0], arguments[1]
        if len(left) != 2 or count != 1:
            one = f"{one}.reshape({(m, inner) if rows else (inner,)})"
        if len(right) != 2 or count != 1:
            other = f"{other}.reshape({(inner, n) if columns else (inner,)})"
        shape = (*((m,) if rows else ()), *((n,) if columns else ()))
        out = target if len(rows) + len(columns) == len(shape) else f"{target}.reshape({shape})"
        return f"np.dot({one}, {other}, out={out})"


def put(values: np.ndarray, axis: int, codes: np.ndarray, out: np.ndarray) -> None:
    """out[..., code, ...] = the sum of the values whose code along the axis this is."""
    out.fill(0.0)
    if not len(codes):
        return
    # NumPy sorts numbers of 16 bits by their digits, several times faster than longer ones
    keys = codes.astype(np.uint16) if out.shape[axis] <= 65_536 else codes
    order = np.argsort(keys, kind="stable")
    ordered = codes[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sums = np.add.reduceat(np.take(values, order, axis=axis), first, axis=axis)
    out[(slice(None),) * axis + (ordered[first],)] = sums


def scatter(values: np.ndarray, places: np.ndarray, out: np.ndarray) -> None:
    """out.flat[place] = the sum of the values of that place."""
    flat = np.broadcast_to(values, places.shape).reshape(-1)
    out.reshape(-1)[...] = np.bincount(places.reshape(-1), weights=flat, minlength=out.size)


def unpick(values: np.ndarray, codes: np.ndarray, out: np.ndarray) -> None:
    """0, but the values at each row's position."""
    out.fill(0.0)
    places = np.broadcast_to(codes, values.shape)[..., None]
    np.put_along_axis(out, places, np.asarray(values)[..., None], -1)


def logsumexp(values: np.ndarray, out: np.ndarray) -> np.ndarray:
    """log of the sum of e^entries along the last axis, safe for large entries."""
    top = np.maximum.reduce(values, axis=-1, keepdims=True)
    shift = np.where(np.isfinite(top), top, 0.0)
    np.log(np.exp(values - shift).sum(axis=-1), out=out)
    np.add(out, shift[..., 0], out=out)
    return out
