"""An objective recognized as losses of affine functions plus simple penalties, for `optdsl.methods.composite`.

The template is walked from above: sums, factors of data, and functions of one affine expression, in any spelling
(`norm1(w)`, `sum(abs(w[j]) for j in P)`, `log(1 + exp(-m))`, `softplus(-m)`). Each function of the table `_FUNCTIONS`
says which loss it is. The cost is that of the text; data is looked at as whole arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
import sympy

from optdsl.engine.composite_rows import Affine, NotComposite
from optdsl.methods.composite import losses
from optdsl.methods.composite.losses import Loss
from optdsl.methods.composite.operators import Block, Rows
from optdsl.methods.composite.problem import Composite, Part
from optdsl.model.model import Model
from optdsl.terms import nodes
from optdsl.terms.frame import Frame

Weights = np.ndarray | float


@dataclass(frozen=True, eq=False)
class Place:
    """The lanes that the walk is at, and by which iterators it came there."""

    frame: Frame
    path: tuple[nodes.Over, ...] = ()


@dataclass(frozen=True, eq=False)
class Term:
    """weights * loss(scale * core + offset) over lanes; `kind` None: the affine expression itself."""

    kind: Kind | None
    core: sympy.Basic
    place: Place
    scale: Weights
    offset: Weights
    weights: Weights
    extra: Weights = 0.0


@dataclass(frozen=True)
class Kind:
    """A loss by name, and over groups of how many rows."""

    name: str
    group: int = 1


@dataclass(frozen=True, eq=False)
class Recognized:
    """The objective as it is minimized: of a maximum the negative (`sign` -1)."""

    problem: Composite
    sign: float


def recognized(model: Model) -> Recognized:
    """The objective of a model without constraints in these parts. Raises NotComposite where it is not one."""
    if model.objective is None or model.constraints:
        raise NotComposite("there are constraints" if model.constraints else "there is no objective")
    if model.integers or any(v.attributes & {"psd", "nsd"} for v in model.variables.values()):
        raise NotComposite("variables are whole or semidefinite")
    sign = -1.0 if model.objective.sense == "maximize" else 1.0
    walk = _Walk(model, Affine(model))
    walk.visit(model.objective.body, Place(Frame().as_root()), sign)
    return Recognized(_Assembly(walk).problem(), sign)


@dataclass(eq=False)
class _Walk:
    model: Model
    affine: Affine
    terms: list[Term] = field(default_factory=list)
    constant: float = 0.0
    _places: dict[tuple[tuple[nodes.Over, ...], nodes.Over], tuple[Place, np.ndarray]] = field(default_factory=dict)

    def visit(self, body: sympy.Basic, place: Place, weights: Weights) -> None:
        """Take weights * body, summed over the lanes of the place, apart into terms."""
        affine = self.affine
        if not affine.varies(body):
            values = np.broadcast_to(affine.numbers(body, place.frame), place.frame.size)
            self.constant += float(np.sum(weights * values))
        elif isinstance(body, sympy.Add) and not (place.path and affine.is_affine(body)):
            for argument in body.args:
                self.visit(argument, place, weights)
        elif isinstance(body, sympy.Mul) and not (place.path and affine.is_affine(body)):
            varying = [a for a in body.args if affine.varies(a)]
            if len(varying) > 1:
                raise NotComposite("a product of variables")
            for factor in body.args:
                if factor is not varying[0]:
                    weights = weights * affine.numbers(factor, place.frame)
            self.visit(varying[0], place, weights)
        elif isinstance(body, nodes.Reduce) and not (place.path and affine.is_affine(body)):
            self._reduce(body, place, weights)
        elif affine.is_affine(body):
            self.add(None, body, place, weights)
        elif isinstance(body, sympy.Pow):
            self._power(body, place, weights)
        elif isinstance(body, nodes.Apply):
            rule = _FUNCTIONS.get(body.name)
            if rule is None:
                raise NotComposite(f"`{body.name}` is no loss that is known here")
            rule(self, body, place, weights)
        else:
            raise NotComposite("a part is no loss that is known here")

    def add(
        self, kind: Kind | None, argument: sympy.Basic, place: Place, weights: Weights, extra: Weights = 0.0
    ) -> None:
        """Add weights * loss(argument)."""
        if not self.affine.is_affine(argument):
            raise NotComposite("a loss of something that is not affine by its form")
        if not place.frame.size:
            return
        split = self.affine.split(argument, place.frame)
        self.terms.append(Term(kind, split.core, place, split.scale, split.offset, weights, extra))

    def inner(self, node: nodes.Reduce, place: Place) -> tuple[Place, np.ndarray]:
        """The lanes inside a sum, and for each the lane around it."""
        key = (place.path, node.over)
        if key not in self._places:
            extension = self.model.lanes.extend(place.frame.as_root(), node.over, None)
            child = extension.child
            target = np.broadcast_to(child.root_rows(), child.shape).reshape(-1)
            self._places[key] = Place(child.as_root(), (*place.path, node.over)), target
        return self._places[key]

    def _reduce(self, node: nodes.Reduce, place: Place, weights: Weights) -> None:
        child, target = self.inner(node, place)
        if node.name == "sum":
            self.visit(node.body, child, _spread(weights, target))
        elif node.name == "mean":
            counts = np.bincount(target, minlength=max(1, place.frame.size))
            self.visit(node.body, child, _spread(weights / np.maximum(counts, 1), target))
        elif node.name == "sumsq":
            self.visit(sympy.Pow(node.body, 2), child, _spread(weights, target))
        elif node.name == "norm1":
            self.visit(nodes.Apply("abs", node.body), child, _spread(weights, target))
        elif node.name in ("norm2", "logsumexp"):
            self.grouped("length" if node.name == "norm2" else "logsumexp", node, node.body, place, weights)
        else:
            raise NotComposite(f"`{node.name}` is no loss that is known here")

    def grouped(self, name: str, node: nodes.Reduce, body: sympy.Basic, place: Place, weights: Weights) -> None:
        """A loss of the rows of a sum together, where each lane has the same number of them, in a run."""
        child, target = self.inner(node, place)
        lanes = place.frame.size
        size = len(target) // lanes if lanes else 0
        regular = size > 0 and len(target) == lanes * size
        if not regular or (target.reshape(lanes, size) != np.arange(lanes)[:, None]).any():
            raise NotComposite("groups of different sizes")
        self.add(Kind(name, size), body, child, np.broadcast_to(weights, (lanes,)))

    def _power(self, body: sympy.Pow, place: Place, weights: Weights) -> None:
        base, exponent = body.base, body.exp
        if exponent == 2 and self.affine.is_affine(base):
            self.add(Kind("square"), base, place, 2.0 * weights)
        elif exponent == 2 and isinstance(base, nodes.Apply) and base.name in ("pos", "relu"):
            self.add(Kind("squared_positive"), base.slots[0], place, 2.0 * weights)
        elif exponent == 2 and isinstance(base, nodes.Apply) and base.name == "abs":
            self.add(Kind("square"), base.slots[0], place, 2.0 * weights)
        elif exponent == 2 and isinstance(base, nodes.Reduce) and base.name == "norm2":
            child, target = self.inner(base, place)
            self.visit(sympy.Pow(base.body, 2), child, _spread(weights, target))
        elif exponent == sympy.Rational(1, 2):
            self.root(base, place, weights)
        else:
            raise NotComposite("a power that is no square")

    def root(self, base: sympy.Basic, place: Place, weights: Weights) -> None:
        """The square root of a sum of squares."""
        body = base.body if isinstance(base, nodes.Reduce) else None
        if isinstance(base, nodes.Reduce) and base.name == "sum" and isinstance(body, sympy.Pow) and body.exp == 2:
            self.grouped("length", base, body.base, place, weights)
        elif isinstance(base, nodes.Reduce) and base.name == "sumsq":
            self.grouped("length", base, base.body, place, weights)
        else:
            raise NotComposite("a root of something else than a sum of squares")

    def logarithm(self, body: nodes.Apply, place: Place, weights: Weights) -> None:
        """log(1 + e^t), log(sigmoid(t)), log(sum of e^t)."""
        inside = body.slots[0]
        if isinstance(inside, nodes.Apply) and inside.name == "sigmoid":
            self.add(Kind("softplus"), sympy.Mul(-1, inside.slots[0]), place, -weights)
            return
        if isinstance(inside, nodes.Reduce) and inside.name == "sum" and _is_exponential(inside.body):
            self.grouped("logsumexp", inside, inside.body.slots[0], place, weights)
            return
        if isinstance(inside, sympy.Add) and len(inside.args) == 2 and sympy.Integer(1) in inside.args:
            power = next(a for a in inside.args if a != 1)
            if _is_exponential(power):
                self.add(Kind("softplus"), power.slots[0], place, weights)
                return
        raise NotComposite("a logarithm of something else")

    def larger(self, body: nodes.Apply, place: Place, weights: Weights) -> None:
        """max(a, b) = b + max(a - b, 0)."""
        if len(body.slots) != 2:
            raise NotComposite("the largest of more than two")
        first, second = body.slots
        if not self.affine.varies(first):
            first, second = second, first
        self.visit(second, place, weights)
        self.add(Kind("positive"), sympy.Add(first, sympy.Mul(-1, second)), place, weights)


def _is_exponential(node: sympy.Basic) -> bool:
    return isinstance(node, nodes.Apply) and node.name == "exp"


def _spread(weights: Weights, target: np.ndarray) -> Weights:
    if np.ndim(weights) == 0 or np.size(weights) == 1:
        return float(np.reshape(weights, -1)[0])
    return np.asarray(weights)[target]


def _simple(name: str, times: float = 1.0) -> Callable[[_Walk, nodes.Apply, Place, Weights], None]:
    def rule(walk: _Walk, body: nodes.Apply, place: Place, weights: Weights) -> None:
        walk.add(Kind(name), body.slots[0], place, times * weights)

    return rule


def _huber(walk: _Walk, body: nodes.Apply, place: Place, weights: Weights) -> None:
    walk.add(Kind("huber"), body.slots[0], place, 2.0 * weights, walk.affine.numbers(body.slots[1], place.frame))


def _sqrt(walk: _Walk, body: nodes.Apply, place: Place, weights: Weights) -> None:
    walk.root(body.slots[0], place, weights)


_FUNCTIONS: dict[str, Callable[[_Walk, nodes.Apply, Place, Weights], None]] = {
    "abs": _simple("absolute"),
    "pos": _simple("positive"),
    "relu": _simple("positive"),
    "softplus": _simple("softplus"),
    "exp": _simple("exponential"),
    "huber": _huber,
    "max": _Walk.larger,
    "sqrt": _sqrt,
    "log": _Walk.logarithm,
}


# --------------------------------------------------------------------------------------------------- from terms


@dataclass(frozen=True, eq=False)
class _Flat:
    """A term as weights * loss(A x + offset) + linear * (A x + offset), all (L,): the scale is gone."""

    scaled: np.ndarray | None
    offset: np.ndarray
    weights: np.ndarray
    linear: np.ndarray
    extra: np.ndarray | float


_EVEN = ("square", "absolute", "huber")
_POWER = {"square": 2, "absolute": 1, "positive": 1, "huber": 2}
_LOSSES: dict[str, Callable[[], Loss]] = {
    "square": losses.Square,
    "absolute": losses.Absolute,
    "positive": losses.Positive,
    "softplus": losses.Softplus,
    "exponential": losses.Exponential,
    "squared_positive": losses.SquaredPositive,
}


def _flat(term: Term) -> _Flat:
    """The scale moved into weights and offset where the loss allows it; else `scaled` says how to scale the rows.

    w |s a + c| = w |s| |a + c/s|, and alike for squares; softplus(-t) = softplus(t) - t, max(-t, 0) = max(t, 0) - t.
    """
    assert term.kind is not None
    count, name = term.place.frame.size, term.kind.name
    scale = np.broadcast_to(np.asarray(term.scale, dtype=np.float64), (count,))
    offset = np.broadcast_to(np.asarray(term.offset, dtype=np.float64), (count,))
    weights = np.broadcast_to(np.asarray(term.weights, dtype=np.float64), (count // term.kind.group,))
    nothing = np.zeros(count)
    if (scale == 1.0).all():
        return _Flat(None, offset, weights, nothing, term.extra)
    size = np.abs(scale)
    if name in _POWER and (size > 0).all():
        moved = offset / scale
        weights = weights * size ** _POWER[name]
        extra = term.extra / size if name == "huber" else term.extra
        flipped = (scale < 0) if name not in _EVEN else np.zeros(count, dtype=bool)
        return _Flat(None, moved, weights, np.where(flipped, -weights, 0.0), extra)
    if name == "softplus" and (size == 1.0).all():
        return _Flat(None, offset * scale, weights, np.where(scale < 0, -weights, 0.0), term.extra)
    return _Flat(scale, offset, weights, nothing, term.extra)


@dataclass(eq=False)
class _Assembly:
    """Terms of the same rows put together, penalties on single variables apart."""

    walk: _Walk

    def problem(self) -> Composite:
        """The whole problem."""
        model = self.walk.model
        width = model.columns
        self.cost, self.constant = np.zeros(width), self.walk.constant
        self.absolute, self.ridge = np.zeros(width), np.zeros(width)
        self._operators: dict[tuple[sympy.Basic, tuple[nodes.Over, ...]], tuple[Rows, np.ndarray]] = {}
        parts: list[Part] = []
        groups: dict[object, list[Term]] = {}
        for number, term in enumerate(self.walk.terms):
            if term.kind is None or self._on_variable(term):
                continue
            whole = np.ndim(term.extra) == 0
            key = (term.kind, term.core, term.place.path, float(term.extra) if whole else number)  # type: ignore[arg-type]
            groups.setdefault(key, []).append(term)
        linear = [t for t in self.walk.terms if t.kind is None]
        for same in groups.values():
            flat = [_flat(t) for t in same]
            alike = all(f.scaled is None and (f.offset == flat[0].offset).all() for f in flat)
            sets = [list(zip(same, flat, strict=True))] if alike else [[pair] for pair in zip(same, flat, strict=True)]
            for together in sets:
                part = self._part(together)
                if part is not None:
                    parts.append(part)
        lower, upper, start = (np.full(width, f) for f in (-np.inf, np.inf, np.nan))
        for v in model.variables.values():
            columns = slice(v.offset, v.offset + v.width)
            lower[columns], upper[columns], start[columns] = v.lower, v.upper, v.start
        parts = self._with_linear(parts, linear)
        if (self.absolute < 0).any() or (self.ridge < 0).any():
            raise NotComposite("a penalty has a negative weight")
        start = np.clip(np.where(np.isnan(start), 0.0, start), lower, upper)
        return Composite(tuple(parts), self.cost, self.constant, self.absolute, self.ridge, lower, upper, start)

    def _operator(self, term: Term) -> tuple[Rows, np.ndarray]:
        key = (term.core, term.place.path)
        if key not in self._operators:
            self._operators[key] = self.walk.affine.operator(term.core, term.place.frame)
        return self._operators[key]

    def _on_variable(self, term: Term) -> bool:
        """Take |x_j| and (x_j - a)^2 into the penalties on single variables."""
        if not isinstance(term.core, nodes.VariableEntry) or term.kind is None or term.place.frame.size == 0:
            return False
        name, count = term.kind.name, term.place.frame.size
        if name not in ("absolute", "square"):
            return False
        flat = _flat(term)
        if flat.scaled is not None or (name == "absolute" and flat.offset.any()):
            return False
        columns = np.asarray(self.walk.model.lanes.columns(term.core, term.place.frame))
        columns = np.broadcast_to(columns, term.place.frame.shape).reshape(-1)
        width = self.walk.model.columns
        weights = np.broadcast_to(flat.weights, (count,))
        added = np.bincount(columns, weights=weights, minlength=width)
        if name == "absolute":
            self.absolute += added
        else:
            self.ridge += added
            self.cost += np.bincount(columns, weights=weights * flat.offset, minlength=width)
            self.constant += 0.5 * float(weights @ flat.offset**2)
        return True

    def _part(self, together: list[tuple[Term, _Flat]]) -> Part | None:
        term, flat = together[0]
        assert term.kind is not None
        operator, constants = self._operator(term)
        offset = constants + flat.offset
        weights = np.sum([f.weights for _, f in together], axis=0)
        linear = np.sum([f.linear for _, f in together], axis=0)
        if flat.scaled is not None:
            operator, offset = _scaled(operator, flat.scaled), flat.scaled * constants + flat.offset
        if (weights < 0).any():
            raise NotComposite("a loss has a negative weight")
        group = term.kind.group
        extra = flat.extra
        keep = weights > 0
        if not keep.all():
            rows = np.flatnonzero(np.repeat(keep, group))
            moved = np.zeros(len(linear))
            moved[:] = linear
            lost = np.flatnonzero(~np.repeat(keep, group))
            if moved[lost].any():
                raise NotComposite("a loss without weight")
            operator = _some(operator, rows)
            offset, linear, weights = offset[rows], linear[rows], weights[keep]
            extra = extra if np.ndim(extra) == 0 else np.asarray(extra)[rows]
        if not len(weights):
            return None
        return Part(operator, offset, _loss(term.kind, extra), weights, linear if linear.any() else None)

    def _with_linear(self, parts: list[Part], linear: list[Term]) -> list[Part]:
        """The affine terms: with the part whose rows they are multiples of, else in the cost."""
        for term in linear:
            operator, constants = self._operator(term)
            count = term.place.frame.size
            weights = np.broadcast_to(np.asarray(term.weights * term.scale, dtype=np.float64), (count,))
            shift = np.broadcast_to(np.asarray(term.weights * term.offset, dtype=np.float64), (count,))
            self.constant += float(shift.sum())
            place = next((k for k, p in enumerate(parts) if p.operator is operator), None)
            if place is None:
                self.cost += operator.transposed(weights)
                self.constant += float(weights @ constants)
                continue
            part = parts[place]
            own = weights if part.linear is None else weights + part.linear
            self.constant -= float(weights @ (part.offset - constants))
            parts[place] = Part(operator, part.offset, part.loss, part.weights, own)
        return parts


def _loss(kind: Kind, extra: Weights) -> Loss:
    if kind.name == "huber":
        if (np.asarray(extra) <= 0).any():
            raise NotComposite("a huber loss without a quadratic part")
        return losses.Huber(extra)
    if kind.name == "length":
        return losses.Length(kind.group)
    if kind.name == "logsumexp":
        return losses.LogSumExp(kind.group)
    return _LOSSES[kind.name]()


def _scaled(operator: Rows, scale: np.ndarray) -> Rows:
    blocks = []
    for block in operator.blocks:
        if isinstance(block.matrix, np.ndarray):
            blocks.append(Block(np.asarray(block.matrix * scale[:, None]), block.columns))
        else:
            blocks.append(Block(sp.csr_array(sp.diags_array(scale) @ block.matrix), block.columns))
    return Rows(tuple(blocks), operator.rows, operator.width)


def _some(operator: Rows, rows: np.ndarray) -> Rows:
    return Rows(tuple(Block(b.matrix[rows], b.columns) for b in operator.blocks), len(rows), operator.width)
