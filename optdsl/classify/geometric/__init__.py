"""Geometric programs: recognized over all lanes at once, convex in the logarithms of the variables."""

from optdsl.classify.geometric.recognize import Geometric, NotGeometric, RowFamily, recognize_geometric

__all__ = ["Geometric", "NotGeometric", "RowFamily", "recognize_geometric"]
