"""Compares what optdsl makes of a text with what the plain evaluator of `naive` makes of it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from naive import Functions, Grid, Naive, Outside

from optdsl.classify import Analysis, analyze
from optdsl.data.arrays import LabelArray
from optdsl.errors import OptError
from optdsl.language import parse
from optdsl.model import build
from optdsl.model.model import Constraint, Model
from optdsl.terms.lanes import Family

Member = tuple[Any, ...]


def model_of(text: str) -> Model:
    return build(parse(text, "test.opt"))


def keys_of(axes: Sequence[Any]) -> list[Member]:
    """All label tuples over the product of axes, in C order."""
    return [sum(parts, ()) for parts in itertools.product(*(axis.members() for axis in axes))]


def point_of(model: Model, columns: np.ndarray) -> dict[str, dict[Member, Any]]:
    """The values of all columns, by variable and label; `columns` may be (n,) or (n, points)."""
    return {name: dict(zip(keys_of(v.axes), v.entries(columns), strict=True)) for name, v in model.variables.items()}


def close(left: Any, right: Any) -> None:
    np.testing.assert_allclose(np.asarray(left, dtype=float), np.asarray(right, dtype=float), rtol=1e-9, atol=1e-8)


def slacks(model: Model, constraint: Constraint, columns: np.ndarray) -> dict[Member, list[float]]:
    """By instance the distance to every side, at least 0 where the instance holds; an equality has two sides."""
    lanes = model.lanes.with_values(columns)
    frame = model.lanes_of(constraint.over)
    found: list[np.ndarray] = []
    for relation in constraint.relations:
        body = lanes.full(relation.body, frame).reshape(-1)
        sides = {
            side: lanes.full(side, frame).reshape(-1) for side in (relation.lower, relation.upper) if side is not None
        }
        if relation.lower is not None:
            found.append(body - sides[relation.lower])
        if relation.upper is not None:
            found.append(sides[relation.upper] - body)
    keys = keys_of(constraint.axes)
    assert all(len(part) == len(keys) for part in found)
    return {key: [float(part[k]) for part in found] for k, key in enumerate(keys)}


def naive_slacks(ops: Sequence[str], operands: Sequence[Any]) -> list[Any]:
    """The same from the operands of a chain of comparisons."""
    found = []
    for op, left, right in zip(ops, operands[:-1], operands[1:], strict=True):
        found += {"<=": [right - left], ">=": [left - right], "=": [right - left, left - right]}[op]
    return found


def compare_data(model: Model, naive: Naive) -> None:
    """Declared sets, families and parameters."""
    for name, declaration in naive.declared.items():
        kind = type(declaration).__name__
        if kind == "SetDecl":
            value, expected = model.sets[name], naive.set(name)
            if isinstance(value, Family):
                found: dict[Member, list[Member]] = {}
                for row in value.tuples.members():
                    found.setdefault(row[: value.index_width], []).append(row[value.index_width :])
                assert found == {k: v for k, v in expected.items() if v}, name
            else:
                assert value.members() == expected, name
        elif kind == "ParamDecl":
            array = model.parameters[name]
            keys = keys_of(array.axes)
            assert sorted(keys, key=str) == sorted(naive.keys(name), key=str), name
            if isinstance(array, LabelArray):
                assert [array.labels.at(k) for k in range(len(keys))] == [naive.entry(name, key) for key in keys], name
            else:
                close(array.dense().reshape(-1), [naive.entry(name, key) for key in keys])
        elif kind == "VarDecl":
            variable = model.variables[name]
            keys, bounds = keys_of(variable.axes), naive.bounds(name)
            assert set(keys) == set(bounds) and len(keys) == len(bounds), name
            if variable.columns is None:
                close(np.broadcast_to(variable.lower, variable.size), [bounds[key][0] for key in keys])
                close(np.broadcast_to(variable.upper, variable.size), [bounds[key][1] for key in keys])


def compare_statements(model: Model, naive: Naive, columns: np.ndarray) -> None:
    """Lets, objective and constraints at a point, lane by lane."""
    lanes = model.lanes.with_values(columns)
    for name, let in model.lets.items():
        try:
            expected = naive.let(name)
        except Outside:
            continue  # what a name stands for matters where it is used
        frame = model.lanes_of(let.over)
        value = lanes.full(let.body, frame).reshape(-1)
        if isinstance(expected, Grid):
            by_label = {expected.labels(k): v for k, v in expected.at.items()}
            assert by_label.keys() == set(keys_of(let.axes)), name
            close(value, [by_label[key] for key in keys_of(let.axes)])
        else:
            close(value, [expected])
    if model.objective is not None:
        close(lanes.numbers(model.objective.body, model.lanes_of(_nothing())).reshape(-1)[0], naive.objective())
    statements = list(naive.constraints())
    assert len(statements) == len(model.constraints)
    for constraint, (name, ops, instances) in zip(model.constraints, statements, strict=True):
        found = slacks(model, constraint, columns)
        assert found.keys() == instances.keys(), name
        for key, operands in instances.items():
            close(sorted(found[key]), sorted(naive_slacks(ops, operands)))


def _nothing() -> Any:
    from optdsl.terms import nodes

    return nodes.over(())


class Cancelled(Exception):
    """A mistake stands where nothing asks for its value: `0 * x[9]`, a row of an array literal that is not picked."""


def assert_agreement(text: str, seed: int = 0) -> Model | None:
    """Everything in the text has the same meaning for both; where optdsl finds a mistake, so must the plain evaluator.

    Raises Cancelled where only the plain evaluator, which computes everything, finds one.
    """
    try:
        model = model_of(text)
        analysis = analyze(model)
    except OptError as error:
        try:
            everything(text)
        except Outside:
            return None
        raise AssertionError(f"refused, but it has a meaning: {error}") from None
    columns = np.random.default_rng(seed).uniform(-3, 3, model.columns).round(3)
    try:
        naive = Naive(text, point_of(model, columns))
        compare_data(model, naive)
        compare_statements(model, naive, columns)
        compare_arrays(text, analysis)
    except Outside as mistake:
        raise Cancelled(str(mistake)) from mistake
    return model


def everything(text: str) -> None:
    """Evaluate all that a text says, with 1 for every entry of a variable."""
    blank = Naive(text, {})
    ones = {n: dict.fromkeys(blank.keys(n), 1.0) for n, d in blank.declared.items() if type(d).__name__ == "VarDecl"}
    naive = Naive(text, ones)
    for name, declaration in naive.declared.items():
        kind = type(declaration).__name__
        if kind == "SetDecl":
            naive.set(name)
        elif kind == "ParamDecl":
            for key in naive.keys(name):
                naive.entry(name, key)
        elif kind == "VarDecl":
            naive.bounds(name)
    naive.objective()
    list(naive.constraints())


# ---------------------------------------------------------------------------------------------------------- the arrays


def compare_arrays(text: str, analysis: Analysis) -> None:
    """The rows and the objective of a model without auxiliary variables, against many points at once."""
    if analysis.refusal or len(analysis.auxiliary_lower):
        return
    model = analysis.model
    n = model.columns
    generator = np.random.default_rng(1)
    points = generator.uniform(-2, 2, (n, 4))
    naive = Naive(text, point_of(model, points))
    by_constraint: dict[int, list[Any]] = {}
    for block in analysis.blocks:
        by_constraint.setdefault(block.constraint, []).append(block)
    for number, (name, ops, instances) in enumerate(naive.constraints()):
        found: list[np.ndarray] = []
        for block in by_constraint.get(number, []):
            values = block.matrix @ points
            found += [values - block.lower[:, None], block.upper[:, None] - values]
        for row, key in enumerate(keys_of(model.constraints[number].axes)):
            operands = instances[key]
            expected = [np.broadcast_to(s, 4) for s in naive_slacks(ops, operands)]
            expected = [s for s in expected if np.isfinite(s).all()]
            mine = [f[row] for f in found if np.isfinite(f[row]).all()]
            assert len(mine) == len(expected), name
            close(np.sort(mine, axis=0), np.sort(expected, axis=0))
    objective = analysis.objective
    if objective is None:
        return
    value = objective.cost @ points + objective.constant
    if objective.quadratic is not None:
        value = value + quadratic_values(objective.quadratic, points)
    close(np.broadcast_to(value, 4), np.broadcast_to(naive.objective(), 4))


def quadratic_values(quadratic: Any, points: np.ndarray) -> np.ndarray:
    """½ x'Px + Σ w (Fx + g)² at each column of `points`."""
    value = np.zeros(points.shape[1])
    if quadratic.hessian is not None:
        dense = sp.csc_array(quadratic.hessian).toarray()
        assert np.allclose(dense, dense.T)
        value += 0.5 * np.einsum("ip,ij,jp->p", points, dense, points)
    if quadratic.matrix is not None:
        inner = quadratic.matrix @ points + quadratic.offset[:, None]
        value += (quadratic.weights[:, None] * inner**2).sum(0)
    return value


def linear_program(text: str, model: Model) -> dict[str, Any]:
    """The text's linear program for SciPy, found by evaluating it at 0 and at all unit vectors."""
    n = model.columns
    points = np.hstack([np.zeros((n, 1)), np.eye(n)])
    naive = Naive(text, point_of(model, points), Functions())

    def affine(value: Any) -> tuple[np.ndarray, float]:
        full = np.broadcast_to(np.asarray(value, dtype=float), n + 1)
        return full[1:] - full[0], float(full[0])

    cost, constant = affine(naive.objective())
    rows, lower, upper = [], [], []
    for _, ops, instances in naive.constraints():
        for operands in instances.values():
            for op, left, right in zip(ops, operands[:-1], operands[1:], strict=True):
                row, at_zero = affine(left - right)
                rows.append(row)
                lower.append(-np.inf if op == "<=" else -at_zero)
                upper.append(np.inf if op == ">=" else -at_zero)
    return {
        "cost": cost,
        "constant": constant,
        "matrix": np.array(rows).reshape(len(rows), n),
        "lower": np.array(lower),
        "upper": np.array(upper),
    }


def violation(text: str, model: Model, columns: np.ndarray) -> tuple[float, float]:
    """The worst violation of any constraint at a point, by the plain evaluator; and the objective there."""
    naive = Naive(text, point_of(model, columns))
    worst = 0.0
    for _, ops, instances in naive.constraints():
        for operands in instances.values():
            scale = max([1.0, *(abs(float(o)) for o in operands if np.isfinite(o))])
            worst = max([worst, *(-slack / scale for slack in naive_slacks(ops, operands))])
    return worst, float(naive.objective())


def named(points: Mapping[str, Mapping[Member, Any]]) -> dict[str, dict[Member, Any]]:
    return {name: dict(entries) for name, entries in points.items()}
