"""Concave means of nonnegative parts, as cones: products of powers, roots of sums of powers below 1.

prod(x_i ^ a_i) >= t >= 0, with exponents that add up to at most 1 and what is missing put on the constant 1, where
the logarithms of x_i / t, weighted, add up to 0 or more. (sum of B_i ^ p)^(1/p) >= t >= 0 where parts
r_i <= B_i^p t^(1 - p) add up to t or more; for p < 0, r_i >= B_i^p t^(1 - p) add up to t or less.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import sympy

from optdsl.classify.cones import Affine, Graph
from optdsl.classify.curved import add_columns, require_side, stand_in
from optdsl.classify.sink import CONCAVE, Collecting, Sink
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.parts import exact, power_of, split

Member = tuple[Affine, np.ndarray, np.ndarray, sympy.Expr]
"""A base over members, a number of data for each (an exponent, or a weight), their lanes, and the base's power."""


def collect_mean(
    collector: Collecting, node: nodes.Apply, frame: Frame, multiplier: np.ndarray, sink: Sink
) -> None:
    """Add multiplier * mean to the sink. Raises NotCollected where it curves the wrong way."""
    require_side(collector, node, np.full((1,) * len(frame.shape), -1.0), frame, multiplier, sink)
    root = frame.as_root()
    owner = np.arange(frame.size)
    base, _ = power_of(node.slots[0])
    t = Affine.of_columns(collector.auxiliary.add(frame.size))
    if isinstance(base, (sympy.Add, nodes.Reduce)) and not (isinstance(base, nodes.Reduce) and base.name == "prod"):
        members = list(_powers(collector, base, root, owner, np.ones(frame.size)))
        _sum(collector, t, members, frame.size)
    else:
        members = list(_factors(collector, node.slots[0], root, owner, np.ones(frame.size)))
        _product(collector, t, members, frame.size)
    add_columns(sink, t.columns, frame, multiplier)


def _over(
    collector: Collecting, over: nodes.Over, root: Frame, owner: np.ndarray
) -> tuple[Frame, np.ndarray, np.ndarray]:
    """The members of an iteration: their frame, the row of `root` of each, and its lane."""
    extension = collector.lanes.extend(root, over)
    rows = np.broadcast_to(extension.child.root_rows(), extension.child.shape).reshape(-1)
    return extension.child.as_root(), rows, owner[rows]


def _numbers(collector: Collecting, data: sympy.Expr, root: Frame) -> np.ndarray:
    return np.broadcast_to(np.asarray(collector.lanes.numbers(data, root), dtype=float), root.shape).reshape(-1)


def _factors(
    collector: Collecting, product: sympy.Expr, root: Frame, owner: np.ndarray, share: np.ndarray
) -> Iterator[Member]:
    """The bases of a product of powers, each with its exponent."""
    for factor in sympy.Mul.make_args(product):
        base, power = power_of(factor)
        exponent = share * _numbers(collector, power, root)
        if isinstance(base, sympy.Mul):
            yield from _factors(collector, base, root, owner, exponent)
        elif isinstance(base, nodes.Reduce) and base.name == "prod":
            child, rows, lanes = _over(collector, base.over, root, owner)
            yield from _factors(collector, base.body, child, lanes, exponent[rows])
        else:
            yield stand_in(collector, base, root, CONCAVE), exponent, owner, power


def _powers(
    collector: Collecting, total: sympy.Expr, root: Frame, owner: np.ndarray, weight: np.ndarray
) -> Iterator[Member]:
    """The bases of a sum of weighted powers."""
    for term in sympy.Add.make_args(total):
        data, (factor,) = split(term)
        scaled = weight * _numbers(collector, data, root)
        if isinstance(factor, nodes.Reduce):
            child, rows, lanes = _over(collector, factor.over, root, owner)
            yield from _powers(collector, factor.body, child, lanes, scaled[rows])
        else:
            base, power = power_of(factor)
            yield stand_in(collector, base, root, CONCAVE), scaled, owner, power


def _product(collector: Collecting, t: Affine, members: list[Member], lanes: int) -> None:
    missing = np.ones(lanes)
    balance = Affine.of_constant(np.zeros(lanes))
    graph = Graph(lanes, collector.auxiliary.add)
    value = graph.new(lower=0.0)
    graph.at_least(value - t)
    for base, exponent, owner, _ in members:
        missing -= np.bincount(owner, weights=exponent, minlength=lanes)
        balance = balance + (_logs(collector, graph, base, value, owner) * exponent).fold(owner, lanes)
    missing = np.where(np.abs(missing) <= 1e-12, 0.0, missing)
    if (missing > 0).any():
        owner = np.flatnonzero(missing > 0)
        one = Affine.of_constant(np.ones(len(owner)))
        balance = balance + (_logs(collector, graph, one, value, owner) * missing[owner]).fold(owner, lanes)
    graph.at_least(balance)
    _keep(collector, graph)


def _logs(collector: Collecting, graph: Graph, base: Affine, value: Affine, owner: np.ndarray) -> Affine:
    """Variables at most value * log(base / value)."""
    part = Affine.of_columns(collector.auxiliary.add(base.size))
    graph.exponential(part, value.take(owner), base)
    return part


def _sum(collector: Collecting, t: Affine, members: list[Member], lanes: int) -> None:
    graph = Graph(lanes, collector.auxiliary.add)
    value = graph.new(lower=0.0)
    graph.at_least(value - t)
    total = Affine.of_constant(np.zeros(lanes))
    p = float(exact(members[0][3]))
    for base, weight, owner, _ in members:
        if base.size:
            part = Affine.of_columns(collector.auxiliary.add(base.size, lower=0.0))
            scaled = base * np.power(weight, 1.0 / p)
            if p > 0:
                graph.power(scaled, value.take(owner), part, p)
            else:
                graph.power(scaled, part, value.take(owner), -p / (1.0 - p))
            total = total + part.fold(owner, lanes)
    graph.at_least(total - value if p > 0 else value - total)
    _keep(collector, graph)


def _keep(collector: Collecting, graph: Graph) -> None:
    collector.auxiliary.cones.extend(graph.cones)
    collector.auxiliary.rows.extend(graph.rows)


__all__ = ["collect_mean"]
