"""The primal-dual interior point method with filter line search (Waechter and Biegler 2006); see `method`."""

from optdsl.methods.interior_point.method import InteriorPoint, InteriorState, Warm

__all__ = ["InteriorPoint", "InteriorState", "Warm"]
