"""Linear and quadratic parts of a template, over all lanes at once.

`Collector.collect` walks an expression once, carrying a multiplier over the lanes. What it meets goes to a `Sink`:
linear terms as arrays of (row, column, coefficient), constants, squares and products. Piecewise-linear functions
are replaced on the way by an auxiliary variable per lane and rows that hold it, where their curvature fits the
multiplier's sign: a maximum may be replaced from above where it is minimized (its epigraph).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import sympy

from optdsl.atoms import ENTRIES, REDUCTIONS, interval
from optdsl.classify.curved import collect_function, collect_groups, lanes_by_sign, pressed_columns
from optdsl.classify.facts import Facts
from optdsl.classify.forms import collect_form
from optdsl.classify.matrices import collect_matrix_function
from optdsl.classify.means import collect_mean
from optdsl.classify.pieces import collect_only_piece
from optdsl.classify.quadratic_rows import quadratics_to_cones
from optdsl.classify.sink import AFFINE, CONCAVE, CONVEX, Auxiliary, NotCollected, Product, Sink, Square, Terms
from optdsl.terms import nodes
from optdsl.terms.evaluate import Lanes
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import has_variables


class Collector:
    """Collects expressions over lanes; auxiliary variables and rows gather in `auxiliary`."""

    def __init__(self, lanes: Lanes, auxiliary: Auxiliary, facts: Facts | None = None) -> None:
        self.lanes = lanes
        self.auxiliary = auxiliary
        self.facts = facts

    def sink(self, root: Frame, sense: str, quadratic: bool = False) -> Sink:
        return Sink(root, sense, quadratic)

    # -------------------------------------------------------------------------------------------------------- the walk

    def collect(self, expression: sympy.Basic, frame: Frame, multiplier: np.ndarray, sink: Sink) -> None:
        """Add multiplier * expression, over the lanes of `frame`, to the sink."""
        if not has_variables(expression):
            sink.add_constant(frame, multiplier * self.lanes.numbers(expression, frame))
            return
        if frame.size == 0:
            return
        rule = _RULES.get(type(expression))
        if rule is None:
            raise NotCollected(expression, f"{_article(expression)} has no convex form")
        rule(self, expression, frame, multiplier, sink)

    def _entry(self, node: nodes.VariableEntry, frame: Frame, multiplier: np.ndarray, sink: Sink) -> None:
        sink.terms.append(Terms(frame, self.lanes.columns(node, frame), multiplier))

    def _add(self, node: sympy.Add, frame: Frame, multiplier: np.ndarray, sink: Sink) -> None:
        for term in node.args:
            self.collect(term, frame, multiplier, sink)

    def _mul(self, node: sympy.Mul, frame: Frame, multiplier: np.ndarray, sink: Sink) -> None:
        moving = [f for f in node.args if has_variables(f)]
        for factor in node.args:
            if factor not in moving:
                multiplier = multiplier * self.lanes.numbers(factor, frame)
        if len(moving) == 1:
            self.collect(moving[0], frame, multiplier, sink)
            return
        if len(moving) > 2:
            raise NotCollected(node, f"a product of {len(moving)} expressions with variables has degree {len(moving)}")
        self._product(node, moving[0], moving[1], frame, multiplier, sink)

    def _pow(self, node: sympy.Pow, frame: Frame, multiplier: np.ndarray, sink: Sink) -> None:
        base, exponent = node.args
        if exponent == 2:
            self._square(node, base, frame, multiplier, sink)
            return
        if self.facts is not None:
            collect_function(self, node, frame, multiplier, sink)
            return
        if exponent == -1:
            raise NotCollected(
                node,
                "a division by an expression with variables",
                "multiply both sides by the divisor where its sign is known",
            )
        raise NotCollected(node, f"a power with exponent {exponent}")

    def _choose(self, node: nodes.Choose, frame: Frame, multiplier: np.ndarray, sink: Sink) -> None:
        condition, then, otherwise = node.args
        holds = self.lanes.condition(condition, frame)
        self._branches([(holds, then), (~holds, otherwise)], frame, multiplier, sink)

    def _pick(self, node: nodes.Pick, frame: Frame, multiplier: np.ndarray, sink: Sink) -> None:
        position = self.lanes.numbers(node.args[0], frame)
        self._branches([(position == k, b) for k, b in enumerate(node.args[1:])], frame, multiplier, sink)

    def _branches(
        self, branches: list[tuple[np.ndarray, sympy.Basic]], frame: Frame, multiplier: np.ndarray, sink: Sink
    ) -> None:
        for mask, branch in branches:
            if mask.all():
                self.collect(branch, frame, multiplier, sink)
            elif mask.any():
                extension = self.lanes.filtered(frame, mask)
                lifted = extension.lift(_spread(multiplier, frame))
                self.collect(branch, extension.child, lifted, sink)

    def _array_call(self, node: nodes.ArrayCall, frame: Frame, multiplier: np.ndarray, sink: Sink) -> None:
        if self.facts is None:
            raise NotCollected(node, f"`{node.name}` of variables has no convex form")
        collect_matrix_function(self, node, frame, multiplier, sink)

    # ------------------------------------------------------------------------------------------------------ reductions

    def _reduce(self, node: nodes.Reduce, frame: Frame, multiplier: np.ndarray, sink: Sink) -> None:
        row = REDUCTIONS[node.name]
        form = row.reduction_form
        if node.name == "norm":
            form = {1.0: "sum_abs", np.inf: "max_abs"}.get(
                float(self.lanes.numbers(node.extra[0], frame).reshape(-1)[0])
            )  # type: ignore[assignment]
        if form is None and self.facts is not None and row.graph is not None:
            collect_groups(self, node, frame, multiplier, sink)
            return
        if form is None:
            raise NotCollected(node, f"`{node.name}` of variables has no convex form")
        extension = self.lanes.extend(frame, node.over, node.body if form == "sum" else None)
        child = extension.child
        lifted = extension.lift(_spread(multiplier, frame))
        if form == "sum":
            self.collect(node.body, child, lifted, sink)
        elif form == "mean":
            counts = self.lanes.numbers(nodes.Reduce("sum", sympy.Integer(1), node.over), frame)
            if (counts == 0).any():
                self.lanes.numbers(node, frame)  # reports the empty set
            self.collect(node.body, child, extension.lift(_spread(multiplier / counts, frame)), sink)
        elif form == "sum_abs":
            self.collect(nodes.Apply("abs", node.body), child, lifted, sink)
        elif form == "sum_squares":
            self.collect(sympy.Pow(node.body, 2), child, lifted, sink)
        elif form == "sum_largest":
            self._sum_largest(node, frame, extension, multiplier, sink)
        else:
            self._extreme(node, form, frame, extension, multiplier, sink)

    def _extreme(
        self, node: nodes.Reduce, form: str, frame: Frame, extension: Any, multiplier: np.ndarray, sink: Sink
    ) -> None:
        """max, min and norminf over members: one auxiliary variable a lane, one row a member."""
        curvature = CONCAVE if form == "min" else CONVEX
        if extension.child.size == 0 or self._some_empty(node, frame):
            raise NotCollected(node, f"`{node.name}` over an empty set has no value")
        columns = self._replace(node, curvature, frame, multiplier, sink, 0.0 if form == "max_abs" else -np.inf)
        child = extension.child.as_root()
        lifted = extension.lift(columns)
        one = np.ones((1,) * len(child.shape))
        for sign, where in self._signs(node.body, child) if form == "max_abs" else ((1.0, None),):
            some = child if where is None else self.lanes.filtered(child, where).child.as_root()
            held = self.sink(some, curvature, quadratic=True)
            column = np.broadcast_to(lifted, child.shape)
            self.collect(node.body, some, sign * np.ones((1,) * len(some.shape)), held)
            held.terms.append(Terms(some, column if where is None else column[where].reshape(some.shape), -one))
            self._hold(held)

    def _signs(self, body: sympy.Basic, frame: Frame) -> list[tuple[float, np.ndarray | None]]:
        """The signs with which a size is a maximum, and the lanes that need them (None: all).

        One sign is enough where the part has a sign.
        """
        if self.facts is None:
            return [(1.0, None), (-1.0, None)]
        fact = self.facts.find(body, frame)
        lo, hi = (np.broadcast_to(end, frame.shape) for end in (fact.lo, fact.hi))
        needed = ((1.0, (lo >= 0) | (hi > 0)), (-1.0, lo < 0))
        return [(sign, None if where.all() else where) for sign, where in needed if where.any()]

    def _needed(self, pieces: Any, moving: list[sympy.Basic], frame: Frame) -> list[Any]:
        """The pieces but those that another one dominates on the argument's interval, as -e does not matter in |e|."""
        if self.facts is None or len(moving) != 1:
            return list(pieces.pieces)
        fact = self.facts.find(moving[0], frame)
        sign = 1.0 if pieces.extreme == "max" else -1.0
        kept: list[Any] = list(pieces.pieces)
        for piece in pieces.pieces:
            for other in kept:
                if other is piece:
                    continue
                slope = sign * (np.asarray(other[0][0]) - np.asarray(piece[0][0]))
                gap = sign * (np.asarray(other[1]) - np.asarray(piece[1]))
                with np.errstate(invalid="ignore"):
                    ends = [np.where(slope == 0, gap, slope * end + gap) for end in (fact.lo, fact.hi)]
                if all(bool((e >= 0).all()) for e in ends):
                    kept.remove(piece)
                    break
        return kept

    def _some_empty(self, node: nodes.Reduce, frame: Frame) -> bool:
        counts = self.lanes.numbers(nodes.Reduce("sum", sympy.Integer(1), node.over), frame)
        return bool((counts == 0).any())

    def _sum_largest(
        self, node: nodes.Reduce, frame: Frame, extension: Any, multiplier: np.ndarray, sink: Sink
    ) -> None:
        """The k largest add up to min over q of k q + Σ max(x - q, 0) (Ogryczak and Tamir, 2003, eq. 2)."""
        self._require(node, CONVEX, frame, multiplier, sink)
        k = self.lanes.numbers(node.extra[0], frame)
        shape = frame.shape
        q = self.auxiliary.add(frame.size).reshape(shape)
        sink.terms.append(Terms(frame, q, multiplier * k))
        child = extension.child
        excess = self.auxiliary.add(child.size, lower=0.0).reshape(child.shape)
        sink.terms.append(Terms(child, excess, extension.lift(_spread(multiplier, frame))))
        sink.bent = True
        root = child.as_root()
        one = np.ones((1,) * len(root.shape))
        held = self.sink(root, CONVEX, quadratic=True)
        self.collect(node.body, root, one, held)
        held.terms.append(Terms(root, extension.lift(q), -one))
        held.terms.append(Terms(root, excess, -one))
        self._hold(held)

    def _hold(self, held: Sink) -> None:
        """Keep a row that holds an auxiliary variable; its squares and products become cones."""
        quadratics_to_cones(self, held)
        self.auxiliary.rows.append(held)

    # --------------------------------------------------------------------------------------- piecewise-linear functions

    def _apply(self, node: nodes.Apply, frame: Frame, multiplier: np.ndarray, sink: Sink) -> None:
        row = ENTRIES[node.name]
        if row.shown is not None:
            collect_shown = collect_mean if node.name == "concave_mean" else collect_form
            collect_shown(self, node, frame, multiplier, sink)
            return
        if row.name == "pow" and not has_variables(node.slots[1]):
            exponent = self.lanes.numbers(node.slots[1], frame)
            if (exponent == 2).all():
                self._square(node, node.slots[0], frame, multiplier, sink)
                return
            if (exponent == 1).all():
                self.collect(node.slots[0], frame, multiplier, sink)
                return
        if row.quadratic_form == "huber" and (self.facts is None or sink.quadratic):
            self._huber(node, frame, multiplier, sink)
            return
        if row.pieces is None and row.graph is not None and self.facts is not None:
            collect_function(self, node, frame, multiplier, sink)
            return
        if row.pieces is None:
            raise NotCollected(node, f"`{node.name}` of variables has no convex form")
        data = [self.lanes.numbers(a, frame) for k, a in enumerate(node.slots) if row.is_data(k)]
        moving = [a for k, a in enumerate(node.slots) if not row.is_data(k)]
        signs = lanes_by_sign(self, moving, frame)
        if signs is not None:
            for mask in signs:
                part = self.lanes.filtered(frame, mask)
                self._apply(node, part.child, part.lift(np.broadcast_to(multiplier, frame.shape)), sink)
            return
        pieces = row.pieces(len(moving), *data)
        if pieces is None:
            raise NotCollected(node, f"`{node.name}` with these parameters is not piecewise linear with one curvature")
        if collect_only_piece(self, pieces, moving, frame, multiplier, sink):
            return
        curvature = CONVEX if pieces.extreme == "max" else CONCAVE
        floor = [np.asarray(c) for coefficients, c in pieces.pieces if not any(np.any(k) for k in coefficients)]
        flat = max((float(c.max()) for c in floor if c.size), default=-np.inf)
        bound = flat if curvature == CONVEX else -np.inf
        columns = self._replace(node, curvature, frame, multiplier, sink, bound)
        root = frame.as_root()
        one = np.ones((1,) * len(root.shape))
        for coefficients, constant in self._needed(pieces, moving, frame):
            if (
                curvature == CONVEX
                and not any(np.any(k) for k in coefficients)
                and np.all(np.asarray(constant) == bound)
            ):
                continue
            held = self.sink(root, curvature, quadratic=True)
            for argument, coefficient in zip(moving, coefficients, strict=True):
                if np.any(coefficient):
                    self.collect(argument, root, one * coefficient, held)
            held.add_constant(root, one * constant)
            held.terms.append(Terms(root, columns, -one))
            self._hold(held)

    def _replace(
        self,
        node: sympy.Basic,
        curvature: str,
        frame: Frame,
        multiplier: np.ndarray,
        sink: Sink,
        lower: float = -np.inf,
    ) -> np.ndarray:
        """Columns (frame's shape) that stand for a function with this curvature."""
        self._require(node, curvature, frame, multiplier, sink)
        columns = self.auxiliary.add(frame.size, lower=lower).reshape(frame.shape)
        sink.terms.append(Terms(frame, columns, multiplier))
        sink.bent = True
        return columns

    def _require(self, node: sympy.Basic, curvature: str, frame: Frame, multiplier: np.ndarray, sink: Sink) -> None:
        """A convex function may stand where it is pressed down: multiplied by >= 0 in a convex sink, and so on."""
        name = node.name if isinstance(node, nodes.Named) else "a square"
        shown = f"`{name}`" if isinstance(node, nodes.Named) else name
        if sink.sense == AFFINE:
            raise NotCollected(
                node,
                f"{shown} is {curvature}, and an equality needs a linear expression",
                "an inequality may be enough: the optimum often presses it to equality",
            )
        wanted = 1.0 if sink.sense == curvature else -1.0
        wrong = wanted * multiplier < 0
        if wrong.any():
            lane = tuple(np.argwhere(np.broadcast_to(wrong, frame.shape))[0]) if frame.shape else ()
            where = "minimized or bounded above" if sink.sense == CONVEX else "maximized or bounded below"
            factor = "" if wanted < 0 and (multiplier > 0).all() else " times a negative number"
            raise NotCollected(
                node,
                f"{shown}{factor} is {_flip(curvature, multiplier, wrong)}, but the expression is {where}",
                None,
                self.lanes.lane(frame, lane),
            )

    # ------------------------------------------------------------------------------------------------------- quadratics

    def rows(self, expression: sympy.Basic, frame: Frame) -> tuple[sp.csr_array, np.ndarray]:
        """An affine expression at every lane of the frame: matrix (L, n) and constant (L,)."""
        root = frame.as_root()
        held = self.sink(root, AFFINE)
        self.collect(expression, root, np.ones((1,) * len(root.shape)), held)
        return held.matrix(self.auxiliary.first + self.auxiliary.count), held.constant

    def _needs_quadratic(self, node: sympy.Basic, sink: Sink, what: str) -> None:
        if not sink.quadratic:
            raise NotCollected(
                node,
                f"{what} is not affine, and an equality needs an affine expression",
                "an inequality may be enough: the optimum often presses it to equality",
            )

    def _square(self, node: sympy.Basic, base: sympy.Basic, frame: Frame, multiplier: np.ndarray, sink: Sink) -> None:
        self._needs_quadratic(node, sink, "a square")
        weight = np.broadcast_to(multiplier, frame.shape).reshape(-1)
        if isinstance(base, nodes.VariableEntry):
            columns = np.broadcast_to(self.lanes.columns(base, frame), frame.shape).reshape(-1)
            sink.squares.append(Square(_rows(frame), None, columns, np.zeros(frame.size), weight, node))
            return
        if isinstance(base, nodes.Reduce) and base.name == "norm2":
            extension = self.lanes.extend(frame, base.over)
            self.collect(sympy.Pow(base.body, 2), extension.child, extension.lift(_spread(multiplier, frame)), sink)
            return
        if isinstance(base, nodes.Apply) and base.name == "quadratic_norm":
            self.collect(base.slots[0], frame, multiplier, sink)
            return
        if isinstance(base, nodes.Apply) and base.name == "abs":
            self._square(node, base.slots[0], frame, multiplier, sink)
            return
        nonnegative = self._nonnegative_convex(base)
        if nonnegative is None and self.facts is not None and not self.facts.find(base, frame).affine.all():
            collect_function(self, node, frame, multiplier, sink)
            return
        if nonnegative is not None:
            self._require(node, CONVEX, frame, multiplier, sink)
            inner = self.sink(frame.as_root(), CONVEX)
            self.collect(base, inner.root, np.ones((1,) * len(frame.shape)), inner)
            matrix, constant = inner.matrix(self.auxiliary.first + self.auxiliary.count), inner.constant
            sink.bent = True
        else:
            matrix, constant = self.rows(base, frame)
        sink.squares.append(Square(_rows(frame), matrix, None, constant, weight, node))

    def _nonnegative_convex(self, base: sympy.Basic) -> bool | None:
        """Whether the base is one convex piecewise-linear function that is never negative."""
        if isinstance(base, nodes.Apply):
            row = ENTRIES[base.name]
            if row.pieces is None or any(row.is_data(k) for k in range(len(base.slots))):
                return None
            pieces = row.pieces(len(base.slots))
            if pieces is None or pieces.extreme != "max":
                return None
            everything = [interval(-np.inf, np.inf)] * len(base.slots)
            everything = [
                interval(float(s), float(s)) if s.is_number else e for s, e in zip(base.slots, everything, strict=True)
            ]
            return True if float(np.min(row.range(*everything).lo)) >= 0 else None
        if isinstance(base, nodes.Reduce) and REDUCTIONS[base.name].reduction_form in ("sum_abs", "max_abs"):
            return True
        return None

    def _product(
        self,
        node: sympy.Basic,
        left: sympy.Basic,
        right: sympy.Basic,
        frame: Frame,
        multiplier: np.ndarray,
        sink: Sink,
    ) -> None:
        for factor in (left, right):
            if isinstance(factor, sympy.Pow):
                raise NotCollected(node, "a product with a power of variables is not convex")
        left_rows, left_constant = self.rows(left, frame)
        right_rows, right_constant = self.rows(right, frame)
        weight = np.broadcast_to(multiplier, frame.shape).reshape(-1)
        if left_rows.nnz and right_rows.nnz:
            if not sink.quadratic:
                raise NotCollected(node, "a product of two expressions with variables; neither is constant", None)
            sink.products.append(
                Product(_rows(frame), left_rows, left_constant, right_rows, right_constant, weight, node)
            )
            return
        # one of them has no variable with a coefficient: the product is linear after all
        constant, factor = (left_constant, right) if not left_rows.nnz else (right_constant, left)
        self.collect(factor, frame, multiplier * constant.reshape(frame.shape), sink)

    def _huber(self, node: nodes.Apply, frame: Frame, multiplier: np.ndarray, sink: Sink) -> None:
        """huber(x, m) = min over n of n² + 2 m |x - n| (Mangasarian and Musicant, 2000, eq. 6, scaled)."""
        self._needs_quadratic(node, sink, "`huber`")
        self._require(node, CONVEX, frame, multiplier, sink)
        argument, width = node.slots[0], self.lanes.numbers(node.slots[1], frame)
        inner = self.auxiliary.add(frame.size).reshape(frame.shape)
        sink.squares.append(
            Square(
                _rows(frame),
                None,
                inner.reshape(-1),
                np.zeros(frame.size),
                np.broadcast_to(multiplier, frame.shape).reshape(-1),
                node,
            )
        )
        outer = self.auxiliary.add(frame.size, lower=0.0).reshape(frame.shape)
        sink.terms.append(Terms(frame, outer, 2.0 * multiplier * width))
        sink.bent = True
        root = frame.as_root()
        one = np.ones((1,) * len(root.shape))
        pressed = pressed_columns(self, argument, root)
        for sign in (1.0, -1.0):
            held = self.sink(root, AFFINE)
            if pressed is None:
                self.collect(argument, root, sign * one, held)
            else:
                held.terms.append(Terms(root, pressed, sign * one))
            held.sense = CONVEX
            held.terms.append(Terms(root, inner, -sign * one))
            held.terms.append(Terms(root, outer, -one))
            self.auxiliary.rows.append(held)


Rule = Callable[..., None]
_RULES: dict[type, Rule] = {
    nodes.VariableEntry: Collector._entry,
    sympy.Add: Collector._add,
    sympy.Mul: Collector._mul,
    sympy.Pow: Collector._pow,
    nodes.Apply: Collector._apply,
    nodes.Reduce: Collector._reduce,
    nodes.Choose: Collector._choose,
    nodes.Pick: Collector._pick,
    nodes.ArrayCall: Collector._array_call,
}


def _rows(frame: Frame) -> np.ndarray:
    """The root's row of each lane, flat."""
    return np.broadcast_to(frame.root_rows(), frame.shape).reshape(-1)


def _spread(multiplier: np.ndarray, frame: Frame) -> np.ndarray:
    """A multiplier with one axis per dimension of the frame."""
    if multiplier.ndim == len(frame.shape):
        return multiplier
    return multiplier.reshape((1,) * len(frame.shape))


def _flip(curvature: str, multiplier: np.ndarray, wrong: np.ndarray) -> str:
    negative = bool((np.broadcast_to(multiplier, wrong.shape)[wrong] < 0).any())
    if not negative:
        return curvature
    return CONCAVE if curvature == CONVEX else CONVEX


def _article(node: sympy.Basic) -> str:
    if isinstance(node, nodes.ArrayCall):
        return f"`{node.name}` of variables"
    return "this part"
