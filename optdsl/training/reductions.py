"""Reductions of a body over new dimensions as operations on whole arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import sympy

from optdsl.terms import nodes
from optdsl.training.terms import Lanes, Term

if TYPE_CHECKING:
    from optdsl.training.lower import Lowering


def _sum(lowering: Lowering, node: nodes.Reduce, lanes: Lanes, new: Sequence[int]) -> Term:
    return lowering.sum_over(node.body, lanes, new)


def _mean(lowering: Lowering, node: nodes.Reduce, lanes: Lanes, new: Sequence[int]) -> Term:
    count = int(np.prod([lanes.frame.shape[d] for d in new], dtype=np.int64))
    total = _sum(lowering, node, lanes, new)
    return Term(lowering.graph.mul(lowering.graph.const(1.0 / count), total.node), total.dims)


def _over_squares(lowering: Lowering, node: nodes.Reduce, lanes: Lanes, new: Sequence[int]) -> Term:
    return lowering.sum_over(sympy.Pow(node.body, 2), lanes, new)


def _norm2(lowering: Lowering, node: nodes.Reduce, lanes: Lanes, new: Sequence[int]) -> Term:
    """The root of the squares' sum; where that is 0 its slope is 0, one of the subgradients. NaN stays NaN."""
    graph, total = lowering.graph, _over_squares(lowering, node, lanes, new)
    none = graph.sub(graph.const(1.0), graph.apply("sign", total.node))
    root = graph.apply("sqrt", graph.select(none, graph.const(1.0), total.node))
    return Term(graph.select(none, graph.const(0.0), root), total.dims)


def _norm1(lowering: Lowering, node: nodes.Reduce, lanes: Lanes, new: Sequence[int]) -> Term:
    body = lowering.term(node.body, lanes)
    size = Term(lowering.graph.apply("abs", body.node), body.dims)
    return lowering.contract([size], lanes, new)


def _last(make: str, prepare: str | None = None, back: bool = False) -> Callable[..., Term]:
    """A reduction that works along the last axis, one new dimension after the other."""

    def rule(lowering: Lowering, node: nodes.Reduce, lanes: Lanes, new: Sequence[int]) -> Term:
        graph = lowering.graph
        body = lowering.term(node.body, lanes)
        value = body.node
        value = graph.neg(value) if back else graph.apply(prepare, value) if prepare else value
        dims = list(body.dims)
        for d in sorted(set(new) & set(dims), reverse=True):
            rest = [e for e in dims if e != d]
            value = graph.transpose(value, [dims.index(e) for e in (*rest, d)])
            value = getattr(graph, make)(value)
            dims = rest
        equal = int(np.prod([lanes.frame.shape[d] for d in new if d not in body.dims], dtype=np.int64))
        if make == "logsumexp" and equal > 1:  # so many equal terms
            value = graph.add(value, graph.const(float(np.log(equal))))
        return Term(graph.neg(value) if back else value, tuple(dims))

    return rule


REDUCERS: dict[str, Callable[..., Term]] = {
    "sum": _sum,
    "mean": _mean,
    "sumsq": _over_squares,
    "norm1": _norm1,
    "norm2": _norm2,
    "norminf": _last("largest", "abs"),
    "max": _last("largest"),
    "min": _last("largest", back=True),
    "logsumexp": _last("logsumexp"),
}
"""The reductions that have a form on whole arrays."""
