"""Small nonlinear programs from formulas, with exact derivatives by SymPy: for tests of the methods only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import sympy

from optdsl.nlp import Pattern


@dataclass(eq=False)
class SymbolicNlp:
    """An `Nlp` of compiled formulas; `answer` is the published optimal value where there is one."""

    start: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    row_lower: np.ndarray
    row_upper: np.ndarray
    linear: np.ndarray
    jacobian_pattern: Pattern
    hessian_pattern: Pattern | None
    functions: dict[str, Callable[..., np.ndarray]]
    residuals: None = None
    convex: bool = False

    def objective(self, x: np.ndarray) -> float:
        return float(self.functions["objective"](*x)[0])

    def gradient(self, x: np.ndarray) -> np.ndarray:
        return self._array("gradient", x, len(x))

    def constraints(self, x: np.ndarray) -> np.ndarray:
        return self._array("constraints", x, len(self.row_lower))

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        return self._array("jacobian", x, self.jacobian_pattern.size)

    def hessian(self, x: np.ndarray, multipliers: np.ndarray, weight: float = 1.0) -> np.ndarray:
        return self._array("hessian", (*x, weight, *multipliers), self.full_pattern.size)

    def hessian_product(
        self, x: np.ndarray, multipliers: np.ndarray, direction: np.ndarray, weight: float = 1.0
    ) -> np.ndarray:
        return self.full_pattern.symmetric(self.hessian(x, multipliers, weight)) @ direction

    def _array(self, name: str, arguments: Sequence[float], size: int) -> np.ndarray:
        return np.array(self.functions[name](*arguments), float).reshape(size)

    def __post_init__(self) -> None:
        self.full_pattern = self.hessian_pattern


def program(
    count: int,
    objective: Callable[..., object],
    rows: Sequence[tuple[float, Callable[..., object], float]] = (),
    bounds: Sequence[tuple[float, float]] | tuple[float, float] = (-np.inf, np.inf),
    start: Sequence[float] = (),
) -> SymbolicNlp:
    """The program of `count` variables whose formulas are Python functions of the list of variables.

    rows: (lower, formula, upper). bounds: one pair for all variables or one for each.
    """
    x = sympy.symbols(f"x1:{count + 1}", real=True)
    f = sympy.sympify(objective(x))
    formulas = [sympy.sympify(formula(x)) for _, formula, _ in rows]
    weight, y = sympy.Symbol("weight"), sympy.symbols(f"y1:{len(rows) + 1}")
    gradient = [f.diff(v) for v in x]
    entries = [(i, j, d) for i, c in enumerate(formulas) for j, v in enumerate(x) if (d := c.diff(v)) != 0]
    lagrangian = weight * f + sum((a * c for a, c in zip(y, formulas, strict=True)), sympy.Integer(0))
    slopes = [lagrangian.diff(v) for v in x]
    curved = [(i, j, d) for i in range(count) for j in range(i + 1) if (d := slopes[i].diff(x[j])) != 0]
    several = np.shape(bounds) != (2,) or isinstance(bounds, list)
    sides = np.array(bounds if several else [bounds] * count, float).reshape(count, 2)

    def compiled(
        arguments: Sequence[sympy.Symbol], results: Sequence[sympy.Expr]
    ) -> Callable[..., np.ndarray]:
        return sympy.lambdify(list(arguments), list(results), "numpy", cse=True)

    return SymbolicNlp(
        start=np.array(start, float),
        lower=sides[:, 0],
        upper=sides[:, 1],
        row_lower=np.array([low for low, _, _ in rows], float),
        row_upper=np.array([high for _, _, high in rows], float),
        linear=np.array([all(c.diff(v).is_number for v in x) for c in formulas], bool),
        jacobian_pattern=_pattern(entries, (len(rows), count)),
        hessian_pattern=_pattern(curved, (count, count)),
        functions={
            "objective": compiled(x, [f]),
            "gradient": compiled(x, gradient),
            "constraints": compiled(x, formulas),
            "jacobian": compiled(x, [d for _, _, d in entries]),
            "hessian": compiled((*x, weight, *y), [d for _, _, d in curved]),
        },
    )


def _pattern(entries: Sequence[tuple[int, int, object]], shape: tuple[int, int]) -> Pattern:
    rows = np.array([i for i, _, _ in entries], dtype=np.int64)
    columns = np.array([j for _, j, _ in entries], dtype=np.int64)
    return Pattern(rows, columns, shape)
