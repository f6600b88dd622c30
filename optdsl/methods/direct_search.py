"""A search by values only, for few variables and functions with kinks or jumps; it proves nothing about its point.

Two searches take turns around the best point, both on a merit function that adds violations at a price:

    simplex   Nelder and Mead 1965 with the adaptive coefficients of Gao and Han 2012 (eq. 4.1):
              reflection 1, expansion 1 + 2/n, contraction 3/4 - 1/(2n), shrinkage 1 - 1/n
    poll      a generating set search (Kolda, Lewis and Torczon 2003, algorithm 3.2) along +-directions of a basis, at
              first the axes, then random rotations of them; the step halves where nothing is better

A simplex that has shrunk away hands over to the poll, at a step as long as the first; a point that the poll finds gets
a new simplex of its size. The run ends when the poll's step has become small. Trial points are put onto the bounds; the
price of violations grows where the best point violates rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from optdsl.methods.driver import Ending, Record
from optdsl.methods.iterates import FALLEN, Iterate, inside, violation
from optdsl.nlp import Nlp

SMALLEST = 1e-9
"""A simplex or a poll's step below this, relative to the variables' first steps, has shrunk away."""
MOST_PRICE = 1e12


@dataclass(frozen=True, slots=True, eq=False)
class DirectState(Iterate):
    """The simplex' corners (n + 1, n) and merits, best first, or where it is gone the poll's step and basis.

    `first` are the variables' first steps (n,), `price` is what a unit of violation costs, `turn` counts rotations.
    """

    corners: np.ndarray
    merits: np.ndarray
    polling: bool
    length: float
    first: np.ndarray
    price: float
    turn: int


@dataclass(frozen=True, slots=True)
class DirectSearch:
    """Settings: the smallest step, as a share of the first, and the seed of the rotations."""

    name: ClassVar[str] = "direct_search"
    precision: float = SMALLEST
    seed: int = 0

    def start(self, problem: Nlp) -> DirectState:
        """The state at the problem's start, moved into the bounds."""
        return self._seen(problem, self._begun(problem, 0.0))

    def _begun(self, problem: Nlp, price: float) -> DirectState:
        """A simplex at the start, at this price; 0: at a first one."""
        x = inside(np.array(problem.start, dtype=float), problem.lower, problem.upper)
        width = problem.upper - problem.lower
        first = np.where(np.isfinite(width), 0.25 * width, np.maximum(1.0, 0.25 * np.abs(x)))
        f = problem.objective(x)
        # A price just above the multipliers makes the gentlest ridge along the constraints.
        price = price or (max(1.0, 0.1 * abs(f)) if math.isfinite(f) else 1.0)
        state = DirectState(
            x=x,
            row_multipliers=np.zeros(len(problem.row_lower)),
            bound_multipliers=np.zeros(len(x)),
            record=Record(objective=f, primal=violation(problem, problem.constraints(x)), dual=math.nan),
            ending=None,
            corners=x[None],
            merits=np.array([_merit(problem, x, price)]),
            polling=False,
            length=1.0,
            first=first,
            price=price,
            turn=0,
        )
        return self._simplex_at(problem, state, x, 1.0)

    def step(self, problem: Nlp, state: DirectState) -> DirectState:
        """The state after a round: n + 1 steps of the simplex, or one poll."""
        if state.merits[0] < FALLEN and state.record.primal > 1e-6 and state.price < MOST_PRICE:
            # Violations were so cheap that the merit falls without end: from the start again, dearer.
            return self._seen(problem, replace(self._begun(problem, 100 * state.price), turn=state.turn))
        if state.polling:
            return self._seen(problem, self._polled(problem, state))
        corners, merits = state.corners, state.merits
        for _ in range(len(state.x) + 1):
            corners, merits = _moved(problem, corners, merits, state.price)
        after = replace(state, corners=corners, merits=merits)
        spread = float(
            (np.abs(corners[1:] - corners[0]) / np.where(state.first > 0, state.first, 1.0)).max(initial=0.0)
        )
        if spread <= self.precision or (spread <= 1e-3 and merits[-1] == merits[0]):
            after = replace(after, polling=True, length=1.0)
        return self._seen(problem, after)

    def _polled(self, problem: Nlp, state: DirectState) -> DirectState:
        """One poll: a new simplex where it finds a better point, else half the step; the end where that is small."""
        x, merit, n = state.corners[0], float(state.merits[0]), len(state.x)
        basis = np.eye(n)
        if state.turn % 2:
            random = np.random.default_rng((self.seed, state.turn))
            basis = np.linalg.qr(random.normal(size=(n, n)))[0]
        margin = 1e-8 * state.length**2 * max(1.0, abs(merit)) if math.isfinite(merit) else 0.0
        trials = inside(x + state.length * state.first * np.concatenate([basis, -basis]), problem.lower, problem.upper)
        for trial in trials:
            if _merit(problem, trial, state.price) < merit - margin:
                return self._simplex_at(problem, replace(state, turn=state.turn + 1), trial, state.length)
        length = 0.5 * state.length if state.turn % 2 else state.length
        if length > self.precision:
            return replace(state, length=length, turn=state.turn + 1)
        if violation(problem, problem.constraints(x)) > 1e-8 and state.price < MOST_PRICE:
            # Its price was too low: the same again, dearer.
            dearer = replace(state, price=10 * state.price, length=1.0)
            return self._simplex_at(problem, dearer, x, 1.0)
        return replace(state, ending=Ending.NO_PROGRESS)

    def _simplex_at(self, problem: Nlp, state: DirectState, x: np.ndarray, length: float) -> DirectState:
        """A simplex with a corner at x, its others along the axes, away from the bounds that are near."""
        steps = length * state.first
        steps = np.where(x + steps <= problem.upper, steps, -steps)
        corners = np.concatenate([x[None], inside(x + np.diag(steps), problem.lower, problem.upper)])
        merits = np.array([_merit(problem, corner, state.price) for corner in corners])
        order = np.argsort(merits, kind="stable")
        return replace(state, corners=corners[order], merits=merits[order], polling=False)

    def _seen(self, problem: Nlp, state: DirectState) -> DirectState:
        x = state.corners[0]
        record = Record(
            objective=problem.objective(x),
            primal=violation(problem, problem.constraints(x)),
            dual=math.nan,
            step=state.length if state.polling else float(np.abs(state.corners[1:] - x).max(initial=0.0)),
            penalty=state.price,
        )
        ending = state.ending
        if record.objective < FALLEN and record.primal <= 1e-6:
            ending = Ending.UNBOUNDED
        elif ending is not None and not math.isfinite(record.objective):
            ending = Ending.UNDEFINED
        return replace(state, x=x, record=record, ending=ending)


def _merit(problem: Nlp, x: np.ndarray, price: float) -> float:
    """f + price * sum of violations; infinite outside the domain."""
    f, c = problem.objective(x), problem.constraints(x)
    v = np.maximum(np.maximum(problem.row_lower - c, c - problem.row_upper), 0.0)
    merit = f + price * float(v.sum())
    return merit if math.isfinite(merit) or merit == -math.inf else math.inf


def _moved(problem: Nlp, corners: np.ndarray, merits: np.ndarray, price: float) -> tuple[np.ndarray, np.ndarray]:
    """One step of Nelder and Mead's method on corners sorted by merit."""
    n = corners.shape[1]
    expansion, contraction, shrinkage = 1 + 2 / n, 0.75 - 0.5 / n, 1 - 1 / n
    if n == 1:
        expansion, contraction, shrinkage = 2.0, 0.5, 0.5
    center, worst = corners[:-1].mean(axis=0), corners[-1]

    def tried(factor: float) -> tuple[np.ndarray, float]:
        point = inside(center + factor * (center - worst), problem.lower, problem.upper)
        return point, _merit(problem, point, price)

    point, merit = tried(1.0)
    if merit < merits[0]:
        further = tried(expansion)
        if further[1] < merit:
            point, merit = further
    elif merit >= merits[-2]:
        inner = tried(contraction if merit < merits[-1] else -contraction)
        if inner[1] < min(merit, float(merits[-1])):
            point, merit = inner
        elif merit >= merits[-1]:
            corners = corners[0] + shrinkage * (corners - corners[0])
            merits = np.array([merits[0], *(_merit(problem, corner, price) for corner in corners[1:])])
            order = np.argsort(merits, kind="stable")
            return corners[order], merits[order]
    place = int(np.searchsorted(merits[:-1], merit, side="right"))
    return (
        np.concatenate([corners[:place], point[None], corners[place:-1]]),
        np.concatenate([merits[:place], [merit], merits[place:-1]]),
    )
