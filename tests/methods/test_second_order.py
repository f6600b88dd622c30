"""The second-order check against cases whose answer is known, and saddles that must be left."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import sympy

from optdsl.methods import second_order
from optdsl.methods.driver import Ending, Limits, drive
from optdsl.methods.escape import solve_locally
from optdsl.methods.interior_point import InteriorPoint
from optdsl.methods.second_order import Curvature, check
from tests.methods import problems
from tests.methods.chained import ChainedRosenbrock, ChainedWells
from tests.methods.symbolic import SymbolicNlp, program

INF = np.inf


def at(
    nlp: SymbolicNlp, x: list[float], y: list[float] = (), z: list[float] | None = None
) -> second_order.SecondOrder:  # type: ignore[assignment]
    return check(
        nlp, np.array(x, float), np.array(y, float), np.array(z if z is not None else [0.0] * len(x))
    )


@pytest.fixture(params=["small", "large"])
def route(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "large":
        monkeypatch.setattr(second_order, "SMALL", 0)
        monkeypatch.setattr(second_order, "TINY", 0)


def bowl(size: float) -> SymbolicNlp:
    """Curvature 1e8 beside curvature `size`, which may be negative."""
    return program(3, lambda x: 1e8 * x[0] ** 2 + size * x[1] ** 2 + x[2] ** 2, start=(0, 0, 0))


def test_small_negative_curvature_beside_a_large_positive_one(route: None) -> None:
    found = at(bowl(-1.0), [0, 0, 0])
    assert found.curvature is Curvature.VIOLATED
    assert np.abs(found.direction) == pytest.approx([0, 1, 0], abs=1e-5)


def test_strict_minimum(route: None) -> None:
    found = at(bowl(1.0), [0, 0, 0])
    assert found.curvature is Curvature.SATISFIED
    assert found.strict


def test_curvature_along_a_row_counts(route: None) -> None:
    """x*y has negative curvature along x + y = 2, and none along x - y = 0."""
    sums = program(2, lambda x: x[0] * x[1], [(2, lambda x: x[0] + x[1], 2)], start=(1, 1))
    assert at(sums, [1, 1], [-1]).curvature is Curvature.VIOLATED
    differences = program(2, lambda x: x[0] * x[1], [(0, lambda x: x[0] - x[1], 0)], start=(0, 0))
    assert at(differences, [0, 0], [0]).curvature is Curvature.SATISFIED


def test_the_constraint_bends_the_lagrangian(route: None) -> None:
    """minimize x on the unit circle: at (1, 0) the multiplier makes it a maximum, at (-1, 0) a minimum."""
    circle = program(2, lambda x: x[0] + 0 * x[1], [(1, lambda x: x[0] ** 2 + x[1] ** 2, 1)], start=(1, 0))
    assert at(circle, [1, 0], [-0.5]).curvature is Curvature.VIOLATED
    assert at(circle, [-1, 0], [0.5]).curvature is Curvature.SATISFIED


def test_held_bound_takes_the_direction_away(route: None) -> None:
    nlp = program(2, lambda x: x[0] - x[0] ** 2 + x[1] ** 2, (), [(0, 1), (-INF, INF)], (0, 0))
    assert at(nlp, [0, 0], z=[-1, 0]).curvature is Curvature.SATISFIED


@pytest.mark.parametrize(("slope", "expected"), [(1e-5, Curvature.SATISFIED), (0.0, Curvature.VIOLATED)])
def test_a_small_multiplier_of_a_bound_that_is_met_exactly_counts(slope: float, expected: Curvature) -> None:
    """slope * x - x^2 on [0, 1]: 0 is a strict minimum for any positive slope, a maximum without one."""
    nlp = program(2, lambda x: slope * x[0] - x[0] ** 2 + x[1] ** 2, (), [(0, 1), (-INF, INF)], (0, 0))
    found = check(nlp, np.zeros(2), np.zeros(0), np.array([-slope, 0.0]))
    assert found.curvature is expected


def test_infinite_curvature_of_a_held_variable_does_not_matter(route: None) -> None:
    nlp = program(
        2, lambda x: x[0] ** sympy.Rational(3, 2) + x[0] + x[1] ** 2, (), [(0, 1), (-INF, INF)], (0, 0)
    )
    assert at(nlp, [0, 0], z=[-1, 0]).curvature is Curvature.SATISFIED
    assert at(nlp, [0, 0], z=[0, 0]).curvature is Curvature.UNKNOWN


def test_weakly_active_bound_leaves_its_inner_side() -> None:
    """-x^2 at x = 0 with x >= 0: negative curvature inward, so not a minimum although the bound is active."""
    nlp = program(2, lambda x: -(x[0] ** 2) + x[1] ** 2, (), [(0, 1), (-INF, INF)], (0, 0))
    found = at(nlp, [0, 0])
    assert found.curvature is Curvature.VIOLATED
    assert found.direction[0] > 0


@pytest.mark.parametrize(
    ("coefficient", "expected"), [(1.0, Curvature.SATISFIED), (-3.0, Curvature.VIOLATED)]
)
def test_weakly_active_corner_is_decided_by_its_faces(coefficient: float, expected: Curvature) -> None:
    """x^2 + y^2 + c x y on x, y >= 0: indefinite on the plane for |c| > 2, yet copositive for every c >= -2."""
    scaled = 5.0 if coefficient > 0 else coefficient
    nlp = program(2, lambda x: x[0] ** 2 + x[1] ** 2 + scaled * x[0] * x[1], (), (0, INF), (0, 0))
    found = at(nlp, [0, 0])
    assert found.curvature is expected
    if expected is Curvature.VIOLATED:
        assert (found.direction >= -1e-9).all()


def test_violated_direction_is_what_it_says(route: None) -> None:
    """Random quadratics with rows: whether violated must agree with the reduced Hessian, the direction with both."""
    random = np.random.default_rng(7)
    n, m = 6, 2
    for _ in range(10):
        h = random.normal(size=(n, n))
        h = h + h.T + random.choice([0.0, 6.0]) * np.eye(n)
        a = random.normal(size=(m, n))
        rows = [(0, lambda x, r=r: sum(float(r[j]) * x[j] for j in range(n)), 0) for r in a]
        nlp = program(
            n, lambda x, h=h: sum(float(h[i, j]) * x[i] * x[j] / 2 for i in range(n) for j in range(n)), rows
        )
        nlp.start = np.zeros(n)
        found = at(nlp, [0.0] * n, [0.0] * m)
        basis = np.linalg.svd(a)[2][m:].T
        lowest = np.linalg.eigvalsh(basis.T @ h @ basis)[0]
        assert found.curvature is (Curvature.VIOLATED if lowest < 0 else Curvature.SATISFIED)
        if found.direction is not None:
            assert found.direction @ h @ found.direction < 0
            assert np.abs(a @ found.direction).max() <= 1e-6


def test_many_sides_that_may_be_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the curvature is right with all of them held nothing is claimed; where it is not, that is found."""
    for name in ("SMALL", "TINY", "MANY_SIDES"):
        monkeypatch.setattr(second_order, name, 0)
    n = 4
    sides = [(0, INF)] * n + [(-INF, INF)]
    held = program(n + 1, lambda x: x[n] ** 2 - sum(x[j] ** 2 for j in range(n)), (), sides, [0] * (n + 1))
    assert at(held, [0] * (n + 1)).curvature is Curvature.UNKNOWN
    free = program(n + 1, lambda x: -(x[n] ** 2) + sum(x[j] ** 2 for j in range(n)), (), sides, [0] * (n + 1))
    found = at(free, [0] * (n + 1))
    assert found.curvature is Curvature.VIOLATED
    assert np.abs(found.direction) == pytest.approx([0] * n + [1], abs=1e-4)


def test_large_problem_by_inertia() -> None:
    nlp = ChainedRosenbrock(3000)
    answer = solve_locally(nlp, InteriorPoint())
    assert answer.second_order is not None
    assert answer.second_order.curvature is Curvature.SATISFIED


# ------------------------------------------------------------------------------------------------------- escaping


def left(nlp: SymbolicNlp, value: float) -> None:
    answer = solve_locally(nlp, InteriorPoint(), Limits(iterations=500))
    assert answer.outcome.ending is Ending.CONVERGED
    assert answer.outcome.record.objective == pytest.approx(value, abs=1e-5)
    assert answer.second_order is not None
    assert answer.second_order.curvature is Curvature.SATISFIED
    assert answer.notes
    assert answer.outcome.trace[-1, 0] == answer.outcome.iterations


def test_the_trap_ends_at_zero() -> None:
    left(problems.trap(), 0.0)


def test_product_of_zeros() -> None:
    left(program(2, lambda x: x[0] * x[1], (), (-1, 2), (0, 0)), -2.0)


def test_third_order_saddle() -> None:
    left(program(3, lambda x: x[0] * x[1] * x[2], (), (-1, 2), (0, 0, 0)), -4.0)


def test_maximum_of_a_concave_function() -> None:
    rows = [(-INF, lambda x: x[0] ** 2 + 2 * x[1] ** 2, 4)]
    left(program(2, lambda x: -(x[0] ** 2) - x[1] ** 2, rows, start=(0, 0)), -4.0)


def test_maximum_on_a_circle() -> None:
    left(program(2, lambda x: x[0] + 0 * x[1], [(1, lambda x: x[0] ** 2 + x[1] ** 2, 1)], start=(1, 0)), -1.0)


def test_saddle_reached_from_afar() -> None:
    """The y-axis is invariant under Newton steps: the start leads to the saddle at the origin."""
    nlp = program(2, lambda x: x[0] ** 4 / 4 - x[0] ** 2 / 2 + x[1] ** 2, start=(0, 3))
    left(nlp, -0.25)


def test_another_start_where_the_given_one_is_locally_infeasible() -> None:
    """x^3 - 3x has a local maximum 2 at -1: from there the row x^3 - 3x >= 3 cannot be met, to the right it can."""
    nlp = program(1, lambda x: x[0] ** 2, [(3, lambda x: x[0] ** 3 - 3 * x[0], INF)], start=(-1.3,))
    alone = drive(InteriorPoint(), nlp)
    assert alone.ending is Ending.LOCALLY_INFEASIBLE
    assert alone.x == pytest.approx([-1.0], abs=1e-4)
    answer = solve_locally(nlp, InteriorPoint())
    assert answer.outcome.ending is Ending.CONVERGED
    assert answer.outcome.x == pytest.approx([2.1038034], abs=1e-6)
    assert "another one did" in answer.notes[0]
    assert answer.outcome.iterations > alone.iterations


def test_infeasible_from_everywhere_stays_infeasible() -> None:
    answer = solve_locally(problems.circle_and_line(), InteriorPoint())
    assert answer.outcome.ending is Ending.LOCALLY_INFEASIBLE
    assert answer.second_order is None
    assert "no feasible point was found" in answer.notes[0]


def test_saddle_of_many_variables_is_left_by_lanczos() -> None:
    """A ring of 600 double wells: the start is drawn to the saddle at 0, where many directions fall."""
    n = 600
    nlp = ChainedWells(n)
    answer = solve_locally(nlp, InteriorPoint())
    assert answer.outcome.ending is Ending.CONVERGED
    assert [e.succeeded for e in answer.escapes] == [True]
    assert answer.escapes[0].before == pytest.approx(n / 4)
    assert answer.outcome.record.objective < n / 40
    assert answer.second_order is not None
    assert answer.second_order.curvature is Curvature.SATISFIED


def test_minimum_is_not_disturbed() -> None:
    nlp = program(2, lambda x: (x[0] - 1) ** 2 + sympy.cosh(x[1]), start=(1, 0))
    answer = solve_locally(nlp, InteriorPoint())
    assert answer.outcome.x == pytest.approx([1.0, 0.0], abs=1e-8)
    assert not answer.escapes
    assert answer.second_order is not None
    assert answer.second_order.strict


@pytest.mark.parametrize("seed", range(40))
def test_a_band_is_positive_where_its_lowest_eigenvalue_says_so(seed: int) -> None:
    random = np.random.default_rng(seed)
    n, width = int(random.integers(1, 40)), int(random.integers(0, 5))
    whole = np.tril(np.triu(random.normal(size=(n, n)), -width), width)
    matrix = (whole + whole.T) / 2 + random.uniform(0, 2 * width + 1) * np.eye(n)
    expected = np.linalg.eigvalsh(matrix)[0] > 0.1
    assert second_order._positive_band(sp.csr_array(matrix), 0.1) == expected


def test_a_wide_matrix_is_no_band() -> None:
    wide = np.eye(30)
    wide[29, 0] = wide[0, 29] = 0.1
    assert not second_order._positive_band(sp.csr_array(wide), 0.0)
