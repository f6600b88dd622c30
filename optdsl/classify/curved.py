"""Functions that are neither linear nor piecewise linear, collected as cones by the graphs in their rows.

A function stands in a sink as a new variable t on its convex (concave) side. An argument that is not affine is replaced
in turn by a variable on the side that the function's slope presses it to. Lanes are split where data or bounds give
them different curvatures, slopes or exponents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sympy

from optdsl.atoms import ENTRIES, REDUCTIONS, Interval
from optdsl.classify.cones import Affine, CollectedCone, Graph, HeldRows
from optdsl.classify.facts import Facts
from optdsl.classify.quadratic_rows import quadratics_to_cones
from optdsl.classify.sink import AFFINE, CONCAVE, CONVEX, Collecting, NotCollected, Sink, Terms
from optdsl.terms import nodes
from optdsl.terms.fold import Fold
from optdsl.terms.frame import Extension, Frame
from optdsl.terms.nodes import has_variables


def collect_function(
    collector: Collecting, node: sympy.Basic, frame: Frame, multiplier: np.ndarray, sink: Sink
) -> None:
    """An elementwise function (or a power) with a graph."""
    facts = collector.facts
    assert facts is not None
    name, arguments = ("pow", list(node.args)) if isinstance(node, sympy.Pow) else (node.name, list(node.slots))
    row = ENTRIES[name]
    fact = facts.find(node, frame)
    require_side(collector, node, fact.curvature, frame, multiplier, sink)
    boxes = _boxes(row, [facts.find(a, frame).interval for a in arguments])
    with np.errstate(all="ignore"):
        slopes = row.slope(*boxes)
    moving = [k for k, a in enumerate(arguments) if has_variables(a)]
    codes = [np.sign(fact.curvature)]
    for k in moving:
        if not facts.find(arguments[k], frame).affine.all():
            codes.append(np.sign(slopes[k]))
    codes.extend(_exponents(collector, row, arguments, frame, boxes))
    parts = _patterns(codes, frame)
    if len(parts) > 1:
        for mask in parts:
            extension = collector.lanes.filtered(frame, mask)
            lifted = extension.lift(np.broadcast_to(multiplier, frame.shape))
            collect_function(collector, node, extension.child, lifted, sink)
        return
    curvature = float(np.broadcast_to(fact.curvature, frame.shape).reshape(-1)[0])
    if curvature == 0.0:
        _constant_function(collector, node, frame, multiplier, sink)
        _stay_inside(collector, row, arguments, frame)
        return
    t = Affine.of_columns(collector.auxiliary.add(frame.size))
    given: list[Any] = []
    root = frame.as_root()
    for k, argument in enumerate(arguments):
        if k in moving:
            side = _side(curvature, slopes[k], frame)
            given.append(stand_in(collector, argument, root, side))
        else:
            value = np.broadcast_to(collector.lanes.numbers(argument, frame), frame.shape).reshape(-1)
            given.append(float(value[0]) if row.is_data(k) and row.parameter(k) == "p" else value)
    graph = Graph(frame.size, collector.auxiliary.add)
    if row.name == "pow":
        negative = bool((boxes[0].hi <= 0).all())
        row.graph(graph, t, given[0], given[1], negative)  # type: ignore[misc]
    elif row.name == "cbrt":
        # convex where the argument is never positive
        row.graph(graph, t, given[0], curvature > 0)  # type: ignore[misc]
    else:
        row.graph(graph, t, *given)  # type: ignore[misc]
    _keep(collector, graph, row.quadratic_form is not None)
    add_columns(sink, t.columns, frame, multiplier)


def _constant_function(
    collector: Collecting, node: sympy.Basic, frame: Frame, multiplier: np.ndarray, sink: Sink
) -> None:
    """A function that is affine on its box: only a point is certain to be so, and then it is a constant."""
    facts = collector.facts
    assert facts is not None
    fact = facts.find(node, frame)
    base = node.args[0] if isinstance(node, sympy.Pow) else node.slots[0] if node.name == "pow" else None
    if base is not None:
        exponent = node.args[1] if isinstance(node, sympy.Pow) else node.slots[1]
        if (collector.lanes.numbers(exponent, frame) == 1).all():
            collector.collect(base, frame, multiplier, sink)
            return
    if not (np.isfinite(fact.lo) & np.isfinite(fact.hi)).all():
        raise NotCollected(node, "this function has no finite value where its bounds leave it")
    if not (np.abs(fact.hi - fact.lo) <= 1e-12 * np.maximum(1.0, np.abs(fact.lo))).all():
        raise NotCollected(node, "this function is linear on its bounds, but has no linear form here")
    sink.add_constant(frame, multiplier * (fact.lo + fact.hi) / 2.0)
    sink.bent = True


def _stay_inside(collector: Collecting, row: Any, arguments: Sequence[sympy.Basic], frame: Frame) -> None:
    """Rows that keep arguments in a function's domain, where the declared bounds alone do not."""
    facts = collector.facts
    assert facts is not None
    if row.domain.restrict is None:
        return
    declared = [(facts.plain or facts).find(a, frame).interval for a in arguments]
    for argument, box, inside in zip(arguments, declared, _boxes(row, declared), strict=True):
        for needed, end, side in ((box.lo < inside.lo, inside.lo, CONCAVE), (box.hi > inside.hi, inside.hi, CONVEX)):
            if np.any(needed) and has_variables(argument):
                extension = collector.lanes.filtered(frame, np.broadcast_to(needed, frame.shape))
                root = extension.child.as_root()
                held = collector.sink(root, side)
                collector.collect(argument, root, np.ones((1,) * len(root.shape)), held)
                held.add_constant(root, -extension.lift(np.broadcast_to(end, frame.shape)))
                collector.auxiliary.rows.append(held)


def collect_groups(collector: Collecting, node: nodes.Reduce, frame: Frame, multiplier: np.ndarray, sink: Sink) -> None:
    """A reduction with a graph: norms, logsumexp, means."""
    facts = collector.facts
    assert facts is not None
    row = REDUCTIONS[node.name]
    fact = facts.find(node, frame)
    require_side(collector, node, fact.curvature, frame, multiplier, sink)
    parts = _patterns([np.sign(fact.curvature)], frame)
    if len(parts) > 1:
        for mask in parts:
            extension = collector.lanes.filtered(frame, mask)
            collect_groups(
                collector, node, extension.child, extension.lift(np.broadcast_to(multiplier, frame.shape)), sink
            )
        return
    curvature = float(np.broadcast_to(fact.curvature, frame.shape).reshape(-1)[0])
    root = frame.as_root()
    extension = collector.lanes.extend(root, node.over)
    group = np.broadcast_to(extension.child.root_rows(), extension.child.shape).reshape(-1)
    extra = [float(collector.lanes.numbers(e, frame).reshape(-1)[0]) for e in node.extra]
    t = Affine.of_columns(collector.auxiliary.add(frame.size))
    members = _member_stand_in(collector, node, row, extension, curvature or 1.0, extra)
    graph = Graph(frame.size, collector.auxiliary.add, group)
    row.graph(graph, t, members, *extra)  # type: ignore[misc]
    _keep(collector, graph, False)
    add_columns(sink, t.columns, frame, multiplier)


def _member_stand_in(
    collector: Collecting, node: nodes.Reduce, row: Any, extension: Extension, curvature: float, extra: Sequence[float]
) -> Affine:
    """The members of a reduction, each affine or replaced on the side that the reduction presses it to."""
    facts = collector.facts
    assert facts is not None
    child = extension.child.as_root()
    fact = facts.find(node.body, child)
    if fact.affine.all():
        return stand_in(collector, node.body, child, AFFINE)
    lo, hi = (np.broadcast_to(v, child.shape) for v in (fact.lo, fact.hi))
    fold = Fold(extension, [lo])
    points = [Interval(np.asarray(e), np.asarray(e)) for e in extra]
    with np.errstate(all="ignore"):
        slope = row.slope(Interval(fold.members(lo), fold.members(hi)), fold.groups, *points)[0]
    place = fold.members(np.arange(child.size).reshape(child.shape)).reshape(-1)
    back = np.empty(child.size)
    back[place] = np.broadcast_to(slope, fold.members(lo).shape).reshape(-1)
    turned = curvature * back
    sides = np.where(turned >= 0, 1, np.where(turned <= 0, -1, 0))  # 0: nothing presses, it must be affine
    if (sides == sides[0]).all():
        return stand_in(collector, node.body, child, _SIDES[int(sides[0])])
    members = Affine.of_constant(np.zeros(child.size))
    for side in np.unique(sides):
        where = sides == side
        some = collector.lanes.filtered(child, where.reshape(child.shape)).child.as_root()
        held = stand_in(collector, node.body, some, _SIDES[int(side)])
        members = members + held.place(np.flatnonzero(where), child.size)
    return members


_SIDES = {0: AFFINE, 1: CONVEX, -1: CONCAVE}


def stand_in(collector: Collecting, argument: sympy.Basic, root: Frame, side: str) -> Affine:
    """An argument over the lanes of `root`: itself where affine, else a variable on its convex or concave side."""
    facts = collector.facts
    assert facts is not None
    one = np.ones((1,) * len(root.shape))
    if side == AFFINE or facts.find(argument, root).affine.all():
        held = collector.sink(root, AFFINE)
        collector.collect(argument, root, one, held)
        return held.affine()
    held = collector.sink(root, side, quadratic=True)
    collector.collect(argument, root, one, held)
    quadratics_to_cones(collector, held)
    variable = Affine.of_columns(collector.auxiliary.add(root.size))
    collector.auxiliary.rows.append(HeldRows(held.affine() - variable, side))
    return variable


def pressed_columns(collector: Collecting, argument: sympy.Basic, root: Frame) -> np.ndarray | None:
    """Columns for a curved argument of an even function, on the side that its sign presses it to; None: itself."""
    if collector.facts is None or collector.facts.find(argument, root).affine.all():
        return None
    fact = collector.facts.find(argument, root)
    side = CONVEX if (fact.lo >= 0).all() else CONCAVE if (fact.hi <= 0).all() else AFFINE
    return None if side == AFFINE else stand_in(collector, argument, root, side).columns.reshape(root.shape)


def lanes_by_sign(
    collector: Collecting, arguments: Sequence[sympy.Basic], frame: Frame
) -> list[np.ndarray] | None:
    """Masks of the lanes that share the sign of one curved argument, where they differ: other pieces count there."""
    if collector.facts is None or len(arguments) != 1 or frame.size < 2:
        return None
    fact = collector.facts.find(arguments[0], frame)
    if fact.affine.all():
        return None
    lo, hi = (np.broadcast_to(end, frame.shape) for end in (fact.lo, fact.hi))
    code = np.where(lo >= 0, 1, np.where(hi <= 0, -1, 0))
    found = np.unique(code)
    return None if len(found) == 1 else [code == k for k in found]


def require_side(
    collector: Collecting, node: sympy.Basic, curvature: np.ndarray, frame: Frame, multiplier: np.ndarray, sink: Sink
) -> None:
    """Raise unless, in every lane, the function times its multiplier curves the way the sink takes."""
    wanted = {CONVEX: 1.0, CONCAVE: -1.0, AFFINE: 0.0}[sink.sense]
    turned = np.sign(multiplier) * curvature
    fits = (turned == 0) | ((wanted != 0) & (turned * wanted > 0)) | (multiplier == 0)
    if fits.all():
        return
    wrong = np.broadcast_to(~fits, frame.shape)
    lane = tuple(np.argwhere(wrong)[0]) if frame.shape else ()
    value = float(np.broadcast_to(turned, frame.shape)[lane]) if frame.shape else float(np.reshape(turned, -1)[0])
    name = "this power" if isinstance(node, sympy.Pow) else f"`{node.name}`"
    place = {CONVEX: "minimized or bounded above", CONCAVE: "maximized or bounded below", AFFINE: "in an equality"}
    spread = np.broadcast_to(np.asarray(multiplier, dtype=float), frame.shape or np.shape(multiplier))
    factor = float(spread[lane]) if frame.shape else float(np.reshape(spread, -1)[0])
    if factor < 0:
        name += " times a negative number"
    if np.isnan(value):
        reason = f"{name} is not known to be convex or concave here"
    else:
        reason = f"{name} is {CONVEX if value > 0 else CONCAVE} here, but the expression is {place[sink.sense]}"
    raise NotCollected(node, reason, None, collector.lanes.lane(frame, lane))


def add_columns(sink: Sink, columns: np.ndarray, frame: Frame, multiplier: np.ndarray) -> None:
    """Add multiplier * (one variable a lane of the frame) to the sink."""
    sink.terms.append(Terms(frame, columns.reshape(frame.shape), multiplier))
    sink.bent = True


def _keep(collector: Collecting, graph: Graph, quadratic: bool) -> None:
    marked = [CollectedCone(c.kind, c.parts, c.exponent, c.size, quadratic) for c in graph.cones]
    collector.auxiliary.cones.extend(marked)
    collector.auxiliary.rows.extend(graph.rows)


def _side(curvature: float, slope: np.ndarray, frame: Frame) -> str:
    """Which side an argument is pressed to; `affine` where nothing presses it."""
    turned = curvature * np.broadcast_to(slope, frame.shape)
    if (turned >= 0).all():
        return CONVEX
    return CONCAVE if (turned <= 0).all() else AFFINE


def _boxes(row: Any, boxes: list[Interval]) -> list[Interval]:
    return list(row.domain.restrict(*boxes)) if row.domain.restrict is not None else boxes


def _exponents(
    collector: Collecting, row: Any, arguments: Sequence[sympy.Basic], frame: Frame, boxes: Sequence[Interval]
) -> list[np.ndarray]:
    """The exponents `p` of a function, and for powers on which side of 0 the base is, by lane."""
    if "p" not in row.data_arguments:
        return []
    exponent = np.asarray(collector.lanes.numbers(arguments[row.parameters.index("p")], frame), dtype=float)
    return [exponent, (boxes[0].hi <= 0).astype(float)] if row.name == "pow" else [exponent]


def _patterns(codes: Sequence[np.ndarray], frame: Frame) -> list[np.ndarray]:
    """Masks over the frame of the lanes that share all codes."""
    if all(np.size(c) == 1 or np.ptp(c) == 0 for c in codes if np.size(c)):
        return [np.ones(frame.shape, dtype=bool)]
    full = np.stack([np.broadcast_to(c, frame.shape).reshape(-1) for c in codes], axis=1)
    _, pattern = np.unique(full, axis=0, return_inverse=True)
    pattern = pattern.reshape(frame.shape)
    return [pattern == k for k in range(int(pattern.max()) + 1)]


Collect = Callable[..., None]
__all__ = [
    "Facts",
    "collect_function",
    "collect_groups",
    "lanes_by_sign",
    "pressed_columns",
    "require_side",
    "stand_in",
]
