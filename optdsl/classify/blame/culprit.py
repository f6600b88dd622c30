"""The smallest part of an expression that keeps it from curving as its role needs, and why.

The composition rule is followed from the outside in: a sum fails by one of its terms, a function by its own curvature
or by an argument that it does not carry over. A part whose own curvature is known is not looked into any further.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy

from optdsl.atoms import ARRAYWISE, ENTRIES, INTERNAL, REDUCTIONS
from optdsl.classify.facts import Fact
from optdsl.classify.proof import curvature_word
from optdsl.classify.proofs.composition import shape_of, slope_word
from optdsl.classify.proofs.quadratics import degree, quadratic_certificate, quadratic_matrix
from optdsl.classify.proofs.writer import Where, Writer
from optdsl.terms import nodes
from optdsl.terms.nodes import has_variables

WORDS = {1: "convex", -1: "concave", 0: "affine"}


@dataclass(frozen=True, eq=False)
class Culprit:
    """The part at fault. need: 1 where it had to be convex, -1 concave, 0 affine. kind: which sort of fault.

    path: the parts around it, outermost first.
    """

    node: sympy.Basic
    where: Where
    need: int
    kind: str
    reason: str
    path: tuple[sympy.Basic, ...] = ()


class Search:
    """Finds culprits in one statement."""

    def __init__(self, writer: Writer, role: str, root_need: int) -> None:
        self.writer, self.facts, self.role, self.root_need = writer, writer.facts, role, root_need

    def find(self, node: sympy.Basic, where: Where, need: int, path: tuple[sympy.Basic, ...] = ()) -> Culprit | None:
        """What breaks an expression that is needed convex (1), concave (-1) or affine (0); None where nothing does."""
        if not has_variables(node) or not where.frame.size:
            return None
        fact = self.facts.find(node, where.frame)
        if fits(fact, need):
            return None
        for kind, rule in _RULES.items():
            if isinstance(node, kind):
                found: Culprit | None = rule(self, node, where, need, path)
                return found
        return Culprit(node, where, need, "other", f"`{self.text(node)}` has no known curvature", path)

    def text(self, node: sympy.Basic) -> str:
        """A part as it is written."""
        return self.writer.text(node)

    def needed(self, need: int) -> str:
        """What a part had to be, in a clause: `what is minimized must be convex`."""
        if need == self.root_need or not self.root_need:
            return f"{self.role} must be {WORDS[self.root_need]}"
        if need == 0:
            return "it must be affine here"
        return f"a part that is subtracted in {self.role} must be {WORDS[need]}"

    # --------------------------------------------------------------------------------------------- sums, products

    def _add(self, node: sympy.Add, where: Where, need: int, path: Any) -> Culprit | None:
        moving = [t for t in node.args if has_variables(t)]
        bad = [t for t in moving if not fits(self.facts.find(t, where.frame), need)]
        if need and all(degree(t) == 2 for t in bad):
            return self._quadratic(node, bad, where, need, path)
        others = [t for t in bad if degree(t) != 2] or bad
        found = None
        for term in others:
            found = self.find(term, where, need, (*path, node))
            if found is not None:
                break
        return found and self._difference(found, moving, where, need)

    def _difference(self, found: Culprit, moving: Sequence[sympy.Basic], where: Where, need: int) -> Culprit:
        """Says so where the other parts curve the right way."""
        if found.kind != "shape" or not need or found.need not in (1, -1):
            return found
        curved = [self.facts.find(t, where.frame) for t in moving]
        right = [f for f in curved if fits(f, need) and not bool(f.affine.all())]
        wrong = [f for f in curved if fits(f, -need) and not bool(f.affine.all())]
        if right and wrong and len(right) + len(wrong) + sum(bool(f.affine.all()) for f in curved) == len(curved):
            reason = f"{found.reason}: the whole is a difference of {WORDS[need]} parts"
            return replace(found, kind="difference", reason=reason)
        return found

    def _quadratic(
        self, node: sympy.Basic, bad: Sequence[sympy.Basic], where: Where, need: int, path: Any
    ) -> Culprit | None:
        """Terms of degree two are judged together."""
        parts = [t for t in sympy.Add.make_args(node) if degree(t) == 2]
        rest = [t for t in sympy.Add.make_args(node) if degree(t) != 2]
        whole = sympy.Add(*parts)
        if quadratic_certificate(whole, where, float(need), self.facts) is not None:
            for term in rest:
                found = self.find(term, where, need, (*path, node))
                if found is not None:
                    return found
            return None
        worst = next((t for t in bad if _crossed(t)), bad[0])
        squares = not any(_crossed(t) for t in parts)
        inner = (*path, node) if isinstance(node, sympy.Add) else path
        if squares and len(parts) > len(bad) and not any(isinstance(t, nodes.Reduce) for t in bad):
            sign = "minus" if need > 0 else "plus"
            square = self.text(_without_sign(worst))
            reason = f"the square `{square}` has a {sign} sign: the whole is a difference of convex parts"
            return Culprit(_without_sign(worst), where, need, "square", reason, inner)
        product = _product_in(worst)
        value = self._eigenvalue(whole, where, need)
        form = isinstance(_without_sign(worst), nodes.Reduce) and value is not None
        if product is not None and len(parts) == 1 and not form:
            return self.find_product(product, where, need, inner)
        if squares and not form:
            return self._square(_without_sign(worst), where, need, inner)
        if form:
            product = None
        kind = "product" if product is not None else "quadratic"
        reason = f"this quadratic is not {WORDS[need]}"
        if product is not None:
            reason = f"{self._of_product(product)}, and the squares beside it do not outweigh it"
        if value is not None:
            reason += f": its matrix has the {'negative' if need > 0 else 'positive'} eigenvalue {value:.3g}"
        place = product if product is not None else _without_sign(worst)
        return Culprit(place, where, need, kind, reason, inner)

    def _square(self, node: sympy.Basic, where: Where, need: int, path: Any) -> Culprit:
        reason = f"`{self.text(node)}` is {WORDS[-need]}, but {self.needed(need)}"
        return Culprit(node, where, need, "shape", reason, path)

    def _eigenvalue(self, whole: sympy.Basic, where: Where, need: int) -> float | None:
        """The worst eigenvalue of the matrix of a quadratic without indices, as it stands."""
        matrix = quadratic_matrix(whole, where, self.facts)
        if matrix is None or matrix.shape[0] > 400:
            return None
        values = np.linalg.eigvalsh(matrix.toarray())
        return float(values[0] if need > 0 else values[-1])

    def find_product(self, product: sympy.Basic, where: Where, need: int, path: Any) -> Culprit:
        return Culprit(product, where, need, "product", self._of_product(product), path)

    def _of_product(self, node: sympy.Basic) -> str:
        moving = [f for f in sympy.Mul.make_args(node) if has_variables(f)]
        below = [f for f in moving if isinstance(f, sympy.Pow) and f.exp.is_negative]
        if below and len(moving) > len(below):
            above = sympy.Mul(*[f for f in moving if f not in below])
            return (
                f"a ratio of `{self.text(above)}` and `{self.text(1 / sympy.Mul(*below))}`, which both hold variables"
            )
        if len(moving) == 2:
            one, two = moving
            if all(isinstance(f, nodes.VariableEntry) for f in moving):
                return f"a product of two variables, `{self.text(one)}` and `{self.text(two)}`; neither is constant"
            return f"a product of `{self.text(one)}` and `{self.text(two)}`, which both hold variables"
        return f"a product of {len(moving)} parts with variables"

    def _mul(self, node: sympy.Mul, where: Where, need: int, path: Any) -> Culprit | None:
        moving = [f for f in node.args if has_variables(f)]
        if len(moving) > 1:
            if need and degree(node) == 2:
                return self._quadratic(node, [node], where, need, path)
            return self.find_product(node, where, need, path)
        factor = sympy.Mul(*[f for f in node.args if not has_variables(f)])
        values = np.broadcast_to(np.asarray(self.facts.lanes.numbers(factor, where.frame)), where.frame.shape)
        for mask, sign, order in ((values > 0, 1, ">"), (values < 0, -1, "<")):
            if mask.any():
                inner = where.only(mask, nodes.Compare(order, factor, sympy.Integer(0)), self.facts)
                found = self.find(moving[0], inner, need * sign, (*path, node))
                if found is not None:
                    return found
        return Culprit(node, where, need, "other", f"`{self.text(node)}` is not {WORDS[need]}", path)

    # ------------------------------------------------------------------------------------------------ functions

    def _function(self, node: Any, where: Where, need: int, path: Any) -> Culprit | None:
        power = isinstance(node, sympy.Pow)
        row, arguments = (ENTRIES["pow"], list(node.args)) if power else (ENTRIES[node.name], list(node.slots))
        name = self._name(node, row)
        facts = [self.facts.find(a, where.frame) for a in arguments]
        moving = [k for k, a in enumerate(arguments) if has_variables(a)]
        if (power or row.name == "pow") and 1 in moving:
            return Culprit(node, where, need, "exponent", f"the exponent of `{self.text(node)}` holds a variable", path)
        own, slopes = shape_of(row, [f.interval for f in facts])
        if np.isnan(own).any():
            inner = moving[0]
            bounds = self._between(arguments[inner], facts[inner])
            if (power or row.name == "pow") and arguments[1].is_negative:
                reason = f"{name} jumps at 0, and {bounds}"
            elif row.summary[2].startswith("neither"):
                reason = f"{name} is neither convex nor concave anywhere"
                return Culprit(node, where, need, "jump", reason, path)
            elif power or row.name == "pow":
                reason = f"{name} changes its curvature at 0, and {bounds}"
            else:
                reason = f"{name} changes its curvature ({row.summary[2]}), and {bounds}"
            return Culprit(node, where, need, "changes", reason, path)
        word = curvature_word(own)
        if need == 0 or not fits(replace(facts[moving[0]], curvature=own), need):
            reason = f"{name} is {word}, but {self.needed(need)}"
            return Culprit(node, where, need, "shape", reason, path)
        for k in moving:
            slope = slope_word(slopes[k])
            wanted = need if slope == "nondecreasing" else -need if slope == "nonincreasing" else 0
            if fits(facts[k], wanted):
                continue
            return self._argument(node, name, arguments[k], facts[k], slope, wanted, where, path)
        return Culprit(node, where, need, "other", f"{name} is not known to be {WORDS[need]} here", path)

    def _argument(
        self, node: sympy.Basic, name: str, argument: sympy.Basic, fact: Fact, slope: str, wanted: int, where: Where,
        path: Any,
    ) -> Culprit | None:
        """An argument that its function does not carry over."""
        if bool(np.isnan(fact.curvature).any()):
            inner = self.find(argument, where, wanted, (*path, node))
            if inner is not None and inner.kind not in ("shape",):
                return inner
        moves = {"nondecreasing": "increasing", "nonincreasing": "decreasing"}.get(slope)
        word = curvature_word(fact.curvature)
        if word == "unknown":
            word = "neither known to be convex nor concave"
        if moves is None:
            reason = f"{name} neither rises nor falls throughout, so its argument must be affine; it is {word}"
        else:
            reason = f"{name} is {moves}, but its argument is {word}"
        return Culprit(argument, where, wanted, "argument", reason, (*path, node))

    def _name(self, node: Any, row: Any) -> str:
        if isinstance(node, sympy.Pow) and node.exp == 2 and len(self.text(node)) > 24:
            return "a square"
        if isinstance(node, sympy.Pow) or row.name == "pow":
            return f"`{self.text(node)}`" if len(self.text(node)) <= 24 else f"the power {self.text(node.args[-1])}"
        return f"`{self.text(node)}`" if row.name in INTERNAL else f"`{row.name}`"

    def _between(self, argument: sympy.Basic, fact: Fact) -> str:
        low, high = float(np.min(fact.lo)), float(np.max(fact.hi))
        shown = f"`{self.text(argument)}`"
        if np.isinf(low) and np.isinf(high):
            return f"{shown} has no bounds"
        if np.isinf(low):
            return f"{shown} has no lower bound"
        return f"{shown} has no upper bound" if np.isinf(high) else f"{shown} lies between {low:.4g} and {high:.4g}"

    def _reduce(self, node: nodes.Reduce, where: Where, need: int, path: Any) -> Culprit | None:
        if need and degree(node) == 2 and node.name in ("sum", "mean", "sumsq"):
            body = node.body
            if node.name != "sumsq" and all(not _crossed(t) for t in sympy.Add.make_args(body)):
                inner = self.find(body, where.within(node.over, self.facts), need, (*path, node))
                if inner is not None:
                    return inner
            return self._quadratic(node, [node], where, need, path)
        inner_where = where.within(node.over, self.facts)
        if node.name in ("sum", "mean"):
            return self.find(node.body, inner_where, need, (*path, node))
        word = REDUCTIONS[node.name].summary[2]
        return self._of_many(node, word, [(node.body, inner_where)], where, need, path)

    def _array_call(self, node: nodes.ArrayCall, where: Where, need: int, path: Any) -> Culprit | None:
        row = ARRAYWISE.get(node.name)
        word = row.summary[2] if row is not None else "neither"
        parts = []
        for argument in node.arguments:
            if isinstance(argument, nodes.Block):
                parts.append((argument.body, where.within(nodes.over(argument.axes), self.facts)))
            else:
                parts.append((argument, where))
        return self._of_many(node, word, parts, where, need, path)

    def _of_many(
        self, node: Any, word: str, parts: Sequence[tuple[sympy.Basic, Where]], where: Where, need: int, path: Any
    ) -> Culprit | None:
        name = f"`{node.name}`"
        if word.split()[0] not in ("convex", "concave"):
            moving = "a product over members that hold variables" if node.name == "prod" else f"{name} of variables"
            return Culprit(node, where, need, "product" if node.name == "prod" else "other",
                           f"{moving} is neither convex nor concave", path)
        own = 1 if word.startswith("convex") else -1
        if need != own:
            return Culprit(node, where, need, "shape", f"{name} is {WORDS[own]}, but {self.needed(need)}", path)
        for body, inner in parts:
            fact = self.facts.find(body, inner.frame)
            if bool(fact.affine.all()) or not has_variables(body):
                continue
            rising = node.name in ("max", "min", "logsumexp", "geo_mean", "harmonic_mean", "sum_largest")
            rising = rising or (own > 0 and bool((fact.lo >= 0).all()))
            if rising and fits(fact, need):
                continue
            slope = "nondecreasing" if rising else "either"
            return self._argument(node, name, body, fact, slope, need if rising else 0, inner, path)
        return Culprit(node, where, need, "other", f"{name} is not known to be {WORDS[need]} here", path)

    # -------------------------------------------------------------------------------------------------- branches

    def _choose(self, node: nodes.Choose, where: Where, need: int, path: Any) -> Culprit | None:
        condition, then, otherwise = node.args
        holds = np.broadcast_to(self.facts.lanes.condition(condition, where.frame), where.frame.shape)
        for mask, side, branch in ((holds, condition, then), (~holds, nodes.Logic("not", condition), otherwise)):
            if mask.any():
                found = self.find(branch, where.only(mask, side, self.facts), need, (*path, node))
                if found is not None:
                    return found
        return None

    def _pick(self, node: nodes.Pick, where: Where, need: int, path: Any) -> Culprit | None:
        position = np.broadcast_to(self.facts.lanes.numbers(node.args[0], where.frame), where.frame.shape)
        for k, branch in enumerate(node.args[1:]):
            mask = position == k
            if mask.any():
                chosen = nodes.Compare("=", node.args[0], sympy.Integer(k))
                found = self.find(branch, where.only(mask, chosen, self.facts), need, (*path, node))
                if found is not None:
                    return found
        return None


_RULES: dict[type, Any] = {
    sympy.Add: Search._add,
    sympy.Mul: Search._mul,
    sympy.Pow: Search._function,
    nodes.Apply: Search._function,
    nodes.Reduce: Search._reduce,
    nodes.ArrayCall: Search._array_call,
    nodes.Choose: Search._choose,
    nodes.Pick: Search._pick,
}


def fits(fact: Fact, need: int) -> bool:
    """Whether the curvature is the needed one at every lane."""
    holds = fact.convex if need > 0 else fact.concave if need < 0 else fact.affine
    return bool(holds.all())


def _crossed(term: sympy.Basic) -> bool:
    return _product_in(term) is not None


def _product_in(term: sympy.Basic) -> sympy.Basic | None:
    """The product of two parts with variables inside a term of degree two."""
    if isinstance(term, nodes.Reduce):
        return _product_in(term.body)
    if isinstance(term, sympy.Add):
        return next((p for p in map(_product_in, term.args) if p is not None), None)
    if isinstance(term, sympy.Mul):
        moving = [f for f in term.args if has_variables(f)]
        if len(moving) > 1:
            return term if len(moving) == len(term.args) else sympy.Mul(*moving)
        return _product_in(moving[0])
    return None


def _without_sign(term: sympy.Basic) -> sympy.Basic:
    """A term without its factor of data."""
    moving = [f for f in sympy.Mul.make_args(term) if has_variables(f)]
    return moving[0] if len(moving) == 1 else term

