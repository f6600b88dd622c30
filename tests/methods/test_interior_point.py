"""The interior point method on problems from the literature, judged by their conditions and published values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from optdsl.methods.driver import Ending, Limits, drive
from optdsl.methods.interior_point import InteriorPoint, Warm
from optdsl.methods.linear_algebra import kkt as choice
from tests.methods import problems
from tests.methods.chained import ChainedRosenbrock
from tests.methods.judge import least_violation_certificate, residuals
from tests.methods.symbolic import SymbolicNlp, program

INF = np.inf
OTHER_MINIMA = {"hs59": 13.3551284, "rosenbrock-10": 3.98657911}
"""Where the published start leads to another local minimum than the published one (Ipopt ends there too)."""


@pytest.fixture(params=["dense", "sparse"])
def algebra(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each test with either linear algebra, whatever its size."""
    if request.param == "sparse":
        monkeypatch.setattr(choice, "SMALL", 0)
        monkeypatch.setattr(choice, "LARGEST_DENSE", 0)
    return str(request.param)


@pytest.mark.parametrize("barrier", ["adaptive", "monotone"])
@pytest.mark.parametrize("problem", problems.PUBLISHED, ids=lambda p: p.name)
def test_published_minimum_is_reached(problem: problems.Problem, algebra: str, barrier: str) -> None:
    nlp = problem.make()
    outcome = drive(InteriorPoint(barrier=barrier), nlp, Limits(iterations=300))
    assert outcome.ending in (Ending.CONVERGED, Ending.ACCEPTABLE)
    found = residuals(nlp, outcome.x, outcome.row_multipliers, outcome.bound_multipliers)
    assert found.primal <= 1e-7
    assert found.dual <= 1e-6
    assert found.complementarity <= 1e-6
    value = OTHER_MINIMA.get(problem.name, problem.value)
    assert outcome.record.objective == pytest.approx(value, rel=1e-5, abs=1e-6)


def test_no_point_is_taken_for_more_than_it_is() -> None:
    """HS 13 has no constraint qualification at its minimum 1: multipliers run away, the point is still close."""
    outcome = drive(InteriorPoint(), problems.hs13())
    assert outcome.record.objective == pytest.approx(1.0, abs=5e-3)
    assert outcome.record.primal <= 1e-8


@pytest.mark.parametrize("make", problems.INFEASIBLE, ids=lambda f: f.__name__)
def test_infeasible_ends_at_the_least_violation(make: object, algebra: str) -> None:
    nlp = make()  # type: ignore[operator]
    outcome = drive(InteriorPoint(), nlp, Limits(iterations=300))
    assert outcome.ending is Ending.LOCALLY_INFEASIBLE
    assert outcome.record.primal > 1e-3
    certificate = least_violation_certificate(
        nlp, outcome.x, outcome.row_multipliers, outcome.bound_multipliers
    )
    assert certificate <= 1e-5


@pytest.mark.parametrize("make", problems.UNBOUNDED, ids=lambda f: f.__name__)
def test_unbounded_has_a_ray(make: object) -> None:
    nlp = make()  # type: ignore[operator]
    outcome = drive(InteriorPoint(), nlp, Limits(iterations=300))
    assert outcome.ending is Ending.UNBOUNDED
    assert outcome.ray is not None
    steps = 10.0 ** np.arange(1, 8)
    values = [nlp.objective(outcome.x + t * outcome.ray) for t in steps]
    assert (np.diff(values) < 0).all()
    assert values[-1] < -1e6
    for t in steps:
        c = nlp.constraints(outcome.x + t * outcome.ray)
        assert (np.maximum(nlp.row_lower - c, c - nlp.row_upper) <= 1e-6 * t).all()


def test_infeasible_and_falling_is_not_unbounded() -> None:
    outcome = drive(InteriorPoint(), problems.contradiction(), Limits(iterations=300))
    assert outcome.ending is Ending.LOCALLY_INFEASIBLE


# ------------------------------------------------------------------------------------------------- degenerate sizes


def test_one_variable() -> None:
    outcome = drive(InteriorPoint(), program(1, lambda x: (x[0] - 3) ** 2, (), (0, 2), (1,)))
    assert outcome.x == pytest.approx([2.0], abs=1e-7)
    assert outcome.bound_multipliers == pytest.approx([2.0], abs=1e-6)


def test_no_bounds_and_no_rows() -> None:
    outcome = drive(InteriorPoint(), program(2, lambda x: (x[0] - 1) ** 2 + (x[1] + 2) ** 4, start=(5, 5)))
    assert outcome.ending is Ending.CONVERGED
    assert outcome.x == pytest.approx([1.0, -2.0], abs=1e-2)


def test_fixed_variables_keep_their_value_and_have_multipliers() -> None:
    bounds = [(2, 2), (-INF, INF), (1, 1)]
    nlp = program(
        3,
        lambda x: x[0] * x[1] + x[1] ** 2 + x[2] * x[1],
        [(-INF, lambda x: x[0] + x[1] + x[2], 1)],
        bounds,
        (0, 0, 0),
    )
    outcome = drive(InteriorPoint(), nlp)
    assert outcome.ending is Ending.CONVERGED
    assert outcome.x[[0, 2]] == pytest.approx([2.0, 1.0], abs=0)
    assert outcome.x[1] == pytest.approx(-2.0, abs=1e-6)
    assert residuals(nlp, outcome.x, outcome.row_multipliers, outcome.bound_multipliers).dual <= 1e-7


@pytest.mark.parametrize(("value", "ending"), [(2.0, Ending.CONVERGED), (3.0, Ending.LOCALLY_INFEASIBLE)])
def test_all_variables_fixed(value: float, ending: Ending) -> None:
    nlp = program(1, lambda x: x[0] ** 2, [(4, lambda x: x[0] ** 2, 4)], (value, value), (0,))
    outcome = drive(InteriorPoint(), nlp)
    assert outcome.ending is ending
    assert outcome.x == pytest.approx([value])


@pytest.mark.parametrize(("side", "ending"), [(0.0, Ending.CONVERGED), (1.0, Ending.LOCALLY_INFEASIBLE)])
def test_row_without_variables(side: float, ending: Ending) -> None:
    nlp = program(1, lambda x: (x[0] - 1) ** 2, [(side, lambda x: 0 * x[0], side)], start=(4,))
    assert drive(InteriorPoint(), nlp, Limits(iterations=200)).ending is ending


def test_rows_without_sides_do_nothing() -> None:
    free = program(2, lambda x: x[0] ** 2 + x[1] ** 2, [(-INF, lambda x: x[0] * x[1], INF)], start=(3, 4))
    outcome = drive(InteriorPoint(), free)
    assert outcome.ending is Ending.CONVERGED
    assert outcome.row_multipliers == pytest.approx([0.0])


def test_crossed_bounds_are_infeasible_at_once() -> None:
    nlp = program(1, lambda x: x[0], (), (2, 1), (0,))
    outcome = drive(InteriorPoint(), nlp)
    assert outcome.ending is Ending.LOCALLY_INFEASIBLE
    assert outcome.iterations == 0


def test_undefined_start_is_said() -> None:
    import sympy

    nlp = program(1, lambda x: sympy.log(x[0]), start=(-1,))
    assert drive(InteriorPoint(), nlp).ending is Ending.UNDEFINED


def test_steps_out_of_a_domain_are_cut_back() -> None:
    import sympy

    nlp = program(1, lambda x: x[0] - sympy.log(x[0]), start=(1e3,))
    outcome = drive(InteriorPoint(), nlp)
    assert outcome.ending is Ending.CONVERGED
    assert outcome.x == pytest.approx([1.0], abs=1e-6)


def test_start_at_a_bound_where_functions_are_undefined() -> None:
    import sympy

    nlp = program(1, lambda x: x[0] * sympy.log(x[0]), (), (0, INF), (0,))
    outcome = drive(InteriorPoint(), nlp)
    assert outcome.x == pytest.approx([np.exp(-1)], abs=1e-6)


# ------------------------------------------------------------------------------------------------- multipliers, scale


def test_the_answer_lies_exactly_on_its_active_bounds() -> None:
    """HS 71: x1 = 1 is active, the others are not: the multipliers of those are 0, not merely small."""
    nlp = problems.hs71()
    outcome = drive(InteriorPoint(), nlp)
    assert outcome.x[0] == 1.0
    assert outcome.bound_multipliers[0] == pytest.approx(-1.0878712, rel=1e-6)
    assert (outcome.bound_multipliers[1:] == 0).all()
    found = residuals(nlp, outcome.x, outcome.row_multipliers, outcome.bound_multipliers)
    assert max(found.primal, found.dual, found.complementarity) <= 1e-12


def test_bounds_hold_exactly() -> None:
    for problem in problems.PUBLISHED:
        nlp = problem.make()
        x = drive(InteriorPoint(), nlp).x
        assert (x >= nlp.lower).all()
        assert (x <= nlp.upper).all()


def test_iterations_stay_close_to_what_the_best_implementation_needs() -> None:
    """Iterations that Ipopt 3.14 needs on these (all options default), in the geometric mean."""
    ipopt = {
        "hs1": 25,
        "hs6": 5,
        "hs7": 27,
        "hs15": 16,
        "hs26": 25,
        "hs32": 16,
        "hs35": 7,
        "hs38": 40,
        "hs39": 13,
    }
    ipopt |= {"hs40": 3, "hs43": 9, "hs46": 19, "hs59": 47, "hs65": 28, "hs71": 8, "hs100": 11, "hs104": 8}
    ipopt |= {"hs106": 15, "hs112": 17, "hs114": 19, "wb2000": 16, "rosenbrock-10": 27, "dependent-rows": 6}
    for barrier, most in (("adaptive", 1.0), ("monotone", 1.05)):
        ratios = []
        for problem in problems.PUBLISHED:
            if problem.name in ipopt:
                ours = drive(InteriorPoint(barrier=barrier), problem.make()).iterations
                ratios.append((ours + 1) / (ipopt[problem.name] + 1))
        assert np.exp(np.mean(np.log(ratios))) <= most


def test_the_adaptive_rule_falls_back_where_the_error_does_not_fall() -> None:
    """The rule is free while the error falls below its last values, fixed when it does not, and free again."""
    nlp = problems.hs71()
    state = InteriorPoint().start(nlp)  # type: ignore[arg-type]
    assert state.main is not None and state.main.adaptive is not None
    at, rule = state.main.at, state.main.adaptive
    seen = rule.judged(at)
    assert not seen.fixed and len(seen.recent) == 1
    stalled = seen.judged(at)
    assert stalled.fixed and stalled.recent == seen.recent
    for _ in range(5):
        state = InteriorPoint().step(nlp, state)  # type: ignore[arg-type]
    assert state.main is not None
    again = stalled.judged(state.main.at)
    assert not again.fixed and again.recent[:-1] == seen.recent
    assert again.recent[-1] < seen.recent[0]


def test_multipliers_are_rates_of_the_optimum() -> None:
    """The row multiplier is minus the derivative of the minimum by the right-hand side (L = f + y'c)."""

    def minimum(side: float) -> tuple[float, np.ndarray]:
        nlp = problems.hs71()
        rows = np.array([25.0, side])
        nlp.row_lower, nlp.row_upper = rows, np.array([INF, side])
        outcome = drive(InteriorPoint(), nlp)
        return outcome.record.objective, outcome.row_multipliers

    step = 1e-3
    slope = (minimum(40 + step)[0] - minimum(40 - step)[0]) / (2 * step)
    multipliers = minimum(40.0)[1]
    assert -multipliers[1] == pytest.approx(slope, rel=1e-4)
    assert multipliers[0] < 0


@pytest.mark.parametrize("factor", [1e-4, 1.0, 1e5])
def test_scaling_of_objective_and_rows_does_not_change_the_answer(factor: float) -> None:
    nlp = program(
        2,
        lambda x: factor * ((x[0] - 2) ** 2 + (x[1] - 1) ** 2),
        [(-INF, lambda x: factor * (x[0] ** 2 - x[1]), 0), (-INF, lambda x: x[0] + x[1], 2)],
        start=(0.5, 0.5),
    )
    outcome = drive(InteriorPoint(), nlp)
    assert outcome.ending is Ending.CONVERGED
    assert outcome.x == pytest.approx([1.0, 1.0], abs=1e-4)
    assert residuals(nlp, outcome.x, outcome.row_multipliers, outcome.bound_multipliers).dual <= 1e-6


def test_warm_start_needs_fewer_iterations() -> None:
    first = drive(InteriorPoint(), problems.hs100())
    nlp = problems.hs100()
    nlp.start = first.x
    warm = Warm(first.row_multipliers, first.bound_multipliers)
    again = drive(replace(InteriorPoint(), warm=warm), nlp)
    assert again.ending is Ending.CONVERGED
    assert again.iterations <= 3
    assert again.record.objective == pytest.approx(first.record.objective, rel=1e-7)


def test_hessian_by_products_alone() -> None:
    class Products:
        hessian_pattern = None

        def __init__(self, inner: SymbolicNlp) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> object:
            return getattr(self.inner, name)

    outcome = drive(InteriorPoint(), Products(problems.hs71()))  # type: ignore[arg-type]
    assert outcome.record.objective == pytest.approx(17.0140173, rel=1e-6)


@pytest.mark.parametrize("n", [60, 5000])
def test_chained_rosenbrock_any_size(n: int) -> None:
    nlp = ChainedRosenbrock(n)
    outcome = drive(InteriorPoint(), nlp, Limits(iterations=50))
    assert outcome.ending is Ending.CONVERGED
    assert outcome.iterations <= 10
    found = residuals(nlp, outcome.x, outcome.row_multipliers, outcome.bound_multipliers)
    assert max(found.primal, found.dual) <= 1e-7


@pytest.mark.parametrize("barrier", ["adaptive", "monotone"])
@pytest.mark.parametrize("tolerance", [1e-14, 1e-18])
@pytest.mark.parametrize("make", [problems.hs71, problems.hs13, problems.hs114], ids=lambda f: f.__name__)
def test_a_tolerance_below_rounding_has_an_end(make: object, tolerance: float, barrier: str) -> None:
    """Where rounding is all that is left of the errors, the run ends by itself, at the point of usual tolerances."""
    nlp = make()  # type: ignore[operator]
    outcome = drive(InteriorPoint(tolerance=tolerance, barrier=barrier), nlp, Limits(iterations=1000, seconds=20))
    usual = drive(InteriorPoint(barrier=barrier), nlp)
    assert outcome.ending not in (Ending.ITERATION_LIMIT, Ending.TIME_LIMIT)
    assert outcome.record.objective == pytest.approx(usual.record.objective, rel=1e-2)
