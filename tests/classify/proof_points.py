"""Points of a model's domain D, and the values of texts there: the naive evaluator for many points at once."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from naive import Grid, Member, Naive, Outside, listed
from scipy.optimize import linprog
from scipy.special import erf, expit

from optdsl.data.arrays import LabelArray
from optdsl.data.members import SetValue, column_list
from optdsl.language import parse, tree
from optdsl.model import build

LARGEST = 20_000
INLINE = re.compile(r"(\w+)#(\d+)")
BOUND = re.compile(r"(\w+)\.(lower|upper)\[")
AT = re.compile(r"(\w+)\.at\(")
Point = Mapping[str, Mapping[Member, np.ndarray]]


def _xlogx(x: Any) -> Any:
    return np.where(x == 0, 0.0, x * np.log(x))


def _rel_entr(x: Any, y: Any) -> Any:
    return np.where(x == 0, 0.0 * y, x * np.log(x / y))


def _power(x: Any, p: Any) -> Any:
    """x^p: the ordinary power for whole p, else for x >= 0."""
    return np.power(np.asarray(x, dtype=float), float(p))


ENTRYWISE = {
    "exp": np.exp, "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "expm1": np.expm1,
    "sqrt": np.sqrt, "cbrt": np.cbrt, "sign": np.sign, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "erf": erf, "inv": lambda x: 1.0 / x, "floor": np.floor, "ceil": np.ceil, "pow": _power, "sigmoid": expit,
    "softplus": lambda x: np.logaddexp(0.0, x), "hypot": np.hypot, "entr": lambda x: -_xlogx(x), "xlogx": _xlogx,
    "rel_entr": _rel_entr, "kl_div": lambda x, y: _rel_entr(x, y) - x + y, "silu": lambda x: x * expit(x),
    "elu": lambda x, a: np.where(x > 0, x, a * np.expm1(np.minimum(x, 0))), "atan2": np.arctan2,
    "gelu": lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2))),
    "poisson_nll": lambda x, k: np.exp(x) - k * x,
    "binary_cross_entropy": lambda x, t: np.logaddexp(0.0, x) - t * x,
}  # fmt: skip


def _each_point(function: Any) -> Any:
    """A function of a matrix at every point."""

    def run(*grids: Any) -> Any:
        arrays = [_stacked(g) for g in grids]
        count = max(a.shape[-1] for a in arrays)
        full = [np.broadcast_to(a, (*a.shape[:-1], count)) for a in arrays]
        return np.array([function(*(a[..., k] for a in full)) for k in range(count)])

    return run


def _stacked(grid: Any) -> np.ndarray:
    if not isinstance(grid, Grid):
        return np.atleast_1d(np.asarray(grid, dtype=float))
    shape = tuple(len(a.members) for a in grid.axes)
    values = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, dtype=float)) for v in listed(grid)))
    return np.array(values).reshape(*shape, -1)


def _log_det(x: np.ndarray) -> float:
    sign, value = np.linalg.slogdet(x)
    return float(value) if sign > 0 and np.linalg.eigvalsh(x)[0] > 0 else math.nan


def _tv(x: np.ndarray) -> float:
    if x.ndim == 1:
        return float(np.abs(np.diff(x)).sum())
    down, right = x[1:, :-1] - x[:-1, :-1], x[:-1, 1:] - x[:-1, :-1]
    return float(np.hypot(down, right).sum())


MATRICES = {
    "eig_max": lambda x: np.linalg.eigvalsh(x)[-1], "eig_min": lambda x: np.linalg.eigvalsh(x)[0],
    "log_det": _log_det, "norm_nuc": lambda x: np.linalg.norm(x, "nuc"), "norm_spec": lambda x: np.linalg.norm(x, 2),
    "norm_fro": np.linalg.norm, "matrix_frac": lambda x, p: x @ np.linalg.solve(p, x), "tv": _tv,
    "quad_over_lin": lambda x, y: (x @ x) / y[()] if np.ndim(y) == 0 else (x @ x) / float(np.squeeze(y)),
}  # fmt: skip


class Values(Naive):
    """The naive evaluator with every function, for vectors of points."""

    def function(self, name: str, *a: Any) -> Any:
        if name in ENTRYWISE:
            return ENTRYWISE[name](*a)
        return super().function(name, *a)

    def reduced(self, name: str, values: list[Any], extra: list[Any]) -> Any:
        if name in ("sum", "sumsq", "norm1", "prod") and not values:
            return 1.0 if name == "prod" else 0.0
        match name:
            case "logsumexp":
                return reduce(np.logaddexp, values)
            case "geo_mean":
                inside = np.all([np.asarray(v) >= 0 for v in values], axis=0)
                return np.where(inside, np.exp(sum(np.log(v) for v in values) / len(values)), np.nan)
            case "harmonic_mean":
                inside = np.all([np.asarray(v) >= 0 for v in values], axis=0)
                return np.where(inside, len(values) / sum(1.0 / np.asarray(v, dtype=float) for v in values), np.nan)
            case "norm" if extra[0] not in (1, 2, math.inf):
                return sum(np.abs(v) ** float(extra[0]) for v in values) ** (1.0 / float(extra[0]))
        return super().reduced(name, values, extra)

    def _binary(self, node: tree.Binary, env: Any) -> Any:
        if node.op == "^":
            left, right = self.value(node.left, env), self.value(node.right, env)
            if not isinstance(left, Grid) and not isinstance(right, Grid) and np.ndim(right) == 0:
                return _power(left, right)
        return super()._binary(node, env)

    def _call(self, node: tree.Call, env: Any) -> Any:
        if node.name == "member_at":
            member = self.members(node.args[1], env)[int(self.value(node.args[0], env)) - 1]
            return member[0] if len(member) == 1 else member
        if node.name in MATRICES and node.domain is None:
            return _each_point(MATRICES[node.name])(*(self.value(a, env) for a in node.args))
        if node.name in ("logsumexp", "geo_mean", "harmonic_mean") and node.domain is None and not node.keywords:
            grid = self.value(node.args[0], env)
            return self.reduced(node.name, listed(grid), [])
        return super()._call(node, env)

    def _subscript(self, node: tree.Subscript, env: Any) -> Any:
        if isinstance(node.base, tree.Name) and node.base.name.endswith("_inline"):
            key = tuple(part for index in node.indices for part in self.labels(index, env))
            return self.entries[node.base.name, key]
        return super()._subscript(node, env)


@dataclass(frozen=True)
class Data:
    """What a text's data is once it is bound: sets, parameters, bounds of the variables."""

    sets: Mapping[str, Any]
    entries: Mapping[tuple[str, Member], Any]
    bounds: Mapping[str, Mapping[Member, tuple[float, float]]]
    flags: Mapping[str, frozenset[str]]

    @staticmethod
    def of(text: str, folder: Path) -> Data:
        model = build(parse(text, "test.opt"), folder=folder)
        sets: dict[str, Any] = {}
        for name, value in model.sets.items():
            if isinstance(value, SetValue):
                sets[name] = value.members()
                continue
            index = sets[name] = {key: [] for key in _keys(value.axes)}
            for member in value.tuples.members():
                index[member[: value.index_width]].append(member[value.index_width :])
        entries: dict[tuple[str, Member], Any] = {}
        for name, value in model.parameters.items():
            keys = _keys(value.axes)
            if len(keys) > LARGEST:
                continue
            flat = column_list(value.labels) if isinstance(value, LabelArray) else value.dense().reshape(-1).tolist()
            entries.update({(_plain(name), key): v for key, v in zip(keys, flat, strict=True)})
        bounds, flags = {}, {}
        for variable in model.variables.values():
            column = variable.columns if variable.columns is not None else variable.offset + np.arange(variable.size)
            ends = [end[column - variable.offset] for end in (variable.lower, variable.upper)]
            pairs = list(zip(*(e.tolist() for e in ends), strict=True))
            bounds[variable.name] = dict(zip(_keys(variable.axes), pairs, strict=True))
            for side, name in enumerate(("lower", "upper")):
                values = {(f"{variable.name}_{name}_inline", key): p[side] for key, p in bounds[variable.name].items()}
                entries.update(values)
            flags[variable.name] = variable.attributes
        return Data(sets, entries, bounds, flags)

    @property
    def size(self) -> int:
        return sum(len(b) for b in self.bounds.values())

    def at(self, file: tree.File, point: Point) -> Values:
        """The evaluator of a text of this data, at some points."""
        values = Values(file, point)
        values.sets.update(self.sets)
        values.entries.update(self.entries)
        return values


def _keys(axes: Sequence[SetValue]) -> list[Member]:
    return [sum(parts, ()) for parts in itertools.product(*(axis.members() for axis in axes))]


def _plain(name: str) -> str:
    """A name for an array that is written where it is used, that the grammar reads."""
    return INLINE.sub(r"\1_\2_inline", name)


def readable(part: str) -> str:
    """The text of a step with such names, and members at places as calls that the grammar reads."""
    text = BOUND.sub(r"\1_\2_inline[", INLINE.sub(r"\1_\2_inline", part))
    while (found := AT.search(text)) is not None:
        depth, end = 1, found.end()
        while depth:
            depth += (text[end] == "(") - (text[end] == ")")
            end += 1
        text = f"{text[: found.start()]}member_at({text[found.end() : end - 1]}, {found.group(1)}){text[end:]}"
    return text


# ------------------------------------------------------------------------------------------------------------ points


def points_of(file: tree.File, data: Data, affine: Sequence[str] = (), count: int = 24, seed: int = 0) -> Point:
    """`count` points inside the bounds that satisfy the constraints named in `affine`."""
    random = np.random.default_rng(seed)
    point = {name: _sampled(entries, data.flags[name], count, random) for name, entries in data.bounds.items()}
    if affine and not any(data.flags.values()):
        moved = _satisfying(file, data, affine, count, random)
        if moved is not None:
            return moved
    return point


def _sampled(
    bounds: Mapping[Member, tuple[float, float]], flags: Collection[str], count: int, random: np.random.Generator
) -> dict[Member, np.ndarray]:
    found: dict[Member, np.ndarray] = {}
    scales = random.choice([0.3, 1.0, 3.0], size=count)
    for key, (low, high) in bounds.items():
        if math.isfinite(low) and math.isfinite(high):
            values = low + (high - low) * np.clip(random.uniform(-0.1, 1.1, count), 0, 1)
        elif math.isfinite(low) or math.isfinite(high):
            size = np.abs(random.normal(size=count)) * scales
            values = low + size if math.isfinite(low) else high - size
        else:
            values = random.normal(size=count) * scales
        found[key] = values
    if set(flags) & {"symmetric", "psd", "nsd"}:
        _symmetric(found, flags, count, random)
    return found


def _symmetric(
    found: dict[Member, np.ndarray], flags: Collection[str], count: int, random: np.random.Generator
) -> None:
    rows = list(dict.fromkeys(key[: len(key) // 2] for key in found))
    n = len(rows)
    root = random.normal(size=(count, n, n))
    matrix = root @ root.transpose(0, 2, 1) if set(flags) & {"psd", "nsd"} else root + root.transpose(0, 2, 1)
    if "nsd" in flags:
        matrix = -matrix
    for i, one in enumerate(rows):
        for j, two in enumerate(rows):
            found[one + two] = matrix[:, i, j]


def _read(naive: Naive, names: Sequence[str]) -> Iterator[tuple[tuple[str, ...], dict[Member, list[Any]]]]:
    """Operators and operands of constraints by name, without those that data leave undefined."""
    for name in names:
        try:
            yield from ((ops, instances) for _, ops, instances in naive.constraints((name,)))
        except ZeroDivisionError:
            continue


def _satisfying(
    file: tree.File, data: Data, affine: Sequence[str], count: int, random: np.random.Generator
) -> Point | None:
    """Random points of the polyhedron: averages of vertices that random objectives are least at."""
    bounds = data.bounds
    keys = [(name, key) for name, entries in bounds.items() for key in entries]
    n = len(keys)
    if n > 150:
        return None
    probe = np.zeros((n, n + 1))
    probe[:, 1:] = np.eye(n)
    naive = data.at(file, _as_point(keys, probe))
    above, equal = ([], []), ([], [])  # type: ignore[var-annotated]
    for ops, instances in _read(naive, affine):
        for operands in instances.values():
            for left, op, right in zip(operands, ops, operands[1:], strict=False):
                gap = np.broadcast_to(np.asarray(left - right, dtype=float), (n + 1,))
                row, side = gap[1:] - gap[0], -gap[0]
                if not np.isfinite(gap).all():
                    continue
                target = equal if op in ("=", "==") else above
                sign = -1.0 if op == ">=" else 1.0
                target[0].append(sign * row)
                target[1].append(sign * side)
    box = [
        (max(low, -6.0) if low < 6 else low, min(high, 6.0) if high > -6 else high)
        for name, key in keys
        for low, high in [bounds[name][key]]
    ]
    vertices = []
    for _ in range(10):
        found = linprog(
            random.normal(size=n), above[0] or None, above[1] or None, equal[0] or None, equal[1] or None, box
        )
        if found.status == 0:
            vertices.append(found.x)
    if not vertices:
        return None
    weights = random.dirichlet(np.full(len(vertices), 0.5), size=count)
    return _as_point(keys, (weights @ np.array(vertices)).T)


def _as_point(keys: Sequence[tuple[str, Member]], values: np.ndarray) -> Point:
    found: dict[str, dict[Member, np.ndarray]] = {}
    for (name, key), row in zip(keys, values, strict=True):
        found.setdefault(name, {})[key] = row
    return found


def defined(file: tree.File, data: Data, point: Point, wanted: int) -> Point | None:
    """The first points at which every statement has a value; None where there are fewer than four."""
    count = len(next(iter(next(iter(point.values())).values())))
    values = data.at(file, point)
    fine = np.ones(count, dtype=bool)
    with np.errstate(all="ignore"):
        try:
            fine &= ~np.isnan(np.broadcast_to(np.asarray(values.objective(), dtype=float), (count,)))
            for _, ops, instances in values.constraints():
                if not set(ops) & {">>", "<<"}:
                    for operand in (o for operands in instances.values() for o in operands):
                        fine &= ~np.isnan(np.broadcast_to(np.asarray(operand, dtype=float), (count,)))
        except (AssertionError, KeyError, TypeError, ZeroDivisionError, Outside):
            pass  # a function that is not read: then everything counts as defined
    chosen = np.flatnonzero(fine)[:wanted]
    return None if len(chosen) < 4 else mixed(point, np.eye(count)[:, chosen])


def joined(*points: Point) -> Point:
    """Points one after the other."""
    return {
        name: {key: np.concatenate([p[name][key] for p in points]) for key in entries}
        for name, entries in points[0].items()
    }


def mixed(point: Point, weights: np.ndarray) -> Point:
    """Combinations of the points, weights (points, new points)."""
    return {name: {key: value @ weights for key, value in entries.items()} for name, entries in point.items()}
