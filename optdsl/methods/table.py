"""The table of the built-in methods: what each takes as data, why it refuses, and the choice among them.

A method is one row. Everything that is said about methods, and every choice among them, reads these rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from optdsl.methods.augmented_lagrangian import AugmentedLagrangian, ExactPenalty, QuadraticPenalty
from optdsl.methods.bfgs import BFGS
from optdsl.methods.conjugate_gradient import ConjugateGradient
from optdsl.methods.direct_search import DirectSearch
from optdsl.methods.gradient_descent import GradientDescent
from optdsl.methods.interior_point import InteriorPoint
from optdsl.methods.lbfgs import LBFGS
from optdsl.methods.lbfgsb import LBFGSB
from optdsl.methods.levenberg_marquardt import LevenbergMarquardt
from optdsl.methods.nesterov import Nesterov
from optdsl.methods.projected_gradient import ProjectedGradient
from optdsl.methods.projections import simple_set
from optdsl.methods.sqp import SQP
from optdsl.methods.sums_of_squares import SumsOfSquares
from optdsl.methods.trust_region import TrustRegion
from optdsl.nlp import Nlp


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a problem is, as far as methods care.

    smooth: its functions have a continuous gradient. simple_rows: its rows are simplices and balls, or there are none.
    """

    variables: int
    rows: int
    equalities: int
    bounds: int
    residuals: bool
    hessian: bool
    smooth: bool = True
    convex: bool = False
    simple_rows: bool = False


def attributes_of(problem: Nlp, smooth: bool = True) -> Attributes:
    """The attributes of a problem; only the caller knows whether it is smooth. `bounds` counts bounded variables."""
    return Attributes(
        variables=len(problem.start),
        rows=len(problem.row_lower),
        equalities=int((problem.row_lower == problem.row_upper).sum()),
        bounds=int((np.isfinite(problem.lower) | np.isfinite(problem.upper)).sum()),
        residuals=problem.residuals is not None,
        hessian=problem.hessian_pattern is not None,
        smooth=smooth,
        convex=problem.convex,
        simple_rows=simple_set(problem) is not None,
    )


@dataclass(frozen=True, slots=True)
class Takes:
    """What a method copes with (bounds, rows, kinks and jumps), what it needs, and up to what size."""

    bounds: bool = False
    rows: bool = False
    simple_rows: bool = False
    equalities: bool = True
    kinks: bool = False
    needs_residuals: bool = False
    needs_hessian: bool = False
    most_variables: float = math.inf
    most_rows: float = math.inf


@dataclass(frozen=True, slots=True)
class Setting:
    """One option: its name, kind, default, one sentence, and what values are allowed."""

    name: str
    kind: Literal["number", "count", "word", "flag", "rate"]
    default: float | int | str | bool
    what: str
    words: tuple[str, ...] = ()
    least: float = -math.inf
    most: float = math.inf


@dataclass(frozen=True, slots=True)
class Row:
    """Everything about a method: `factory` takes the values of the options by name, and makes it."""

    name: str
    what: str
    factory: Callable[..., Any]
    takes: Takes
    guarantee: Literal["local", "none"]
    options: tuple[Setting, ...]
    source: str
    choose_when: str


TOL = Setting("tol", "number", 1e-8, "largest entry of the scaled gradient at the end", least=1e-14, most=1.0)
PENALTY = Setting("penalty", "number", 0.0, "first penalty parameter; 0: from the start", least=0.0, most=1e10)


def _feasibility(default: float) -> Setting:
    return Setting("feasibility", "number", default, "largest scaled violation at the end", least=1e-14, most=1.0)


def _interior_point(tol: float, feasibility: float, barrier: str, first_barrier: float) -> InteriorPoint:
    return InteriorPoint(tolerance=tol, feasibility=feasibility, barrier=barrier, first_barrier=first_barrier)


def _least_squares(tol: float, precision: float, factor: float, geodesic: bool, projection: bool, newton: bool) -> Any:
    inner = LevenbergMarquardt(tol, precision, factor, geodesic)
    return SumsOfSquares(inner, projection, newton)


METHODS: tuple[Row, ...] = (
    Row(
        name="ipm",
        what="a primal-dual interior point method with a filter line search",
        factory=_interior_point,
        takes=Takes(bounds=True, rows=True, needs_hessian=True),
        guarantee="local",
        options=(
            TOL,
            Setting("feasibility", "number", 1e-6, "largest violation of a row at the end", least=1e-14, most=1.0),
            Setting("barrier", "word", "adaptive", "how its parameter falls", words=("adaptive", "monotone")),
            Setting("first_barrier", "number", 0.1, "first barrier parameter", least=1e-12, most=1e6),
        ),
        source="Waechter and Biegler 2006; Nocedal, Waechter and Waltz 2009",
        choose_when="there are constraints, and everything is smooth",
    ),
    Row(
        name="lbfgs",
        what="a limited-memory quasi-Newton method",
        factory=LBFGS,
        takes=Takes(),
        guarantee="local",
        options=(TOL, Setting("memory", "count", 10, "how many steps it remembers", least=1, most=1000)),
        source="Liu and Nocedal 1989; Nocedal and Wright 2006, algorithms 7.4 and 7.5",
        choose_when="many variables, no bounds, and second derivatives that are dear or absent",
    ),
    Row(
        name="trust_region",
        what="Newton's method in a trust region, with or without bounds",
        factory=TrustRegion,
        takes=Takes(bounds=True),
        guarantee="local",
        options=(
            TOL,
            Setting("radius", "number", 0.0, "first radius; 0: from the start", least=0.0),
            Setting("exact_up_to", "count", 60, "up to so many variables each step is exact", least=0, most=2000),
        ),
        source="More and Sorensen 1983; Steihaug 1983; Lin and More 1999",
        choose_when="no constraints but bounds, and few variables or cheap second derivatives; it leaves saddles",
    ),
    Row(
        name="levenberg_marquardt",
        what="a trust region for sums of squares",
        factory=_least_squares,
        takes=Takes(bounds=True, needs_residuals=True),
        guarantee="local",
        options=(
            TOL,
            Setting("precision", "number", 1e-11, "relative precision of the variables", least=1e-15, most=1e-2),
            Setting("factor", "number", 1.0, "first radius, as a share of the start's size", least=1e-6, most=1e6),
            Setting("geodesic", "flag", False, "bend steps by the second derivative along them"),
            Setting("projection", "flag", True, "solve for parameters that enter linearly in every step"),
            Setting("newton", "flag", True, "go on with exact second derivatives where it crawls"),
        ),
        source="More 1978; Golub and Pereyra 1973; Kaufman 1975; Transtrum and Sethna 2012",
        choose_when="the objective is a sum of squares, as in curve fitting; it is the most precise there",
    ),
    Row(
        name="sqp",
        what="sequential quadratic programming with an active-set solver",
        factory=SQP,
        takes=Takes(bounds=True, rows=True, most_variables=200, most_rows=400),
        guarantee="local",
        options=(
            TOL,
            Setting("hessian", "word", "exact", "second derivatives of the programs", words=("exact", "bfgs")),
        ),
        source="Nocedal and Wright 2006, algorithm 18.3; Powell 1978; Goldfarb and Idnani 1983",
        choose_when="constraints and few variables, above all from a start that is nearly right",
    ),
    Row(
        name="lbfgsb",
        what="a limited-memory quasi-Newton method within bounds",
        factory=LBFGSB,
        takes=Takes(bounds=True),
        guarantee="local",
        options=(TOL, Setting("memory", "count", 10, "how many steps it remembers", least=1, most=1000)),
        source="Byrd, Lu, Nocedal and Zhu 1995; Morales and Nocedal 2011",
        choose_when="many variables within bounds, and second derivatives that are dear or absent",
    ),
    Row(
        name="projected_gradient",
        what="spectral projected gradients on boxes, simplices and balls",
        factory=ProjectedGradient,
        takes=Takes(bounds=True, simple_rows=True),
        guarantee="local",
        options=(TOL, Setting("window", "count", 10, "how many last values a step may stay below", least=1, most=100)),
        source="Birgin, Martinez and Raydan 2000; Duchi and others 2008",
        choose_when="very many variables, and constraints that are sums to a total or distances to a center only",
    ),
    Row(
        name="augmented_lagrangian",
        what="an augmented Lagrangian around a trust region within bounds",
        factory=AugmentedLagrangian,
        takes=Takes(bounds=True, rows=True),
        guarantee="local",
        options=(TOL, _feasibility(1e-8), PENALTY),
        source="Conn, Gould and Toint 1991; Andreani, Birgin, Martinez and Schuverdt 2007",
        choose_when="constraints that depend on each other or meet badly, and where no matrix is to be factorized",
    ),
    Row(
        name="quadratic_penalty",
        what="a sequence of ever heavier quadratic penalties",
        factory=QuadraticPenalty,
        takes=Takes(bounds=True, rows=True),
        guarantee="local",
        options=(replace(TOL, default=1e-6), _feasibility(1e-6), PENALTY),
        source="Nocedal and Wright 2006, framework 17.1",
        choose_when="to teach, or to compare with; constraints hold only as well as the last penalty makes them",
    ),
    Row(
        name="exact_penalty",
        what="a penalty on the violations themselves, rounded off less and less",
        factory=ExactPenalty,
        takes=Takes(bounds=True, rows=True),
        guarantee="local",
        options=(replace(TOL, default=1e-6), _feasibility(1e-7), PENALTY),
        source="Nocedal and Wright 2006, framework 17.2; Pinar and Zenios 1994",
        choose_when="to teach, or to compare with; its penalty stays finite",
    ),
    Row(
        name="direct_search",
        what="a search by values only: simplices and polls",
        factory=DirectSearch,
        takes=Takes(bounds=True, rows=True, equalities=False, kinks=True, most_variables=30),
        guarantee="none",
        options=(
            Setting("precision", "number", 1e-9, "smallest step, as a share of the first", least=1e-14, most=0.1),
            Setting("seed", "count", 0, "seed of the directions that are polled", least=0),
        ),
        source="Nelder and Mead 1965; Gao and Han 2012; Kolda, Lewis and Torczon 2003",
        choose_when="few variables, and functions that jump or have kinks; it proves nothing about its point",
    ),
    Row(
        name="bfgs",
        what="a quasi-Newton method that keeps a matrix",
        factory=BFGS,
        takes=Takes(most_variables=2000),
        guarantee="local",
        options=(TOL,),
        source="Nocedal and Wright 2006, algorithm 6.1",
        choose_when="up to some hundred variables without bounds, and no second derivatives",
    ),
    Row(
        name="conjugate_gradient",
        what="nonlinear conjugate gradients",
        factory=ConjugateGradient,
        takes=Takes(),
        guarantee="local",
        options=(
            TOL,
            Setting("rule", "word", "hager_zhang", "how directions are mixed", words=("hager_zhang", "polak_ribiere")),
        ),
        source="Hager and Zhang 2005; Nocedal and Wright 2006, section 5.2",
        choose_when="so many variables that not even a few vectors more fit into memory",
    ),
    Row(
        name="gradient_descent",
        what="gradient descent with a line search",
        factory=GradientDescent,
        takes=Takes(),
        guarantee="local",
        options=(TOL, Setting("window", "count", 10, "how many last values a step may stay below", least=1, most=100)),
        source="Barzilai and Borwein 1988; Raydan 1997",
        choose_when="to teach, or to compare with; it is slow where the problem is badly conditioned",
    ),
    Row(
        name="nesterov",
        what="Nesterov's accelerated gradient with restarts",
        factory=Nesterov,
        takes=Takes(),
        guarantee="local",
        options=(TOL,),
        source="Nesterov 1983; Beck and Teboulle 2009; O'Donoghue and Candes 2015",
        choose_when="a convex objective that is smooth and not badly conditioned, in very many variables",
    ),
)


def row_of(name: str) -> Row:
    """The row of a method. Raises KeyError for a name that is not there."""
    for row in METHODS:
        if row.name == name:
            return row
    raise KeyError(name)


def refusals(takes: Takes, has: Attributes) -> tuple[str, ...]:
    """Why a method cannot take a problem, a clause each; empty where it can."""
    faults = (
        (has.rows > 0 and not (takes.rows or takes.simple_rows), f"it takes no constraints, and there are {has.rows}"),
        (
            takes.simple_rows and not has.simple_rows,
            "of constraints it takes sums that equal a total and distances to a center only, no variable in two",
        ),
        (
            has.equalities > 0 and takes.rows and not takes.equalities,
            f"of constraints it takes inequalities only, and {has.equalities} are equalities",
        ),
        (has.bounds > 0 and not takes.bounds, f"it takes no bounds, and {has.bounds} variables have some"),
        (not has.smooth and not takes.kinks, "it needs a gradient everywhere, and the functions have kinks or jumps"),
        (takes.needs_residuals and not has.residuals, "it needs an objective that is a sum of squares"),
        (takes.needs_hessian and not has.hessian, "it needs a Hessian, and there are products with it only"),
        (
            has.variables > takes.most_variables,
            f"it takes up to {takes.most_variables:g} variables, and there are {has.variables}",
        ),
        (has.rows > takes.most_rows, f"it takes up to {takes.most_rows:g} constraints, and there are {has.rows}"),
    )
    return tuple(text for wrong, text in faults if wrong)


FEW = 60
"""Up to so many variables Newton's method with a dense Hessian costs next to nothing."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A method's name and the reason for it."""

    name: str
    why: str


def choose(has: Attributes) -> Choice:
    """The method for a problem: the first rule that fits.

    Where functions have jumps that is a search by values, which may still refuse: ask `refusals`.
    """
    count = "1 variable" if has.variables == 1 else f"{has.variables} variables"
    where = "within bounds" if has.bounds else "without bounds"
    if not has.smooth:
        return Choice("direct_search", "the functions have jumps, so only their values are used")
    if has.rows and not has.hessian:
        return Choice("augmented_lagrangian", "there are constraints, and no sparse Hessian")
    if has.rows:
        return Choice("ipm", "there are constraints, and everything is smooth")
    if has.residuals:
        return Choice("levenberg_marquardt", f"the objective is a sum of squares in {count} {where}")
    if has.variables <= FEW:
        return Choice("trust_region", f"only {count} {where}, no constraints: Newton's steps are cheap")
    if has.hessian:
        return Choice("trust_region", f"{count} {where}, no constraints, and a sparse Hessian")
    if has.bounds:
        return Choice("lbfgsb", f"{count} within bounds, no constraints, and no sparse Hessian")
    return Choice("lbfgs", f"{count}, no bounds, no constraints, and no sparse Hessian")
