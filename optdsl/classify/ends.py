"""Which ends of an interval of values are not reached in the relative interior of D.

The sigmoid lies in (0, 1), e^x above 0, x^2 with x >= 1 above 1 inside: there log, roots and quotients have no trouble.
A concave function that is not constant is nowhere smallest in the relative interior, a convex one nowhere largest
(Rockafellar, 1970, theorem 32.1). Other ends are left behind by the rules of sums, products and of strictly monotone
functions; infinite ends are never reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import sympy

from optdsl.atoms import ENTRIES, Interval, Smoothness
from optdsl.terms import nodes
from optdsl.terms.fold import Fold
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import has_variables

SMOOTH = int(Smoothness.SMOOTH)
Ends = tuple[np.ndarray, np.ndarray]
LINE = Interval(np.asarray(-np.inf), np.asarray(np.inf))


class Known(Protocol):
    """What is asked of facts."""

    lanes: Any

    def find(self, expression: sympy.Basic, frame: Frame) -> Any: ...

    def extended(self, frame: Frame, over: nodes.Over) -> Any: ...


def open_box(facts: Known, argument: sympy.Basic, fact: Any, box: Interval, frame: Frame) -> Interval:
    """The box without the ends that the argument does not reach in the relative interior of D.

    Where `box` is what a function's domain leaves of the argument's interval, its ends are ends of D.
    """
    if (box.lo >= box.hi).all():
        return box
    below, above = open_ends(facts, argument, fact, frame)
    if (box.lo > fact.lo).any() or (box.hi < fact.hi).any():
        crossing = _crosses(facts, argument, frame)
        below = np.where(box.lo > fact.lo, fact.concave | crossing, below)
        above = np.where(box.hi < fact.hi, fact.convex | crossing, above)
    low = np.where(below, np.nextafter(box.lo, np.inf), box.lo)
    high = np.where(above, np.nextafter(box.hi, -np.inf), box.hi)
    keep = box.lo >= box.hi
    return Interval(np.where(keep, box.lo, low), np.where(keep, box.hi, high))


def open_ends(facts: Known, expression: sympy.Basic, fact: Any, frame: Frame) -> Ends:
    """Whether the lower and the upper end are out of reach in the relative interior of D, by lane."""
    below = fact.concave | np.isneginf(fact.lo)
    above = fact.convex | np.isposinf(fact.hi)
    rule = _RULES.get(type(expression))
    if rule is not None and not bool((below & above).all()):
        left, right = rule(facts, expression, frame)
        below, above = below | left, above | right
    moving = fact.lo < fact.hi
    return below & moving, above & moving


def _of(facts: Known, expression: sympy.Basic, frame: Frame) -> Ends:
    return open_ends(facts, expression, facts.find(expression, frame), frame)


# ------------------------------------------------------------------------------------------------------------- rules


def _sum(facts: Known, node: sympy.Add, frame: Frame) -> Ends:
    """A sum is above the sum of the lower ends as soon as one term is above its own."""
    below, above = np.asarray(False), np.asarray(False)
    for term in node.args:
        left, right = _of(facts, term, frame)
        below, above = below | left, above | right
    return below, above


def _product(facts: Known, node: sympy.Mul, frame: Frame) -> Ends:
    """Of factors with a sign: a product of sizes is between the products of the sizes' ends."""
    small, large, sign = np.asarray(True), np.asarray(True), np.asarray(1.0)
    for factor in node.args:
        if not has_variables(factor):
            value = np.asarray(facts.lanes.numbers(factor, frame), dtype=float)
            sign = sign * np.sign(value)
            continue
        fact = facts.find(factor, frame)
        left, right = open_ends(facts, factor, fact, frame)
        turned = fact.hi <= 0
        sign = sign * np.where(fact.lo >= 0, 1.0, np.where(turned, -1.0, 0.0))
        small, large = small & np.where(turned, right, left), large & np.where(turned, left, right)
    return (sign > 0) & small | (sign < 0) & large, (sign > 0) & large | (sign < 0) & small


def _power(facts: Known, node: sympy.Pow, frame: Frame) -> Ends:
    return _monotone(facts, "pow", [node.base, node.exp], frame)


def _function(facts: Known, node: nodes.Apply, frame: Frame) -> Ends:
    if node.name in ("max", "min"):
        return _extreme(facts, node, frame)
    return _monotone(facts, node.name, list(node.slots), frame)


def _extreme(facts: Known, node: nodes.Apply, frame: Frame) -> Ends:
    """A maximum is above the largest lower end where the term with that end is; below its upper ends where all are."""
    found = [(facts.find(s, frame), _of(facts, s, frame)) for s in node.slots]
    largest = node.name == "max"
    ends = [(f.lo, f.hi) if largest else (-f.hi, -f.lo) for f, _ in found]
    opened = [e if largest else e[::-1] for _, e in found]
    top_low, top_high = (np.maximum.reduce(np.broadcast_arrays(*[e[k] for e in ends])) for k in (0, 1))
    below, above = np.asarray(False), np.asarray(True)
    for (low, high), (left, right) in zip(ends, opened, strict=True):
        below, above = below | (left & (low == top_low)), above & (right | (high < top_high))
    return (below, above) if largest else (above, below)


def _monotone(facts: Known, name: str, arguments: Sequence[sympy.Basic], frame: Frame) -> Ends:
    """A strictly monotone function of one argument reaches its ends where the argument does."""
    direction, (argument,) = strict_slope(facts, name, arguments, frame), _moving(arguments) or [None]
    if argument is None:
        return np.asarray(False), np.asarray(False)
    left, right = _of(facts, argument, frame)
    return (
        (direction > 0) & left | (direction < 0) & right,
        (direction > 0) & right | (direction < 0) & left,
    )


def _members(facts: Known, node: nodes.Reduce, frame: Frame) -> Ends:
    """Sums and means, as sums of two."""
    if node.name not in ("sum", "mean"):
        return np.asarray(False), np.asarray(False)
    extension = facts.extended(frame, node.over)
    left, right = _of(facts, node.body, extension.child)
    shape = (1,) * len(extension.child.shape)
    left, right = (np.asarray(e) if np.ndim(e) else np.broadcast_to(e, shape) for e in (left, right))
    fold = Fold(extension, [left, right])
    return tuple(fold.result(fold.groups.any(fold.members(e))) for e in (left, right))  # type: ignore[return-value]


_RULES: dict[type, Any] = {
    sympy.Add: _sum,
    sympy.Mul: _product,
    sympy.Pow: _power,
    nodes.Apply: _function,
    nodes.Reduce: _members,
}

# ------------------------------------------------------------------------------------------- strictly monotone parts


def _moving(arguments: Sequence[sympy.Basic]) -> list[sympy.Basic]:
    moving = [a for a in arguments if has_variables(a)]
    return moving if len(moving) == 1 else []


def strict_slope(facts: Known, name: str, arguments: Sequence[sympy.Basic], frame: Frame) -> np.ndarray:
    """1 and -1 where a function rises or falls strictly in its only argument with variables, else 0.

    A function that is smooth on the whole half line on which its argument lies is analytic there, as all rows are: it
    is nowhere flat where it is monotone.
    """
    (argument,) = _moving(arguments) or [None]
    if argument is None:
        return np.asarray(0.0)
    row = ENTRIES[name]
    facts_ = [facts.find(a, frame) for a in arguments]
    boxes = [f.interval for f in facts_]
    wide = [_half_line(b) if a is argument else b for a, b in zip(arguments, boxes, strict=True)]
    if row.domain.restrict is not None:
        boxes, wide = list(row.domain.restrict(*boxes)), list(row.domain.restrict(*wide))
    place = list(arguments).index(argument)
    with np.errstate(all="ignore"):
        slope = np.asarray(row.slope(*boxes)[place])
        wide[place] = Interval(np.nextafter(wide[place].lo, np.inf), np.nextafter(wide[place].hi, -np.inf))
        analytic = row.smoothness(*wide) == SMOOTH
    return np.where(analytic & (np.abs(slope) == 1.0), slope, 0.0)


def _half_line(box: Interval) -> Interval:
    return Interval(np.where(box.lo >= 0, 0.0, -np.inf), np.where(box.hi <= 0, 0.0, np.inf))


def _crosses(facts: Known, argument: sympy.Basic, frame: Frame) -> np.ndarray:
    """Whether an argument passes through each of its values: then a limit of its domain is met at ends of D only."""
    found = _course(facts, argument, frame)
    return np.asarray(False) if found is None else found[1] != 0


def _course(facts: Known, e: sympy.Basic, frame: Frame) -> tuple[sympy.Basic, np.ndarray] | None:
    """An affine expression of which e is a strictly monotone function, and in which direction (0: not known)."""
    if not has_variables(e):
        return None
    fact = facts.find(e, frame)
    if bool(fact.affine.all()):
        return e, np.where(fact.lo < fact.hi, 1.0, 0.0)
    if isinstance(e, sympy.Mul):
        moving = _moving(e.args)
        inner = _course(facts, moving[0], frame) if moving else None
        if inner is None:
            return None
        data = [np.asarray(facts.lanes.numbers(f, frame), dtype=float) for f in e.args if f is not moving[0]]
        return inner[0], inner[1] * np.prod([np.sign(d) for d in np.broadcast_arrays(*data)], axis=0)
    if isinstance(e, sympy.Pow | nodes.Apply):
        name, arguments = ("pow", [e.base, e.exp]) if isinstance(e, sympy.Pow) else (e.name, list(e.slots))
        moving = _moving(arguments)
        inner = _course(facts, moving[0], frame) if moving else None
        return None if inner is None else (inner[0], inner[1] * strict_slope(facts, name, arguments, frame))
    return _course_of_sum(facts, e, frame) if isinstance(e, sympy.Add) else None


def _course_of_sum(facts: Known, e: sympy.Add, frame: Frame) -> tuple[sympy.Basic, np.ndarray] | None:
    """Terms that go the same way; or one term whose variables occur in no other."""
    terms = [t for t in e.args if has_variables(t)]
    courses = [_course(facts, t, frame) for t in terms]
    known = [c for c in courses if c is not None]
    if len(known) == len(terms) and len({c[0] for c in known}) == 1:
        directions = np.broadcast_arrays(*[c[1] for c in known])
        same = np.logical_and.reduce([d == directions[0] for d in directions])
        return known[0][0], np.where(same, directions[0], 0.0)
    names = [_names(t) for t in terms]
    for k, course in enumerate(courses):
        others: set[str] = set().union(*(n for j, n in enumerate(names) if j != k))
        if course is not None and not names[k] & others:
            return course
    return None


def _names(e: sympy.Basic) -> set[str]:
    """The variables that occur."""
    return {entry.name for entry in e.find(nodes.VariableEntry)}


__all__ = ["open_box", "open_ends", "strict_slope"]
