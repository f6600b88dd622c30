"""A quasi-Newton method whose first matrix is the Hessian of a sample of the rows.

Of a sum over very many rows, some tens of rows for each variable tell the curvature well (Byrd, Chin, Neveitt and
Nocedal 2011, section 3), the more so where rows are drawn by their curvature (Xu and others 2016, section 3.2). The
problem on a sample is solved first, by Newton's steps; from its minimizer, limited-memory steps (Nocedal and Wright
2006, algorithm 7.4) with a sampled Hessian as H_0^-1 take a few passes over all rows. While the objective still falls
much the Hessian is drawn anew, and the memory begins again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from optdsl.methods.composite.driver import Iterate, drive, iterate_at
from optdsl.methods.composite.operators import Block, Rows
from optdsl.methods.composite.problem import Composite, Part
from optdsl.methods.composite.proximal_newton import ProximalNewton
from optdsl.methods.driver import Limits

ROUGH = 1e-5
"""The gap of the sampled problem: it is no nearer to the whole one anyway."""
WIDEST = 3000
"""Up to so many variables the sample's Hessian is factorized; beyond, its diagonal is used."""
MUCH = 1e-4
"""Of a relative fall below this the curvature is taken to stay as it is."""
MOST_DRAWS = 8
HALVINGS = 30
ROUNDING = 1e-13
"""What rounding may add to an objective, relative to it: smaller promises are not judged by the objective."""
STALLS = 6
"""Steps without a better bound or a fall of the objective, after which no more is to be had."""


@dataclass(frozen=True, eq=False)
class SampledState:
    """The iterate, the gradient (n,) there, the factor of H_0^-1, and the last steps with what they changed."""

    iterate: Iterate
    gradient: np.ndarray
    factor: tuple[np.ndarray, bool] | np.ndarray
    draws: int
    stalls: int = 0
    pairs: tuple[tuple[np.ndarray, np.ndarray], ...] = ()


@dataclass(frozen=True, slots=True)
class SampledNewton:
    """Limited-memory steps preconditioned by a sample, to a relative gap of `tolerance`."""

    tolerance: float = 1e-9
    memory: int = 10
    seed: int = 0

    name = "sampled_newton"

    def start(self, problem: Composite) -> SampledState:
        sample = sampled(problem, max(2000, 20 * problem.width), self.seed)
        x = problem.start
        if problem.width <= WIDEST:
            limits = Limits(iterations=20)
            x = drive(ProximalNewton(ROUGH, screening=False), replace(sample, start=x), limits).x
        first = iterate_at(problem, x)
        if not np.isfinite(first.value):
            first = iterate_at(problem, np.zeros(problem.width))
        return SampledState(first, _gradient(problem, first), self._factor(problem, first), 1)

    def step(self, problem: Composite, state: SampledState) -> SampledState:
        now, g = state.iterate, state.gradient
        d = -_inverse_times(state, g)
        if not g @ d < 0:
            d = -g
        moved = _searched(problem, now, g, d)
        if moved is None:
            if state.pairs:  # the memory misleads: once more without it
                return replace(state, pairs=())
            return replace(state, iterate=replace(now, done=True))
        gradient = _gradient(problem, moved)
        if now.value - moved.value > MUCH * abs(moved.value) and state.draws < MOST_DRAWS:
            factor = self._factor(problem, moved, state.draws)
            return SampledState(replace(moved, moving=problem.width), gradient, factor, state.draws + 1)
        better = moved.value < now.value - ROUNDING * abs(now.value) or moved.bound > now.bound
        stalls = 0 if better else state.stalls + 1
        s, y = moved.x - now.x, gradient - g
        pairs = state.pairs
        if s @ y > 1e-12 * np.linalg.norm(s) * np.linalg.norm(y):
            pairs = (*pairs, (s, y))[-self.memory :]
        after = replace(moved, moving=problem.width, done=stalls >= STALLS)
        return SampledState(after, gradient, state.factor, state.draws, stalls, pairs)

    def _factor(self, problem: Composite, now: Iterate, draw: int = 0) -> tuple[np.ndarray, bool] | np.ndarray:
        """The factor of a sampled Hessian, or the Hessian's diagonal where there are many variables."""
        if problem.width > WIDEST:
            diagonal = problem.ridge.copy()
            for part, t in zip(problem.parts, now.rows, strict=True):
                diagonal += part.operator.square_sizes(part.curvature(t))
            return np.maximum(diagonal, 1e-8 * max(float(diagonal.max(initial=0.0)), 1e-300))
        random = np.random.default_rng((self.seed, draw))
        H = np.diag(problem.ridge)
        for part, t in zip(problem.parts, now.rows, strict=True):
            H = H + drawn_hessian(part, t, max(2000, 40 * problem.width), random)
        return factored(H)


def sampled(problem: Composite, count: int, seed: int) -> Composite:
    """The problem with at most `count` rows (whole groups) of every part, drawn evenly, weighted up to the whole."""
    random = np.random.default_rng(seed)
    parts = []
    for part in problem.parts:
        groups = len(part.weights)
        wanted = max(1, count // part.loss.group)
        if groups <= 2 * wanted:
            parts.append(part)
            continue
        kept = np.sort(random.choice(groups, wanted, replace=False))
        rows = (kept[:, None] * part.loss.group + np.arange(part.loss.group)).reshape(-1)
        blocks = tuple(Block(block.matrix[rows], block.columns) for block in part.operator.blocks)
        share = groups / wanted
        linear = None if part.linear is None else share * part.linear[rows]
        operator = Rows(blocks, len(rows), problem.width)
        loss = part.loss.taken(rows)
        parts.append(Part(operator, part.offset[rows], loss, share * part.weights[kept], linear))
    return replace(problem, parts=tuple(parts))


def drawn_hessian(part: Part, t: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """A' psi'' A (n, n) from `count` rows drawn by their curvature; of all rows where there are hardly more.

    Of a loss of groups of rows it is the diagonal's part alone, which is larger.
    """
    curvature = part.curvature(t)
    columns = np.arange(part.operator.width)
    if len(t) <= 2 * count:
        a = part.operator.taken(columns) * np.sqrt(curvature)[:, None]
        return np.asarray(a.T @ a)
    ends = np.cumsum(curvature)
    total = float(ends[-1])
    if not total > 0:
        return np.zeros((len(columns), len(columns)))
    places = (np.arange(count) + random.random(count)) * (total / count)  # one in each of equal shares
    rows = np.minimum(np.searchsorted(ends, places), len(t) - 1)
    a = part.operator.taken(columns, rows)
    return np.asarray(a.T @ a) * (total / count)


def factored(H: np.ndarray) -> tuple[np.ndarray, bool]:
    """The Cholesky factor of H, with as little added to its diagonal as makes it definite."""
    shift = 1e-10 * float(np.trace(H)) / max(1, len(H))
    for _ in range(20):
        shifted = H.copy()
        shifted.flat[:: len(H) + 1] += shift
        try:
            factor, lower = cho_factor(shifted, lower=True, check_finite=False)
            return factor, lower
        except np.linalg.LinAlgError:
            shift = max(10.0 * shift, 1e-300)
    raise np.linalg.LinAlgError("no diagonal makes it definite")


def _inverse_times(state: SampledState, g: np.ndarray) -> np.ndarray:
    """H g by the two loops."""
    q = g.copy()
    used = []
    for s, y in reversed(state.pairs):
        a = (s @ q) / (s @ y)
        q -= a * y
        used.append(a)
    if isinstance(state.factor, np.ndarray):
        r = q / state.factor
    else:
        r = np.asarray(cho_solve(state.factor, q, check_finite=False))
    for (s, y), a in zip(state.pairs, reversed(used), strict=True):
        r += s * (a - (y @ r) / (s @ y))
    return r


def _gradient(problem: Composite, now: Iterate) -> np.ndarray:
    return problem.cost + now.pulled + problem.ridge * now.x


def _searched(problem: Composite, now: Iterate, g: np.ndarray, d: np.ndarray) -> Iterate | None:
    """The first of x + d, x + d / 2, ... with enough descent; rows are moved, not computed anew."""
    promised = float(g @ d)
    noise = ROUNDING * abs(now.value) if abs(promised) <= 1e-9 * abs(now.value) else 0.0
    changes = tuple(part.operator.product(d) for part in problem.parts)
    a = 1.0
    for _ in range(HALVINGS):
        x = now.x + a * d
        rows = tuple(t + a * c for t, c in zip(now.rows, changes, strict=True))
        value = problem.value(x, rows)
        if value <= now.value + 1e-4 * a * promised + noise:
            return iterate_at(problem, x, rows)
        a *= 0.5
    return None
