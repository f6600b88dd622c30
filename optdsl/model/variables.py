"""Variables: bounds, attributes and first guesses become arrays over their columns."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from optdsl.data.members import same_members
from optdsl.errors import ModelError, Span
from optdsl.language import tree
from optdsl.model.domains import OpenDomain
from optdsl.model.elaborate import Elaborator
from optdsl.model.faults import in_words
from optdsl.model.initial import start_values
from optdsl.model.model import Marks, Variable
from optdsl.model.scope import Context
from optdsl.model.shapes import Arr, Axis
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import Index

MOST_ENTRIES = 2**31 - 1  # solvers number columns with 32 bits


@dataclass(eq=False)
class Variables:
    """Elaborates variable declarations."""

    elaborator: Elaborator

    def declare(self, declaration: tree.VarDecl, domain: OpenDomain, axes: tuple[Axis, ...], offset: int) -> Variable:
        """The variable with its columns from `offset` on."""
        values = tuple(axis.value for axis in axes if axis.value is not None)
        size = math.prod(len(v) for v in values)
        if size > MOST_ENTRIES:
            self.elaborator.fault(
                "too-large",
                declaration.name_span,
                f"`{declaration.name}` would have {size:,} entries",
                "declare it over a sparse set of tuples instead of a product of sets",
            )
        flags = self._flags(declaration, axes)
        columns, width = None, size
        if flags & {"symmetric", "psd", "nsd"}:
            n = len(values[0])
            row, column = np.divmod(np.arange(size), max(n, 1))
            low, high = np.minimum(row, column), np.maximum(row, column)
            columns, width = offset + high * (high + 1) // 2 + low, n * (n + 1) // 2
        lower, upper = self._bounds(declaration, domain, axes, size, "binary" in flags)
        start = self._start(declaration, domain, axes, size)
        if columns is not None:
            lower, upper, start = _shared(lower, upper, start, columns - offset, width)
        if "fixed" in flags:
            self._require_start(declaration, start)
            lower, upper = start.copy(), start.copy()
        if not np.isnan(_distinct(start)).all() and self.elaborator.workspace.point is None:
            start = np.clip(start, lower, upper)
        return Variable(
            declaration.name,
            values,
            offset,
            size,
            width,
            lower,
            upper,
            start,
            bool(flags & {"integer", "binary"}),
            frozenset(flags),
            columns,
            declaration.name_span,
        )

    def _flags(self, declaration: tree.VarDecl, axes: tuple[Axis, ...]) -> set[str]:
        flags: dict[str, Span] = {}
        for attribute in declaration.attributes:
            if isinstance(attribute, tree.Flag):
                if attribute.name in flags:
                    self.elaborator.fault(
                        "repeated-attribute",
                        attribute.span,
                        f"`{attribute.name}` is said twice of `{declaration.name}`",
                        "leave one of them out",
                    )
                flags[attribute.name] = attribute.span
        for name in ("symmetric", "psd", "nsd"):
            if name in flags and not self._is_square(axes):
                has = ", ".join(axis.text for axis in axes) or "no axes"
                self.elaborator.fault(
                    "needs-square",
                    flags[name],
                    f"`{name}` needs a square matrix variable, but `{declaration.name}` has {has}",
                    f"declare two axes over one set: `var {declaration.name}[I, I] {name}`",
                )
        if "psd" in flags and "nsd" in flags:
            self.elaborator.fault(
                "conflicting-attributes",
                flags["nsd"],
                f"`{declaration.name}` cannot be both psd and nsd",
                "a matrix that is both is zero; leave one of them out",
            )
        return set(flags)

    @staticmethod
    def _is_square(axes: tuple[Axis, ...]) -> bool:
        if len(axes) != 2 or axes[0].value is None or axes[1].value is None:
            return False
        return axes[0].arity == 1 and same_members(axes[0].value, axes[1].value)

    # ----------------------------------------------------------------------------------------------- bounds and starts

    def over_entries(
        self, node: tree.Expr, domain: OpenDomain, axes: tuple[Axis, ...], size: int, what: str
    ) -> np.ndarray:
        """A data expression at every entry (size,); a whole array over the same axes is taken entry by entry.

        One number for all entries is a view that takes no room.
        """
        context = Context(domain.context.indices, domain.context.arguments, "data")
        array = self._data(node, context)
        marker = self.elaborator.marker
        with in_words(self.elaborator.workspace.source, Marks(marker.spans, marker.names), node.span, what):
            if not array.axes:
                lanes = self.elaborator.workspace.lanes
                if not array.body.atoms(Index):
                    return _everywhere(float(lanes.full(array.body, Frame())), size)
                frame = lanes.extend(Frame(), domain.over).child
                return lanes.full(array.body, frame).reshape(size)
            self.elaborator.require_one_way(array, domain.fresh, node.span)
            fresh = tuple(marker.fresh() for axis in axes for _ in range(axis.arity))
            target = Arr(nodes.sympy.Integer(0), axes, fresh)
            if len(array.axes) > len(axes):
                mine = ", ".join(axis.text for axis in axes) or "no set"
                self.elaborator.fault(
                    "axes-differ",
                    node.span,
                    f"in {what}: the variable is declared over {mine}, but this is an array over "
                    f"{', '.join(axis.text for axis in array.axes)}",
                    "reduce the axes that are too many, such as `min(A, over = J)`, or name an entry",
                )
            merged = self.elaborator.elementwise([target, array], lambda a, b: a + b, node.span)
            frame = self.elaborator.workspace.lanes.extend(Frame(), nodes.over(merged.eaches)).child
            return self.elaborator.workspace.lanes.full(merged.body, frame).reshape(size)

    def _data(self, node: tree.Expr, context: Context) -> Arr:
        try:
            return self.elaborator.array(node, context)
        except ModelError as error:
            hint = "a bound or start is data; write a relation between variables as a constraint, under `subject to`"
            raise ModelError(
                *(replace(d, hint=hint) if d.code == "variable-in-data" else d for d in error.diagnostics)
            ) from None

    def _bounds(
        self, declaration: tree.VarDecl, domain: OpenDomain, axes: tuple[Axis, ...], size: int, binary: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        lower = _everywhere(0.0 if binary else -np.inf, size)
        upper = _everywhere(1.0 if binary else np.inf, size)
        what = f"the bounds of `{declaration.name}`"
        for attribute in declaration.attributes:
            if isinstance(attribute, tree.Interval):
                lower = _tighter(np.maximum, lower, self.over_entries(attribute.low, domain, axes, size, what))
                upper = _tighter(np.minimum, upper, self.over_entries(attribute.high, domain, axes, size, what))
            elif isinstance(attribute, tree.Bound):
                if attribute.op not in (">=", "<="):
                    self.elaborator.fault(
                        "wrong-attribute",
                        attribute.span,
                        f"`{attribute.op}` cannot bound a variable here",
                        "write a matrix inequality as a constraint, or declare the variable `psd`",
                    )
                value = self.over_entries(attribute.value, domain, axes, size, what)
                if attribute.op == ">=":
                    lower = _tighter(np.maximum, lower, value)
                else:
                    upper = _tighter(np.minimum, upper, value)
            for side in (lower, upper):
                if np.isnan(_distinct(side)).any():
                    self.elaborator.fault(
                        "nan-in-data",
                        attribute.span,
                        f"a bound of `{declaration.name}` has no value",
                        "a root or logarithm of a negative number, or a division of zero by zero; guard it with `if`",
                    )
        return lower, upper

    def _start(
        self, declaration: tree.VarDecl, domain: OpenDomain, axes: tuple[Axis, ...], size: int
    ) -> np.ndarray:
        init = next((a for a in declaration.attributes if isinstance(a, tree.Init)), None)
        start = start_values(self, declaration, init, domain, axes, size)
        return _everywhere(np.nan, size) if start is None else start

    def _require_start(self, declaration: tree.VarDecl, start: np.ndarray) -> None:
        if np.isnan(start).any():
            self.elaborator.fault(
                "fixed-without-value",
                declaration.name_span,
                f"`{declaration.name}` is fixed, but no value is given",
                f"write `var {declaration.name} fixed, init VALUE`",
            )


def _everywhere(value: float, size: int) -> np.ndarray:
    """One number for all entries, as a view that takes no room."""
    return np.broadcast_to(np.float64(value), (size,))


def _distinct(values: np.ndarray) -> np.ndarray:
    """The entries, or one of them where all are the same one."""
    return values[:1] if values.strides == (0,) else values


def _tighter(choose: np.ufunc, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The maximum or minimum of two bounds; of two that are the same everywhere it is, too."""
    if old.strides == new.strides == (0,) and len(old):
        return np.broadcast_to(choose(old[0], new[0]), old.shape)
    return choose(old, new)


def _shared(
    lower: np.ndarray, upper: np.ndarray, start: np.ndarray, columns: np.ndarray, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bounds and starts of entries that share columns: the tightest bounds, the first start."""
    low, high, first = np.full(width, -np.inf), np.full(width, np.inf), np.full(width, np.nan)
    np.maximum.at(low, columns, lower)
    np.minimum.at(high, columns, upper)
    first[columns[::-1]] = start[::-1]
    return low, high, first
