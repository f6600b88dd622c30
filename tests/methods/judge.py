"""An independent judge of answers: first-order conditions from the problem alone, in the signs of `optdsl.nlp`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optdsl.nlp import Nlp


@dataclass(frozen=True)
class Residuals:
    """Largest violation of rows and bounds; of stationarity; of signs and complementarity.

    The first is relative to max(1, |value|, the largest |derivative x value| in the row), the others to the largest
    multiplier and gradient entry.
    """

    primal: float
    dual: float
    complementarity: float


def residuals(problem: Nlp, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Residuals:
    """The residuals of the conditions of Karush, Kuhn and Tucker at a point with multipliers of rows and bounds."""
    with np.errstate(all="ignore"):
        values = problem.constraints(x)
        gradient = problem.gradient(x)
        jacobian = problem.jacobian_pattern.matrix(problem.jacobian(x))
    size = max(1.0, np.abs(y).max(initial=0.0), np.abs(z).max(initial=0.0), np.abs(gradient).max(initial=0.0))
    dual = gradient + jacobian.T @ y + z
    terms = abs(jacobian * x).max(axis=1).toarray().ravel() if len(y) and jacobian.nnz else np.zeros(len(y))
    sides = (
        (values, problem.row_lower, problem.row_upper, y, terms),
        (x, problem.lower, problem.upper, z, np.zeros(len(x))),
    )
    primal, slackness = 0.0, 0.0
    for at, lower, upper, multipliers, parts in sides:
        if not len(at):
            continue
        outside = np.maximum(lower - at, at - upper)
        scale = np.maximum(np.maximum(1.0, np.abs(at)), parts)
        primal = max(primal, float((np.maximum(outside, 0.0) / scale).max()))
        to_upper, to_lower = np.maximum(multipliers, 0.0), np.maximum(-multipliers, 0.0)
        gap_upper = np.where(np.isfinite(upper), np.abs(upper - at) / scale, 1.0)
        gap_lower = np.where(np.isfinite(lower), np.abs(at - lower) / scale, 1.0)
        slackness = max(slackness, float(np.maximum(to_upper * gap_upper, to_lower * gap_lower).max()))
    return Residuals(primal, float(np.abs(dual).max(initial=0.0)) / size, slackness / size)


def least_violation_certificate(problem: Nlp, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> float:
    """How far y'J + z is from 0 beside the size of y: near 0 at a point that is stationary for the violation."""
    jacobian = problem.jacobian_pattern.matrix(problem.jacobian(x))
    return float(np.abs(jacobian.T @ y + z).max(initial=0.0) / max(1e-300, np.abs(y).max(initial=0.0)))
