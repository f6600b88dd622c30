"""Starts of variables: what the initializers draw, from which seed, and starts that leave units alike."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from optdsl.language import parse
from optdsl.model import build
from optdsl.model.initial import fans, uniform_stream
from optdsl.model.model import Model


def built(text: str, seed: int | None = None) -> Model:
    return build(parse(f"{text}\nminimize nothing: 0 * W[1, 1]" if "minimize" not in text else text, "m"), seed=seed)


def start(init: str, sets: str = "1..200, 1..100", seed: int | None = None) -> np.ndarray:
    return built(f"param three = 3\nvar W[{sets}] init {init}", seed).variables["W"].start


def test_plain_starts() -> None:
    assert (start("zeros") == 0).all() and (start("ones") == 1).all() and (start("2.5") == 2.5).all()
    assert (start("three") == 3).all() and (start("-three / 2") == -1.5).all()


@pytest.mark.parametrize(
    ("init", "law"),
    [
        ("uniform(-1, 3)", ("uniform", (-1, 4))),
        ("uniform(-three, three)", ("uniform", (-3, 6))),
        ("normal(2, 0.5)", ("norm", (2, 0.5))),
        ("xavier", ("norm", (0, np.sqrt(2 / 300)))),
        ("xavier_uniform", ("uniform", (-np.sqrt(6 / 300), 2 * np.sqrt(6 / 300)))),
        ("he", ("norm", (0, np.sqrt(2 / 200)))),
        ("he_uniform", ("uniform", (-np.sqrt(6 / 200), 2 * np.sqrt(6 / 200)))),
    ],
)
def test_drawn_starts_follow_their_law(init: str, law: tuple[str, tuple[float, float]]) -> None:
    assert kstest(start(init), law[0], args=law[1]).pvalue > 1e-3


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([], (1, 1)), ([5], (5, 1)), ([5, 3], (5, 3)), ([4, 5, 3], (20, 3)), ([2, 4, 5, 3], (40, 3))],
)
def test_fans(sizes: list[int], expected: tuple[int, int]) -> None:
    assert fans(sizes) == expected


def test_the_stream_is_fixed_for_all_times() -> None:
    """Made from PCG64's bits, which NumPy keeps from version to version; pinned, so that no change goes unseen."""
    bits = np.random.PCG64(np.random.SeedSequence([7, ord("W")])).random_raw(3)
    assert uniform_stream(7, "W", 3).tolist() == [((int(b) >> 11) + 0.5) / 2**53 for b in bits]
    known = [0.5732898316193435, 0.26066508329459864, 0.09954083258075047]
    np.testing.assert_allclose(uniform_stream(0, "W", 3), known, rtol=0, atol=1e-15)


def test_seeds_change_starts_and_nothing_else_does() -> None:
    first = start("xavier")
    np.testing.assert_array_equal(first, start("xavier", seed=0))
    assert not np.isclose(first, start("xavier", seed=1)).any()
    more = built("var V[1..3] init he\nvar W[1..200, 1..100] init xavier\nminimize n: sumsq(V)").variables["W"].start
    np.testing.assert_array_equal(first, more)


@pytest.mark.parametrize("seed", ["3", "1 + 2", "s", "s + 0"])
def test_the_seed_of_the_method_is_that_of_the_starts(seed: str) -> None:
    text = f"var W[1..9, 1..4] init xavier\nparam s = 3\nminimize n: sumsq(W)\nsolve using multistart(seed = {seed})"
    expected = start("xavier", "1..9, 1..4", seed=3)
    np.testing.assert_array_equal(built(text).variables["W"].start, expected)
    np.testing.assert_array_equal(built(text, 5).variables["W"].start, start("xavier", "1..9, 1..4", seed=5))


NETWORK = """
set ROW = 1..4
set IN = {1, 2}
set H = 1..3
param X[ROW, IN] = [[0, 0], [0, 1], [1, 0], [1, 1]]
param y[ROW] = [0, 1, 1, 0]
var W1[IN, H] %s
var b1[H] %s
var w2[H] %s
var b2
minimize loss: sumsq(tanh(X @ W1 + b1) @ w2 + b2 - y) + 0.1 * sumsq(W1)
"""


@pytest.mark.parametrize(
    ("starts", "alike"),
    [
        (("init zeros", "init zeros", "init zeros"), True),
        (("", "", ""), True),
        (("init 0.5", "init ones", "init 2"), True),
        (("init xavier", "init zeros", "init zeros"), False),
        (("init zeros", "init zeros", "init xavier"), False),
        (("init zeros", "init normal(0, 1)", "init zeros"), False),
    ],
)
def test_units_that_start_alike_are_told(starts: tuple[str, str, str], alike: bool) -> None:
    warnings = built(NETWORK % starts).warnings
    assert bool(warnings) == alike
    if alike:
        assert "`W1`, `b1` and `w2` start" in warnings[0] and "every member of `H`" in warnings[0]


@pytest.mark.parametrize(
    "text",
    [
        # nothing is a product of variables
        "set I = 1..3\nparam A[I, I] symmetric = [[2, 0, 0], [0, 2, 0], [0, 0, 2]]\nvar W[I]\nminimize o: W @ A @ W",
        # the members differ in the data
        "set K = 1..3\nparam c[K] = [1, 2, 3]\nvar W[1..2, K]\nvar v[K]\n"
        "minimize o: sum((sum(c[k] * W[i, k] * v[k] for k in K) - i)^2 for i in 1..2)",
        # a constraint tells them apart
        "set K = 1..3\nvar W[1..2, K]\nvar v[K]\n"
        "minimize o: sum((sum(W[i, k] * v[k] for k in K) - i)^2 for i in 1..2)\nsubject to\n  v[1] = 1",
        # one member stands alone in the objective
        "set K = 1..3\nvar W[1..2, K]\nvar v[K]\n"
        "minimize o: sum((sum(W[i, k] * v[k] for k in K) - i)^2 for i in 1..2) + (v[2] - 1)^2",
    ],
)
def test_members_that_differ_are_not_told(text: str) -> None:
    assert built(text).warnings == ()


def test_a_factorization_at_ones_is_told() -> None:
    text = (
        "set K = 1..2\nvar U[1..3, K] >= 0\nvar V[1..4, K] >= 0\n"
        "minimize o: sum((i * j - sum(U[i, k] * V[j, k] for k in K))^2 for i in 1..3, j in 1..4)"
    )
    assert "draw one variable, such as `var U[...] init xavier`" in built(text).warnings[0]
    assert built(text.replace("U[1..3, K] >= 0", "U[1..3, K] >= 0, init uniform(0, 1)")).warnings == ()
