"""The problems that every method runs that takes them; what is known of an optimum is not kept: a judge decides.

MGH: More, Garbow and Hillstrom 1981, "Testing unconstrained optimization software". HS: Hock and Schittkowski 1981.
NIST: the Statistical Reference Datasets for nonlinear regression, with their second starts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import sympy

from optdsl.nlp import Nlp, Pattern, Residuals
from tests.methods.symbolic import SymbolicNlp, program

INF = np.inf


@dataclass(frozen=True)
class Case:
    """A problem under its name; make() builds it; `smooth` is false where it has kinks."""

    name: str
    make: Callable[[], Nlp]
    smooth: bool = True


# ----------------------------------------------------------------------------------------------- sums of squares


@dataclass(eq=False)
class Squares:
    """Residuals of compiled formulas, all places of the Jacobian."""

    functions: Callable[..., list[object]]
    slopes: Callable[..., list[object]]
    jacobian_pattern: Pattern
    scale: float = 1.0
    constant: float = 0.0

    def values(self, x: np.ndarray) -> np.ndarray:
        return np.array(self.functions(*x), float)

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        return np.array(self.slopes(*x), float)


def squares(
    residuals: Callable[..., Sequence[object]],
    start: Sequence[float],
    bounds: tuple[float, float] = (-INF, INF),
) -> SymbolicNlp:
    """The program min |r(x)|^2 that knows its residuals."""
    n = len(start)
    made = program(n, lambda x: sum(sympy.sympify(r) ** 2 for r in residuals(x)), (), bounds, start)
    x = sympy.symbols(f"x1:{n + 1}", real=True)
    r = [sympy.sympify(entry) for entry in residuals(x)]
    rows, columns = np.indices((len(r), n))
    made.residuals = Squares(  # type: ignore[assignment]
        sympy.lambdify(list(x), r, "numpy", cse=True),
        sympy.lambdify(list(x), [entry.diff(v) for entry in r for v in x], "numpy", cse=True),
        Pattern(rows.ravel(), columns.ravel(), (len(r), n)),
    )
    return made


def rosenbrock(bounds: tuple[float, float] = (-INF, INF)) -> SymbolicNlp:
    return squares(lambda x: [10 * (x[1] - x[0] ** 2), 1 - x[0]], (-1.2, 1), bounds)


def powell_singular() -> SymbolicNlp:
    def r(x: Sequence[sympy.Symbol]) -> list[sympy.Expr]:
        a, b, c, d = x
        return [a + 10 * b, sympy.sqrt(5) * (c - d), (b - 2 * c) ** 2, sympy.sqrt(10) * (a - d) ** 2]

    return squares(r, (3, -1, 0, 1))


def beale() -> SymbolicNlp:
    y = (sympy.Rational(3, 2), sympy.Rational(9, 4), sympy.Rational(21, 8))
    return squares(lambda x: [y[i] - x[0] * (1 - x[1] ** (i + 1)) for i in range(3)], (1, 1))


def wood() -> SymbolicNlp:
    def r(x: Sequence[sympy.Symbol]) -> list[sympy.Expr]:
        a, b, c, d = x
        s90, s10 = sympy.sqrt(90), sympy.sqrt(10)
        return [10 * (b - a**2), 1 - a, s90 * (d - c**2), 1 - c, s10 * (b + d - 2), (b - d) / s10]

    return squares(r, (-3, -1, -3, -1))


def freudenstein_roth() -> SymbolicNlp:
    def r(x: Sequence[sympy.Symbol]) -> list[sympy.Expr]:
        a, b = x
        return [-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b]

    return squares(r, (0.5, -2))


def exponential_fit() -> SymbolicNlp:
    """NIST Misra1a."""
    x = (77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0)
    y = (10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.4, 75.47, 81.78)
    pairs = list(zip(x, y, strict=True))
    # The second parameter in thousandths, so that methods without scaling of their own can be asked.
    return squares(lambda b: [v - 100 * b[0] * (1 - sympy.exp(-b[1] * u / 1000)) for u, v in pairs], (2.5, 0.5))


def sigmoid_fit() -> SymbolicNlp:
    """NIST Rat42, in parameters of size 1."""
    x = (9, 14, 21, 28, 42, 57, 63, 70, 79)
    y = (8.93, 10.8, 18.59, 22.33, 39.35, 56.11, 61.73, 64.62, 67.08)
    pairs = list(zip(x, y, strict=True))

    def r(b: Sequence[sympy.Symbol]) -> list[sympy.Expr]:
        return [v - 100 * b[0] / (1 + sympy.exp(b[1] - b[2] * u / 10)) for u, v in pairs]

    return squares(r, (0.75, 2.5, 0.7))


def held_fit() -> SymbolicNlp:
    """A fit whose best rate lies beyond its bound."""
    pairs = [(0.1 * k, 3 * np.exp(-0.2 * k) + 0.01 * (-1) ** k) for k in range(20)]
    return squares(lambda b: [v - b[0] * sympy.exp(-b[1] * u) for u, v in pairs], (1, 1), (0, 1.5))


@dataclass(eq=False)
class SparseSquares:
    """10 (x_{i+1} - x_i^2) and 1 - x_i along a chain, with the sparse Jacobian."""

    n: int
    scale: float = 0.5
    constant: float = 3.0

    def __post_init__(self) -> None:
        k = np.arange(self.n - 1)
        rows, columns = np.concatenate([k, k, self.n - 1 + k]), np.concatenate([k, k + 1, k])
        self.jacobian_pattern = Pattern(rows, columns, (2 * (self.n - 1), self.n))

    def values(self, x: np.ndarray) -> np.ndarray:
        return np.concatenate([10 * (x[1:] - x[:-1] ** 2), 1 - x[:-1]])

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        ones = np.ones(self.n - 1)
        return np.concatenate([-20 * x[:-1], 10 * ones, -ones])


def chained_squares(n: int, boxed: bool = False) -> Arrays:
    """The sum of those squares; with the box the upper bound 0.7 holds every third variable back."""
    r = SparseSquares(n)

    def f(x: np.ndarray) -> float:
        return float(r.scale * r.values(x) @ r.values(x) + r.constant)

    def g(x: np.ndarray) -> np.ndarray:
        return 2 * r.scale * (r.jacobian_pattern.matrix(r.jacobian(x)).T @ r.values(x))

    def product(x: np.ndarray, v: np.ndarray) -> np.ndarray:
        J = r.jacobian_pattern.matrix(r.jacobian(x))
        bend = np.append(-20 * r.values(x)[: n - 1] * v[:-1], 0.0)
        return 2 * r.scale * (J.T @ (J @ v) + bend)

    box = (np.full(n, -2.0), np.where(np.arange(n) % 3 == 0, 0.7, 2.0)) if boxed else (np.zeros(0), np.zeros(0))
    return Arrays(np.where(np.arange(n) % 2 == 0, -0.5, 0.6), f, g, product, *box, residuals=r)


# ------------------------------------------------------------------------------------------------------- in arrays


@dataclass(eq=False)
class Arrays:
    """A problem without rows from functions of arrays; the Hessian dense, all of its lower triangle."""

    start: np.ndarray
    f: Callable[[np.ndarray], float]
    g: Callable[[np.ndarray], np.ndarray]
    product: Callable[[np.ndarray, np.ndarray], np.ndarray]
    lower: np.ndarray = field(default_factory=lambda: np.zeros(0))
    upper: np.ndarray = field(default_factory=lambda: np.zeros(0))
    hessian_pattern: Pattern | None = None
    residuals: Residuals | None = None
    convex: bool = False

    def __post_init__(self) -> None:
        n = len(self.start)
        if not len(self.lower):
            self.lower, self.upper = np.full(n, -INF), np.full(n, INF)
        self.row_lower, self.row_upper, self.linear = np.zeros(0), np.zeros(0), np.zeros(0, bool)
        self.jacobian_pattern = Pattern(np.zeros(0, int), np.zeros(0, int), (0, n))

    def objective(self, x: np.ndarray) -> float:
        return float(self.f(x))

    def gradient(self, x: np.ndarray) -> np.ndarray:
        return self.g(x)

    def constraints(self, x: np.ndarray) -> np.ndarray:
        return np.zeros(0)

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        return np.zeros(0)

    def hessian(self, x: np.ndarray, multipliers: np.ndarray, weight: float = 1.0) -> np.ndarray:
        raise AssertionError("this problem has products only")

    def hessian_product(
        self, x: np.ndarray, multipliers: np.ndarray, direction: np.ndarray, weight: float = 1.0
    ) -> np.ndarray:
        return weight * self.product(x, direction)


def quadratic(n: int, logarithm: float, boxed: bool = False) -> Arrays:
    """A convex quadratic of condition 10^logarithm in a rotated basis."""
    random = np.random.default_rng(n)
    basis = np.linalg.qr(random.normal(size=(n, n)))[0]
    A = (basis * np.logspace(0, logarithm, n)) @ basis.T
    b = random.normal(size=n)
    box = (-0.1 * np.ones(n), random.random(n)) if boxed else (np.zeros(0), np.zeros(0))
    f = lambda x: 0.5 * x @ (A @ x) - b @ x  # noqa: E731
    return Arrays(np.zeros(n), f, lambda x: A @ x - b, lambda x, v: A @ v, *box, convex=True)


def extended_rosenbrock(n: int, boxed: bool = False) -> Arrays:
    """MGH 21: n/2 copies of Rosenbrock's function."""

    def f(x: np.ndarray) -> float:
        return float((100 * (x[1::2] - x[::2] ** 2) ** 2 + (1 - x[::2]) ** 2).sum())

    def g(x: np.ndarray) -> np.ndarray:
        out, gap = np.empty(n), x[1::2] - x[::2] ** 2
        out[::2], out[1::2] = -400 * gap * x[::2] - 2 * (1 - x[::2]), 200 * gap
        return out

    def product(x: np.ndarray, v: np.ndarray) -> np.ndarray:
        out = np.empty(n)
        out[::2] = (1200 * x[::2] ** 2 - 400 * x[1::2] + 2) * v[::2] - 400 * x[::2] * v[1::2]
        out[1::2] = -400 * x[::2] * v[::2] + 200 * v[1::2]
        return out

    box = (np.full(n, -2.0), np.where(np.arange(n) % 4 == 0, 0.5, 2.0)) if boxed else (np.zeros(0), np.zeros(0))
    return Arrays(np.where(np.arange(n) % 2 == 0, -1.2, 1.0), f, g, product, *box)


def logistic_regression(boxed: bool = False) -> Arrays:
    """300 rows, 10 coefficients, a little ridge."""
    random = np.random.default_rng(5)
    X = random.normal(size=(300, 10))
    sign = np.where(X @ random.normal(size=10) + random.normal(size=300) > 0, 1.0, -1.0)
    Z = X * sign[:, None]

    def p(w: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(Z @ w))

    box = (np.zeros(10), np.full(10, 0.7)) if boxed else (np.zeros(0), np.zeros(0))
    return Arrays(
        np.zeros(10),
        lambda w: float(np.logaddexp(0, -(Z @ w)).sum() + 0.05 * w @ w),
        lambda w: -Z.T @ p(w) + 0.1 * w,
        lambda w, v: Z.T @ (p(w) * (1 - p(w)) * (Z @ v)) + 0.1 * v,
        *box,
        convex=True,
    )


# ---------------------------------------------------------------------------------------------- places of their own


def near_saddle() -> SymbolicNlp:
    """A saddle at 0 beside the start; minima at (1, 0) and (-1, 0)."""
    return program(2, lambda x: (x[0] ** 2 - 1) ** 2 + x[1] ** 2, start=(0.01, 1))


def inside_a_domain() -> SymbolicNlp:
    """x - log x + y - log(4 - y^2): whole steps from here leave the domain."""
    return program(2, lambda x: x[0] - sympy.log(x[0]) + x[1] - sympy.log(4 - x[1] ** 2), start=(0.01, 1.9))


def simplex() -> SymbolicNlp:
    """The nearest point of a simplex in a skew norm."""
    rows = [(1, lambda x: x[0] + x[1] + x[2] + x[3], 1)]

    def f(x: Sequence[sympy.Symbol]) -> sympy.Expr:
        return sum((v - a) ** 2 for v, a in zip(x, (0.9, 0.6, -0.3, 0.1), strict=True)) + x[0] * x[1]

    return program(4, f, rows, (0, INF), (0.25, 0.25, 0.25, 0.25))


def ball() -> SymbolicNlp:
    """HS 22's objective in a ball around (1, 0)."""
    rows = [(-INF, lambda x: 2 * (x[0] - 1) ** 2 + 2 * x[1] ** 2, 3)]
    return program(2, lambda x: (x[0] - 2) ** 2 + (x[1] - 3) ** 2, rows, start=(0, 0))


def hs(number: int) -> SymbolicNlp:
    """Problems of HS with rows."""
    if number == 6:
        return program(2, lambda x: (1 - x[0]) ** 2, [(0, lambda x: 10 * (x[1] - x[0] ** 2), 0)], start=(-1.2, 1))
    if number == 7:
        rows = [(4, lambda x: (1 + x[0] ** 2) ** 2 + x[1] ** 2, 4)]
        return program(2, lambda x: sympy.log(1 + x[0] ** 2) - x[1], rows, start=(2, 2))
    if number == 28:
        rows = [(1, lambda x: x[0] + 2 * x[1] + 3 * x[2], 1)]
        return program(3, lambda x: (x[0] + x[1]) ** 2 + (x[1] + x[2]) ** 2, rows, start=(-4, 1, 1))
    if number == 35:
        rows = [(-INF, lambda x: x[0] + x[1] + 2 * x[2], 3)]

        def f35(x: Sequence[sympy.Symbol]) -> sympy.Expr:
            a, b, c = x
            return 9 - 8 * a - 6 * b - 4 * c + 2 * a**2 + 2 * b**2 + c**2 + 2 * a * b + 2 * a * c

        return program(3, f35, rows, (0, INF), (0.5, 0.5, 0.5))
    if number == 43:

        def f43(x: Sequence[sympy.Symbol]) -> sympy.Expr:
            a, b, c, d = x
            return a**2 + b**2 + 2 * c**2 + d**2 - 5 * a - 5 * b - 21 * c + 7 * d

        rows = [
            (-INF, lambda x: x[0] ** 2 + x[1] ** 2 + x[2] ** 2 + x[3] ** 2 + x[0] - x[1] + x[2] - x[3], 8),
            (-INF, lambda x: x[0] ** 2 + 2 * x[1] ** 2 + x[2] ** 2 + 2 * x[3] ** 2 - x[0] - x[3], 10),
            (-INF, lambda x: 2 * x[0] ** 2 + x[1] ** 2 + x[2] ** 2 + 2 * x[0] - x[1] - x[3], 5),
        ]
        return program(4, f43, rows, start=(0, 0, 0, 0))
    rows = [(25, lambda x: x[0] * x[1] * x[2] * x[3], INF), (40, lambda x: sum(v**2 for v in x), 40)]
    return program(4, lambda x: x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2], rows, (1, 5), (1, 5, 5, 1))


CASES = (
    Case("rosenbrock", rosenbrock),
    Case("rosenbrock in a box", lambda: rosenbrock((-2, 0.8))),
    Case("powell singular", powell_singular),
    Case("beale", beale),
    Case("wood", wood),
    Case("freudenstein and roth", freudenstein_roth),
    Case("exponential fit", exponential_fit),
    Case("sigmoid fit", sigmoid_fit),
    Case("fit at a bound", held_fit),
    Case("quadratic 20, condition 10", lambda: quadratic(20, 1)),
    Case("quadratic 80, condition 1e3", lambda: quadratic(80, 3)),
    Case("quadratic 80 in a box", lambda: quadratic(80, 2, boxed=True)),
    Case("extended rosenbrock 10", lambda: extended_rosenbrock(10)),
    Case("extended rosenbrock 500", lambda: extended_rosenbrock(500)),
    Case("extended rosenbrock 100 in a box", lambda: extended_rosenbrock(100, boxed=True)),
    Case("logistic regression", logistic_regression),
    Case("logistic regression in a box", lambda: logistic_regression(boxed=True)),
    Case("chained squares 300", lambda: chained_squares(300)),
    Case("chained squares 300 in a box", lambda: chained_squares(300, boxed=True)),
    Case("near a saddle", near_saddle),
    Case("inside a domain", inside_a_domain),
    Case("simplex", simplex),
    Case("ball", ball),
    *(Case(f"hs {number}", lambda number=number: hs(number)) for number in (6, 7, 28, 35, 43, 71)),
)
