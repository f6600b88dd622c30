"""The convex cones that functions are written with."""

from __future__ import annotations

import enum


class ConeKind(enum.Enum):
    """A kind of cone; each value is the condition on one lane's parts."""

    NORM = "sqrt(u1^2 + ... + uk^2) <= t, parts (t, u): u has k rows a lane, lane by lane"
    SQUARE = "u^2 <= v w, v >= 0, w >= 0, parts (u, v, w)"
    EXPONENTIAL = "y exp(x / y) <= z, y > 0 (and the closure), parts (x, y, z)"
    POWER = "|z| <= x^a y^(1 - a), x >= 0, y >= 0, parts (x, y, z), 0 < a < 1"
    SEMIDEFINITE = "the symmetric d x d matrix is positive semidefinite, one part of d d rows per matrix, row by row"
