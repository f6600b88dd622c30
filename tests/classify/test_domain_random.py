"""Random functions of affine arguments on random polyhedra: what is called convex on D is so, and is solved."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.optimize import linprog

import optdsl
from optdsl.errors import ModelError

Shape = Callable[..., np.ndarray]


def _nan_log(value: np.ndarray) -> np.ndarray:
    return np.log(np.where(value > 0, value, np.nan))


def _power(p: float) -> Shape:
    return lambda e, _: np.where(e < 0, np.nan, np.abs(e) ** p)


FUNCTIONS: dict[str, tuple[str, Shape]] = {
    "({0})^3": ("minimize", lambda e, _: e**3),
    "-(({0})^3)": ("minimize", lambda e, _: -(e**3)),
    "({0})^5": ("maximize", lambda e, _: e**5),
    "1/({0})": ("minimize", lambda e, _: 1 / np.where(e == 0, np.nan, e)),
    "-1/({0})": ("minimize", lambda e, _: -1 / np.where(e == 0, np.nan, e)),
    "({0})^-2": ("minimize", lambda e, _: 1 / np.where(e == 0, np.nan, e) ** 2),
    "({0})^1.5": ("minimize", _power(1.5)),
    "({0})^2/({1})": ("minimize", lambda e, f: e**2 / np.where(f == 0, np.nan, f)),
    "quad_over_lin([{0}], {1})": ("minimize", lambda e, f: e**2 / np.where(f > 0, f, np.nan)),
    "({0})*log({0})": ("minimize", lambda e, _: e * _nan_log(e)),
    "({0})*log(({0})/({1}))": ("minimize", lambda e, f: e * _nan_log(e / np.where(f == 0, np.nan, f))),
    "sqrt(({0})*({1}))": ("maximize", lambda e, f: np.sqrt(np.where(e * f >= 0, e * f, np.nan))),
    "log(({0})*({1}))": ("maximize", lambda e, f: _nan_log(e * f)),
    "abs({0})*abs({0})*abs({0})": ("minimize", lambda e, _: np.abs(e) ** 3),
    "max({0}, {1})^3": ("minimize", lambda e, f: np.maximum(e, f) ** 3),
    "abs({0}) - ({1})^2": ("maximize", lambda e, f: np.abs(e) - f**2),
    "max({0}, {1}) - ({0})^2": ("maximize", lambda e, f: np.maximum(e, f) - e**2),
}


@dataclass
class Case:
    """A model over x[1..n]: rows low <= A x <= high as constraints, bounds of some variables declared."""

    text: str
    matrix: np.ndarray
    high: np.ndarray
    box: np.ndarray
    sense: float
    value: Callable[[np.ndarray], np.ndarray]


def affine_text(row: np.ndarray, constant: float) -> str:
    parts = [f"{c:+g}*x[{j + 1}]" for j, c in enumerate(row) if c]
    return " ".join([*parts, f"{constant:+g}"]) if parts else f"{constant:g}"


def random_case(random: np.random.Generator) -> Case:
    n = int(random.integers(2, 5))
    point = random.integers(-2, 3, n).astype(float)  # of D, so that D is not empty
    rows, high, lines = [], [], []
    for k in range(int(random.integers(1, 6))):
        row = np.zeros(n)
        chosen = random.choice(n, int(random.integers(1, min(n, 3) + 1)), replace=False)
        row[chosen] = random.choice([-2.0, -1.0, -1.0, 1.0, 1.0, 0.5, 0.3], len(chosen))
        side = math.floor(row @ point) - float(random.integers(0, 3))
        lines.append(f"  c{k}: {affine_text(row, 0)} >= {side:g}")
        rows.append(-row)
        high.append(-side)
    bounded = random.random(n) < 0.4
    box = np.column_stack([np.where(bounded, point - random.integers(0, 3, n), -np.inf), np.full(n, np.inf)])
    lines += [f"  d{j}: x[{j + 1}] <= {point[j] + 3:g}" for j in range(n)]
    rows += list(np.eye(n))
    high += list(point + 3)
    arguments = []
    for _ in range(2):
        source = -rows[int(random.integers(len(rows)))] * random.choice([1.0, 2.0]) if random.random() < 0.7 else None
        row = random.choice([-1.0, 0.0, 1.0], n) if source is None else source
        row = row if row.any() else np.eye(n)[0]
        arguments.append((row, float(random.integers(-1, 4))))
    pattern = str(random.choice(list(FUNCTIONS)))
    sense, shape = FUNCTIONS[pattern]
    sense = sense if random.random() < 0.8 else {"minimize": "maximize", "maximize": "minimize"}[sense]
    bounds = "\n".join(f"param low{j} = {box[j, 0]:g}" for j in range(n) if bounded[j])
    body = pattern.format(*(affine_text(*a) for a in arguments))
    lines += [f"  e{j}: x[{j + 1}] >= low{j}" for j in range(n) if bounded[j]]
    text = f"{bounds}\nvar x[1..{n}]\n{sense} o: {body}\nsubject to\n" + "\n".join(lines)
    (one, first), (two, second) = arguments

    def value(points: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return shape(points @ one + first, points @ two + second)

    return Case(text, np.array(rows), np.array(high), box, 1.0 if sense == "minimize" else -1.0, value)


def points_of(case: Case, random: np.random.Generator, count: int = 400) -> np.ndarray:
    """Points of the polyhedron: mixtures of corners (of what a large box leaves of it), near the corners too."""
    box = np.clip(case.box, -30, 30)
    corners = []
    for _ in range(12):
        answer = linprog(random.normal(size=len(box)), A_ub=case.matrix, b_ub=case.high, bounds=box, method="highs")
        assert answer.status == 0
        corners.append(answer.x)
    weights = random.dirichlet(np.full(len(corners), 0.3), count)
    return weights @ np.array(corners)


def refuted(case: Case, random: np.random.Generator) -> bool:
    points = points_of(case, random)
    others = points[random.permutation(len(points))]
    start, end, middle = (case.sense * case.value(p) for p in (points, others, (points + others) / 2))
    both = np.isfinite(start) & np.isfinite(end)
    if (both & ~np.isfinite(middle)).any():
        return True
    return bool((middle > (start + end) / 2 + 1e-7 * (1 + np.abs(start) + np.abs(end)))[both].any())


def try_many(count: int, seed: int) -> tuple[int, int]:
    """How many of the models are called convex, and how many of the others are not refuted by sampling."""
    random = np.random.default_rng(seed)
    convex = missed = 0
    for _ in range(count):
        case = random_case(random)
        try:
            called = optdsl.parse(case.text).check().problem_class.convexity
        except ModelError:
            continue  # undefined everywhere: the logarithm of a part over its negative
        is_refuted = refuted(case, random)
        if called == "convex":
            assert not is_refuted, case.text
            convex += 1
            solution = optdsl.parse(case.text).solve()
            if solution.status.word == "optimal":
                values = case.sense * case.value(points_of(case, random))
                best = case.sense * solution.objective  # type: ignore[operator]
                assert not (values < best - 1e-5 * (1 + abs(best))).any(), case.text
            else:
                assert solution.status.word in ("infeasible", "unbounded", "numerical_error", "feasible"), case.text
                if solution.status.word == "infeasible":
                    assert not np.isfinite(case.value(points_of(case, random))).any(), case.text
        elif not is_refuted:
            missed += 1
    return convex, missed


def test_convex_on_d_is_convex_on_d() -> None:
    convex, _ = try_many(120, 7)
    assert convex > 30


@pytest.mark.nightly
def test_convex_on_d_is_convex_on_d_many_times() -> None:
    convex, _ = try_many(5000, 8)
    assert convex > 1000
