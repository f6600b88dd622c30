"""Sets that parameters are projected onto after each step, in place and in their own type."""

from __future__ import annotations

import numpy as np

from optdsl.methods.projections import SimpleSet
from optdsl.methods.stochastic.updates import Coupled


class Box:
    """Bounds, rounded inward to the parameters' type, so that float32 parameters keep the bounds exactly."""

    def __init__(self, lower: np.ndarray, upper: np.ndarray) -> None:
        self.lower, self.upper = lower, upper
        self._places = np.flatnonzero(np.isfinite(lower) | np.isfinite(upper))
        self._all = len(self._places) == len(lower)
        self._sides: dict[np.dtype, tuple[np.ndarray, np.ndarray]] = {}

    @property
    def coupled(self) -> Coupled | None:
        """None: every variable is clipped by itself."""
        return None

    def project(self, x: np.ndarray) -> None:
        """Clips x."""
        if not len(self._places):
            return
        lower, upper = self._rounded(x.dtype)
        if self._all:
            np.clip(x, lower, upper, out=x)
        else:
            x[self._places] = np.clip(x[self._places], lower, upper)

    def _rounded(self, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        if dtype not in self._sides:
            exact_lower, exact_upper = self.lower[self._places], self.upper[self._places]
            lower, upper = exact_lower.astype(dtype), exact_upper.astype(dtype)
            inner_lower = np.where(lower < exact_lower, np.nextafter(lower, np.array(np.inf, dtype)), lower)
            inner_upper = np.where(upper > exact_upper, np.nextafter(upper, np.array(-np.inf, dtype)), upper)
            empty = inner_lower > inner_upper
            self._sides[dtype] = (np.where(empty, lower, inner_lower), np.where(empty, upper, inner_upper))
        return self._sides[dtype]


class Simple:
    """A box with simplices, balls and chains in it."""

    def __init__(self, simple: SimpleSet) -> None:
        self.simple = simple
        self._box = Box(simple.lower, simple.upper)
        parts = (simple.simplices.variables, simple.balls.variables, simple.chains.variables)
        self._places = np.concatenate(parts)
        self._inner = simple.restricted(self._places)
        parts_groups = (simple.simplices.groups, simple.balls.groups, simple.chains.groups)
        self._groups = np.unique(_numbered(parts_groups), return_inverse=True)[1] if len(self._places) else None

    @property
    def coupled(self) -> Coupled | None:
        """The variables in groups."""
        return None if self._groups is None else Coupled(self._places, self._groups)

    def project(self, x: np.ndarray) -> None:
        """The nearest point; only variables in groups are gone through in float64."""
        before = x[self._places].astype(np.float64)
        self._box.project(x)
        if len(self._places):
            x[self._places] = self._inner.project(before)


def _numbered(parts: tuple[np.ndarray, ...]) -> np.ndarray:
    """Group numbers one after another: those of each part above those of the parts before."""
    found, first = [], 0
    for groups in parts:
        found.append(groups + first)
        first += int(groups.max(initial=-1)) + 1
    return np.concatenate(found)
