"""What in a model's functions is a sum over the members of one set, and what is not.

A function is f(x) = rest(x) + sum over members of f_s(x) where sums over the set enter it by addition and by factors
in which no such sum stands. Everything else (`sqrt` of a sum over the set, a product of two such sums) cannot be
estimated from some members, and is refused with its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import sympy

from optdsl.data.members import SetValue
from optdsl.language import tree
from optdsl.model.model import Model
from optdsl.model.names import names_in
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.lanes import Family, LaneFault
from optdsl.terms.show import show
from optdsl.training.graph import BATCH
from optdsl.training.lower import Lowering
from optdsl.training.program import Numbers
from optdsl.training.terms import Lanes, NotTensor, Term

MOST_MARKS = 20_000_000
"""Numbers in the array that marks which members a condition on indices around a sum picks."""


@dataclass(frozen=True, eq=False)
class Members:
    """The set whose members are looked at in batches, and the names of its subsets in the model."""

    name: str
    value: SetValue
    names: frozenset[str]

    @property
    def count(self) -> int:
        return len(self.value)


def members_of(model: Model, name: str) -> Members:
    """The members of a declared set. Subsets are the sets that are made from it."""
    value = model.sets[name]
    if isinstance(value, Family):
        raise KeyError(name)
    names = {name}
    declared = {s.name: s.value for s in model.tree.statements if isinstance(s, tree.SetDecl) and s.value is not None}
    mentions = {other: {n.name for n in names_in(made)} for other, made in declared.items()}
    while True:  # a set may be made from one that was made from it
        more = {o for o, said in mentions.items() if said & names and _inside(value, model.sets.get(o))} - names
        if not more:
            break
        names |= more
    return Members(name, value, frozenset(names))


def _inside(whole: SetValue, part: SetValue | Family | None) -> bool:
    if not isinstance(part, SetValue) or part.arity != whole.arity or len(part) > len(whole):
        return False
    codes = [whole.column_codes(k, labels) for k, labels in enumerate(part.columns)]
    return bool((whole.find_tuples(codes) >= 0).all())


def candidates(model: Model) -> list[str]:
    """Sets over which the outermost sums of the objective run, the largest first."""
    if model.objective is None:
        return []
    return _by_size(model, _outermost(model.objective.body))


def summed_anywhere(model: Model) -> list[str]:
    """Sets over which any reduction of the objective runs, the largest first."""
    return [] if model.objective is None else _by_size(model, model.objective.body.atoms(nodes.Reduce))


def unnamed_range(model: Model) -> str | None:
    """The text of a range without a name that an outermost sum of the objective runs over, if there is one."""
    if model.objective is not None:
        for node in _outermost(model.objective.body):
            for each in node.over.iterators:
                if isinstance(each.set, nodes.RangeSet):
                    return show(each.set)
    return None


def _by_size(model: Model, reductions: Iterable[nodes.Reduce]) -> list[str]:
    found: dict[str, int] = {}
    for node in reductions:
        for each in node.over.iterators:
            if isinstance(each.set, nodes.NamedSet):
                value = model.sets[each.set.name]
                if isinstance(value, SetValue):
                    found[each.set.name] = len(value)
    return sorted(found, key=lambda name: (-found[name], name))


def _outermost(expression: sympy.Basic) -> Iterable[nodes.Reduce]:
    if isinstance(expression, nodes.Reduce):
        yield expression
        if expression.name == "sum" and isinstance(expression.body, nodes.Reduce):
            yield from _outermost(expression.body)
        return
    if isinstance(expression, sympy.Add | sympy.Mul):
        for argument in expression.args:
            yield from _outermost(argument)


@dataclass(eq=False)
class Splitter:
    """Lowers bodies in two parts: what is no sum over the members, and what is one."""

    lowering: Lowering
    members: Members
    _lane_maps: dict[bytes, tuple[np.ndarray, Term]] = field(default_factory=dict)

    def split(self, body: sympy.Basic, frame: Frame) -> tuple[Term, Term]:
        """(rest, sum over the members) of a body, over the frame's dimensions."""
        lanes = Lanes(frame)
        zero = Term(self.lowering.graph.const(0.0))
        rest, batched = zero, zero
        for part, is_sum in self._parts(body, [], lanes):
            if is_sum:
                batched = self.lowering.join(self.lowering.graph.add, batched, part, lanes)
            else:
                rest = self.lowering.join(self.lowering.graph.add, rest, part, lanes)
        return rest, batched

    def _parts(self, body: sympy.Basic, factors: list[sympy.Basic], lanes: Lanes) -> Iterable[tuple[Term, bool]]:
        lowering = self.lowering
        if not self._sums(body):
            yield self._times(lowering.term(body, lanes), factors, lanes), False
        elif isinstance(body, sympy.Add):
            for argument in sorted(body.args, key=lambda a: len(a.atoms(nodes.ParameterEntry))):
                yield from self._parts(argument, factors, lanes)
        elif isinstance(body, sympy.Mul):
            summing = [a for a in body.args if self._sums(a)]
            if len(summing) > 1:
                raise NotTensor(body, f"a product of two sums over {self.members.name} is no such sum")
            yield from self._parts(summing[0], [*factors, *(a for a in body.args if a != summing[0])], lanes)
        elif isinstance(body, sympy.Pow) and body.exp == 2 and getattr(body.base, "name", "") == "norm2":
            yield from self._parts(nodes.Reduce("sumsq", *body.base.args[1:]), factors, lanes)
        elif isinstance(body, nodes.Reduce) and not self._iterates(body.over):
            for part, is_sum in self._inside(body, lanes):
                yield self._times(part, factors, lanes), is_sum
        elif isinstance(body, nodes.Reduce):
            yield self._times(self._reduced(body, lanes), factors, lanes), True
        else:
            name = getattr(body, "name", "a power" if isinstance(body, sympy.Pow) else "a function")
            raise NotTensor(body, f"{name} of a sum over {self.members.name} is no sum over {self.members.name}")

    def _times(self, term: Term, factors: list[sympy.Basic], lanes: Lanes) -> Term:
        for factor in factors:
            term = self.lowering.join(self.lowering.graph.mul, self.lowering.term(factor, lanes), term, lanes)
        return term

    def _sums(self, expression: sympy.Basic) -> bool:
        """Whether a sum of variables over the members stands in it (sums of data alone are numbers)."""
        if isinstance(expression, nodes.Over):
            return self._iterates(expression)
        if isinstance(expression, nodes.Each):
            return isinstance(expression.set, nodes.NamedSet) and expression.set.name in self.members.names
        if not self.lowering.varies(expression):
            return False
        kinds = nodes.Over | nodes.Each
        return any(self._sums(a) for a in expression.args if isinstance(a, kinds) or self.lowering.varies(a))

    def _inside(self, node: nodes.Reduce, lanes: Lanes) -> Iterable[tuple[Term, bool]]:
        """The parts of a sum or mean over something else, in which sums over the members stand."""
        if node.name not in ("sum", "mean"):
            raise NotTensor(node, f"`{node.name}` of sums over {self.members.name} is no such sum")
        child, kept, new = self.lowering.inner(node.over, lanes, node)
        count = int(np.prod([child.frame.shape[d] for d in new], dtype=np.int64))
        factor = Term(self.lowering.graph.const(1.0 / count if node.name == "mean" and count else 1.0))
        for part, is_sum in self._parts(node.body, [], child):
            yield self.lowering._renamed(self.lowering.contract([factor, part], child, new), kept, lanes), is_sum

    def _reduced(self, node: nodes.Reduce, lanes: Lanes) -> Term:
        """A sum or mean whose iterators run over the members, as a term over the frame around it."""
        over, body, divide = node.over, node.body, node.name == "mean"
        if node.name == "sumsq":
            body = sympy.Pow(body, 2)
        elif node.name == "norm1":
            body = nodes.Apply("abs", body)
        elif node.name not in ("sum", "mean"):
            raise NotTensor(node, f"`{node.name}` over {self.members.name} is no sum over {self.members.name}")
        try:
            child, kept, new = self.lowering.inner(over, lanes, node)
        except NotTensor:
            return self._by_condition(node, body, lanes)
        if not child.frame.size:
            return Term(self.lowering.graph.const(0.0))
        batch, codes = self._dimension(over, child.frame, node)
        if batch not in new:
            raise NotTensor(node, "the members of this depend on indices around it")
        child, mask = self._along(child.frame, batch, codes, node)
        if mask is None:
            total = self.lowering.sum_over(body, child, new)
        else:
            inner_dims = [d for d in new if d != batch]
            each = self.lowering.sum_over(body, child, inner_dims)
            total = self.lowering.contract([each, mask], child, [batch])
        if divide:
            count = int(np.prod([child.frame.shape[d] for d in new], dtype=np.int64))
            total = Term(self.lowering.graph.mul(self.lowering.graph.const(1.0 / count), total.node), total.dims)
        return self.lowering._renamed(total, kept, lanes)

    def _by_condition(self, node: nodes.Reduce, body: sympy.Basic, lanes: Lanes) -> Term:
        """A sum or mean over those members that a condition on indices around it picks: 0 times what it leaves out.

        `mean(e[i] for i in ROW if group[i] = g)` for each g, as one product with the members' groups.
        """
        lowering, over = self.lowering, node.over
        own = {slot for each in over.iterators for slot in each.slots} - set(lanes.frame.bindings or {})
        alone = [c for c in over.conditions if c.atoms(nodes.Index) <= own]  # these leave members out for good
        dense = nodes.over(over.iterators, alone)
        child, kept, new = lowering.inner(dense, lanes, node)
        if len(alone) == len(over.conditions) or child.frame.size > MOST_MARKS:
            raise NotTensor(node, "the members of this depend on indices around it")
        holds = np.ones((1,) * len(child.frame.shape), dtype=bool)
        for condition in over.conditions:
            if condition in alone:
                continue
            holds = holds & np.asarray(lowering.lanes.numbers(condition, child.frame), dtype=bool)
        weights = np.broadcast_to(holds, child.frame.shape).astype(np.float64)
        if node.name == "mean":
            weights = weights / weights.sum(axis=tuple(new), keepdims=True)
        batch, codes = self._dimension(dense, child.frame, node)
        if batch not in new:
            raise NotTensor(node, "the members of this depend on indices around it")
        inner, mask = self._along(child.frame, batch, codes, node)
        try:
            each = lowering.term(body, inner)
        except LaneFault:
            raise NotTensor(node, "this has no value for the members that its condition leaves out") from None
        factors = [each, lowering.floats(weights, inner), *([] if mask is None else [mask])]
        return lowering._renamed(lowering.contract(factors, inner, new), kept, lanes)

    def _iterates(self, over: nodes.Over) -> bool:
        return any(isinstance(e.set, nodes.NamedSet) and e.set.name in self.members.names for e in over.iterators)

    def _dimension(self, over: nodes.Over, frame: Frame, node: sympy.Basic) -> tuple[int, np.ndarray]:
        """The dimension along which the members run, and the member of each of its lanes."""
        found = [e for e in over.iterators if isinstance(e.set, nodes.NamedSet) and e.set.name in self.members.names]
        if len(found) > 1:
            raise NotTensor(node, f"it runs over {self.members.name} twice")
        codes = self.lowering.lanes.positions(self.members.value, found[0].slots, frame).codes
        reach = [d for d, n in enumerate(codes.shape) if n != 1]
        if len(reach) != 1:
            if codes.size == 1 and self.members.count == 1:
                first = next(iter((frame.bindings or {}).values()))
                return first.dim, codes.reshape(-1)
            raise NotTensor(node, f"the members of {self.members.name} are no index of their own here")
        return reach[0], codes.reshape(-1)

    def _along(
        self, frame: Frame, batch: int, codes: np.ndarray, node: sympy.Basic
    ) -> tuple[Lanes, Term | None]:
        """The lanes with their members, and where some members have no lane, what is 1 for those that have one."""
        count = self.members.count
        if len(codes) == count and (codes == np.arange(count)).all():
            return Lanes(frame, batch), None
        key = codes.tobytes()
        known = self._lane_maps.get(key)
        if known is None:
            if len(np.unique(codes)) < len(codes):
                raise NotTensor(node, f"members of {self.members.name} have different numbers of terms in it")
            lane_of = np.zeros(count, dtype=np.int64)
            lane_of[codes] = np.arange(len(codes))
            mask = np.zeros(count)
            mask[codes] = 1.0
            self.lowering.data.append(Numbers(mask, True))
            node = self.lowering.graph.data(len(self.lowering.data) - 1, (BATCH,))
            known = self._lane_maps[key] = (lane_of, Term(node, (batch,)))
        return Lanes(frame, batch, known[0]), Term(known[1].node, (batch,))
