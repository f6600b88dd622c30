"""A small linear, integer or convex quadratic program, built row by row and solved by highspy directly.

The references of the examples are written with it. It shares nothing with optdsl, on purpose: no data reader, no
elaboration, no sign conventions. Everything is minimized inside; `solve` turns a maximum around once, at the end.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import highspy
import numpy as np

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DATA = EXAMPLES / "data"
INF = float("inf")

Terms = Iterable[tuple[int, float]]


def read_rows(path: str) -> list[dict[str, str]]:
    """The rows of a CSV file below examples/data, each by column name, as text."""
    with open(DATA / path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def numbers(rows: Sequence[dict[str, str]], column: str) -> np.ndarray:
    """One column as floats."""
    return np.array([float(row[column]) for row in rows])


@dataclass
class Program:
    """Variables come in blocks (arrays of column numbers), rows one at a time; `objective` is minimized."""

    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    cost: list[float] = field(default_factory=list)
    integer: list[bool] = field(default_factory=list)
    rows: list[tuple[list[int], list[float], float, float]] = field(default_factory=list)
    quadratic: dict[tuple[int, int], float] = field(default_factory=dict)
    constant: float = 0.0

    def block(self, *shape: int, lower: float = 0.0, upper: float = INF, integer: bool = False) -> np.ndarray:
        """New variables: an array of their column numbers (a 0-d array without a shape)."""
        count = int(np.prod(shape)) if shape else 1
        first = len(self.lower)
        self.lower += [lower] * count
        self.upper += [upper] * count
        self.cost += [0.0] * count
        self.integer += [integer] * count
        return np.arange(first, first + count).reshape(shape)

    def row(self, terms: Terms, lower: float = -INF, upper: float = INF) -> int:
        """A row `lower <= sum of coefficient * variable <= upper`; equal numbers make an equation."""
        columns: dict[int, float] = {}
        for column, coefficient in terms:
            columns[int(column)] = columns.get(int(column), 0.0) + float(coefficient)
        self.rows.append((list(columns), list(columns.values()), lower, upper))
        return len(self.rows) - 1

    def charge(self, terms: Terms) -> None:
        """Adds to the linear part of the objective."""
        for column, coefficient in terms:
            self.cost[int(column)] += float(coefficient)

    def square(self, terms: Terms, constant: float = 0.0, weight: float = 1.0) -> None:
        """Adds weight * (sum of coefficient * variable + constant)^2 to the objective."""
        terms = list(terms)
        self.constant += weight * constant**2
        for i, a in terms:
            self.cost[int(i)] += 2 * weight * constant * float(a)
            for j, b in terms:
                self.product(int(i), int(j), weight * float(a) * float(b))

    def product(self, i: int, j: int, coefficient: float) -> None:
        """Adds coefficient * x_i * x_j to the objective."""
        key = (max(i, j), min(i, j))
        self.quadratic[key] = self.quadratic.get(key, 0.0) + coefficient

    def solve(self, maximize: bool = False) -> Answer:
        """Solves with HiGHS. `maximize`: the objective above is what is maximized (linear only)."""
        sign = -1.0 if maximize else 1.0
        model = highspy.Highs()
        model.silent()
        for name in ("mip_rel_gap", "mip_abs_gap"):
            model.setOptionValue(name, 1e-9)
        for option in ("primal_feasibility_tolerance", "dual_feasibility_tolerance"):
            model.setOptionValue(option, 1e-9)
        model.passModel(self._lp(sign))
        if self.quadratic:
            assert not maximize
            model.passHessian(self._hessian())
        model.run()
        solution, status = model.getSolution(), model.modelStatusToString(model.getModelStatus())
        assert status == "Optimal", status
        value = model.getInfo().objective_function_value
        return Answer(
            status,
            sign * value + self.constant,
            np.array(solution.col_value),
            sign * np.array(solution.row_dual),
            sign * np.array(solution.col_dual),
        )

    def _lp(self, sign: float) -> highspy.HighsLp:
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = len(self.cost), len(self.rows)
        lp.col_cost_ = sign * np.array(self.cost)
        lp.col_lower_, lp.col_upper_ = np.array(self.lower), np.array(self.upper)
        lp.row_lower_ = np.array([lower for _, _, lower, _ in self.rows])
        lp.row_upper_ = np.array([upper for _, _, _, upper in self.rows])
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.concatenate([[0], np.cumsum([len(columns) for columns, *_ in self.rows])]).astype(int)
        lp.a_matrix_.index_ = np.array([c for columns, *_ in self.rows for c in columns], dtype=int)
        lp.a_matrix_.value_ = np.array([v for _, values, *_ in self.rows for v in values], dtype=float)
        if any(self.integer):
            kinds = {True: highspy.HighsVarType.kInteger, False: highspy.HighsVarType.kContinuous}
            lp.integrality_ = [kinds[flag] for flag in self.integer]
        return lp

    def _hessian(self) -> highspy.HighsHessian:
        hessian = highspy.HighsHessian()
        hessian.dim_ = len(self.cost)
        hessian.format_ = highspy.HessianFormat.kTriangular
        starts, index, value = [0], [], []
        for column in range(hessian.dim_):
            for (i, j), coefficient in sorted(self.quadratic.items()):
                if j == column and coefficient:
                    index.append(i)
                    value.append(2 * coefficient if i == j else coefficient)
            starts.append(len(index))
        hessian.start_, hessian.index_, hessian.value_ = starts, index, value
        return hessian


@dataclass(frozen=True)
class Answer:
    """Status as HiGHS words it, objective in the sense that was asked for, point, duals of rows and of bounds.

    A dual is the rate at which the objective changes when the side of the row moves up.
    """

    status: str
    objective: float
    point: np.ndarray
    row_dual: np.ndarray
    column_dual: np.ndarray


@dataclass(frozen=True)
class Expected:
    """What an example must answer: the objective, and those duals and values that are unique, by name.

    `duals` and `values` hold one array per name, in the order of the sets' members.
    """

    objective: float | None
    duals: dict[str, np.ndarray] = field(default_factory=dict)
    values: dict[str, np.ndarray] = field(default_factory=dict)
