"""A candidate in plain numbers: the fewest digits with which the inequality still fails clearly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from optdsl.classify.witness.lanes import Values
from optdsl.classify.witness.records import CONVEX, Statement
from optdsl.classify.witness.sampling import Sampler
from optdsl.classify.witness.verify import Candidate

FAIR = 0.02  # a relative failure that a reader sees at once
FAINT = 2e-6  # the least that is proposed to the judge
NICE = np.array([0.0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 4, -4, 5, -5, 10, -10, 0.1, -0.1, 1.5, 20, 100, -100, 0.01])
PAIRS = 600
PATIENCE = 5_000_000  # numbers that a search for nice ones may compute in the largest frame
MOST_ACTIVE = 200  # columns in affine rows up to which nice numbers are sought under them
FEW = 3  # columns up to which pairs of nice numbers are searched for
SEVERAL = 24  # columns up to which each is tried at 0
DIGITS = (0, 1, 2, 3, 4, 6, 9, 12)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of points: whole ones (P, n), or (P, k) of some columns while all others are those of `base` (n,)."""

    first: np.ndarray
    second: np.ndarray
    base: np.ndarray | None = None
    columns: np.ndarray | None = None

    def between(self, weight: float) -> np.ndarray:
        return weight * self.first + (1 - weight) * self.second

    def values(self, values: Values, points: np.ndarray) -> np.ndarray:
        if self.base is None or self.columns is None:
            return values.at(points)
        return values.moved(self.base, self.columns, points)

    def full(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Both points of a pair, whole."""
        if self.base is None or self.columns is None:
            return self.first[k] + 0.0, self.second[k] + 0.0
        points = np.repeat(self.base[None], 2, axis=0)
        points[0, self.columns], points[1, self.columns] = self.first[k] + 0.0, self.second[k] + 0.0
        return points[0], points[1]


@dataclass(eq=False)
class Plain:
    """Makes one candidate plainer. `gaps` measures pairs, as the search does."""

    sampler: Sampler
    statement: Statement
    gaps: Callable[..., Any]
    candidate: Candidate
    one: Values = field(init=False)
    support: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.one = Values(self.sampler.model, self.statement, self.candidate.lane)
        self.support = self.one.columns

    def forms(self, pool: np.ndarray) -> Iterator[Candidate]:
        """Forms of the candidate, the plainest of those that fail fairly first."""
        base = self._quiet(self.candidate, pool)
        if self.sampler.simple and FEW < len(self.support) <= SEVERAL:
            base = self._sparser(base)
        found = self._rounded(base) + self._nice(base)
        if not found:
            found = self._rounded(self.candidate)
        found = [self._marked(c) for c in found]
        yield from sorted(found, key=self._rank)[:12]

    def _rank(self, candidate: Candidate) -> tuple[Any, ...]:
        fair = candidate.kind == "domain" or candidate.clarity >= FAIR
        far = abs(candidate.first).max() > 1e6 or abs(candidate.second).max() > 1e6
        return (not fair, far, not candidate.shrinks, self._digits(candidate), -candidate.clarity)

    def _digits(self, candidate: Candidate) -> int:
        """How many characters the numbers take: of the columns that occur, of the vector, of the weight."""
        shown = self.support if self.sampler.simple else np.union1d(self.support, self.sampler.affine.active)
        numbers = np.concatenate([candidate.first[shown], candidate.second[shown]])
        if candidate.vector is not None:
            numbers = np.concatenate([numbers, candidate.vector])
        numbers = numbers[numbers != 0]
        if len(numbers) > 400:
            return len(numbers)
        text = [f"{abs(v):.15g}".removeprefix("0") for v in numbers.tolist()]
        return sum(map(len, text)) + int((numbers < 0).sum()) + 4 * (candidate.weight != 0.5)

    # -------------------------------------------------------------------------------------------------------- measuring

    def _measured(self, pairs: Pairs, weight: float, vector: np.ndarray | None) -> np.ndarray:
        """The relative failures of pairs (P,); of kind `domain`, 1 where the point between is outside."""
        if self.candidate.kind == "domain":
            return self.gaps(self.one, pairs, weight, self.candidate.needed).outside[:, 0].astype(float)
        if vector is None:
            return np.asarray(self.gaps(self.one, pairs, weight, self.candidate.needed).clarity[:, 0])
        ends = (pairs.first, pairs.second, pairs.between(weight))
        self.sampler.effort.add(3 * self.one.cost(len(pairs.first)))
        values = [np.einsum("i,pij,j->p", vector, pairs.values(self.one, p)[:, 0], vector) for p in ends]
        sign = 1.0 if self.candidate.needed == CONVEX else -1.0
        gap = sign * (values[2] - weight * values[0] - (1 - weight) * values[1])
        return np.nan_to_num(np.maximum(gap, 0) / np.maximum(np.max(np.abs(values), axis=0), 1e-300))

    def _kept(self, pairs: Pairs, weight: float, vector: np.ndarray | None = None) -> list[Candidate]:
        """The pairs that lie in D and fail, as candidates."""
        if not len(pairs.first):
            return []
        clarity = self._measured(pairs, weight, vector)
        chosen = np.flatnonzero(clarity > FAINT)
        most = 48 if self.sampler.model.columns < 10_000 else 6
        order = np.argsort(-np.minimum(clarity[chosen], FAIR * 2), kind="stable")
        chosen = chosen[order][:most]
        if not len(chosen):
            return []
        ends = [pairs.full(int(k)) for k in chosen]
        holds = np.asarray(self.sampler.holds(np.array(ends).reshape(2 * len(ends), -1)).reshape(-1, 2).all(axis=1))
        return [
            replace(self.candidate, first=a, second=b, weight=weight, clarity=float(clarity[k]), vector=vector)
            for k, (a, b), inside in zip(chosen, ends, holds, strict=True)
            if inside
        ]

    def _marked(self, candidate: Candidate) -> Candidate:
        """The candidate with `shrinks`: a constraint holds at both points and not between."""
        statement = self.statement
        free = statement.role != "constraint" or statement.kind == "matrix" or statement.equality
        if free or candidate.kind == "domain":
            return candidate
        points = np.array([candidate.first, candidate.second, candidate.between])
        value = self.one.at(points)[:, 0]
        low, high = -np.inf, np.inf
        if statement.lower is None:
            high = 0.0
        elif statement.upper is None:
            low = 0.0
        else:
            lanes, frame = self.sampler.model.lanes, self.sampler.model.lanes_of(statement.over)
            sides = (statement.lower, statement.upper)
            low, high = (float(lanes.full(s, frame).reshape(-1)[candidate.lane]) for s in sides)
        slack = 1e-6 * float(np.abs(value).max())
        outside = (value[2] < low - slack) or (value[2] > high + slack)
        return replace(candidate, shrinks=bool(((value[:2] >= low) & (value[:2] <= high)).all() and outside))

    # --------------------------------------------------------------------------------------------------------- plainer

    def _quiet(self, candidate: Candidate, pool: np.ndarray) -> Candidate:
        """The candidate with plain values of all columns that are equal at both points, where it still is one."""
        if not self.sampler.simple:
            return candidate
        occurs = self.support
        moving = occurs[candidate.first[occurs] != candidate.second[occurs]]
        affine = self.sampler.affine
        bases = [np.clip(v, affine.lower, affine.upper) for v in (0.0, 1.0)]
        for columns in (moving, occurs) if len(occurs) > len(moving) else (moving,):
            for base in (*bases, *pool[:4]):
                pairs = Pairs(candidate.first[None, columns], candidate.second[None, columns], base, columns)
                found = self._kept(pairs, candidate.weight, candidate.vector)
                if found and found[0].clarity >= 0.5 * candidate.clarity:
                    return found[0]
        return candidate

    def _sparser(self, candidate: Candidate) -> Candidate:
        """The candidate with as many columns as possible at 0 (or the bound next to it), or equal at both points."""
        affine = self.sampler.affine
        for column in self.support:
            plain = float(np.clip(0.0, affine.lower[column], affine.upper[column]))
            here = (float(candidate.first[column]), float(candidate.second[column]))
            for ends in ((plain, plain), (here[0], here[0]), (here[1], here[1]), (plain, here[1]), (here[0], plain)):
                if ends == here:
                    break
                first, second = candidate.first.copy(), candidate.second.copy()
                first[column], second[column] = ends
                found = self._kept(Pairs(first[None], second[None]), candidate.weight, candidate.vector)
                if found and found[0].clarity >= min(FAIR, 0.9 * candidate.clarity):
                    candidate = found[0]
                    break
        return candidate

    def _rounded(self, candidate: Candidate) -> list[Candidate]:
        """The candidate's points to ever more digits, relative to their distance and absolute."""
        found: list[Candidate] = []
        affine = self.sampler.affine
        apart = np.abs(candidate.first - candidate.second).max()
        if not apart > 0:
            return found
        lead = -int(np.floor(np.log10(apart)))
        both = np.array([candidate.first, candidate.second])
        for weight in {candidate.weight, 0.5}:
            for decimals in sorted({*DIGITS, *(lead + k for k in DIGITS)}):
                points = both if decimals > 15 else np.round(both, decimals)
                points = np.clip(affine.repaired(points), affine.lower, affine.upper)
                for vector in self._vectors(candidate):
                    found += self._kept(Pairs(points[:1], points[1:]), weight, vector)
                if len(found) >= 4 and max(c.clarity for c in found) >= FAIR:
                    break
        return found + self._kept(Pairs(both[:1], both[1:]), candidate.weight, candidate.vector)

    @staticmethod
    def _vectors(candidate: Candidate) -> list[np.ndarray | None]:
        """The vector of a matrix candidate to few digits, its largest entry 1."""
        if candidate.vector is None:
            return [None]
        scaled = candidate.vector / candidate.vector[np.argmax(np.abs(candidate.vector))]
        return [f + 0.0 for f in (np.round(scaled), np.round(scaled, 1), np.round(scaled, 3), scaled)]

    def _nice(self, candidate: Candidate) -> list[Candidate]:
        """Pairs of nice numbers in the columns that move, everything else as it is."""
        affine = self.sampler.affine
        moving = np.flatnonzero(candidate.first != candidate.second)
        columns = self.support if self.sampler.simple and len(self.support) <= FEW else moving
        if not self.sampler.simple:
            free, solved = np.intersect1d(columns, affine.free), np.setdiff1d(columns, affine.free)
            if len(affine.active) <= MOST_ACTIVE:
                columns = np.concatenate([free, np.setdiff1d(solved, affine.solved)])
        if not 0 < len(columns) <= FEW:
            return []
        count = int(np.clip(PATIENCE // (3 * self.one.work), 20, PAIRS))
        left, right = self._drawn(columns, count), self._drawn(columns, count)
        if self.sampler.simple:
            pairs = Pairs(left, right, candidate.first, columns)
            return [found for vector in self._vectors(candidate)[:2] for found in self._kept(pairs, 0.5, vector)]
        first, second = (np.repeat(candidate.first[None], count, axis=0) for _ in range(2))
        first[:, columns], second[:, columns] = left, right
        first, second = affine.repaired(first), affine.repaired(second)
        holds = self.sampler.holds(first) & self.sampler.holds(second)
        pairs = Pairs(first[holds], second[holds])
        return [found for vector in self._vectors(candidate)[:2] for found in self._kept(pairs, 0.5, vector)]

    def _drawn(self, columns: np.ndarray, count: int) -> np.ndarray:
        """Nice numbers within the bounds of columns (count, k), plainer ones more often."""
        rng, affine = self.sampler.rng, self.sampler.affine
        drawn = np.empty((count, len(columns)))
        for k, column in enumerate(columns):
            low, high = affine.lower[column], affine.upper[column]
            choices = NICE[(low <= NICE) & (high >= NICE)]
            ends = [v for v in (low, high) if np.isfinite(v)]
            if len(ends) == 2:
                ends += [float(np.round(low + (high - low) * part, 6)) for part in (0.25, 0.5, 0.75)]
            choices = np.concatenate([choices, ends])
            weights = 1.0 / (1.0 + np.arange(len(choices)))
            drawn[:, k] = rng.choice(choices, count, p=weights / weights.sum())
        return drawn
