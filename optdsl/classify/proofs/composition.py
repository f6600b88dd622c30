"""The composition rule, step by step: why the parts of an expression make the whole convex or concave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy

from optdsl.atoms import ARRAYWISE, ENTRIES, INTERNAL, REDUCTIONS, Interval
from optdsl.classify.facts import Fact, compose
from optdsl.classify.proof import curvature_word, gives
from optdsl.classify.proofs.bounds import written_bound
from optdsl.classify.proofs.shown import is_shown, shown_step
from optdsl.classify.proofs.writer import Where, Writer
from optdsl.terms import nodes
from optdsl.terms.nodes import has_variables

SLOPES = {"nondecreasing": "nondecreasing", "nonincreasing": "nonincreasing", "either": "neither rising nor falling"}


class Composition:
    """Writes the steps for expressions whose facts are known in every lane."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.facts = writer, writer.facts

    def prove(self, expression: sympy.Basic, where: Where, *, bounded: bool = False) -> int | None:
        """The number of the step that says how an expression curves; None for data.

        bounded: its bounds are used, and told where they do not come from the declared ones.
        """
        if not has_variables(expression) or where.frame.size == 0:
            return None
        where = where.around(self.writer.span(expression, where.span))
        plain = self.facts.plain
        fact = (self.facts if plain is None or bounded else plain).find(expression, where.frame)
        if not bool(fact.affine.all()):
            fact = self.facts.find(expression, where.frame)
        if bool(fact.affine.all()):
            single = isinstance(expression, nodes.VariableEntry)
            rule = "a variable" if single else "affine: variables times data, added up"
            if not bounded and plain is not None:
                without = plain.find(expression, where.frame)
                if bool(without.affine.all()):
                    fact = without  # needs no bounds of D
                else:
                    rule = "affine on the domain: one piece of it only"
            uses = [written_bound(self.writer, expression, where)] if bounded else []
            return self.writer.add("affine", rule, expression, where, gives(fact), fact=fact, uses=uses)
        if is_shown(expression):
            return shown_step(self.writer, expression, where, fact)
        for kind, write in _RULES.items():
            if isinstance(expression, kind):
                return write(self, expression, where, fact)
        return self.writer.add("fact", f"{type(expression).__name__}", expression, where, gives(fact), fact=fact)

    # --------------------------------------------------------------------------------------------- sums, multiples

    def _add(self, node: sympy.Add, where: Where, fact: Fact) -> int:
        moving = [t for t in node.args if has_variables(t)]
        affine = [t for t in moving if bool(self.facts.find(t, where.frame).affine.all())]
        others = [t for t in moving if t not in affine]
        parts = [*others, *([sympy.Add(*affine)] if affine else [])]
        uses = [self.prove(part, where) for part in parts]
        word = curvature_word(fact.curvature)
        rule = f"a sum of {word} and affine parts is {word}" if affine else f"a sum of {word} parts is {word}"
        if len(parts) == 1:
            rule = "adding data changes no curvature"
        return self.writer.add("sum", rule, node, where, gives(fact), fact=fact, uses=uses)

    def _mul(self, node: sympy.Mul, where: Where, fact: Fact) -> int:
        moving = [f for f in node.args if has_variables(f)]
        factor = sympy.Mul(*[f for f in node.args if not has_variables(f)])
        if len(moving) != 1:
            return self.writer.add("fact", "a product", node, where, gives(fact), fact=fact)
        numbers = np.asarray(self.facts.lanes.numbers(factor, where.frame), dtype=float)
        values = np.broadcast_to(numbers, where.frame.shape)
        uses = []
        for mask, sign in ((values > 0, ">"), (values < 0, "<")):
            if mask.any():
                inner = where.only(mask, nodes.Compare(sign, factor, sympy.Integer(0)), self.facts)
                uses.append(self.prove(moving[0], inner))
        word = curvature_word(fact.curvature)
        if (values < 0).all():
            rule = f"a negative number times what is {'concave' if word == 'convex' else 'convex'} is {word}"
        elif (values >= 0).all():
            rule = f"a nonnegative number times what is {word} is {word}"
        else:
            rule = "data of either sign, times parts that curve accordingly"
        return self.writer.add("multiple", rule, node, where, gives(fact), fact=fact, uses=uses)

    # ------------------------------------------------------------------------------------------------- functions

    def _function(self, node: Any, where: Where, fact: Fact) -> int:
        power = isinstance(node, sympy.Pow)
        row, arguments = (ENTRIES["pow"], list(node.args)) if power else (ENTRIES[node.name], list(node.slots))
        facts = [self.facts.find(a, where.frame) for a in arguments]
        moving = [k for k, a in enumerate(arguments) if has_variables(a)]
        boxes = [f.interval for f in facts]
        own, slopes = shape_of(row, boxes)
        words = [slope_word(slopes[k]) for k in moving]
        needs = self._needs(row, arguments, facts, moving, curvature=fact.curvature)
        uses = [self.prove(arguments[k], where, bounded=bool(needs)) for k in moving]
        if power or row.name == "pow":
            exponent = arguments[1]
            name = "the square" if exponent == 2 else f"the power {self.writer.text(exponent)}"
            name = "one over a part" if exponent == -1 else name
        else:
            name = f"`{row.formula.partition(' with ')[0]}`" if row.name in INTERNAL else f"`{row.name}`"
        rule = _composed(name, own, needs, words, [facts[k] for k in moving])
        return self.writer.add(
            "function", rule, node, where, gives(fact), fact=fact, uses=uses, function=row.name, needs=needs,
            arguments=tuple(self.writer.text(a) for a in arguments), slopes=tuple(words),
        )  # fmt: skip

    def _needs(
        self, row: Any, arguments: Sequence[sympy.Basic], facts: Sequence[Fact], moving: Sequence[int],
        curvature: np.ndarray,
    ) -> tuple[str, ...]:
        """The bounds of arguments without which the rule would not give this curvature."""
        free = [f.interval for f in facts]
        for k in moving:
            shape = np.shape(facts[k].lo)
            free[k] = Interval(np.full(shape, -np.inf), np.full(shape, np.inf))
        own, slopes = shape_of(row, free)
        inner = [facts[k].curvature for k in moving]
        with np.errstate(invalid="ignore"):
            without = compose(own, [slopes[k] for k in moving], inner)
        if curvature_word(without) == curvature_word(curvature):
            return ()
        found = (self.writer.bounds(arguments[k], facts[k]) for k in moving)
        return tuple(filter(None, found))

    def _reduce(self, node: nodes.Reduce, where: Where, fact: Fact) -> int:
        inner = where.within(node.over, self.facts)
        use = self.prove(node.body, inner, bounded=node.name not in ("sum", "mean"))
        word = curvature_word(fact.curvature)
        members = self.facts.find(node.body, inner.frame)
        more: dict[str, Any] = {}
        if node.name in ("sum", "mean"):
            rule, kind = f"a {node.name} of {word} parts is {word}", {"sum": "members"}.get(node.name, node.name)
        else:
            slope = _implied(word, members)
            shape, kind = REDUCTIONS[node.name].summary[2], "reduction"
            rule = _composed(f"`{node.name}`", None, (), (slope,), [members], shape, "members")
            extra = tuple(self.writer.text(e) for e in node.extra)
            more = {"function": node.name, "arguments": extra, "slopes": (slope,)}
        return self.writer.add(kind, rule, node, where, gives(fact), fact=fact, uses=[use], **more)

    def _array_call(self, node: nodes.ArrayCall, where: Where, fact: Fact) -> int:
        uses, slopes, parts = [], [], []
        word = curvature_word(fact.curvature)
        for argument in node.arguments:
            if not has_variables(argument):
                continue
            inner, body = where, argument
            if isinstance(argument, nodes.Block):
                inner, body = where.within(nodes.over(argument.axes), self.facts), argument.body
            uses.append(self.prove(body, inner, bounded=True))
            parts.append(self.facts.find(body, inner.frame))
            slopes.append(_implied(word, parts[-1]))
        rule = _composed(f"`{node.name}`", None, (), slopes, parts, ARRAYWISE[node.name].summary[2], "entries")
        return self.writer.add(
            "array", rule, node, where, gives(fact), fact=fact, uses=uses, function=node.name, slopes=tuple(slopes)
        )

    # -------------------------------------------------------------------------------------------------- branches

    def _choose(self, node: nodes.Choose, where: Where, fact: Fact) -> int:
        condition, then, otherwise = node.args
        holds = self.facts.lanes.condition(condition, where.frame)
        return self._branches(node, where, fact, [
            (holds, condition, then), (~holds, nodes.Logic("not", condition), otherwise),
        ])  # fmt: skip

    def _pick(self, node: nodes.Pick, where: Where, fact: Fact) -> int:
        position = self.facts.lanes.numbers(node.args[0], where.frame)
        return self._branches(node, where, fact, [
            (position == k, nodes.Compare("=", node.args[0], sympy.Integer(k)), b) for k, b in enumerate(node.args[1:])
        ])  # fmt: skip

    def _branches(
        self, node: sympy.Basic, where: Where, fact: Fact,
        branches: Sequence[tuple[np.ndarray, sympy.Basic, sympy.Basic]],
    ) -> int:
        uses = [
            self.prove(branch, where.only(np.broadcast_to(mask, where.frame.shape), condition, self.facts))
            for mask, condition, branch in branches
            if mask.any()
        ]
        return self.writer.add(
            "branches", "the branch that the data takes at each index", node, where, gives(fact), fact=fact, uses=uses
        )


_RULES = {
    sympy.Add: Composition._add,
    sympy.Mul: Composition._mul,
    sympy.Pow: Composition._function,
    nodes.Apply: Composition._function,
    nodes.Reduce: Composition._reduce,
    nodes.ArrayCall: Composition._array_call,
    nodes.Choose: Composition._choose,
    nodes.Pick: Composition._pick,
}


def shape_of(row: Any, boxes: Sequence[Interval]) -> tuple[np.ndarray, Sequence[np.ndarray]]:
    """A function's own curvature and slopes on a box, cut to its domain."""
    if row.domain.restrict is not None:
        boxes = list(row.domain.restrict(*boxes))
    with np.errstate(all="ignore"):
        return np.asarray(row.curvature(*boxes)), [np.asarray(s) for s in row.slope(*boxes)]


def slope_word(slope: np.ndarray) -> str:
    if bool((slope >= 0).all()):
        return "nondecreasing"
    return "nonincreasing" if bool((slope <= 0).all()) else "either"


def _implied(word: str, inner: Fact) -> str:
    """How a function of this curvature must move in an argument that is not affine."""
    if bool(inner.affine.all()) or word not in ("convex", "concave"):
        return "either"
    same = bool((inner.convex if word == "convex" else inner.concave).all())
    return "nondecreasing" if same else "nonincreasing"


def _composed(
    name: str, own: np.ndarray | None, needs: Sequence[str], slopes: Sequence[str], inner: Sequence[Fact],
    word: str | None = None, what: str = "argument",
) -> str:
    """`exp` is convex and nondecreasing, and its argument is convex."""
    curvature = word if own is None else curvature_word(own)
    where = f" where {' and '.join(needs)}" if needs else ""
    words = [curvature_word(f.curvature) for f in inner]
    plural = len(inner) > 1 or what != "argument"
    noun = (what if what != "argument" else "arguments") if plural else "argument"
    if all(w == "affine" for w in words):
        return f"{name} is {curvature}{where}, and its {noun} {'are' if plural else 'is'} affine"
    moves = [SLOPES[s] for s, w in zip(slopes, words, strict=True) if w != "affine"]
    tail = " and ".join(dict.fromkeys(words))
    moving = " and ".join(dict.fromkeys(moves))
    return f"{name} is {curvature} and {moving}{where}, and its {noun} {'are' if plural else 'is'} {tail}"
