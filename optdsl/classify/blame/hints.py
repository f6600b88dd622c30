"""What to write instead: one function an idea, in a list that is open at its end.

Each looks at a case and gives a sentence in the user's own names, or None. What declares bounds is tried before it is
said: the statement must then be proved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import sympy

from optdsl.classify.blame.culprit import Culprit, fits
from optdsl.classify.collect import Collector
from optdsl.classify.facts import Facts
from optdsl.classify.proofs.quadratics import quadratic_certificate, split_quadratic
from optdsl.classify.proofs.writer import Where, Writer
from optdsl.classify.rewrites import convex_form, normalize
from optdsl.classify.rewrites.conditions import brought
from optdsl.classify.sink import AFFINE, CONCAVE, CONVEX, Auxiliary, NotCollected
from optdsl.data.arrays import DenseArray, SparseArray
from optdsl.data.members import same_members
from optdsl.model.model import Constraint, Model, Objective, Relation, Variable
from optdsl.terms import nodes
from optdsl.terms.nodes import has_variables

INCREASING = (
    "exp", "expm1", "log", "log2", "log10", "log1p", "sqrt", "cbrt", "sinh", "tanh", "atan", "sigmoid", "softplus",
)
JUMPS = {"floor": "`k <= e`, `k >= e - 1`", "ceil": "`k >= e`, `k <= e + 1`"}


@dataclass(frozen=True, eq=False)
class Case:
    """A statement that is not proved, and the part that breaks it. `relation` None: the objective."""

    model: Model
    statement: Objective | Constraint
    relation: Relation | None
    writer: Writer
    where: Where
    culprit: Culprit

    @property
    def body(self) -> sympy.Expr:
        return self.relation.body if self.relation is not None else self.statement.body  # type: ignore[union-attr]

    @property
    def minimized(self) -> bool:
        return isinstance(self.statement, Objective) and self.statement.sense == "minimize"

    def text(self, expression: sympy.Basic) -> str:
        return self.writer.text(expression)

    def box(self, expression: sympy.Basic) -> tuple[float, float]:
        """Between which numbers a part lies, over all indices."""
        fact = self.writer.facts.find(expression, self.culprit.where.frame)
        return float(np.min(fact.lo)), float(np.max(fact.hi))

    def variable(self, entry: sympy.Basic) -> Variable:
        return self.model.variables[entry.name]  # type: ignore[attr-defined]

    def entries(self) -> list[nodes.VariableEntry]:
        """The variables in the part at fault, in order."""
        found = [e for e in sympy.preorder_traversal(self.culprit.node) if isinstance(e, nodes.VariableEntry)]
        return list(dict.fromkeys(found))


def proved_with(case: Case, facts: Facts) -> bool:
    """Whether the statement would be proved, and written with cones, on these bounds."""
    frame, relation = case.where.frame, case.relation
    if relation is None:
        need = 1 if case.minimized else -1
        return any(_proved(case, body, need, facts) for body in (case.body, normalize(case.body, frame, facts)[0]))
    form = convex_form(relation.body, relation.lower, relation.upper, frame, facts)
    if form is not None:
        needs = [1 if low is None else -1 if high is None else 0 for _, low, high in form.relations]
        return all(_collected(case, body, need, facts) for (body, *_), need in zip(form.relations, needs, strict=True))
    if relation.lower is not None and relation.upper is not None:
        return False
    return _proved(case, relation.body, 1 if relation.lower is None else -1, facts)


def _proved(case: Case, body: sympy.Expr, need: int, facts: Facts) -> bool:
    if not fits(facts.find(body, case.where.frame), need):
        parts = split_quadratic(body, case.where, float(need), facts)
        if parts is None or quadratic_certificate(parts[0], case.where, float(need), facts) is None:
            return False
    return _collected(case, body, need, facts)


def _collected(case: Case, body: sympy.Expr, need: int, facts: Facts) -> bool:
    """Whether an expression has a form in cones."""
    collector = Collector(facts.lanes, Auxiliary(len(facts.lower)), facts)
    root = case.where.frame.as_root()
    sink = collector.sink(root, {1: CONVEX, -1: CONCAVE, 0: AFFINE}[need], quadratic=need != 0)
    try:
        collector.collect(body, root, np.ones((1,) * len(root.shape)), sink)
    except NotCollected:
        return False
    return True


# ------------------------------------------------------------------------------------------------------------- bounds


def sign_of_variables(case: Case) -> str | None:
    """Bounds by 0 under which the statement is convex."""
    if case.culprit.kind not in ("changes", "product", "argument", "domain", "exponent", "other"):
        return None
    for changes in _signs(case):
        lower, upper = case.writer.facts.lower.copy(), case.writer.facts.upper.copy()
        for variable, order in changes:
            columns = slice(variable.offset, variable.offset + variable.width)
            if order == ">=":
                lower[columns] = np.maximum(lower[columns], 0.0)
            else:
                upper[columns] = np.minimum(upper[columns], 0.0)
        if proved_with(case, Facts(case.model.lanes, lower, upper)):
            declared = " and ".join(f"`{v.name} {order} 0`" for v, order in changes)
            return f"declare {declared}, if that holds: then this is convex"
    return None


def _signs(case: Case) -> Iterator[list[tuple[Variable, str]]]:
    variables = list(dict.fromkeys(case.variable(e) for e in case.entries()))
    free = [v for v in variables if (v.lower < 0).any() and (v.upper > 0).any()]
    if not free or len(free) > 4 or any(v.attributes & {"psd", "nsd"} for v in free):
        return
    for variable in free:
        yield [(variable, ">=")]
    if len(free) > 1:
        yield [(v, ">=") for v in free]
    nonnegative = {e.name for kind, e, _ in brought(case.body) if isinstance(e, nodes.VariableEntry)}
    for variable in free:
        if variable.name not in nonnegative:
            yield [(variable, "<=")]


def positive_variables(case: Case) -> str | None:
    """Where the whole model is a geometric program once its variables are positive."""
    from optdsl.classify.geometric import Geometric, recognize_geometric

    if case.model.integers or case.culprit.kind not in ("product", "changes", "shape", "exponent", "argument"):
        return None
    plain = case.writer.facts
    if (plain.lower >= 0).all() or (plain.upper <= 0).any():
        return None
    facts = Facts(case.model.lanes, np.maximum(plain.lower, 0.0), plain.upper)
    if not isinstance(recognize_geometric(case.model, facts), Geometric):
        return None
    names = [v.name for v in case.model.variables.values() if (v.lower < 0).any()]
    declared = " and ".join(f"`{n} >= 0`" for n in names[:4])
    return f"declare {declared}, if that holds: then this is a geometric program, solved to global optimality"


# ----------------------------------------------------------------------------------------------------------- products


def product_with_binary(case: Case) -> str | None:
    """b * x with a binary b and a bounded x is linear."""
    factors = [f for f in sympy.Mul.make_args(case.culprit.node) if has_variables(f)]
    if case.culprit.kind != "product" or len(factors) != 2:
        return None
    for b, x in (factors, factors[::-1]):
        if not isinstance(b, nodes.VariableEntry) or not case.variable(b).integer or case.box(b) != (0.0, 1.0):
            continue
        product, one, two = case.text(case.culprit.node), case.text(b), case.text(x)
        if isinstance(x, nodes.VariableEntry) and case.variable(x).integer and case.box(x) == (0.0, 1.0):
            return (
                f"replace `{product}` by a variable `w in [0, 1]` with `w <= {one}`, `w <= {two}`, "
                f"`w >= {one} + {two} - 1`: the same, and linear"
            )
        low, high = case.box(x)
        if not (np.isfinite(low) and np.isfinite(high)):
            return f"give `{two}` finite bounds: a product of a binary with a bounded variable can be written linearly"
        low_text = "0 <= w" if low == 0 else f"w >= {_times(low, one)}"
        under = two if low == 0 else f"{two}{' + ' if low < 0 else ' - '}{_times(abs(low), f'(1 - {one})')}"
        return (
            f"replace `{product}` by a variable `w` with `{low_text}`, `w <= {_times(high, one)}`, `w <= {under}`, "
            f"`w >= {two} - {_times(high, f'(1 - {one})')}`: the same, and linear"
        )
    return None


def _times(value: float, text: str) -> str:
    """A number times a text, without a factor of 1."""
    return text if value == 1 else f"-{text}" if value == -1 else f"{value:g} * {text}"


def logarithm_of_product(case: Case) -> str | None:
    """A product of nonnegative concave parts is maximized where the sum of their logarithms is."""
    body = case.body
    if case.relation is not None or case.minimized or not isinstance(body, sympy.Mul):
        return None
    moving = [f for f in body.args if has_variables(f)]
    facts = [case.writer.facts.find(f, case.where.frame) for f in moving]
    if len(moving) < 2 or not all(bool((f.lo >= 0).all()) and bool(f.concave.all()) for f in facts):
        return None
    return f"maximize `{' + '.join(f'log({case.text(f)})' for f in moving)}` instead: the same point is best"


def eigenvalue_of_data(case: Case) -> str | None:
    """A quadratic form with data that has an eigenvalue of the wrong sign."""
    if case.culprit.kind not in ("product", "quadratic") or case.culprit.need == 0:
        return None
    data = [p for p in sympy.preorder_traversal(case.culprit.node) if isinstance(p, nodes.ParameterEntry)]
    for name in dict.fromkeys(p.name for p in data if len(p.slots) == 2 and "#" not in p.name):
        if _right_if_definite(case, name):
            word = "psd" if case.culprit.need > 0 else "nsd"
            return (
                f"declare `{name}` `{word}`, so that such data is reported where it is read; a matrix that is only "
                f"rounded is mended by {'adding a little to' if word == 'psd' else 'taking a little from'} its diagonal"
            )
    return None


def _right_if_definite(case: Case, name: str) -> bool:
    """Whether the part at fault would be convex, or concave, were a parameter a definite matrix.

    Tried with one that has entries of both signs: weights of squares, and of products of other variables, are no such
    matrices, nor is a table over two sets.
    """
    values = case.model.parameters.get(name)
    if not isinstance(values, DenseArray | SparseArray) or len(values.axes) != 2 or not same_members(*values.axes):
        return False
    size, need = len(values.axes[0]), case.culprit.need
    keys = np.arange(size)
    pairs = keys[: size - size % 2]
    numbers = np.concatenate([keys * size + keys, pairs * size + (pairs ^ 1)])
    entries = np.concatenate([np.full(size, float(need)), np.full(len(pairs), -float(need))])
    order = np.argsort(numbers)
    definite = SparseArray(values.axes, numbers[order], entries[order])
    plain = case.writer.facts
    facts = Facts(case.model.lanes.with_parameters({name: definite}), plain.lower, plain.upper)
    node, where = case.culprit.node, case.culprit.where
    where = replace(where, frame=where.frame.as_root())
    if fits(facts.find(node, where.frame), need):
        return True
    parts = split_quadratic(node, where, float(need), facts)
    return parts is not None and quadratic_certificate(parts[0], where, float(need), facts) is not None


def fixed_factor(case: Case) -> str | None:
    """A sum of products of two variables, each entry of one by entries of the other."""
    names = list(dict.fromkeys(e.name for e in case.entries()))
    if case.culprit.kind != "quadratic" or len(names) != 2:
        return None
    for name in names:
        still = {e: sympy.Integer(1) for e in case.entries() if e.name == name}
        if not fits(case.writer.facts.find(case.culprit.node.xreplace(still), case.culprit.where.frame), 0):
            return None
    one, two = names
    return f"fix `{one}` or `{two}`, or solve for the one and the other in turn: with one fixed it is linear"


def bilinear(case: Case) -> str | None:
    """Any other product."""
    if case.culprit.kind != "product" or not isinstance(case.culprit.node, sympy.Mul):
        return None
    factors = [f for f in case.culprit.node.args if has_variables(f)]
    below = [f for f in factors if isinstance(f, sympy.Pow) and f.exp == -1]
    if below and len(factors) == 2:
        above = next(f for f in factors if f is not below[0])
        divisor = case.text(below[0].base)
        return (
            f"bound the ratio by a number instead: where `{divisor}` is positive, "
            f"`{case.text(above)} <= limit * {divisor}`"
        )
    if len(factors) == 2:
        one, two = (case.text(f) for f in factors)
        return f"fix `{one}` or `{two}`, or choose among a few values of one of them by binaries: then it is linear"
    return None


# ---------------------------------------------------------------------------------------------- whole statements


def monotone_objective(case: Case) -> str | None:
    """An increasing function of something that is easy."""
    if case.relation is not None:
        return None
    node, turned = case.body, False
    while isinstance(node, nodes.Apply) and node.name in INCREASING:
        node = node.slots[0]
    if node is case.body:
        return None
    need = 1 if case.minimized else -1
    if not fits(case.writer.facts.find(node, case.where.frame), -need if turned else need):
        return None
    sense = "minimize" if case.minimized else "maximize"
    return f"{sense} `{case.text(node)}` instead: the function around it is increasing, so the same point is best"


def relaxed_equality(case: Case) -> str | None:
    """An equation with a convex (concave) side: an inequality may be enough."""
    relation = case.relation
    if relation is None or relation.lower is None or relation.lower != relation.upper:
        return None
    for need, order in ((1, "<="), (-1, ">=")):
        half = Relation(relation.body, None if need > 0 else relation.lower, relation.upper if need > 0 else None)
        other = Case(case.model, case.statement, half, case.writer, case.where, case.culprit)
        if proved_with(other, case.writer.facts):
            sides = _sides(case)
            order = {"<=": ">=", ">=": "<="}[order] if sides is not None and relation.turned else order
            shown = f"{case.text(relation.body)} {order} {case.text(relation.lower)}"
            if sides is not None:
                shown = f"{sides[0]} {order} {sides[1]}"
            return f"relax it to `{shown}`, if the optimum presses that side to equality anyway"
    return None


def _sides(case: Case) -> tuple[str, str] | None:
    """Both sides of the relation as they are written: the two widest marked parts that do not meet."""
    around = case.writer.around
    spans = {s for e, s in case.writer.marks.spans.items() if not isinstance(e, nodes.Each)}
    inside = [s for s in spans if around.start <= s.start and s.end <= around.end]
    outer = [s for s in inside if not any(o != s and o.start <= s.start and s.end <= o.end for o in inside)]
    if len(outer) != 2:
        return None
    left, right = sorted(outer, key=lambda s: s.start)
    text = case.model.source.text
    return text[left.start : left.end], text[right.start : right.end]


def outside(case: Case) -> str | None:
    """A size, a square or a maximum that is bounded below: the points form several pieces."""
    relation, node = case.relation, case.culprit.node
    if relation is None or case.culprit.kind not in ("shape", "square", "quadratic") or case.culprit.need != -1:
        return None
    if relation.lower is None or has_variables(relation.lower) or relation.upper is not None:
        return None
    inner, level = _size_of(node), case.text(relation.lower)
    if inner is None or sympy.Mul(*[f for f in sympy.Mul.make_args(relation.body) if has_variables(f)]) != node:
        return None
    part, root = inner
    shown = f"sqrt({level})" if root and level != "1" else level
    low, high = case.box(part)
    if not (np.isfinite(low) and np.isfinite(high)):
        shown_part = case.text(part)
        return (
            f"give `{shown_part}` bounds; then a binary `b` chooses the side: `{shown_part} >= {shown} - M * b`, "
            f"`{shown_part} <= M * (1 - b) - {shown}`, M as large as the bounds ask"
        )
    values = np.asarray(case.writer.facts.lanes.numbers(relation.lower, case.where.frame), dtype=float)
    level_value = float(np.max(np.sqrt(np.maximum(values, 0)) if root else values))
    big = max(level_value - low, level_value + high)
    return (
        f"a binary `b` chooses the side: `{case.text(part)} >= {shown} - {big:g} * b`, "
        f"`{case.text(part)} <= {big:g} * (1 - b) - {shown}`"
    )


def _size_of(node: sympy.Basic) -> tuple[sympy.Basic, bool] | None:
    """(e, whether its square is meant) of |e| and e^2."""
    if isinstance(node, nodes.Apply) and node.name == "abs":
        return node.slots[0], False
    if isinstance(node, sympy.Pow) and node.exp == 2:
        return node.base, True
    return None


def pieces(case: Case) -> str | None:
    """A maximum that is pushed up, a minimum that is pressed down."""
    node, need = case.culprit.node, case.culprit.need
    name = getattr(node, "name", "")
    if case.culprit.kind not in ("shape", "difference") or name not in ("abs", "max", "min") or need == 0:
        return None
    if name == "abs":
        part = case.text(node.slots[0])  # type: ignore[attr-defined]
        return f"solve once with `{part}` and once with `-({part})` in its place, and keep the better answer"
    if isinstance(node, nodes.Apply):
        parts = ", ".join(f"`{case.text(a)}`" for a in node.slots)
        return f"solve once for each of {parts} in its place, and keep the better answer; or let a binary choose one"
    return "let a binary for each member choose the one that counts"


def other_sense(case: Case) -> str | None:
    """The statement is right the other way round."""
    facts, frame = case.writer.facts, case.where.frame
    if case.relation is None:
        need = -1 if case.minimized else 1
        if fits(facts.find(case.body, frame), need):
            word = "maximize" if case.minimized else "minimize"
            return f"it is {'concave' if need < 0 else 'convex'} as a whole: `{word}` it, if that is what is meant"
        return None
    relation = case.relation
    if relation.lower is not None and relation.upper is not None:
        return None
    need = -1 if relation.lower is None else 1
    if not fits(facts.find(relation.body, frame), need):
        return None
    word = "convex" if need > 0 else "concave"
    order = "<=" if (relation.lower is not None) != relation.turned else ">="
    return f"the whole is {word}: only the other direction, `{order}`, holds on a convex set"


def square_of_excess(case: Case) -> str | None:
    """(convex)^2, |convex|: where only what exceeds counts, `pos` says so."""
    node, path = case.culprit.node, case.culprit.path
    if case.culprit.kind != "argument" or not path or case.culprit.need != 0:
        return None
    convex = fits(case.writer.facts.find(node, case.culprit.where.frame), 1)
    if not convex or (not case.minimized and case.relation is None):
        return None
    outer, part = path[-1], case.text(node)
    if isinstance(outer, sympy.Pow) and outer.exp.is_positive:
        return f"write `pos({part})^{outer.exp}`, if only what exceeds 0 counts"
    if isinstance(outer, nodes.Apply) and outer.name in ("abs", "square", "huber"):
        inner = "pos({0})" if outer.name == "abs" else "pos({0})^2" if outer.name == "square" else "huber(pos({0}), 1)"
        return f"write `{inner.format(part)}`, if only what exceeds 0 counts"
    return None


def whole_numbers(case: Case) -> str | None:
    """Functions that jump."""
    node = case.culprit.node
    if case.culprit.kind != "jump" or not isinstance(node, nodes.Apply):
        return None
    part = case.text(node.slots[0])
    if node.name in JUMPS:
        rows = JUMPS[node.name].replace("e", "\0").replace("\0", part) if part.isidentifier() else JUMPS[node.name]
        where = "" if part.isidentifier() else f", where e is `{part}`"
        return f"replace it by a variable `k integer` with {rows}{where}"
    if node.name == "sign":
        return f"a binary `b` tells the sign: `{part} <= M * b`, `{part} >= -M * (1 - b)`; write `2 * b - 1` for it"
    return None


def linearized(case: Case) -> str | None:
    """A concave cost that is minimized: by pieces."""
    if case.culprit.kind not in ("shape", "changes") or case.culprit.need == 0:
        return None
    if not isinstance(case.culprit.node, nodes.Apply):
        return None
    return "approximate it by straight pieces, with a binary for each"


def opposite_difference(case: Case) -> str | None:
    """A difference of convex parts."""
    if case.culprit.kind not in ("difference", "square"):
        return None
    part = case.text(case.culprit.node)
    return f"replace `{part}` by its tangent at a point that is good, solve, and repeat from the answer"


HINTS: tuple[Callable[[Case], str | None], ...] = (
    product_with_binary,
    sign_of_variables,
    logarithm_of_product,
    monotone_objective,
    relaxed_equality,
    outside,
    square_of_excess,
    pieces,
    other_sense,
    whole_numbers,
    eigenvalue_of_data,
    fixed_factor,
    positive_variables,
    bilinear,
    opposite_difference,
    linearized,
)


def hint_for(case: Case) -> str | None:
    """The first hint that fits."""
    return next((text for hint in HINTS for text in (hint(case),) if text is not None), None)
