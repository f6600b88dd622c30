"""Programs with cones for the tests, by hand and at random, and a judge of first-order conditions of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from optdsl.convex.program import AffineRows, Cone, ConeKind, Program

from .problems import gradient, inf, make, optimality

NORM, SQUARE, EXPONENTIAL = ConeKind.NORM, ConeKind.SQUARE, ConeKind.EXPONENTIAL
POWER, SEMIDEFINITE = ConeKind.POWER, ConeKind.SEMIDEFINITE


def rows(matrix: Any, offset: Any = None) -> AffineRows:
    """Affine rows from nested lists; no offset: zeros."""
    dense = np.atleast_2d(np.asarray(matrix, dtype=float))
    constant = np.zeros(len(dense)) if offset is None else np.asarray(offset, dtype=float).reshape(-1)
    return AffineRows(sp.csr_array(dense), constant)


def unit(count: int, *columns: int) -> np.ndarray:
    """Rows of the unit matrix."""
    return np.eye(count)[list(columns)]


def cone(kind: ConeKind, *parts: AffineRows, exponent: Any = None, size: int = 0) -> Cone:
    if kind is NORM and not size:
        size = len(parts[1].offset) // len(parts[0].offset)
    return Cone(kind, parts, None if exponent is None else np.asarray(exponent, dtype=float), size)


def free(cost: Any, *cones: Cone, matrix: Any = (), sides: Any = (), **more: Any) -> Program:
    """A program with cones whose variables have no bounds, unless given."""
    bounds = more.pop("bounds", [(-inf, inf)] * len(cost))
    return replace(make(matrix, cost, sides, bounds, **more), cones=cones)


WIDTHS = {NORM: 3, SQUARE: 3, EXPONENTIAL: 3, POWER: 3, SEMIDEFINITE: 3}


def interior(kind: ConeKind, rng: np.random.Generator, lanes: int, exponent: np.ndarray) -> tuple[np.ndarray, ...]:
    """Values of the parts well inside of the cone, flat."""
    if kind is NORM:
        u = rng.normal(size=(lanes, 2))
        return np.linalg.norm(u, axis=1) + 0.5 + rng.random(lanes), u.reshape(-1)
    a, b = 0.5 + rng.random(lanes), 0.5 + rng.random(lanes)
    sign = rng.choice([-1.0, 1.0], lanes)
    if kind is SQUARE:
        return 0.7 * sign * np.sqrt(a * b), a, b
    if kind is EXPONENTIAL:
        x = rng.normal(size=lanes)
        return x, a, a * np.exp(x / a) + b
    if kind is POWER:
        return a, b, 0.7 * sign * a**exponent * b ** (1 - exponent)
    root = rng.normal(size=(lanes, 3, 3))
    return ((root @ root.transpose(0, 2, 1) + 0.3 * np.eye(3)).reshape(-1),)


def random_cones(
    seed: int, kinds: tuple[ConeKind, ...], count: int = 6, lanes: int = 3, quadratic: bool = False
) -> Program:
    """A strictly feasible program within bounds, with rows, and with cones through an interior point."""
    rng = np.random.default_rng(seed)
    point = rng.normal(size=count)
    dense = rng.normal(size=(3, count))
    activity = dense @ point
    sides = np.stack([activity - rng.random(3), activity + rng.random(3)], axis=1)
    sides[0] = activity[0]
    sides[1, 0] = -inf
    bounds = np.stack([point - 1 - rng.random(count), point + 1 + rng.random(count)], axis=1)
    program = make(dense, rng.normal(size=count), sides, bounds, constant=1.5)
    cones = []
    for kind in kinds:
        exponent = 0.2 + 0.6 * rng.random(lanes)
        values = interior(kind, rng, lanes, exponent)
        parts = []
        for flat in values:
            matrix = rng.normal(size=(len(flat), count)) * (rng.random((len(flat), count)) < 0.7)
            if kind is SEMIDEFINITE:
                blocks = matrix.reshape(lanes, 3, 3, count)
                matrix = ((blocks + blocks.transpose(0, 2, 1, 3)) / 2).reshape(-1, count)
            parts.append(rows(matrix, flat - matrix @ point))
        size = 2 if kind is NORM else 3 if kind is SEMIDEFINITE else 0
        cones.append(Cone(kind, tuple(parts), exponent if kind is POWER else None, size))
    program = replace(program, cones=tuple(cones))
    if quadratic:
        half = rng.normal(size=(count // 2, count))
        program = replace(program, hessian=sp.csc_array(half.T @ half))
    return program


def outside(program: Program, x: np.ndarray) -> float:
    """How far the cones are from holding, by their definitions."""
    worst = 0.0
    for one in program.cones:
        values = [part.matrix @ x + part.offset for part in one.parts]
        worst = max(worst, float(violation_of(one, values).max(initial=0.0)))
    return worst


def violation_of(one: Cone, values: list[np.ndarray]) -> np.ndarray:
    """The inequality of each lane, as the kind's sentence has it."""
    lanes = one.lanes
    if one.kind is NORM:
        return np.linalg.norm(values[1].reshape(lanes, -1), axis=1) - values[0]
    if one.kind is SQUARE:
        u, v, w = values
        return np.maximum(np.maximum(-v, -w), np.abs(u) - np.sqrt(np.maximum(v, 0) * np.maximum(w, 0)))
    if one.kind is EXPONENTIAL:
        x, y, z = values
        with np.errstate(all="ignore"):
            curve = np.where(y > 1e-9, y * np.exp(np.minimum(x / y, 100)) - z, np.maximum(x, -z))
        return np.maximum(-y, curve)
    if one.kind is POWER:
        x, y, z = values
        reach = np.maximum(x, 0) ** one.exponent * np.maximum(y, 0) ** (1 - one.exponent)
        return np.maximum(np.maximum(-x, -y), np.abs(z) - reach)
    return -np.linalg.eigvalsh(values[0].reshape(lanes, one.size, one.size))[:, 0]


def outside_dual(one: Cone, duals: tuple[np.ndarray, ...], rng: np.random.Generator) -> float:
    """The most negative product of the multipliers with sampled points of the cone (by definition 0 or more)."""
    worst = 0.0
    for _ in range(200):
        scale = np.exp(3 * rng.normal(size=one.lanes))
        exponent = np.zeros(one.lanes) if one.exponent is None else one.exponent
        values = near_edge(one, rng, exponent)
        products = sum(
            (dual.reshape(one.lanes, -1) * value.reshape(one.lanes, -1)).sum(axis=1)
            for dual, value in zip(duals, values, strict=True)
        )
        size = sum(np.abs(value.reshape(one.lanes, -1)).sum(axis=1) for value in values)
        worst = min(worst, float((scale * products / (scale * np.maximum(size, 1e-300))).min(initial=0.0)))
    return -worst


def near_edge(one: Cone, rng: np.random.Generator, exponent: np.ndarray) -> tuple[np.ndarray, ...]:
    """Points on the edge of the cone, flat."""
    lanes = one.lanes
    a, b = np.exp(2 * rng.normal(size=lanes)), np.exp(2 * rng.normal(size=lanes))
    sign = rng.choice([-1.0, 1.0], lanes)
    if one.kind is NORM:
        u = rng.normal(size=(lanes, one.size))
        return np.linalg.norm(u, axis=1), u.reshape(-1)
    if one.kind is SQUARE:
        return sign * np.sqrt(a * b), a, b
    if one.kind is EXPONENTIAL:
        x = 3 * rng.normal(size=lanes) * a
        return x, a, a * np.exp(x / a)
    if one.kind is POWER:
        return a, b, sign * a**exponent * b ** (1 - exponent)
    v = rng.normal(size=(lanes, one.size))
    return ((v[:, :, None] * v[:, None, :]).reshape(-1),)


def cone_optimality(program: Program, answer: Any) -> float:
    """The largest violation of the first-order conditions: stationarity, signs, complementarity, dual cones."""
    rng = np.random.default_rng(0)
    pressed = np.zeros(len(program.cost))
    worst = 0.0
    for one, duals in zip(program.cones, answer.cone_duals, strict=True):
        product = np.zeros(one.lanes)
        for part, dual in zip(one.parts, duals, strict=True):
            pressed += part.matrix.T @ dual
            value = part.matrix @ answer.x + part.offset
            product += (dual * value).reshape(one.lanes, -1).sum(axis=1)
        worst = max(worst, float(np.abs(product).max(initial=0.0)), outside_dual(one, duals, rng))
    # what the cones press on is the rest of the gradient that rows and bounds must balance
    rest = replace(program, cost=gradient(program, answer.x) - pressed, hessian=None, squares=None, cones=())
    return max(worst, optimality(rest, answer.x, answer.row_dual, answer.reduced_cost))
