"""Geometric programs: recognized over all lanes at once, convex in the logarithms of the variables."""

from optdsl.classify.geometric.recognize import Geometric, NotGeometric, RowFamily, recognize_geometric
from optdsl.classify.geometric.zeros import at_zero, bounded_away, with_rows, zero_columns

__all__ = [
    "Geometric",
    "NotGeometric",
    "RowFamily",
    "at_zero",
    "bounded_away",
    "recognize_geometric",
    "with_rows",
    "zero_columns",
]
