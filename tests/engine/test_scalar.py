"""Small problems are worked in Python's floats: the same answers as arrays, which take over where there are none."""

from pathlib import Path

import numpy as np
import pytest

from optdsl.engine.problem import ModelProblem
from optdsl.engine.starts import start_of

from .differences import problem_of

SETS = Path(__file__).parent.parent / "problems"
FILES = [path for name in ("hs", "mgh", "engineering") for path in sorted((SETS / name).glob("*.opt"))]


def both(text: str) -> tuple[ModelProblem, ModelProblem]:
    """A problem with its scalar program, and one that has arrays only."""
    small = problem_of(text)
    arrays = ModelProblem(small.model)
    arrays._small = None
    return small, arrays


def same(small: ModelProblem, arrays: ModelProblem, x: np.ndarray) -> None:
    """All functions agree at x to rounding, undefined values included."""
    close = {"rtol": 1e-9, "atol": 1e-9, "equal_nan": True}
    with np.errstate(all="ignore"):
        size = 1.0 + abs(arrays.objective(x))
        np.testing.assert_allclose(small.objective(x), arrays.objective(x), rtol=1e-9, atol=1e-12 * size)
        for name in ("gradient", "constraints", "jacobian"):
            wanted = getattr(arrays, name)(x)
            largest = np.abs(wanted[np.isfinite(wanted)]).max(initial=1.0)
            np.testing.assert_allclose(getattr(small, name)(x) / largest, wanted / largest, **close)
        if arrays.hessian_pattern is None:
            return
        weights = np.linspace(-1.0, 2.0, arrays.count)
        wanted = arrays.hessian(x, weights, 0.7)
        largest = np.abs(wanted[np.isfinite(wanted)]).max(initial=1.0)
        np.testing.assert_allclose(small.hessian(x, weights, 0.7) / largest, wanted / largest, **close)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_small_problems_have_the_answers_of_arrays(path):
    small, arrays = both(path.read_text())
    start = start_of(small.model, small).x
    rng = np.random.default_rng(0)
    for step in (0.0, 1e-3, 0.3, 3.0):
        same(small, arrays, start + step * rng.normal(size=len(start)))


def test_most_of_the_published_small_problems_are_written_out():
    programs = [both(path.read_text())[0]._small for path in FILES if path.parent.name == "hs"]
    assert sum(program is not None for program in programs) > 100


def test_arrays_answer_where_floats_have_no_value():
    small, arrays = both("var x >= -5\nvar y\nminimize log(x) + sqrt(y) + y / x\nsubject to\n  c: exp(y) >= x\n")
    assert small._small is not None
    for point in ([1.0, 2.0], [-1.0, 2.0], [0.0, 1.0], [1.0, -1.0], [2.0, 1e3], [1.0, 0.0]):
        same(small, arrays, np.array(point))


def test_values_are_those_of_the_point_that_is_asked_for():
    small, _ = both("var x\nvar y\nminimize x^2 * y\nsubject to\n  c: x * y^2 <= 4\n")
    x = np.array([1.0, 2.0])
    assert small.objective(x) == 2.0
    x[0] = 3.0  # the same array, another point
    assert small.objective(x) == 18.0
    assert small.gradient(x).tolist() == [12.0, 9.0]
    first = small.hessian(x, np.array([0.0]))
    second = small.hessian(x, np.array([1.0]))
    assert first.tolist() != second.tolist()
    second[:] = 0.0  # what is handed out may be written on
    assert small.hessian(x, np.array([1.0])).any()


def test_a_maximum_is_minimized_and_lanes_are_summed():
    text = (
        "set I = 1..3\nparam w[I] = [1, 2, 4]\nvar x[I]\nmaximize -sum(w[i] * x[i]^2 for i in I)\nsubject to\n"
        "  c[i in I]: x[i] * sum(x[j] for j in I) <= w[i]\n"
    )
    small, arrays = both(text)
    assert small._small is not None
    assert small.objective(np.array([1.0, 1.0, 1.0])) == 7.0
    same(small, arrays, np.array([0.3, -2.0, 1.5]))


def test_large_problems_keep_their_arrays():
    small, _ = both("set I = 1..200\nvar x[I]\nminimize sum(x[i]^4 for i in I)\n")
    assert small._small is None
