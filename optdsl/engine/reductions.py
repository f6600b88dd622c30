"""Reductions of lanes as formulas of sums, or as trees of pairs where they are no sum.

Each rule gets a `Reduction`: the space that reduces, the space of the members and the node of the member there, and
answers with a node of the reducing space.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import sympy

from optdsl.engine.graph import Graph
from optdsl.engine.space import Data, GraphFunction, Held, Link, Space

if TYPE_CHECKING:
    from optdsl.engine.lower import Builder


Rule = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""`rule(values, target, lanes)`: something of each lane's members, (lanes,)."""


@dataclass(frozen=True, eq=False)
class Reduction:
    """Members, the lanes of `child` with the value of node `member`, each for lane `target` (L_child,) of `parent`.

    Of a largest or smallest, `pieces` are the nodes that a member is the largest or smallest of.
    """

    parent: Builder
    child: Builder
    target: np.ndarray
    member: int
    node: sympy.Basic
    pieces: tuple[int, ...] = ()

    def sum_of(self, member: int, word: str = "sum") -> int:
        """The sum of a node of the child, at the parent's lanes."""
        return self.parent.summed((self.node, word, member), self.child, member, self.target)

    @property
    def counts(self) -> np.ndarray:
        """How many members each lane has."""
        return np.bincount(self.target, minlength=self.parent.lanes).astype(np.float64)

    def count(self) -> int:
        """The node of the number of members."""
        counts = self.counts
        same = counts[:1] if len(counts) and (counts == counts[0]).all() else counts
        return self.parent.data((self.node, "count"), same)

    def held(self, member: int, word: str, rule: Rule) -> tuple[int, int]:
        """A value of the members that does not move under differentiation: its nodes in the parent and the child."""
        link = Link(self.child.finish(member), self.target, self.parent.lanes)
        above = self.parent.slot((self.node, word), lambda: Held(link, rule))

        def spread(values: np.ndarray, target: np.ndarray, lanes: int) -> np.ndarray:
            return rule(values, target, self.parent.lanes)[self.target]

        members = Link(link.child, self.target, self.child.lanes)
        below = self.child.slot((self.node, word), lambda: Held(members, spread))
        return above, below


def _largest(values: np.ndarray, target: np.ndarray, lanes: int) -> np.ndarray:
    result = np.full(lanes, -np.inf)
    np.maximum.at(result, target, values)
    return np.where(np.isfinite(result), result, 0.0)


def _sum(r: Reduction) -> int:
    return r.sum_of(r.member)


def _mean(r: Reduction) -> int:
    return r.parent.graph.div(r.sum_of(r.member), r.count())


def _sum_of_squares(r: Reduction) -> int:
    return r.sum_of(r.child.graph.mul(r.member, r.member))


def _norm1(r: Reduction) -> int:
    return r.sum_of(r.child.kinked("abs", r.member))


def _norm2(r: Reduction) -> int:
    return r.parent.graph.apply("sqrt", _sum_of_squares(r))


def _norm(r: Reduction, p: float) -> int:
    if p == 1:
        return _norm1(r)
    if p == 2:
        return _norm2(r)
    if np.isinf(p):
        return _norm_inf(r)
    graph = r.child.graph
    even = p == int(p) and int(p) % 2 == 0
    size = r.member if even else r.child.kinked("abs", r.member, liftable=False)
    total = r.sum_of(graph.power(size, graph.const(p)))
    return r.parent.graph.power(total, r.parent.graph.const(1.0 / p))


def _logsumexp(r: Reduction) -> int:
    above, below = r.held(r.member, "shift", _largest)
    graph = r.child.graph
    total = r.sum_of(graph.apply("exp", graph.sub(r.member, below)))
    return r.parent.graph.add(above, r.parent.graph.apply("log", total))


def _geo_mean(r: Reduction) -> int:
    total = r.sum_of(r.child.graph.apply("log", r.member))
    return r.parent.graph.apply("exp", r.parent.graph.div(total, r.count()))


def _harmonic_mean(r: Reduction) -> int:
    total = r.sum_of(r.child.graph.div(r.child.graph.const(1.0), r.member))
    return r.parent.graph.div(r.count(), total)


def _sum_largest(r: Reduction, k: float) -> int:
    """k t + sum of pos(x - t), t held between the k-th and the next largest: exact, as is the slope but at ties."""

    def threshold(values: np.ndarray, target: np.ndarray, lanes: int) -> np.ndarray:
        order = np.lexsort((-values, target))
        ordered = values[order]
        size = np.bincount(target, minlength=lanes)
        first = np.cumsum(size) - size
        last = len(order) - 1
        at = np.minimum(first + np.minimum(int(k), np.maximum(size, 1)) - 1, last)
        more = np.minimum(at + 1, last)
        return np.where(size > k, 0.5 * (ordered[at] + ordered[more]), ordered[at] - 1.0)

    above, below = r.held(r.member, "threshold", threshold)
    graph = r.child.graph
    excess = r.child.kinked("pos", graph.sub(r.member, below), liftable=False)
    return r.parent.graph.add(r.parent.graph.mul(r.parent.graph.const(k), above), r.sum_of(excess))


def _prod(r: Reduction) -> int:
    return _tree(r, lambda graph, a, b, alone: graph.mul(a, graph.add(b, alone)), empty=1.0)


def _max(r: Reduction) -> int:
    lifted = r.parent.folded("max", r.child, r.pieces, r.target)
    if lifted is not None:
        return lifted
    return _tree(r, lambda graph, a, b, alone: graph.select(alone, a, graph.apply("max", a, b)), empty=0.0)


def _min(r: Reduction) -> int:
    lifted = r.parent.folded("min", r.child, r.pieces, r.target)
    if lifted is not None:
        return lifted
    return _tree(r, lambda graph, a, b, alone: graph.select(alone, a, graph.apply("min", a, b)), empty=0.0)


def _norm_inf(r: Reduction) -> int:
    graph = r.child.graph
    sides = (r.member, graph.neg(r.member))
    size = Reduction(r.parent, r.child, r.target, graph.apply("abs", r.member), r.node, sides)
    return _max(size)


def _tree(r: Reduction, join: Callable[[Graph, int, int, int], int], empty: float) -> int:
    """Members joined pair by pair, level by level, by `join(graph, a, b, alone)`; alone is 1 where b is missing (0)."""
    parent = r.parent
    if not r.child.lanes:
        return parent.graph.const(empty)
    space = r.child.finish(r.member)
    group = r.target
    while True:
        order = np.argsort(group, kind="stable")
        counts = np.bincount(group, minlength=parent.lanes)
        if counts.max() <= 1:
            break
        place = np.arange(len(group)) - np.repeat(np.cumsum(counts) - counts, counts)  # within the group, in `order`
        pairs = (counts + 1) // 2
        first_pair = np.cumsum(pairs) - pairs
        pair = first_pair[group[order]] + place // 2
        lanes = int(pairs.sum())
        even = place % 2 == 0
        left = Link(space, pair[even], lanes, order[even])
        right = Link(space, pair[~even], lanes, order[~even])
        alone = np.ones(lanes)
        alone[pair[~even]] = 0.0
        graph = Graph(r.parent.graph.smoothing)
        nodes = [graph.slot(0), graph.slot(1), graph.slot(2) if alone.any() else graph.const(0.0)]
        local = GraphFunction(graph, join(graph, *nodes), frozenset({0, 1}), frozenset({2}))
        space = Space(lanes, (left, right, Data(alone)), local)
        group = np.repeat(np.arange(parent.lanes), pairs)
    node = parent.slot((r.node, "tree"), lambda: Link(space, group, parent.lanes))
    if empty and (counts == 0).any():
        node = parent.graph.add(node, parent.data((r.node, "empty"), empty * (counts == 0)))
    return node


REDUCERS: Mapping[str, Callable[..., int]] = {
    "sum": _sum,
    "mean": _mean,
    "sumsq": _sum_of_squares,
    "norm1": _norm1,
    "norm2": _norm2,
    "norminf": _norm_inf,
    "norm": _norm,
    "logsumexp": _logsumexp,
    "geo_mean": _geo_mean,
    "harmonic_mean": _harmonic_mean,
    "sum_largest": _sum_largest,
    "prod": _prod,
    "max": _max,
    "min": _min,
}
"""The reductions of the table of atoms that the engine differentiates."""
