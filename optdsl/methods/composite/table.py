"""The table of the methods for composite objectives: what each takes as data, and the choice among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from optdsl.methods.composite.accelerated_gradient import AcceleratedProximalGradient
from optdsl.methods.composite.augmented_newton import AugmentedNewton
from optdsl.methods.composite.problem import Composite
from optdsl.methods.composite.proximal_newton import ProximalNewton
from optdsl.methods.composite.sampled_newton import WIDEST, SampledNewton
from optdsl.methods.table import Setting


@dataclass(frozen=True, slots=True)
class Row:
    """Everything about a method: `factory` takes the values of the options by name, and makes it."""

    name: str
    what: str
    factory: Callable[..., Any]
    takes: tuple[str, ...]
    refuses: Callable[[Composite], str]
    """Why it cannot take a problem, a clause; empty where it can."""
    options: tuple[Setting, ...]
    source: str
    choose_when: str
    iterations: int = 3000
    """Most iterations unless the user says otherwise."""


TOL = Setting("tol", "number", 1e-9, "largest gap at the end, relative to the objective", least=1e-14, most=1.0)


def _needs_smooth(problem: Composite) -> str:
    return "" if problem.smooth else "it needs losses that have a derivative everywhere, and some have kinks"


def _needs_plain(problem: Composite) -> str:
    if not problem.smooth or (problem.absolute > 0).any():
        return "it needs an objective that has a derivative everywhere, and there are kinks"
    return "it takes no bounds" if problem.boxed else ""


METHODS: tuple[Row, ...] = (
    Row(
        name="proximal_newton",
        what="proximal Newton steps on working sets of variables, with screening by the gap",
        factory=lambda tol, screening: ProximalNewton(tol, screening),
        takes=("smooth convex losses of affine functions", "l1 and squared l2 penalties", "bounds"),
        refuses=_needs_smooth,
        options=(TOL, Setting("screening", "flag", True, "leave variables out that the gap proves to be 0")),
        source="Lee, Sun and Saunders 2014; Ndiaye, Fercoq, Gramfort and Salmon 2017; Johnson and Guestrin 2015",
        choose_when="lasso, elastic net, and logistic, Poisson and huber regression with such penalties",
    ),
    Row(
        name="sampled_newton",
        what="limited-memory steps with the Hessian of a sample of the rows",
        factory=lambda tol, memory, seed: SampledNewton(tol, memory, seed),
        takes=("smooth convex losses of affine functions", "squared l2 penalties"),
        refuses=_needs_plain,
        options=(
            TOL,
            Setting("memory", "count", 10, "how many steps it remembers", least=1, most=1000),
            Setting("seed", "count", 0, "seed of the sample", least=0),
        ),
        source="Byrd, Chin, Neveitt and Nocedal 2011; Nocedal and Wright 2006, algorithm 7.4",
        choose_when="logistic, Poisson, ridge and huber regression with very many rows",
    ),
    Row(
        name="augmented_newton",
        what="semismooth Newton steps on augmented Lagrangians of losses with kinks",
        factory=lambda tol: AugmentedNewton(tol),
        takes=("convex losses of affine functions, with kinks or groups", "l1 and squared l2 penalties"),
        refuses=lambda problem: "it takes no bounds" if problem.boxed else "",
        options=(TOL,),
        source="Li, Sun and Toh 2018; Rockafellar 1976",
        choose_when="support vector machines, group lasso, total variation, and least absolute deviations",
    ),
    Row(
        name="accelerated_proximal_gradient",
        what="FISTA: proximal gradient steps with momentum, backtracking and restarts",
        factory=lambda tol, restart: AcceleratedProximalGradient(tol, restart),
        takes=("smooth convex losses of affine functions", "l1 and squared l2 penalties", "bounds"),
        refuses=_needs_smooth,
        options=(TOL, Setting("restart", "flag", True, "begin anew where momentum points uphill")),
        source="Beck and Teboulle 2009, section 4; O'Donoghue and Candes 2015, section 3",
        choose_when="so many variables off their kinks that no matrix of them fits",
        iterations=100_000,
    ),
)


def row_of(name: str) -> Row:
    """The row of a method. Raises KeyError for a name that is not there."""
    for row in METHODS:
        if row.name == name:
            return row
    raise KeyError(name)


MUCH = 1e8
"""Operations for a Hessian from which a sample of its rows is preferred."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A method's name and the reason for it."""

    name: str
    why: str


def choose(problem: Composite) -> Choice | None:
    """The method for a problem: the first rule that fits; None where none does."""
    count = f"{problem.width} variables"
    work = rows_of(problem) * problem.width**2
    if not _needs_plain(problem) and (work > MUCH or problem.width > WIDEST):
        return Choice("sampled_newton", f"smooth convex losses of {rows_of(problem):,} affine rows in {count}")
    unpenalized = int((problem.absolute == 0).sum())
    if problem.smooth and unpenalized > MOST_IN_HESSIAN:
        why = f"{count}, {unpenalized:,} of them without l1 penalties: too many for a Hessian"
        return Choice("accelerated_proximal_gradient", f"smooth convex losses of affine functions in {why}")
    if problem.smooth:
        kinds = "l1 penalties" if (problem.absolute > 0).any() else "no kinks"
        return Choice("proximal_newton", f"smooth convex losses of affine functions in {count} with {kinds}")
    curved = (problem.ridge > 0).any() or any(part.loss.smooth for part in problem.parts)
    if curved and not problem.boxed and problem.width <= MOST_WITH_KINKS:
        return Choice("augmented_newton", f"convex losses with kinks of {rows_of(problem):,} affine rows in {count}")
    return None


MOST_IN_HESSIAN = 8000
"""Variables without l1 penalties up to which a dense Hessian between them is formed where losses are smooth."""
MOST_WITH_KINKS = 200_000
"""Variables up to which matrices of second derivatives between them are formed where losses have kinks."""


def rows_of(problem: Composite) -> int:
    """The rows of all losses."""
    return int(np.sum([part.operator.rows for part in problem.parts]))
