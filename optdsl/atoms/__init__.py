"""The table of functions: one row each, with everything that is known about it."""

from optdsl.atoms.atom import Absent, Atom, Domain, Interval, MaxOf, MinOf, Pieces, Shapes, Smoothness
from optdsl.atoms.groups import AxisGroups, Groups, SegmentGroups
from optdsl.atoms.intervals import interior, interval, point
from optdsl.atoms.table import (
    ALIASES,
    ARRAYWISE,
    ATOMS,
    ELEMENTWISE,
    ENTRIES,
    INTERNAL,
    LOSSES,
    METRICS,
    NAMES,
    REDUCTIONS,
    REFUSED,
    F,
    find,
    rows,
)

__all__ = [
    "ALIASES",
    "ARRAYWISE",
    "ATOMS",
    "ELEMENTWISE",
    "ENTRIES",
    "INTERNAL",
    "LOSSES",
    "METRICS",
    "NAMES",
    "REDUCTIONS",
    "REFUSED",
    "Absent",
    "Atom",
    "AxisGroups",
    "Domain",
    "F",
    "Groups",
    "Interval",
    "MaxOf",
    "MinOf",
    "Pieces",
    "SegmentGroups",
    "Shapes",
    "Smoothness",
    "find",
    "interior",
    "interval",
    "point",
    "rows",
]
