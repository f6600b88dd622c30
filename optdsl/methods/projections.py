"""Sets that are projected onto directly, all members at once: boxes, simplices, balls, chains.

    simplex   sum of x_j over a group = total, every x_j >= 0 with no upper bound below the total
    ball      sum of k (x_j - a_j)^2 over a group <= a number, no bounds on its variables
    chain     x_1 <= x_2 <= ... over a group in its order, all within the same bounds

Simplices and balls are found among the rows of a problem where every variable is in one of them at most; `linear_sets`
finds simplices and chains among affine rows. Sources: Duchi, Shalev-Shwartz, Singer and Chandra 2008, figure 1 (the
simplex, by sorting; here for all groups at once); Barlow, Bartholomew, Bremner and Brunk 1972 (a chain, by pooling
adjacent violators; then bounds that its members share clip it: Nemeth and Nemeth 2012).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import isotonic_regression

from optdsl.methods.iterates import inside
from optdsl.nlp import Nlp


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Members of disjoint groups: variable and group of every member; `rows` (k,) are the problem's rows."""

    variables: np.ndarray
    groups: np.ndarray
    rows: np.ndarray

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The sum over each group of values of the members (k,)."""
        return np.bincount(self.groups, values, minlength=len(self.rows))


def no_groups() -> Groups:
    """No groups at all."""
    return Groups(np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros(0, dtype=int))


@dataclass(frozen=True, slots=True, eq=False)
class Chains:
    """Members of disjoint chains (k,), those of one next to each other and in its order.

    rows: that between a member and the next, -1 after the last one; factors: the entry of the member in it.
    """

    variables: np.ndarray
    groups: np.ndarray
    rows: np.ndarray
    factors: np.ndarray

    def forces(self, x: np.ndarray, g: np.ndarray, low: np.ndarray) -> np.ndarray:
        """What holds each member (k,) below the next at a first-order point x with gradient g; 0 where nothing does.

        Within members that are equal it is minus the sum of g so far; at the lower bound (`low`, of the variables),
        which pushes the first of them, the sum of what follows.
        """
        values, slopes = x[self.variables], g[self.variables]
        size = 1e-9 * (1 + np.abs(values))
        begins = np.append(True, (self.groups[1:] != self.groups[:-1]) | (values[1:] - values[:-1] > size[1:]))
        block = np.cumsum(begins) - 1
        totals = np.bincount(block, slopes)
        sums = np.cumsum(slopes)
        so_far = sums - (sums - slopes)[np.flatnonzero(begins)][block]
        found = np.where(low[self.variables], totals[block], 0.0) - so_far
        ends = np.append(begins[1:], True)
        return np.where(ends, 0.0, np.maximum(found, 0.0))


def no_chains() -> Chains:
    """No chains at all."""
    return Chains(np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros(0))


@dataclass(frozen=True, slots=True, eq=False)
class SimpleSet:
    """A box with simplices (totals (k,)), balls (centers by member, radii and curvatures (k,)) and chains in it."""

    lower: np.ndarray
    upper: np.ndarray
    simplices: Groups
    totals: np.ndarray
    factors: np.ndarray
    balls: Groups
    centers: np.ndarray
    radii: np.ndarray
    curvatures: np.ndarray
    chains: Chains = field(default_factory=no_chains)

    def project(self, x: np.ndarray) -> np.ndarray:
        """The nearest point of the set."""
        found = inside(x, self.lower, self.upper)
        if len(self.totals):
            part = self.simplices
            found[part.variables] = onto_simplices(x[part.variables], part.groups, self.totals)
        if len(self.radii):
            part = self.balls
            away = x[part.variables] - self.centers
            lengths = np.sqrt(part.sums(away**2))
            shrink = np.minimum(1.0, self.radii / np.where(lengths > 0, lengths, 1.0))
            found[part.variables] = self.centers + shrink[part.groups] * away
        if len(self.chains.variables):
            places = self.chains.variables
            pooled = onto_chains(x[places], self.chains.groups)
            found[places] = inside(pooled, self.lower[places], self.upper[places])
        return found

    def restricted(self, places: np.ndarray) -> SimpleSet:
        """The same set over some variables (k,) in this order; every group lies among them."""
        number = np.full(len(self.lower), -1)
        number[places] = np.arange(len(places))
        simplices, balls = (replace(p, variables=number[p.variables]) for p in (self.simplices, self.balls))
        chains = replace(self.chains, variables=number[self.chains.variables])
        bounds = {"lower": self.lower[places], "upper": self.upper[places]}
        return replace(self, **bounds, simplices=simplices, balls=balls, chains=chains)

    def multipliers(self, x: np.ndarray, g: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
        """y (m,) and z (n,) in nlp's signs that belong to x where it is a first-order point with gradient g."""
        y, rest = np.zeros(m), g.copy()
        if len(self.totals):
            part = self.simplices
            inner = (x[part.variables] > 0).astype(float)
            counts = np.maximum(part.sums(inner), 1.0)
            level = -part.sums(inner * g[part.variables]) / counts
            y[part.rows] = level / self.factors
            rest[part.variables] += level[part.groups]
        if len(self.radii):
            part = self.balls
            away = x[part.variables] - self.centers
            lengths = np.sqrt(part.sums(away**2))
            active = (lengths >= self.radii * (1 - 1e-9)) & (self.radii > 0)
            slope = np.where(active, -part.sums(away * g[part.variables]) / np.maximum(self.radii, 1e-300) ** 2, 0.0)
            slope = np.maximum(slope, 0.0)
            y[part.rows] = slope / self.curvatures
            rest[part.variables] += slope[part.groups] * away
        if len(self.chains.variables):
            chain = self.chains
            force = chain.forces(x, g, x <= self.lower)
            linked = np.flatnonzero(chain.rows >= 0)
            y[chain.rows[linked]] = force[linked] / chain.factors[linked]
            rest[chain.variables] += force
            rest[chain.variables[linked + 1]] -= force[linked]
        held = ((x <= self.lower) & (rest > 0)) | ((x >= self.upper) & (rest < 0))
        return y, np.where(held, -rest, 0.0)


def onto_simplices(x: np.ndarray, groups: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """max(x - theta, 0) with theta such that every group adds up to its total (figure 1)."""
    order = np.lexsort((-x, groups))
    mu, group = x[order], groups[order]
    sizes = np.bincount(groups, minlength=len(totals))
    firsts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    place = np.arange(len(x)) - firsts[group] + 1
    # Within each group on its own: a sum over everything before it would cost digits.
    running = np.cumsum(mu - (np.bincount(group, mu, minlength=len(totals)) / np.maximum(sizes, 1))[group])
    before = np.where(firsts > 0, running[firsts - 1], 0.0)
    means = (np.bincount(group, mu, minlength=len(totals)) / np.maximum(sizes, 1))[group]
    sums = running - before[group] + place * means
    theta = (sums - totals[group]) / place
    keeps = mu - theta > 0
    last = firsts + np.maximum(np.bincount(group, keeps, minlength=len(totals)).astype(int), 1) - 1
    return np.maximum(x - theta[last][groups], 0.0)


def onto_chains(x: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The nearest values that do not fall within a group; members that need not move keep theirs to the last bit.

    Chains are stacked, each lifted above the one before, so that one pass pools them all.
    """
    if np.all((x[1:] >= x[:-1]) | (groups[1:] != groups[:-1])):
        return x.copy()
    height = float(x.max() - x.min()) * 1.01 + 1e-300
    blocks = isotonic_regression(x + height * groups).blocks
    sizes = np.diff(blocks)
    means = np.where(sizes > 1, np.add.reduceat(x, blocks[:-1]) / sizes, x[blocks[:-1]])
    return np.repeat(means, sizes)


def simple_set(problem: Nlp) -> SimpleSet | None:
    """The problem's bounds and rows as a simple set; None where a row is neither a simplex nor a ball."""
    pattern, m, n = problem.jacobian_pattern, len(problem.row_lower), len(problem.start)
    none = no_groups()
    nothing = np.zeros(0)
    simplices, totals, factors = none, nothing, nothing
    balls, centers, radii, curvatures = none, nothing, nothing, nothing
    if m:
        if np.bincount(pattern.columns, minlength=n).max() > 1 or (np.bincount(pattern.rows, minlength=m) == 0).any():
            return None
        point = inside(np.where(np.isfinite(problem.start), problem.start, 0.0), problem.lower, problem.upper)
        values, c = problem.jacobian(point), problem.constraints(point)
        if not (np.isfinite(values).all() and np.isfinite(c).all()):
            return None
        linear = np.asarray(problem.linear, dtype=bool)
        if linear.any():
            found = _simplices(problem, np.flatnonzero(linear), point, values, c)
            if found is None:
                return None
            simplices, totals, factors = found
        if not linear.all():
            round_ones = _balls(problem, np.flatnonzero(~linear), point, values, c)
            if round_ones is None:
                return None
            balls, centers, radii, curvatures = round_ones
    return SimpleSet(problem.lower, problem.upper, simplices, totals, factors, balls, centers, radii, curvatures)


def _members(problem: Nlp, rows: np.ndarray) -> tuple[Groups, np.ndarray]:
    """The variables in these rows, and the places of their entries in the Jacobian."""
    pattern = problem.jacobian_pattern
    number = np.full(len(problem.row_lower), -1)
    number[rows] = np.arange(len(rows))
    places = np.flatnonzero(number[pattern.rows] >= 0)
    return Groups(pattern.columns[places], number[pattern.rows[places]], rows), places


def _simplices(
    problem: Nlp, rows: np.ndarray, point: np.ndarray, values: np.ndarray, c: np.ndarray
) -> tuple[Groups, np.ndarray, np.ndarray] | None:
    groups, places = _members(problem, rows)
    entries = values[places]
    factors = groups.sums(entries) / np.bincount(groups.groups, minlength=len(rows))
    same = np.abs(entries - factors[groups.groups]) <= 1e-14 * np.abs(factors[groups.groups])
    if not same.all() or (factors == 0).any() or (problem.row_lower[rows] != problem.row_upper[rows]).any():
        return None
    constants = c[rows] - factors * groups.sums(point[groups.variables])
    totals = (problem.row_lower[rows] - constants) / factors
    fits = (problem.lower[groups.variables] == 0) & (problem.upper[groups.variables] >= totals[groups.groups])
    return (groups, totals, factors) if fits.all() and (totals >= 0).all() else None


def _balls(
    problem: Nlp, rows: np.ndarray, point: np.ndarray, values: np.ndarray, c: np.ndarray
) -> tuple[Groups, np.ndarray, np.ndarray, np.ndarray] | None:
    """c = (k/2) |x - a|^2 + e has the gradient k (x - a): k and a from two points, and a third one to check."""
    if np.isfinite(problem.row_lower[rows]).any():
        return None
    groups, places = _members(problem, rows)
    variables = groups.variables
    if np.isfinite(problem.lower[variables]).any() or np.isfinite(problem.upper[variables]).any():
        return None
    random = np.random.default_rng(0)
    other, third = point.copy(), point.copy()
    other[variables] += random.uniform(0.5, 1.0, len(variables))
    third[variables] -= random.uniform(0.5, 1.0, len(variables))
    slopes = (problem.jacobian(other)[places] - values[places]) / (other - point)[variables]
    k = groups.sums(slopes) / np.bincount(groups.groups, minlength=len(rows))
    if not np.isfinite(slopes).all() or not (k > 0).all():
        return None
    centers = point[variables] - values[places] / k[groups.groups]
    size = 1e-9 * np.abs(k[groups.groups]) * (1 + np.abs(centers) + np.abs(point[variables]))
    off = np.abs(problem.jacobian(third)[places] - k[groups.groups] * (third[variables] - centers))
    if not ((np.abs(slopes - k[groups.groups]) <= 1e-9 * k[groups.groups]) & (off <= size)).all():
        return None
    squares = 2 * (problem.row_upper[rows] - c[rows]) / k + groups.sums((point[variables] - centers) ** 2)
    return (groups, centers, np.sqrt(squares), k) if (squares >= 0).all() else None
