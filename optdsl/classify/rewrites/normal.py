"""Natural spellings rewritten, from the innermost part outward, into forms that the composition rule knows.

`REWRITINGS` is an open list: one idea each. A part whose curvature is known already is left as it was written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import sympy

from optdsl.atoms import ENTRIES
from optdsl.classify.facts import Facts
from optdsl.classify.rewrites.conditions import lost
from optdsl.classify.rewrites.entropies import entropy, sum_of_entropies
from optdsl.classify.rewrites.forms import semidefinite
from optdsl.classify.rewrites.gram import gathered
from optdsl.classify.rewrites.logs import exp_of_logs, log_of_exponentials, log_of_product
from optdsl.classify.rewrites.means import power_mean, weighted_product
from optdsl.classify.rewrites.norms import p_norm, root_of_squares
from optdsl.classify.rewrites.perspectives import log_of_difference, perspective, root_of_difference
from optdsl.classify.rewrites.place import Place, RewriteStep, Rewriting
from optdsl.classify.rewrites.products import product_of_powers
from optdsl.classify.rewrites.quotients import division, product_over_sum, reciprocal_of_sum
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import has_variables

BOYD = "Boyd and Vandenberghe 2004"
APPLY, MUL, ADD, POW, REDUCE = (nodes.Apply,), (sympy.Mul,), (sympy.Add,), (sympy.Pow,), (nodes.Reduce,)

REWRITINGS: tuple[Rewriting, ...] = (
    Rewriting("the logarithm of a sum of exponentials is log-sum-exp", APPLY, log_of_exponentials,
              f"{BOYD}, section 3.1.5"),
    Rewriting("log(k e^a - e^b) = a + log(k - e^(b - a))", APPLY, log_of_difference, f"{BOYD}, section 3.2.4"),
    Rewriting("the logarithm of a product of positive factors is the sum of their logarithms", APPLY, log_of_product,
              f"{BOYD}, section 3.5"),
    Rewriting("the root of a sum of squares is the norm of the terms", APPLY, root_of_squares,
              f"{BOYD}, section 3.1.5"),
    Rewriting("the p-th root of a sum of p-th powers of sizes is the p-norm", APPLY, p_norm, f"{BOYD}, section 3.1.5"),
    Rewriting("the root of u^2 - v^2 with u >= 0 is a cone in u and v", (*APPLY, *POW), root_of_difference,
              "Lobo, Vandenberghe, Boyd and Lebret 1998, section 2.3"),
    Rewriting("t f(x / t) is the perspective of f: the factor t goes inside", MUL, perspective,
              f"{BOYD}, section 3.2.6"),
    Rewriting("x (log x - log y) is the relative entropy of x and y", MUL, entropy, f"{BOYD}, example 3.19"),
    Rewriting("x log x - x log y is the relative entropy of x and y", ADD, sum_of_entropies, f"{BOYD}, example 3.19"),
    Rewriting("x y / (x + y) = x - x^2 / (x + y)", MUL, product_over_sum, f"{BOYD}, section 3.2.4"),
    Rewriting("a product of powers is written by geometric means and quotients u^s / v^(s - 1)",
              (*MUL, *POW, *APPLY), product_of_powers, f"{BOYD}, sections 3.1.5 and 3.2.6"),
    Rewriting("a product of powers with exponents of data that add up to at most 1 is a concave mean",
              (*MUL, *POW, *APPLY, *REDUCE), weighted_product, f"{BOYD}, section 3.1.5"),
    Rewriting("the quotient of a polynomial by an affine function is a polynomial and a remainder over it", MUL,
              division, "Euclid's division"),
    Rewriting("one over a sum of reciprocals is a harmonic mean over the count, x - x^2 / (x + y) for two", POW,
              reciprocal_of_sum, f"{BOYD}, section 3.2.4"),
    Rewriting("the root of order p of a sum of powers x^p with p < 1 is a concave mean", (*POW, *APPLY), power_mean,
              f"{BOYD}, exercise 3.18"),
    Rewriting("the exponential of logarithms is a product of powers", APPLY, exp_of_logs, f"{BOYD}, section 4.5"),
    Rewriting("a quadratic form is a sum of weighted squares (L D L')", ADD, gathered, f"{BOYD}, appendix C.3.3"),
    Rewriting("the matrix of this quadratic is semidefinite: it is a sum of squares (eigenvalues, or L D L')",
              (*ADD, *MUL, *REDUCE), semidefinite, f"{BOYD}, sections 3.1.4 and A.5.5"),
)
ROUNDS = 12

Steps = tuple[RewriteStep, ...]


def normalize(expression: sympy.Expr, frame: Frame, facts: Facts) -> tuple[sympy.Expr, Steps]:
    """The expression in forms that the composition rule knows, equal to it on D in every lane, and how it got there."""
    return normalized(expression, Place(facts, frame))


def normalized(expression: sympy.Expr, place: Place) -> tuple[sympy.Expr, Steps]:
    """The same at a place."""
    walk = _Walk()
    result = walk.visit(expression, place)
    return result, tuple(walk.steps)


@dataclass(eq=False)
class _Walk:
    steps: list[RewriteStep] = field(default_factory=list)
    seen: dict[tuple[int, sympy.Basic], tuple[Frame, sympy.Expr]] = field(default_factory=dict)

    def visit(self, expression: sympy.Expr, place: Place) -> sympy.Expr:
        if not has_variables(expression) or not place.frame.size:
            return expression
        key = (id(place.frame), expression)
        if key not in self.seen:
            self.seen[key] = (place.frame, expression)  # a rewriting that leads back here ends here
            self.seen[key] = (place.frame, self._visit(expression, place))
        return self.seen[key][1]

    def _visit(self, expression: sympy.Expr, place: Place) -> sympy.Expr:
        if isinstance(expression, nodes.VariableEntry):
            return expression
        if not isinstance(expression, nodes.Block) and place.proved(expression):
            return expression
        inside = _INSIDE.get(type(expression), _Walk._arguments)
        current = inside(self, expression, place)
        for _ in range(ROUNDS):
            found = self._rewritten(current, place)
            if found is None:
                break
            inside = _INSIDE.get(type(found), _Walk._arguments)
            current = inside(self, found, place)
        return current

    def _rewritten(self, expression: sympy.Expr, place: Place) -> sympy.Expr | None:
        if not has_variables(expression) or place.proved(expression):
            return None
        for rewriting in REWRITINGS:
            if not isinstance(expression, rewriting.heads):
                continue
            after = rewriting.rewrite(expression, place)
            if after is not None and after != expression:
                keeps = lost(expression, after, place)
                # what it gives is put into words where a proof is written
                self.steps.append(RewriteStep(rewriting.rule, expression, "", after=after, place=place, keeps=keeps))
                return after
        return None

    # ------------------------------------------------------------------------------------------------ the parts

    def _arguments(self, expression: sympy.Expr, place: Place) -> sympy.Expr:
        if not expression.args or _is_shown(expression):
            return expression
        parts = [self.visit(a, place) if isinstance(a, sympy.Expr) else a for a in expression.args]
        same = all(p is a for p, a in zip(parts, expression.args, strict=True))
        return expression if same else expression.func(*parts)

    def _entry(self, expression: sympy.Expr, place: Place) -> sympy.Expr:
        return expression

    def _reduce(self, expression: nodes.Reduce, place: Place) -> sympy.Expr:
        body = self.visit(expression.body, place.within(expression.over))
        if body is expression.body:
            return expression
        return nodes.Reduce(expression.name, body, expression.over, *expression.extra)

    def _block(self, expression: nodes.Block, place: Place) -> sympy.Expr:
        body = self.visit(expression.body, place.within(nodes.over(expression.axes)))
        return expression if body is expression.body else nodes.Block(body, *expression.axes)

    def _choose(self, expression: nodes.Choose, place: Place) -> sympy.Expr:
        condition, then, otherwise = expression.args
        holds = place.facts.lanes.condition(condition, place.frame)
        branches = [
            self.visit(branch, place.where(side, mask)) if mask.any() else branch
            for branch, side, mask in (
                (then, condition, holds), (otherwise, nodes.Logic("not", condition), ~holds),
            )
        ]
        return nodes.Choose(condition, *branches)

    def _pick(self, expression: nodes.Pick, place: Place) -> sympy.Expr:
        position = place.facts.lanes.numbers(expression.args[0], place.frame)
        branches = []
        for k, branch in enumerate(expression.args[1:]):
            mask = position == k
            chosen = nodes.Compare("=", expression.args[0], sympy.Integer(k))
            branches.append(self.visit(branch, place.where(chosen, mask)) if mask.any() else branch)
        return nodes.Pick(expression.args[0], *branches)


def _is_shown(expression: sympy.Expr) -> bool:
    """Whether the call's curvature was shown of the very argument that stands in it."""
    return isinstance(expression, nodes.Apply) and ENTRIES[expression.name].shown is not None


_INSIDE: dict[type, Callable[..., sympy.Expr]] = {
    nodes.VariableEntry: _Walk._entry,
    nodes.Reduce: _Walk._reduce,
    nodes.Block: _Walk._block,
    nodes.Choose: _Walk._choose,
    nodes.Pick: _Walk._pick,
}
