"""Affine expressions over lanes as linear maps that keep dense data as it is: no entry is copied or listed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
import sympy

from optdsl.engine.lower import Lowering, NotLowered
from optdsl.engine.rows import affine_form
from optdsl.methods.composite.operators import Block, Rows
from optdsl.model.model import Model
from optdsl.terms import nodes
from optdsl.terms.frame import Extension, Frame

MOST_ENTRIES, MOST_BY_GROUPS = 20_000_000, 500_000
"""Products of data and variables beyond which what is no dense block is not written out entry by entry; and where rows
come in groups (softmax), as each then has entries for all members of its group."""


class NotComposite(Exception):
    """An objective that is not one of these sums; the message says why."""


@dataclass(frozen=True, eq=False)
class Split:
    """An expression as scale * core + offset: scale and offset are data, numbers or flat over the lanes (L,)."""

    scale: np.ndarray | float
    core: sympy.Basic
    offset: np.ndarray | float


@dataclass(eq=False)
class Affine:
    """Reads affine expressions of one model over frames of lanes."""

    model: Model
    lowering: Lowering = field(init=False)

    def __post_init__(self) -> None:
        self.lowering = Lowering(self.model)

    def varies(self, expression: sympy.Basic) -> bool:
        """Whether a variable occurs."""
        return self.lowering.varies(expression)

    def numbers(self, expression: sympy.Basic, frame: Frame) -> np.ndarray | float:
        """Data over a frame: a number, or flat over its lanes."""
        values = np.asarray(self.model.lanes.numbers(expression, frame), dtype=np.float64)
        if values.size == 1:
            return float(values.reshape(-1)[0])
        return np.broadcast_to(values, frame.shape).reshape(-1)

    def is_affine(self, expression: sympy.Basic) -> bool:
        """Whether it is affine by its form."""
        if not self.varies(expression) or isinstance(expression, nodes.VariableEntry):
            return True
        if isinstance(expression, sympy.Add):
            return all(self.is_affine(a) for a in expression.args)
        if isinstance(expression, sympy.Mul):
            varying = [a for a in expression.args if self.varies(a)]
            return len(varying) == 1 and self.is_affine(varying[0])
        return (
            isinstance(expression, nodes.Reduce)
            and expression.name in ("sum", "mean")
            and self.is_affine(expression.body)
        )

    def split(self, expression: sympy.Basic, frame: Frame) -> Split:
        """The outermost factors and addends of data, and what is left."""
        scale: np.ndarray | float = 1.0
        offset: np.ndarray | float = 0.0
        while True:
            data = [a for a in expression.args if not self.varies(a)]
            others = [a for a in expression.args if self.varies(a)]
            if isinstance(expression, sympy.Add) and data:
                offset = offset + scale * self.numbers(sympy.Add(*data), frame)
                expression = sympy.Add(*others)
            elif isinstance(expression, sympy.Mul) and data and len(others) == 1:
                for factor in data:
                    scale = scale * self.numbers(factor, frame)
                expression = others[0]
            else:
                return Split(scale, expression, offset)

    def operator(self, core: sympy.Basic, frame: Frame) -> tuple[Rows, np.ndarray]:
        """The map and the constants (L,) of an affine expression over a frame's lanes."""
        addends = core.args if isinstance(core, sympy.Add) else (core,)
        blocks: list[Block] = []
        rest: list[sympy.Basic] = []
        for addend in addends:
            found = self._block(addend, frame)
            if found is None:
                rest.append(addend)
            else:
                blocks.append(found)
        offset = np.zeros(frame.size)
        if rest:
            most = MOST_ENTRIES if len(frame.shape) < 2 else MOST_BY_GROUPS
            if sum(self._lanes(addend, frame) for addend in rest) > most:
                raise NotComposite("its matrix has too many entries to be written out")
            try:
                space = self.lowering.space(sympy.Add(*rest), frame)
            except NotLowered as reason:
                raise NotComposite(reason.reason) from None
            if not space.affine:
                raise NotComposite("a part is not affine")
            matrix, offset = affine_form(space, self.model.columns)
            blocks.append(Block(matrix, np.arange(self.model.columns)))
        return Rows(tuple(blocks), frame.size, self.model.columns), offset

    def _lanes(self, addend: sympy.Basic, frame: Frame) -> int:
        """How many products of data and variables an addend has over a frame's lanes."""
        sums = [node for node in addend.atoms(nodes.Reduce) if node.name in ("sum", "mean")]
        return max((self.model.lanes.extend(frame, s.over, s.body).child.size for s in sums), default=frame.size)

    def _block(self, expression: sympy.Basic, frame: Frame) -> Block | None:
        """One sum of data times a variable, or one entry of a variable, as a block; None: in another form."""
        split = self.split(expression, frame)
        if np.ndim(split.offset) or split.offset != 0.0:
            return None
        if isinstance(split.core, nodes.VariableEntry):
            return self._entry(split, frame)
        if not isinstance(split.core, nodes.Reduce) or split.core.name != "sum":
            return None
        extension = self.model.lanes.extend(frame, split.core.over, split.core.body)
        block = self._contraction(split.core.body, extension, frame)
        if block is None or (np.ndim(split.scale) == 0 and split.scale == 1.0):
            return block
        scale = split.scale if np.ndim(split.scale) == 0 else np.asarray(split.scale)[:, None]
        return Block(np.asarray(block.matrix * scale), block.columns)

    def _entry(self, split: Split, frame: Frame) -> Block:
        columns = np.asarray(self.model.lanes.columns(split.core, frame))  # type: ignore[arg-type]
        scale = np.broadcast_to(split.scale, (frame.size,))
        if columns.size == 1:
            return Block(np.array(scale, dtype=np.float64).reshape(-1, 1), columns.reshape(-1))
        places = (np.arange(frame.size), np.broadcast_to(columns, frame.shape).reshape(-1))
        matrix = sp.csr_array((np.array(scale, dtype=np.float64), places), shape=(frame.size, self.model.columns))
        return Block(matrix, np.arange(self.model.columns))

    def _contraction(self, body: sympy.Basic, extension: Extension, frame: Frame) -> Block | None:
        """sum over whole new dimensions of data times a variable that depends on these alone: a dense matrix."""
        child = extension.child
        depth = len(frame.shape)
        if extension.kept_dims() != {d: d for d in range(depth)} or not child.size:
            return None
        if extension.new_dims != tuple(range(depth, len(child.shape))):
            return None
        factors = body.args if isinstance(body, sympy.Mul) else (body,)
        entries = [f for f in factors if self.varies(f)]
        data = [f for f in factors if not self.varies(f)]
        if len(entries) != 1 or not isinstance(entries[0], nodes.VariableEntry) or not data:
            return None
        columns = np.asarray(self.model.lanes.columns(entries[0], child))
        if any(n != 1 for n in columns.shape[:depth]):
            return None
        width = math.prod(child.shape[depth:])
        flat = np.broadcast_to(columns.reshape(columns.shape[depth:]), child.shape[depth:]).reshape(-1)
        if len(np.unique(flat)) < len(flat):
            return None
        values = [np.asarray(self.model.lanes.numbers(f, child), dtype=np.float64) for f in data]
        product = values[0]
        for more in values[1:]:
            product = product * more
        if any(n == 1 != m for n, m in zip(product.shape[:depth], child.shape[:depth], strict=True)) and depth > 1:
            return None
        matrix = np.broadcast_to(product, child.shape).reshape(frame.size, width)
        return Block(matrix, flat)
