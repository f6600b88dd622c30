"""Problems from the literature for tests of the methods, each with its published optimal value.

HS: Hock and Schittkowski (1981), "Test Examples for Nonlinear Programming Codes". WB: Waechter and Biegler (2000),
"Failure of global convergence for a class of interior point methods". BCN: Byrd, Curtis and Nocedal (2010),
"Infeasibility detection and SQP methods for nonlinear optimization", section 5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import sympy
from sympy import exp, log, sqrt

from tests.methods.symbolic import SymbolicNlp, program

INF = np.inf


@dataclass(frozen=True)
class Problem:
    """A problem under its usual name; make() builds it; value: the published minimum."""

    name: str
    make: Callable[[], SymbolicNlp]
    value: float


def hs1() -> SymbolicNlp:
    bounds = [(-INF, INF), (-1.5, INF)]
    return program(2, lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2, (), bounds, (-2, 1))


def hs6() -> SymbolicNlp:
    return program(2, lambda x: (1 - x[0]) ** 2, [(0, lambda x: 10 * (x[1] - x[0] ** 2), 0)], start=(-1.2, 1))


def hs7() -> SymbolicNlp:
    rows = [(4, lambda x: (1 + x[0] ** 2) ** 2 + x[1] ** 2, 4)]
    return program(2, lambda x: log(1 + x[0] ** 2) - x[1], rows, start=(2, 2))


def hs13() -> SymbolicNlp:
    rows = [(0, lambda x: (1 - x[0]) ** 3 - x[1], INF)]
    return program(2, lambda x: (x[0] - 2) ** 2 + x[1] ** 2, rows, (0, INF), (-2, -2))


def hs15() -> SymbolicNlp:
    rows = [(1, lambda x: x[0] * x[1], INF), (0, lambda x: x[0] + x[1] ** 2, INF)]
    bounds = [(-INF, 0.5), (-INF, INF)]
    return program(2, lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2, rows, bounds, (-2, 1))


def hs35() -> SymbolicNlp:
    def f(x: tuple[sympy.Symbol, ...]) -> sympy.Expr:
        a, b, c = x
        return 9 - 8 * a - 6 * b - 4 * c + 2 * a**2 + 2 * b**2 + c**2 + 2 * a * b + 2 * a * c

    return program(3, f, [(-INF, lambda x: x[0] + x[1] + 2 * x[2], 3)], (0, INF), (0.5, 0.5, 0.5))


def hs38() -> SymbolicNlp:
    def f(x: tuple[sympy.Symbol, ...]) -> sympy.Expr:
        a, b, c, d = x
        first = 100 * (b - a**2) ** 2 + (1 - a) ** 2 + 90 * (d - c**2) ** 2 + (1 - c) ** 2
        return first + 10.1 * ((b - 1) ** 2 + (d - 1) ** 2) + 19.8 * (b - 1) * (d - 1)

    return program(4, f, (), (-10, 10), (-3, -1, -3, -1))


def hs40() -> SymbolicNlp:
    rows = [
        (1, lambda x: x[0] ** 3 + x[1] ** 2, 1),
        (0, lambda x: x[0] ** 2 * x[3] - x[2], 0),
        (0, lambda x: x[3] ** 2 - x[1], 0),
    ]
    return program(4, lambda x: -x[0] * x[1] * x[2] * x[3], rows, start=(0.8, 0.8, 0.8, 0.8))


def hs43() -> SymbolicNlp:
    def f(x: tuple[sympy.Symbol, ...]) -> sympy.Expr:
        a, b, c, d = x
        return a**2 + b**2 + 2 * c**2 + d**2 - 5 * a - 5 * b - 21 * c + 7 * d

    rows = [
        (-INF, lambda x: x[0] ** 2 + x[1] ** 2 + x[2] ** 2 + x[3] ** 2 + x[0] - x[1] + x[2] - x[3], 8),
        (-INF, lambda x: x[0] ** 2 + 2 * x[1] ** 2 + x[2] ** 2 + 2 * x[3] ** 2 - x[0] - x[3], 10),
        (-INF, lambda x: 2 * x[0] ** 2 + x[1] ** 2 + x[2] ** 2 + 2 * x[0] - x[1] - x[3], 5),
    ]
    return program(4, f, rows, start=(0, 0, 0, 0))


def hs71() -> SymbolicNlp:
    rows = [
        (25, lambda x: x[0] * x[1] * x[2] * x[3], INF),
        (40, lambda x: x[0] ** 2 + x[1] ** 2 + x[2] ** 2 + x[3] ** 2, 40),
    ]
    return program(4, lambda x: x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2], rows, (1, 5), (1, 5, 5, 1))


def hs100() -> SymbolicNlp:
    def f(x: tuple[sympy.Symbol, ...]) -> sympy.Expr:
        a, b, c, d, e, g, h = x
        first = (a - 10) ** 2 + 5 * (b - 12) ** 2 + c**4 + 3 * (d - 11) ** 2 + 10 * e**6
        return first + 7 * g**2 + h**4 - 4 * g * h - 10 * g - 8 * h

    rows = [
        (-INF, lambda x: 2 * x[0] ** 2 + 3 * x[1] ** 4 + x[2] + 4 * x[3] ** 2 + 5 * x[4], 127),
        (-INF, lambda x: 7 * x[0] + 3 * x[1] + 10 * x[2] ** 2 + x[3] - x[4], 282),
        (-INF, lambda x: 23 * x[0] + x[1] ** 2 + 6 * x[5] ** 2 - 8 * x[6], 196),
        (
            -INF,
            lambda x: 4 * x[0] ** 2 + x[1] ** 2 - 3 * x[0] * x[1] + 2 * x[2] ** 2 + 5 * x[5] - 11 * x[6],
            0,
        ),
    ]
    return program(7, f, rows, start=(1, 2, 0, 4, 0, 1, 1))


def hs114() -> SymbolicNlp:
    def f(x: tuple[sympy.Symbol, ...]) -> sympy.Expr:
        return 5.04 * x[0] + 0.035 * x[1] + 10 * x[2] + 3.36 * x[4] - 0.063 * x[3] * x[6]

    def g1(x: tuple[sympy.Symbol, ...]) -> sympy.Expr:
        return 35.82 - 0.222 * x[9] - 0.9 * x[8]

    def g2(x: tuple[sympy.Symbol, ...]) -> sympy.Expr:
        return -133 + 3 * x[6] - 0.99 * x[9]

    def g5(x: tuple[sympy.Symbol, ...]) -> sympy.Expr:
        return 1.12 * x[0] + 0.13167 * x[0] * x[7] - 0.00667 * x[0] * x[7] ** 2 - 0.99 * x[3]

    def g6(x: tuple[sympy.Symbol, ...]) -> sympy.Expr:
        return 57.425 + 1.098 * x[7] - 0.038 * x[7] ** 2 + 0.325 * x[5] - 0.99 * x[6]

    rows = [
        (0, g1, INF),
        (0, g2, INF),
        (0, lambda x: -g1(x) + x[8] * (1 / sympy.Float(0.9) - 0.9), INF),
        (0, lambda x: -g2(x) + (1 / sympy.Float(0.99) - 0.99) * x[9], INF),
        (0, g5, INF),
        (0, g6, INF),
        (0, lambda x: -g5(x) + (1 / sympy.Float(0.99) - 0.99) * x[3], INF),
        (0, lambda x: -g6(x) + (1 / sympy.Float(0.99) - 0.99) * x[6], INF),
        (0, lambda x: 1.22 * x[3] - x[0] - x[4], 0),
        (0, lambda x: 98000 * x[2] / (x[3] * x[8] + 1000 * x[2]) - x[5], 0),
        (0, lambda x: (x[1] + x[4]) / x[0] - x[7], 0),
    ]
    lower = (1e-5, 1e-5, 1e-5, 1e-5, 1e-5, 85, 90, 3, 1.2, 145)
    upper = (2000, 16000, 120, 5000, 2000, 93, 95, 12, 4, 162)
    start = (1745, 12000, 110, 3048, 1974, 89.2, 92.8, 8, 3.6, 145)
    return program(10, f, rows, list(zip(lower, upper, strict=True)), start)


def wb2000() -> SymbolicNlp:
    """Line search interior point methods without a filter's restoration stall at an infeasible point here."""
    rows = [(-1, lambda x: x[0] ** 2 - x[1], -1), (0.5, lambda x: x[0] - x[2], 0.5)]
    return program(3, lambda x: x[0], rows, [(-INF, INF), (0, INF), (0, INF)], (-4, 1, 1))


def rosenbrock(n: int) -> SymbolicNlp:
    def f(x: tuple[sympy.Symbol, ...]) -> sympy.Expr:
        return sum(100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2 for i in range(n - 1))

    return program(n, f, start=[-1.2 if i % 2 == 0 else 1 for i in range(n)])


def hs26() -> SymbolicNlp:
    rows = [(3, lambda x: (1 + x[1] ** 2) * x[0] + x[2] ** 4, 3)]
    return program(3, lambda x: (x[0] - x[1]) ** 2 + (x[1] - x[2]) ** 4, rows, start=(-2.6, 2, 2))


def hs32() -> SymbolicNlp:
    rows = [
        (3, lambda x: 6 * x[1] + 4 * x[2] - x[0] ** 3, INF),
        (1, lambda x: x[0] + x[1] + x[2], 1),
    ]
    return program(
        3, lambda x: (x[0] + 3 * x[1] + x[2]) ** 2 + 4 * (x[0] - x[1]) ** 2, rows, (0, INF), (0.1, 0.7, 0.2)
    )


def hs39() -> SymbolicNlp:
    rows = [(0, lambda x: x[1] - x[0] ** 3 - x[2] ** 2, 0), (0, lambda x: x[0] ** 2 - x[1] - x[3] ** 2, 0)]
    return program(4, lambda x: -x[0], rows, start=(2, 2, 2, 2))


def hs46() -> SymbolicNlp:
    rows = [
        (1, lambda x: x[0] ** 2 * x[3] + sympy.sin(x[3] - x[4]), 1),
        (2, lambda x: x[1] + x[2] ** 4 * x[3] ** 2, 2),
    ]
    return program(
        5,
        lambda x: (x[0] - x[1]) ** 2 + (x[2] - 1) ** 2 + (x[3] - 1) ** 4 + (x[4] - 1) ** 6,
        rows,
        start=(sympy.sqrt(2) / 2, 1.75, 0.5, 2, 2),
    )


def hs59() -> SymbolicNlp:
    def f(x: tuple[sympy.Symbol, ...]) -> sympy.Expr:
        a, b = x
        first = -75.196 + 3.8112 * a + 0.0020567 * a**3 - 1.0345e-5 * a**4 + 6.8306 * b - 0.030234 * a * b
        second = (
            1.28134e-3 * b * a**2 + 2.266e-7 * a**4 * b - 0.25645 * b**2 + 0.0034604 * b**3 - 1.3514e-5 * b**4
        )
        third = 28.106 / (b + 1) + 5.2375e-6 * a**2 * b**2 + 6.3e-8 * a**3 * b**2 - 7e-10 * a**3 * b**3
        return (
            first
            + second
            + third
            - 3.4054e-4 * a * b**2
            + 1.6638e-6 * a * b**3
            + 2.8673 * exp(0.0005 * a * b)
            - (3.5256e-5 * a**3 * b)
        )

    rows = [
        (700, lambda x: x[0] * x[1], INF),
        (0, lambda x: x[1] - x[0] ** 2 / 125, INF),
        (0, lambda x: (x[1] - 50) ** 2 - 5 * (x[0] - 55), INF),
    ]
    return program(2, f, rows, [(0, 75), (0, 65)], (90, 10))


def hs65() -> SymbolicNlp:
    rows = [(-INF, lambda x: x[0] ** 2 + x[1] ** 2 + x[2] ** 2, 48)]
    bounds = [(-4.5, 4.5), (-4.5, 4.5), (-5, 5)]
    return program(
        3,
        lambda x: (x[0] - x[1]) ** 2 + (x[0] + x[1] - 10) ** 2 / 9 + (x[2] - 5) ** 2,
        rows,
        bounds,
        (-5, 5, 0),
    )


def hs104() -> SymbolicNlp:
    def f(x: tuple[sympy.Symbol, ...]) -> sympy.Expr:
        return 0.4 * x[0] ** 0.67 * x[6] ** -0.67 + 0.4 * x[1] ** 0.67 * x[7] ** -0.67 + 10 - x[0] - x[1]

    rows = [
        (0, lambda x: 1 - 0.0588 * x[4] * x[6] - 0.1 * x[0], INF),
        (0, lambda x: 1 - 0.0588 * x[5] * x[7] - 0.1 * x[0] - 0.1 * x[1], INF),
        (0, lambda x: 1 - 4 * x[2] / x[4] - 2 * x[2] ** -0.71 / x[4] - 0.0588 * x[2] ** -1.3 * x[6], INF),
        (0, lambda x: 1 - 4 * x[3] / x[5] - 2 * x[3] ** -0.71 / x[5] - 0.0588 * x[3] ** -1.3 * x[7], INF),
        (1, f, 4.2),
    ]
    return program(8, f, rows, (0.1, 10), (6, 3, 0.4, 0.2, 6, 6, 1, 0.5))


def hs106() -> SymbolicNlp:
    rows = [
        (0, lambda x: 1 - 0.0025 * (x[3] + x[5]), INF),
        (0, lambda x: 1 - 0.0025 * (x[4] + x[6] - x[3]), INF),
        (0, lambda x: 1 - 0.01 * (x[7] - x[4]), INF),
        (0, lambda x: x[0] * x[5] - 833.33252 * x[3] - 100 * x[0] + 83333.333, INF),
        (0, lambda x: x[1] * x[6] - 1250 * x[4] - x[1] * x[3] + 1250 * x[3], INF),
        (0, lambda x: x[2] * x[7] - 1250000 - x[2] * x[4] + 2500 * x[4], INF),
    ]
    bounds = [(100, 10000), (1000, 10000), (1000, 10000)] + [(10, 1000)] * 5
    start = (5000, 5000, 5000, 200, 350, 150, 225, 425)
    return program(8, lambda x: x[0] + x[1] + x[2], rows, bounds, start)


def hs112() -> SymbolicNlp:
    c = (-6.089, -17.164, -34.054, -5.914, -24.721, -14.986, -24.1, -10.708, -26.662, -22.179)
    rows = [
        (2, lambda x: x[0] + 2 * x[1] + 2 * x[2] + x[5] + x[9], 2),
        (1, lambda x: x[3] + 2 * x[4] + x[5] + x[6], 1),
        (1, lambda x: x[2] + x[6] + x[7] + 2 * x[8] + x[9], 1),
    ]
    return program(
        10,
        lambda x: sum(x[i] * (c[i] + log(x[i] / sum(x))) for i in range(10)),
        rows,
        (1e-6, INF),
        [0.1] * 10,
    )


def dependent_rows() -> SymbolicNlp:
    """Three equalities of which two say the same, and an inequality that follows from them."""
    rows = [
        (2, lambda x: x[0] + x[1], 2),
        (4, lambda x: 2 * x[0] + 2 * x[1], 4),
        (1, lambda x: x[2] * x[0], 1),
        (-INF, lambda x: x[0] + x[1], 2),
    ]
    return program(3, lambda x: x[0] ** 2 + x[1] ** 2 + (x[2] - 2) ** 2, rows, start=(0.3, 3, -1))


def more_rows_than_variables() -> SymbolicNlp:
    rows = [(1, lambda x: x[0] ** 2, 1), (1, lambda x: x[0] * x[1], 1), (2, lambda x: x[0] + x[1], 2)]
    return program(2, lambda x: x[0] - x[1], rows, start=(3, 0.2))


def trap() -> SymbolicNlp:
    """The start is the maximum along the row: minimize x*y subject to x + y = 2."""
    return program(2, lambda x: x[0] * x[1], [(2, lambda x: x[0] + x[1], 2)], (0, 4), (1, 1))


def complementarity() -> SymbolicNlp:
    """No constraint qualification holds where both factors of a complementarity vanish."""
    rows = [(-INF, lambda x: x[0] * x[1], 0)]
    return program(2, lambda x: (x[0] - 1) ** 2 + (x[1] - 1) ** 2, rows, (0, INF), (2, 0.5))


PUBLISHED = (
    Problem("hs1", hs1, 0.0),
    Problem("hs6", hs6, 0.0),
    Problem("hs7", hs7, -1.7320508075688772),
    Problem("hs15", hs15, 306.5),
    Problem("hs26", hs26, 0.0),
    Problem("hs32", hs32, 1.0),
    Problem("hs35", hs35, 1 / 9),
    Problem("hs38", hs38, 0.0),
    Problem("hs39", hs39, -1.0),
    Problem("hs40", hs40, -0.25),
    Problem("hs43", hs43, -44.0),
    Problem("hs46", hs46, 0.0),
    Problem("hs59", hs59, -7.8042263),
    Problem("hs65", hs65, 0.9535288567),
    Problem("hs71", hs71, 17.0140173),
    Problem("hs100", hs100, 680.6300573),
    Problem("hs104", hs104, 3.9511634396),
    Problem("hs106", hs106, 7049.248),
    Problem("hs112", hs112, -47.76109),
    Problem("hs114", hs114, -1768.80696),
    Problem("wb2000", wb2000, 0.5),
    Problem("rosenbrock-10", lambda: rosenbrock(10), 0.0),
    Problem("dependent-rows", dependent_rows, 2.4288497),  # by one variable: a^2 + (2 - a)^2 + (1/a - 2)^2
    Problem("more-rows-than-variables", more_rows_than_variables, 0.0),
)


def isolated() -> SymbolicNlp:
    """BCN: the least violation is at the isolated point 0."""
    rows = [
        (-INF, lambda x: x[0] ** 2 - x[1] + 1, 0),
        (-INF, lambda x: x[0] ** 2 + x[1] + 1, 0),
        (-INF, lambda x: -x[0] + x[1] ** 2 + 1, 0),
        (-INF, lambda x: x[0] + x[1] ** 2 + 1, 0),
    ]
    return program(2, lambda x: x[0] + x[1], rows, start=(3, 2))


def nactive() -> SymbolicNlp:
    """BCN: some of the rows are active at the least violation."""
    rows = [
        (-INF, lambda x: (x[0] ** 2 + x[1] + 1) / 2, 0),
        (-INF, lambda x: -(x[0] ** 2), 0),
        (-INF, lambda x: -x[1] + x[0] ** 2, 0),
    ]
    return program(2, lambda x: x[0], rows, start=(-20, 10))


def unique() -> SymbolicNlp:
    """BCN: the rows contradict each other around a unique least violation."""
    rows = [
        (-INF, lambda x: x[1] + x[0] ** 2 + 1, 0),
        (-INF, lambda x: x[0] + x[1] ** 2 + 1, 0),
        (-INF, lambda x: -x[1] + x[0] ** 2 + 1, 0),
        (-INF, lambda x: -x[0] + x[1] ** 2 + 1, 0),
    ]
    return program(2, lambda x: x[0] + x[1], rows, start=(3, 2))


def circle_and_line() -> SymbolicNlp:
    rows = [(-INF, lambda x: x[0] ** 2 + x[1] ** 2, 1), (3, lambda x: x[0] + x[1], 3)]
    return program(2, lambda x: x[0], rows, start=(0.5, 0))


def contradiction() -> SymbolicNlp:
    return program(
        2, lambda x: x[0], [(1, lambda x: x[0] + x[1], 1), (2, lambda x: x[0] + x[1], 2)], start=(0, 0)
    )


def root_of_negative() -> SymbolicNlp:
    return program(1, lambda x: sqrt(x[0]), [(-1, lambda x: x[0], -1)], (0, INF), (1,))


INFEASIBLE = (isolated, nactive, unique, circle_and_line, contradiction, root_of_negative)


def falling_line() -> SymbolicNlp:
    return program(2, lambda x: -x[0], [(0, lambda x: x[0] - x[1], 1)], start=(0, 0))


def falling_parabola() -> SymbolicNlp:
    return program(1, lambda x: -(x[0] ** 2), (), (0, INF), (1,))


def falling_product() -> SymbolicNlp:
    return program(2, lambda x: x[0] * x[1], (), (-INF, 5), (1, -1))


UNBOUNDED = (falling_line, falling_parabola, falling_product)
