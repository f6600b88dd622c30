"""Kernels against 40-digit arithmetic, also in the tails, and derivatives against its differentiation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from optdsl.atoms import ELEMENTWISE, LOSSES, F

mp = mpmath.mp.clone()
mp.dps = 40


def _x_log(x: Any, y: Any = 1) -> Any:
    return mp.mpf(0) if x == 0 else x * mp.log(x / y)


EXACT: dict[str, Callable[..., Any]] = {
    "exp": mp.exp, "log": mp.log, "log10": mp.log10, "log2": lambda x: mp.log(x) / mp.log(2), "log1p": mp.log1p,
    "expm1": mp.expm1, "sqrt": mp.sqrt, "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)), "abs": abs, "sin": mp.sin,
    "cos": mp.cos, "tan": mp.tan, "asin": mp.asin, "acos": mp.acos, "atan": mp.atan, "sinh": mp.sinh, "cosh": mp.cosh,
    "tanh": mp.tanh, "erf": mp.erf, "square": lambda x: x * x, "inv": lambda x: 1 / x,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)), "softplus": lambda x: mp.log1p(mp.exp(x)),
    "gelu": lambda x: x * mp.erfc(-x / mp.sqrt(2)) / 2, "silu": lambda x: x / (1 + mp.exp(-x)),
    "entr": lambda x: -_x_log(x), "xlogx": _x_log, "rel_entr": _x_log, "kl_div": lambda x, y: _x_log(x, y) - x + y,
    "hypot": mp.hypot, "atan2": mp.atan2, "pow": lambda x, p: x**p,
    "huber": lambda x, m: x * x if abs(x) <= m else m * (2 * abs(x) - m),
    "elu": lambda x, a: x if x > 0 else a * mp.expm1(x), "leaky_relu": lambda x, a: x if x > 0 else a * x,
    "binary_cross_entropy": lambda z, t: mp.log1p(mp.exp(z)) - t * z,
    "poisson_nll": lambda r, c: mp.exp(r) - c * r,
}
POINTS = [-700.0, -40.0, -20.0, -5.0, -1.5, -1.0, -0.3, -1e-3, -1e-12, 1e-300, 1e-12, 1e-3, 0.3, 0.999, 1.0, 1.5, 5.0,
          20.0, 40.0, 700.0]
SECOND = [0.1, 0.5, 1.0, 2.0, 2.5, -1.0, 3.0]
# gelu: the rounding of x / sqrt 2 grows by x^2 in the tail; kl_div: the sum's cancellation at its switch.
ACCURACY = {"gelu": 1e-13, "kl_div": 2e-14}
ROWS = {**ELEMENTWISE, **LOSSES}
WITHOUT = {
    "sign", "floor", "ceil", "max", "min", "pos", "relu", "mod", "div", "cross_entropy", "squared_error", "hinge",
}


def test_every_function_has_a_reference() -> None:
    """Those without one are exact selections or roundings, checked by their examples and pieces."""
    assert set(ROWS) == set(EXACT) | WITHOUT


def _points(name: str) -> list[tuple[float, ...]]:
    row = ROWS[name]
    if len(row.parameters) == 1:
        points = [(x,) for x in POINTS]
    else:
        points = [(x, y) for x in POINTS for y in SECOND]
        if name in ("rel_entr", "kl_div"):
            near = (1e-9, -1e-6, 1e-3, 0.0999, -0.1001, 0.5, -0.8, 0.89, 0.91)
            points += [(x, x * (1 + d)) for x in (0.1, 1.0, 30.0) for d in near]
    return [p for p in points if bool(row.inside(*p))]


@pytest.mark.parametrize("name", sorted(EXACT))
def test_kernel_has_full_accuracy(name: str) -> None:
    points = _points(name)
    got = ROWS[name].kernel(*np.array(points).T)
    for point, value in zip(points, got, strict=True):
        exact = EXACT[name](*map(mp.mpf, point))
        if abs(exact) > 1e308:
            assert np.isinf(value)
        elif abs(exact) > 1e-290:
            # Close to a zero of log(x/y) or of the loss, the inputs' own rounding is what limits the result.
            scale = abs(exact) + 0.05 * sum(map(abs, point)) * (name in ("rel_entr", "poisson_nll", "entr", "xlogx"))
            assert abs(mp.mpf(float(value)) - exact) <= ACCURACY.get(name, 2e-15) * scale, point


@pytest.mark.parametrize("name", sorted(set(EXACT) - {"abs", "huber", "elu", "leaky_relu"}))
def test_derivative_has_full_accuracy(name: str) -> None:
    row = ROWS[name]
    points = [p for p in _points(name) if max(map(abs, p)) < 100 and min(map(abs, p)) > 1e-4 and abs(p[0]) != 1]
    partials = row.derivative(F, *np.array(points).T)  # type: ignore[operator]
    for i, partial in enumerate(partials):
        if row.is_data(i):
            assert partial is None
            continue
        for point, value in zip(points, np.broadcast_to(partial, len(points)), strict=True):
            exact = mp.diff(EXACT[name], tuple(map(mp.mpf, point)), tuple(int(i == j) for j in range(len(point))))
            # Differences of sigmoid and its like lose digits in the tails of the derivative.
            assert abs(mp.mpf(float(value)) - exact) <= 1e-13 * abs(exact) + 1e-14 * (abs(exact) ** 0.5 + 0.1), point
