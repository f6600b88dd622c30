"""The search for a witness: points, pairs, directions of negative curvature, parts of sums, gaps of domains.

Everything here works in floating-point numbers over all instances and many points at once, and only proposes; what is
proposed is made plain (`plain.py`) and judged (`verify.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import sympy
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from optdsl.classify.witness.effort import STEP, Effort
from optdsl.classify.witness.lanes import Values, is_partial, needs
from optdsl.classify.witness.plain import Pairs, Plain
from optdsl.classify.witness.records import CONCAVE, CONVEX, Domain, Statement, Witness
from optdsl.classify.witness.sampling import Sampler
from optdsl.classify.witness.verify import Candidate, Judge
from optdsl.model.model import Model
from optdsl.terms import nodes
from optdsl.terms.nodes import Over, has_variables

POOL = 192
WEIGHTS = (0.5, 0.5, 0.5, 0.25, 0.75, 0.1, 0.9)
ZOOMS = (1.0, 0.3, 0.1, 0.03, 0.01, 1e-3)
FEW_ENTRIES = 400_000  # numbers in one array of intermediate values, for a quick look
MOST_WORK = 1_000_000_000  # lanes of one value beyond which a quick look would take longer than it may
CLEAR = 1e-3  # relative failure that is enough for a quick look
NOTED = 1e-9  # relative failure below which floating-point values say nothing
MOST_DIRECTIONS = 60  # moves whose second differences are all computed
MOST_PRODUCTS = 400  # moves up to which products with them are
TOP = 3  # instances that are looked at more closely


def find_witness(
    model: Model,
    statement: Statement,
    domain: Domain,
    *,
    seed: int = 0,
    effort: Effort | float = 1.0,
    directions: Sequence[np.ndarray] = (),
    plainly: bool = True,
    hasty: bool = False,
) -> Witness | None:
    """Two points of D at which a statement is not as curved as its role needs, or None where none was found.

    `directions` (n,) along which the statement is known to curve the wrong way somewhere are tried first. `effort`: how
    much work there may be, in units of about a second, or what is left to several searches; it is counted, so that the
    same seed gives the same witness everywhere. Not `plainly`: the first that holds, whatever its numbers. `hasty`: a
    few pairs and no more.
    """
    if not has_variables(statement.expression):
        return None
    with np.errstate(all="ignore"):  # values may be outside domains, and too large
        allowed = effort if isinstance(effort, Effort) else Effort.of(effort)
        return _Search(model, statement, domain, seed, allowed, plainly, hasty).run(directions)


@dataclass(frozen=True, eq=False)
class _Gaps:
    """How the inequality fails for pairs, by instance: relative failures, and whether the point between is outside.

    clarity, outside, height (P, L); vectors (P, L, m) of matrices.
    """

    clarity: np.ndarray
    outside: np.ndarray
    vectors: np.ndarray | None = None
    height: np.ndarray | None = None
    """By how much the pair shows more: of an objective that the value between is beyond both, of a constraint that it
    is on the other side; relative to the values."""


class _Late(Exception):
    """The work that was allowed is done."""


class _Search:
    def __init__(
        self,
        model: Model,
        statement: Statement,
        domain: Domain,
        seed: int,
        effort: Effort,
        plainly: bool,
        hasty: bool = False,
    ) -> None:
        self.plainly, self.hasty = plainly, hasty
        self.effort = effort
        self.model, self.statement, self.domain = model, statement, domain
        self.rng = np.random.default_rng(seed)
        self.needs = needs(model, statement)
        self.sampler = Sampler(model, domain, self.rng, effort)
        self.affine = self.sampler.affine
        self.judge = Judge(model, statement, domain, self.sampler.inside)

    @property
    def late(self) -> bool:
        return self.effort.spent

    def run(self, directions: Sequence[np.ndarray]) -> Witness | None:
        """The stages in order; the first that ends in a witness decides."""
        if not any(mask.any() for mask in self.needs.values()):
            return None
        values = Values(self.model, self.statement)
        if not self.plainly and values.work > MOST_WORK:
            return None
        most = POOL if self.plainly else int(np.clip(FEW_ENTRIES // max(self.model.columns, 1), 8, POOL))
        pool = self.sampler.pool(most)
        if not len(pool):
            return None
        for found in self._stages(values, pool, directions):
            witness = self._settle(found, pool)
            if witness is not None:
                return witness
            if self.late:
                return None
        return None

    def _stages(self, values: Values, pool: np.ndarray, directions: Sequence[np.ndarray]) -> Iterator[list[Candidate]]:
        gaps: list[Candidate] = []
        for direction in directions:
            yield self._along(values, pool, direction)
        if self.hasty:
            for zoom in (1.0, 0.1):
                yield self._scan(values, pool, zoom)
            return
        for zoom in ZOOMS:
            found = self._scan(values, pool, zoom)
            gaps += [c for c in found if c.kind == "domain"]
            yield [c for c in found if c.kind != "domain"]
            if zoom == 1 and self.statement.kind != "matrix":
                yield self._bent_parts(pool)
        yield gaps + self._holes(values, pool)
        if self.statement.kind == "matrix":
            return
        yield self._bent_lanes(values, pool)
        for zoom in (1.0, 0.1, 1e-2):
            yield self._scan(values, self.sampler.pool(POOL), zoom)

    # ------------------------------------------------------------------------------------------------- pairs of points

    def gaps(self, values: Values, pairs: Pairs, weight: float, needed: str) -> _Gaps:
        """How much values at weight * first + (1 - weight) * second break convexity (concavity)."""
        self.effort.add(3 * values.cost(len(pairs.first)) + 10 * STEP + 8 * values.size(len(pairs.first)))
        one, two, middle = (pairs.values(values, p) for p in (pairs.first, pairs.second, pairs.between(weight)))
        sign = 1.0 if needed == CONVEX else -1.0
        with np.errstate(all="ignore"):
            gap = sign * (middle - (weight * one + (1 - weight) * two))
            scale = np.maximum(np.maximum(np.abs(one), np.abs(two)), np.abs(middle))
            if not values.matrix:
                known = np.isfinite(one) & np.isfinite(two)
                clarity = np.where(known & np.isfinite(middle) & (gap > 0), gap / np.where(scale > 0, scale, 1.0), 0.0)
                outer, inner = np.maximum(sign * one, sign * two), sign * middle
                more = inner - outer if self.statement.role == "objective" else np.minimum(-outer, inner)
                height = np.where(clarity > 0, np.maximum(more, 0.0) / np.where(scale > 0, scale, 1.0), 0.0)
                return _Gaps(np.nan_to_num(clarity), known & ~np.isfinite(middle), None, height)
            known = (np.isfinite(one) & np.isfinite(two)).all(axis=(-2, -1))
            defined = known & np.isfinite(middle).all(axis=(-2, -1))
            gap = np.where(defined[..., None, None], gap, 0.0)
            eigenvalues, vectors = np.linalg.eigh((gap + np.swapaxes(gap, -1, -2)) / 2)
            largest = np.where(defined, scale.max(axis=(-2, -1)), 1.0)
            clarity = np.maximum(eigenvalues[..., -1], 0.0) / np.where(largest > 0, largest, 1.0)
        return _Gaps(clarity, known & ~defined, vectors[..., -1])

    def _scan(self, values: Values, pool: np.ndarray, zoom: float) -> list[Candidate]:
        """Pairs of the pool, drawn together towards a third point by `zoom`; the best few instances' best pairs."""
        rng, count = self.rng, len(pool)
        found: list[Candidate] = []
        # where any witness will do, a few pairs come first: many numbers take longer than they are worth
        step = max(1, values.batch if self.plainly else min(values.batch, FEW_ENTRIES // values.work))
        stop = self.effort.mark(0.15)
        for round_ in range(3):
            if self.effort.done > stop or count < 2:
                break
            weight = float(rng.choice(WEIGHTS))
            second = pool[rng.permutation(count)]
            if round_ == 2 and self.sampler.simple:
                kept = rng.random(pool.shape) < rng.choice([0.5, 0.1, 1.5 / pool.shape[1]], (count, 1))
                second = np.where(kept, second, pool)
            first = pool
            if zoom < 1:
                center = pool[rng.permutation(count)]
                first, second = center + zoom * (first - center), center + zoom * (second - center)
            apart = (first != second).any(axis=1)
            first, second = first[apart], second[apart]
            for k in range(0, len(first), step):
                part = slice(k, k + step)
                found += self._best(values, Pairs(first[part], second[part]), weight)
                if self.effort.done > stop:
                    break
                if not self.plainly and any(c.kind != "domain" and c.clarity > CLEAR for c in found):
                    return _ordered(found)
        return _ordered(found)

    def _holes(self, values: Values, pool: np.ndarray) -> list[Candidate]:
        """Pairs whose middle is a point outside a natural domain, a plain one where there is one."""
        holes = self.sampler.outside
        if not len(holes) or not is_partial_statement(self.statement):
            return []
        holes = holes[np.argsort((holes != np.rint(holes)).sum(axis=1) + (holes != 0).sum(axis=1), kind="stable")[:16]]
        middle = np.repeat(holes, 24, axis=0)
        first = pool[self.rng.integers(0, len(pool), len(middle))]
        second = 2 * middle - first
        kept = self.sampler.holds(second)
        found = self._best(values, Pairs(first[kept], second[kept]), 0.5) if kept.any() else []
        return [c for c in _ordered(found) if c.kind == "domain"]

    def _best(self, values: Values, pairs: Pairs, weight: float) -> list[Candidate]:
        """The clearest pair of each of the clearest instances."""
        found: list[Candidate] = []
        for needed in (CONVEX, CONCAVE):
            asked = self.needs[needed]
            if not asked.any():
                continue
            gaps = self.gaps(values, pairs, weight, needed)
            # of a constraint nothing else counts: it may be convex in another form
            alone = self.statement.role == "constraint"
            if self.hasty and gaps.height is not None and (alone or (gaps.height > CLEAR).any()):
                gaps = replace(gaps, clarity=gaps.height)
            mask = asked if values.lane is None else asked[[values.lane]]
            for kind, score in (("function", gaps.clarity), ("domain", gaps.outside.astype(float))):
                score = np.where(mask, score, 0.0)
                best = score.max(axis=0, initial=0.0)
                for place in np.argsort(-best, kind="stable")[:TOP]:
                    if best[place] <= NOTED:
                        break
                    for pair in np.argsort(-score[:, place], kind="stable")[:TOP]:
                        if score[pair, place] <= NOTED:
                            break
                        lane = int(place) if values.lane is None else values.lane
                        vector = gaps.vectors[pair, place] if gaps.vectors is not None and kind == "function" else None
                        named = "matrix" if vector is not None else kind
                        if not (self.statement.kind == "matrix" and kind == "domain"):
                            ends, clarity = pairs.full(int(pair)), float(score[pair, place])
                            found.append(Candidate(*ends, weight, lane, needed, named, clarity, vector))
        return found

    # ------------------------------------------------------------------------------------- directions of bad curvature

    def _along(self, values: Values, pool: np.ndarray, direction: np.ndarray) -> list[Candidate]:
        """Pairs x - t d, x + t d within bounds and rows, for points x of the pool and many steps t."""
        direction = direction / np.abs(direction).max()
        centers = pool[: min(len(pool), 24)]
        anchor = np.clip(0.0, self.affine.lower, self.affine.upper)[None]
        if self.sampler.simple and self.sampler.holds(anchor)[0]:
            centers = np.concatenate([anchor, centers])
        low, high = self.affine.chord(centers, np.broadcast_to(direction, centers.shape))
        found: list[Candidate] = []
        middle = np.where(np.isfinite(low) & np.isfinite(high), (low + high) / 2, 0.0)
        middle = np.where((low < 0) & (high > 0) & (np.minimum(-low, high) > 0.05 * (high - low)), 0.0, middle)
        centers = centers + middle[:, None] * direction
        reach = np.minimum(high - middle, middle - low)
        for factor in (1.0, 0.3, 0.1, 1e-2, 1e-3):
            if found and not self.plainly:
                break
            for cap in (1e4, 10.0) if factor == 1 else (1.0,):
                length = factor * np.minimum(reach, cap)
                usable = length > 0
                move = length[usable, None] * direction
                if usable.any():
                    found += self._best(values, Pairs(centers[usable] + move, centers[usable] - move), 0.5)
        return _ordered(found)

    def _bent_lanes(self, values: Values, pool: np.ndarray) -> list[Candidate]:
        """Eigenvectors of second differences at points of the pool, for a choice of instances."""
        asked = np.flatnonzero(self.needs[CONVEX] | self.needs[CONCAVE])
        chosen = asked if len(asked) <= 12 else self.rng.choice(asked, 12, replace=False)
        found: list[Candidate] = []
        for lane in chosen.tolist():
            if self.late:
                break
            one = values.of_lane(lane)
            self.effort.add(one.cost(1) + self.model.columns)
            moves = self.affine.moves(one.support())
            if not 0 < len(moves) <= MOST_PRODUCTS:
                continue
            few = len(moves) <= MOST_DIRECTIONS
            for point in pool[self.rng.permutation(len(pool))[: 6 if few else 2]]:
                for direction in (self._eigenvectors if few else self._lanczos)(one, point, moves, lane):
                    found += self._along(one, np.concatenate([point[None], pool[:8]]), direction)
                if self.late:
                    break
        return _ordered(found)

    def _eigenvectors(self, one: Values, point: np.ndarray, moves: np.ndarray, lane: int) -> Iterator[np.ndarray]:
        """Directions of the worst second difference at a point, with steps of several sizes."""
        points = np.broadcast_to(point, moves.shape)
        low, high = self.affine.chord(points, moves)
        for step in (1.0, 1e-2, 1e-4):
            length = step * np.minimum(np.minimum(-low, high), 1.0)
            if (length > 0).all():
                scaled = moves * length[:, None]
                self.effort.add(one.cost(1 + len(moves) * (len(moves) + 1)) + len(moves) ** 3)
                hessian = _second_differences(one, point, scaled)
                for needed, sign in ((CONVEX, 1.0), (CONCAVE, -1.0)):
                    if self.needs[needed][lane] and np.isfinite(hessian).all():
                        eigenvalues, vectors = np.linalg.eigh(sign * hessian)
                        if eigenvalues[0] < 0:
                            yield vectors[:, 0] @ scaled

    def _lanczos(self, one: Values, point: np.ndarray, moves: np.ndarray, lane: int) -> Iterator[np.ndarray]:
        """The same where there are many moves: products with the second differences only (Lanczos, 1950)."""
        points = np.broadcast_to(point, moves.shape)
        low, high = self.affine.chord(points, moves)
        length = 1e-2 * np.minimum(np.minimum(-low, high), 1.0)
        if not (length > 0).all():
            return
        scaled = moves * length[:, None]

        def product(vector: np.ndarray) -> np.ndarray:
            if self.late:
                raise _Late
            self.effort.add(4 * one.cost(len(scaled)))
            move = vector / max(float(np.abs(vector).max()), 1e-300) @ scaled
            values = [one.at(point + s * move + t * scaled)[:, 0] for s in (1, -1) for t in (1, -1)]
            second = (values[0] - values[1] - values[2] + values[3]) / 4
            return np.asarray(np.nan_to_num(second) * float(np.abs(vector).max()))

        start = self.rng.normal(size=len(moves))
        for needed, which in ((CONVEX, "SA"), (CONCAVE, "LA")):
            if self.needs[needed][lane]:
                operator = LinearOperator((len(moves), len(moves)), matvec=product, dtype=float)
                try:
                    yield eigsh(operator, k=1, which=which, v0=start, tol=1e-3, maxiter=60)[1][:, 0] @ scaled  # type: ignore[call-overload]
                except (ArpackError, _Late):
                    return

    # ---------------------------------------------------------------------------------------------------- parts of sums

    def _bent_parts(self, pool: np.ndarray) -> list[Candidate]:
        """Summands that break the curvature, by pairs that differ only in the columns of one of them."""
        found: list[Candidate] = []
        values = Values(self.model, self.statement)
        for inner, part in summands(self.statement.expression):
            if self.late or (not inner and part == self.statement.expression):
                break
            some = Values(self.model, self.statement, None, part, inner)
            self.effort.add(some.cost(1))
            instances = some.instances()
            found += self._part_pairs(values, some, instances, pool)
        return _ordered(found)

    def _part_pairs(self, values: Values, some: Values, instances: np.ndarray, pool: np.ndarray) -> list[Candidate]:
        found: list[Candidate] = []
        if not len(instances):
            return found
        most = some.batch if self.plainly else min(some.batch, FEW_ENTRIES // some.work)
        count = min(len(pool), max(2, most))
        first, second = pool[:count], pool[self.rng.permutation(len(pool))[:count]]
        for needed in (CONVEX, CONCAVE):
            asked = self.needs[needed][instances]
            if not asked.any():
                continue
            score = np.where(asked, self.gaps(some, Pairs(first, second), 0.5, needed).clarity, 0.0)
            best = score.max(axis=0)
            for place in np.argsort(-best, kind="stable")[: 4 * TOP]:
                if best[place] <= NOTED or self.late:
                    break
                columns = some.support(int(place))
                one = values.of_lane(int(instances[place]))
                self.effort.add(some.cost(1) + one.cost(1))
                found += self._moved(one, first, second, columns, pool)
        return found

    def _moved(
        self, one: Values, first: np.ndarray, second: np.ndarray, columns: np.ndarray, pool: np.ndarray
    ) -> list[Candidate]:
        """Pairs that differ in these columns only (or along moves of them, where equalities bind)."""
        found: list[Candidate] = []
        if self.sampler.simple:
            bases = np.concatenate([np.clip(0.0, self.affine.lower, self.affine.upper)[None], pool[:3]])
            for base in bases:
                found += self._best(one, Pairs(first[:, columns], second[:, columns], base, columns), 0.5)
                if self.late:
                    break
            return found
        moves = self.affine.moves(columns)
        for _ in range(8 if len(moves) else 0):
            found += self._along(one, pool, self.rng.normal(size=len(moves)) @ moves)
        return found

    # ------------------------------------------------------------------------------------------------------ the end

    def _settle(self, found: list[Candidate], pool: np.ndarray) -> Witness | None:
        """The plainest form of the clearest candidates that the judge accepts."""
        tried: set[tuple[int, str, str]] = set()
        for candidate in found:
            key = (candidate.lane, candidate.needed, candidate.kind)
            if key in tried and len(tried) >= TOP:
                continue
            tried.add(key)
            for form in self._forms(candidate, pool):
                self.effort.add(self.judge.cost(form.lane))
                witness = self.judge.accept(form)
                if witness is not None:
                    return witness
                if self.late:
                    return None
        return None

    def _forms(self, candidate: Candidate, pool: np.ndarray) -> Iterable[Candidate]:
        """Forms of a candidate to show."""
        return Plain(self.sampler, self.statement, self.gaps, candidate).forms(pool) if self.plainly else (candidate,)


def is_partial_statement(statement: Statement) -> bool:
    """Whether a function in it is not defined everywhere."""
    return bool(statement.conditions) or is_partial(statement.body)


def _ordered(found: list[Candidate]) -> list[Candidate]:
    return sorted(found, key=lambda c: -c.clarity)[: 4 * TOP]


def _second_differences(one: Values, point: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """The symmetric matrix (k, k) of second differences of one instance along moves (k, n)."""
    k = len(moves)
    row, column = np.triu_indices(k)
    both = moves[row] + moves[column]
    center = one.at(point[None])[0, 0]
    sums = one.at(point + both)[:, 0] + one.at(point - both)[:, 0] - 2 * center
    found = np.zeros((k, k))
    found[row, column] = sums
    diagonal = np.diagonal(found) / 4  # along twice the move
    found = (found - diagonal[:, None] - diagonal[None, :]) / 2
    found = np.triu(found, 1)
    found = found + found.T
    found[np.arange(k), np.arange(k)] = diagonal
    return found


def summands(expression: sympy.Basic) -> list[tuple[tuple[Over, ...], sympy.Basic]]:
    """The terms that an expression adds up, through sums over sets: iterators, and the body inside them."""
    if isinstance(expression, sympy.Add):
        return [found for term in expression.args if has_variables(term) for found in summands(term)]
    if isinstance(expression, nodes.Reduce) and expression.name == "sum":
        return [((expression.over, *inner), body) for inner, body in summands(expression.body)]
    if isinstance(expression, sympy.Mul):
        moving = [f for f in expression.args if has_variables(f)]
        if len(moving) == 1 and isinstance(moving[0], sympy.Add | nodes.Reduce):
            rest = sympy.Mul(*(f for f in expression.args if f is not moving[0]))
            inner = summands(moving[0])
            if len(inner) > 1 or inner[0][0]:
                return [(over, sympy.Mul(rest, body, evaluate=False)) for over, body in inner]
    return [((), expression)]
