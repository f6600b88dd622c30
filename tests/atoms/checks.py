"""What a row claims, tried on samples. Each check takes a row and raises AssertionError when a claim fails."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from optdsl.atoms import Absent, Atom, AxisGroups, Interval, SegmentGroups, Smoothness, point

from .trials import DATA, PATTERNS, Trial, trials

ROUNDING = 1e-11


def _spread(answer: Any, like: np.ndarray) -> np.ndarray:
    return np.broadcast_to(answer, like.shape)


def _lift(mask: np.ndarray, like: np.ndarray) -> np.ndarray:
    return mask.reshape(mask.shape + (1,) * (like.ndim - mask.ndim))


def _any(mask: np.ndarray) -> np.ndarray:
    return np.reshape(mask, (len(mask), -1)).any(axis=1)


def _all(mask: np.ndarray) -> np.ndarray:
    return np.reshape(mask, (len(mask), -1)).all(axis=1)


def _size(*values: np.ndarray) -> np.ndarray:
    return ROUNDING * (1e-3 + sum(np.abs(v) for v in values))


def _noise(points: Any, value: np.ndarray) -> np.ndarray:
    """Rounding that the sizes of the arguments may bring into the value (by cancellation)."""
    largest = sum(np.abs(np.reshape(p, (len(value), -1))).sum(axis=1) for p in points if np.ndim(p))
    return _lift(1e-13 * np.asarray(largest), value)


def check_examples(row: Atom) -> None:
    """The kernel gives the known values."""
    assert row.examples, "a row needs a known value"
    for arguments, expected in row.examples:
        if row.acts_on == "groups":
            members = np.asarray(arguments[0], dtype=float)
            got = row.kernel(members, AxisGroups(members.shape), *arguments[1:])
        else:
            got = row.kernel(*arguments)
        np.testing.assert_allclose(got, expected, rtol=1e-14, atol=0)
        shapes = [a if np.ndim(a) == 0 and row.is_data(i) and row.arity[1] is None else np.shape(a)
                  for i, a in enumerate(arguments)]
        wanted = () if row.acts_on == "groups" else np.shape(expected)
        assert row.shapes.result(*shapes) == wanted, "the shape rule disagrees with the kernel"
        assert row.accepts(len(arguments))


def check_domain(row: Atom) -> None:
    """The kernel is nan exactly outside the domain, passes nan on, never warns; `restrict` keeps the domain."""
    random = np.random.default_rng(1)
    for trial in trials(row):
        everywhere = [
            box.lo if plain else box.lo if row.is_data(i) and row.kind != "elementwise" else random.choice(
                np.append(DATA, [1e-300, -1e-300, 1e3, -1e3]), size=box.lo.shape)
            for i, (box, plain) in enumerate(zip(trial.boxes, trial.plain, strict=True))
        ]
        for points in (everywhere, trial.sample(random), trial.sample(random)):
            value, inside = trial.value(points), trial.inside(points)
            wrong = np.isnan(value) != _lift(~inside, value)
            assert not wrong.any(), f"nan and domain disagree at {_first(points, wrong)}"
            box = Trial(row, tuple(point(p) for p in points), trial.plain).restricted()
            for p, b in zip(points, box, strict=True):
                if b.lo.ndim:
                    kept = ((p >= b.lo) & (p <= b.hi)).reshape(trial.size, -1).all(axis=1)
                    assert kept[_any(inside)].all(), "restrict cuts off a part of the domain"
        if row.kind == "metric" or row.is_data(0):
            continue
        broken = [np.full_like(p, np.nan) if i in trial.free else p for i, p in enumerate(points)]
        assert np.isnan(trial.value(broken)).any(axis=tuple(range(1, trial.value(broken).ndim))).all(), "nan is lost"


def check_range(row: Atom) -> None:
    """No value lies outside the range; no end is nan."""
    random = np.random.default_rng(2)
    for trial in trials(row):
        box = trial.rule("range", trial.boxes)
        for _ in range(24):
            points = trial.sample(random)
            value = trial.value(points)
            lo, hi = _spread(box.lo, value), _spread(box.hi, value)
            assert not (np.isnan(lo) | np.isnan(hi)).any()
            wrong = (value < lo) | (value > hi)
            assert not wrong.any(), f"{value[wrong][0]} is outside [{lo[wrong][0]}, {hi[wrong][0]}] at " \
                                    f"{_first(points, wrong)}"
        if row.kind == "metric":
            continue
        # A point's range is narrow: an interval rule that always answers the whole line is useless.
        exact = Trial(row, tuple(point(p) for p in points), trial.plain)
        box = exact.rule("range", exact.boxes)
        lo, hi = _spread(box.lo, value), _spread(box.hi, value)
        fine = np.isfinite(value)
        wrong = fine & ((value < lo) | (value > hi))
        assert not wrong.any(), f"{value[wrong][0]} is outside [{lo[wrong][0]}, {hi[wrong][0]}] of a point"


def _coordinates(trial: Trial) -> list[tuple[int, tuple[int, ...]]]:
    return [(i, index) for i in trial.free for index in np.ndindex(trial.boxes[i].lo.shape[1:])]


def check_slope(row: Atom) -> None:
    """Raising one entry of one argument never moves a value against the slope."""
    random = np.random.default_rng(3)
    for trial in trials(row):
        slopes = trial.rule("slope", trial.boxes)
        assert len(slopes) == len(trial.boxes), "one slope for each argument"
        for i, index in _coordinates(trial):
            sign = np.broadcast_to(slopes[i], trial.boxes[i].lo.shape)[(slice(None), *index)]
            assert np.isin(sign[~np.isnan(sign)], (-1.0, 0.0, 1.0)).all()
            for _ in range(10):
                here, other = trial.sample(random), trial.sample(random)
                moved = [np.array(p) for p in here]
                moved[i][(slice(None), *index)] = np.maximum(
                    here[i][(slice(None), *index)], other[i][(slice(None), *index)])
                lower = [np.array(p) for p in here]
                lower[i][(slice(None), *index)] = np.minimum(
                    here[i][(slice(None), *index)], other[i][(slice(None), *index)])
                with np.errstate(invalid="ignore"):
                    start, end = trial.value(lower), trial.value(moved)
                    rise = end - start
                    slack = _size(start, end) + _noise(moved, end) + _noise(lower, end)
                    s = _lift(sign, rise)
                    wrong = ((s == 1) & (rise < -slack)) | ((s == -1) & (rise > slack)) | (
                        (s == 0) & (np.abs(rise) > slack))
                assert not wrong.any(), f"slope {np.broadcast_to(s, wrong.shape)[wrong][0]} of argument {i} fails " \
                                        f"between {_first(lower, wrong)} and {_first(moved, wrong)}"


def check_curvature(row: Atom) -> None:
    """Between two points of the domain the function stays on the side of the chord that the curvature says."""
    random = np.random.default_rng(4)
    for trial in trials(row):
        for _ in range(30):
            first, second = trial.sample(random), trial.sample(random)
            second = [s if i in trial.free else f for i, (f, s) in enumerate(zip(first, second, strict=True))]
            weight = random.choice([0.5, 0.5, 0.1, 0.9, 0.01])
            middle = [f if i not in trial.free else (1 - weight) * f + weight * s
                      for i, (f, s) in enumerate(zip(first, second, strict=True))]
            start, end, between = trial.value(first), trial.value(second), trial.value(middle)
            sign = _spread(trial.rule("curvature", trial.boxes), start)
            assert np.isin(sign[~np.isnan(sign)], (-1.0, 0.0, 1.0)).all()
            both = ~np.isnan(start) & ~np.isnan(end)
            outside = both & np.isnan(between) & ~np.isnan(sign)
            assert not outside.any(), f"the domain has a gap at {_first(middle, outside)}"
            with np.errstate(invalid="ignore"):
                chord = (1 - weight) * start + weight * end
                slack = _size(start, end, between) + _noise(first, start) + _noise(second, start)
                above = between - chord
                wrong = both & (((sign == 1) & (above > slack)) | ((sign == -1) & (above < -slack))
                                | ((sign == 0) & (np.abs(above) > slack)))
            assert not wrong.any(), f"curvature {sign[wrong][0]} fails between {_first(first, wrong)} and " \
                                    f"{_first(second, wrong)}"


def _around(trial: Trial, points: Any, step: Any) -> Trial:
    """The small boxes around points."""
    boxes = [Interval(p - step_of, p + step_of) if i in trial.free else point(p)
             for i, (p, step_of) in enumerate(zip(points, step, strict=True))]
    return Trial(trial.row, tuple(boxes), trial.plain)


def check_derivative(row: Atom) -> None:
    """The derivative agrees with differences of sixth order along random directions, where the function is C1."""
    if isinstance(row.derivative, Absent):
        assert row.derivative.reason
        return
    random = np.random.default_rng(5)
    seen = 0
    for trial in trials(row):
        for _ in range(6):
            points = trial.sample(random)
            scale = [np.maximum(1e-6, np.minimum(np.abs(p), 1.0)) if i in trial.free else np.zeros(np.shape(p))
                     for i, p in enumerate(points)]
            direction = [random.choice([-1.0, 0.0, 1.0], size=np.shape(p)) * s
                         for p, s in zip(points, scale, strict=True)]
            for i, d in enumerate(direction):
                if row.parameter(i) in row.needs_symmetric:
                    direction[i] = np.triu(d) + np.swapaxes(np.triu(d, 1), -1, -2)
            step = 1e-2
            with np.errstate(all="ignore"):
                values = {k: trial.value([p + k * step * d for p, d in zip(points, direction, strict=True)])
                          for k in (-3, -2, -1, 1, 2, 3)}
                numeric = (45 * (values[1] - values[-1]) - 9 * (values[2] - values[-2])
                           + (values[3] - values[-3])) / (60 * step)
                coarse = (8 * (values[1] - values[-1]) - (values[2] - values[-2])) / (12 * step)
                claimed = np.broadcast_to(trial.gradient(points, direction), numeric.shape)
            near = _around(trial, points, [4 * step * np.abs(d) for d in direction])
            level = _spread(near.rule("smoothness", near.boxes), numeric)
            largest = np.max([np.abs(v) for v in values.values()], axis=0)
            slack = 1e-7 * (1e-3 + np.abs(numeric)) + 1e-12 * largest / step + 10 * np.abs(numeric - coarse)
            slack = slack + _noise(points, numeric) / step
            # Where the second derivative jumps, differences are good to two digits or three.
            slack = np.where(level == Smoothness.C1, np.maximum(slack, 2e-2 * np.abs(numeric)), slack)
            fine = (level >= Smoothness.C1) & np.isfinite(numeric) & (slack < 1e-3 + 2e-2 * np.abs(numeric))
            if row.name in SMOOTH_ALMOST_EVERYWHERE:
                with np.errstate(invalid="ignore"):
                    center = trial.value(points)
                    kink = np.abs(values[1] + values[-1] - 2 * center) + np.abs(values[3] + values[-3] - 2 * center)
                    fine = np.isfinite(numeric) & (slack < 1e-3) & (kink < 0.1 * step * np.abs(numeric))
                    slack = slack + kink / step
            fine &= _lift(_all(trial.inside(points)), numeric)
            wrong = fine & ~(np.abs(claimed - numeric) <= slack)
            assert not wrong.any(), f"derivative {claimed[wrong][0]}, differences {numeric[wrong][0]} at " \
                                    f"{_first(points, wrong)}"
            seen += int(fine.sum())
    assert seen >= 20, "the derivative was hardly tried"


SMOOTH_ALMOST_EVERYWHERE = frozenset({"eig_max", "eig_min", "norm_nuc", "norm_spec", "tv", "inv_matrix"})
"""Claimed nonsmooth on every box, and smooth at nearly every point: tried where differences agree well."""


def check_smoothness(row: Atom) -> None:
    """Along segments in a box no jump, kink or bend shows that the claim excludes."""
    if isinstance(row.derivative, Absent):
        return
    random = np.random.default_rng(6)
    for trial in trials(row):
        first, second = trial.sample(random), trial.sample(random)
        second = [s if i in trial.free else f for i, (f, s) in enumerate(zip(first, second, strict=True))]
        _try_segments(trial, first, second)
        # Through the origin, where the boxes reach both sides of it.
        mirrored = [np.clip(-f, box.lo, box.hi) if i in trial.free else f
                    for i, (f, box) in enumerate(zip(first, trial.boxes, strict=True))]
        _try_segments(trial, first, mirrored)


def _try_segments(trial: Trial, first: Any, second: Any) -> None:
    """The smoothness claims along the segments between two points of each box."""
    small = [np.all(np.abs(np.reshape(p, (trial.size, -1))) < 60, axis=1) for p in (*first, *second) if np.ndim(p)]
    small += [_all(trial.inside(first)), _all(trial.inside(second))]
    keep = np.flatnonzero(np.logical_and.reduce(small))
    boxes = trial.take(keep)
    start, end = ([p if plain else p[keep] for p, plain in zip(side, trial.plain, strict=True)]
                  for side in (first, second))
    direction = [e - s for s, e in zip(start, end, strict=True)]
    level = np.broadcast_to(boxes.rule("smoothness", boxes.boxes).reshape(boxes.size, -1).min(axis=1), boxes.size)

    def at(share: np.ndarray) -> list[Any]:
        return [s if np.ndim(s) == 0 else s + _lift(share, s) * d for s, d in zip(start, direction, strict=True)]

    def value(share: np.ndarray) -> np.ndarray:
        return _total(boxes.value(at(share)))

    def slope_at(points: list[Any]) -> np.ndarray:
        return _total(np.broadcast_to(boxes.gradient(points, direction), boxes.value(points).shape))

    def slope(share: np.ndarray) -> np.ndarray:
        # Not at the very ends, where a kink at the edge of the box shows as a subgradient.
        return slope_at(at(1e-7 + (1 - 2e-7) * share))

    def bend(share: np.ndarray) -> np.ndarray:
        # Away from the ends, where a function may bend ever more sharply and still smoothly.
        middle = 0.02 + 0.96 * share
        low, high = middle - 1e-6, middle + 1e-6
        return (slope(high) - slope(low)) / (high - low)

    for points in (start, end):
        wrong = (level >= Smoothness.C1) & np.isfinite(_total(boxes.value(points))) & ~np.isfinite(slope_at(points))
        assert not wrong.any(), f"no finite slope at {_first(points, wrong)}"
    least = np.full(boxes.size, 1e-3)
    with np.errstate(all="ignore"):
        steepness = least + np.abs(slope(np.full(boxes.size, 0.3))) + np.abs(slope(np.full(boxes.size, 0.7)))
    for what, f, excluded, widths, size in (
        ("jump", value, Smoothness.NONSMOOTH, (1e-9, 1e-12), least),
        ("kink", slope, Smoothness.C1, (1e-7, 1e-10), least),
        ("bend", bend, Smoothness.SMOOTH, (1e-4, 3e-6), steepness),
    ):
        wrong = (level >= excluded) & _has_jump(f, size, *widths)
        assert not wrong.any(), f"a {what} between {_first(start, wrong)} and {_first(end, wrong)}"


def _total(values: np.ndarray) -> np.ndarray:
    """One number for each box from a result of any shape."""
    flat = values.reshape(len(values), -1)
    return flat @ np.cos(np.arange(flat.shape[1]))


def _has_jump(f: Any, least: np.ndarray, wide: float, narrow: float) -> np.ndarray:
    """Whether f has a step somewhere on [0, 1]: at its steepest place, narrowed down, the change does not shrink.

    A grid finds the steepest stretch, bisection narrows it; nan (outside the domain) counts as no step, and so does
    what is small beside f and `least`.
    """
    count = len(least)
    grid = np.linspace(0, 1, 60)
    with np.errstate(all="ignore"):
        table = np.stack([f(np.full(count, t)) for t in grid])
        steps = np.nan_to_num(np.abs(np.diff(table, axis=0)), nan=0.0, posinf=0.0)
        place = steps.argmax(axis=0)
        low, high = grid[place], grid[place + 1]
        f_low, f_high = f(low), f(high)
        size = np.max(np.where(np.isfinite(table), np.abs(table), 0.0), axis=0)
        before = None
        while (high - low).max() > narrow:
            if before is None and (high - low).max() <= wide:
                before = np.abs(f_high - f_low)
            middle = (low + high) / 2
            f_middle = f(middle)
            left = ~(np.abs(f_high - f_middle) > np.abs(f_middle - f_low))
            low, f_low = np.where(left, low, middle), np.where(left, f_low, f_middle)
            high, f_high = np.where(left, middle, high), np.where(left, f_middle, f_high)
        after = np.abs(f_high - f_low)
        return (after > 1e-4 * (size + least)) & (after > 0.8 * before)


def check_cvxpy(row: Atom) -> None:
    """The lowering, evaluated by CVXPY inside its own domain, gives the kernel's values."""
    import cvxpy as cp

    if isinstance(row.lowering, Absent):
        assert row.lowering.reason
        return
    random = np.random.default_rng(7)
    seen = 0
    for trial in trials(row):
        points = trial.sample(random)
        keep = np.flatnonzero(_all(trial.inside(points)))
        trial, points = trial.take(keep), [p if np.ndim(p) == 0 else p[keep] for p in points]
        sets = _by_data(trial, points)
        for index in sets:
            chosen = [p if np.ndim(p) == 0 else p[index] for p in points]
            whole = trial.take(index)
            value = whole.value(chosen)
            arguments = [_lowered_argument(cp, whole, i, p) for i, p in enumerate(chosen)]
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                expression = row.lowering(cp, *arguments)
                got = np.asarray(expression.value, dtype=float)
                allowed = _allowed(expression, len(index))
            if row.acts_on == "arrays":
                value, allowed = value[0], allowed[:1]
            large = 1e100
            fine = np.isfinite(value) & (np.abs(value) < large)
            fine &= _lift(allowed, value) if row.acts_on != "arrays" else allowed.all()
            # CVXPY adds up in single steps and rounds exponents to fractions: nine digits.
            got = np.reshape(got, value.shape)
            with np.errstate(invalid="ignore"):
                wrong = fine & ~(np.abs(got - value) <= 1e-8 * np.abs(value) + 1e-9)
            assert not wrong.any(), f"CVXPY {got[wrong][0]}, kernel {value[wrong][0]}"
            seen += int(np.sum(fine))
    assert seen >= 5, "the lowering was hardly tried"


def _lowered_argument(cp: Any, trial: Trial, i: int, value: Any) -> Any:
    if np.ndim(value) == 0:
        return float(value)
    if trial.row.acts_on == "arrays":
        return np.asarray(value[0]) if trial.row.is_data(i) else cp.Constant(value[0])
    if trial.row.is_data(i):
        return float(value[0]) if trial.row.acts_on == "groups" or trial.row.name in ("pow", "huber") else value
    return cp.Constant(value)


def _by_data(trial: Trial, points: Any) -> list[np.ndarray]:
    """Which boxes go into one CVXPY expression: those with the same data; arrays one by one."""
    if trial.row.acts_on == "arrays":
        return [np.array([k]) for k in range(min(trial.size, 25))]
    data = [points[i] for i in range(len(points)) if trial.row.is_data(i)]
    if not data:
        return [np.arange(trial.size)]
    _, group = np.unique(np.stack(data), axis=1, return_inverse=True)
    return [np.flatnonzero(group == g) for g in range(group.max() + 1)]


def _allowed(expression: Any, count: int) -> np.ndarray:
    allowed = np.ones(count, dtype=bool)
    for constraint in expression.domain:
        violation = np.asarray(constraint.violation())
        if violation.ndim and len(violation) == count:
            allowed &= violation.reshape(count, -1).max(axis=1) <= 0
        else:
            allowed &= bool(np.max(violation) <= 1e-9)
    return allowed


def check_groups(row: Atom) -> None:
    """A reduction gives the same over an axis, over sorted and over shuffled segments, with ragged groups beside."""
    if row.acts_on != "groups":
        return
    random = np.random.default_rng(8)
    for trial in trials(row):
        values, *extra = trial.sample(random)
        count, members = values.shape
        expected = trial.value((values, *extra))
        segment = np.repeat(np.arange(count), members)
        for order in (np.arange(segment.size), random.permutation(segment.size)):
            groups = SegmentGroups(segment[order], count)
            got = row.kernel(values.ravel()[order], groups, *extra)
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12 * np.abs(values).max())
        trailing = SegmentGroups(segment, count, trailing=1)
        got = row.kernel(np.stack([values.ravel()] * 2, axis=1), trailing, *(e[:, None] for e in extra))
        np.testing.assert_allclose(got, np.stack([expected] * 2, axis=1), rtol=1e-12, atol=1e-12 * np.abs(values).max())
    nothing = SegmentGroups(np.array([1, 1]), 3)
    extra = [0.0] if row.name == "sum_largest" else row.examples[0][0][1:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = row.kernel(np.array([1.0, 1.0]), nothing, *extra)
    if row.empty is not None:
        assert got[0] == row.empty == got[2], "the value over no members is not the one claimed"
    else:
        assert not np.isfinite(got[0]), "a row without a value over no members computes one"


def check_pieces(row: Atom) -> None:
    """The affine pieces, put together, give the kernel's values; marks stand on rows that they fit."""
    random = np.random.default_rng(9)
    if row.pieces is None:
        return
    for trial in trials(row):
        points = trial.sample(random)
        data = [p for i, p in enumerate(points) if i not in trial.free]
        variable = [points[i] for i in trial.free]
        for index in [np.arange(trial.size), *(np.array([k]) for k in range(min(trial.size, 30)))]:
            form = row.pieces(len(variable), *(d[index] for d in data))
            if form is None:
                assert data, "pieces may be missing for some data only"
                continue
            lines = [sum(c * v[index] for c, v in zip(coefficients, variable, strict=True)) + constant
                     for coefficients, constant in form.pieces]
            pick = np.maximum if form.extreme == "max" else np.minimum
            got = pick.reduce(np.broadcast_arrays(*lines))
            np.testing.assert_allclose(got, trial.value(points)[index], rtol=1e-13, atol=1e-13)


QUADRATIC = {
    "square": lambda x: x * x,
    "huber": lambda x, m: np.where(np.abs(x) <= m, x * x, m * (2 * np.abs(x) - m)),
    "squared_difference": lambda a, b: (a - b) ** 2,
    "sum_squares": lambda x: (x * x).sum(axis=1),
    "quad_form": lambda x, p: np.stack([a @ b @ a for a, b in zip(x, p, strict=True)]),
}
FORMS = {
    "sum": lambda x: x.sum(axis=1),
    "mean": lambda x: x.mean(axis=1),
    "max": lambda x: x.max(axis=1),
    "min": lambda x: x.min(axis=1),
    "sum_abs": lambda x: np.abs(x).sum(axis=1),
    "max_abs": lambda x: np.abs(x).max(axis=1),
    "sum_squares": lambda x: (x * x).sum(axis=1),
    "sum_largest": lambda x, k: np.array([sum(sorted(v)[len(v) - int(c):]) for v, c in zip(x, k, strict=True)]),
}


def check_forms(row: Atom) -> None:
    """A mark (`reduction_form`, `quadratic_form`) stands on a row that computes that form."""
    random = np.random.default_rng(10)
    for mark, table in ((row.reduction_form, FORMS), (row.quadratic_form, QUADRATIC)):
        if mark is None:
            continue
        for trial in trials(row):
            points = trial.sample(random)
            value = trial.value(points)
            inside = trial.inside(points)
            expected = table[mark](*points)
            size = 1 + sum(np.abs(np.reshape(p, (trial.size, -1))).sum(axis=1) for p in points)
            wrong = inside & ~(np.abs(value - expected) <= 1e-12 * (size**3 + np.abs(expected)))
            assert not wrong.any(), f"not the form {mark} at {_first(points, wrong)}"


def check_latex(row: Atom) -> None:
    """The TeX has a place for each argument, and balanced braces."""
    count = max(row.arity[0], 1) if row.arity[1] is not None else row.arity[0] + 1
    text = row.render_latex(*(f"a_{{{k}}}" for k in range(count)))
    assert "#" not in text
    assert text.count("{") == text.count("}")
    assert all(f"a_{{{k}}}" in text for k in range(count))


def _first(points: Any, wrong: np.ndarray) -> list[Any]:
    """The first point where something is wrong, for the message."""
    place = np.argwhere(wrong)[0][0]
    return [np.asarray(p if np.ndim(p) == 0 else p[place]).tolist() for p in points]


CHECKS = (
    check_examples, check_domain, check_range, check_slope, check_curvature, check_derivative, check_smoothness,
    check_cvxpy, check_groups, check_pieces, check_forms, check_latex,
)
__all__ = ["CHECKS", "PATTERNS"]
