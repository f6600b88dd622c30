"""The textbook's convex functions, written down for the proof checker alone.

Sources: Boyd and Vandenberghe (2004), sections 3.1.5 and 3.2; Grant, Boyd and Ye (2006). A shape is a curvature
(`convex`, `concave`, `affine`, `neither`) and how the function moves in each argument (`up`, `down`, `either`), on the
box that the arguments are known to lie in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .proof_points import ENTRYWISE

Box = tuple[float, float]
Shape = tuple[str, tuple[str, ...]]


def composed(shape: Shape, words: Sequence[str | None]) -> str:
    """The curvature of a function of arguments with these curvatures (None: data), by the composition rule."""
    own, slopes = shape
    found = []
    for target, opposite in (("convex", "concave"), ("concave", "convex")):
        fits = own in (target, "affine") and all(
            word in (None, "affine") or (slope == "up" and word == target) or (slope == "down" and word == opposite)
            for word, slope in zip(words, slopes, strict=True)
        )
        if fits:
            found.append(target)
    return "affine" if len(found) == 2 else found[0] if found else "unknown"


def _by_sign(box: Box) -> str:
    return "up" if box[0] >= 0 else "down" if box[1] <= 0 else "either"


def _power(x: Box, p: Box) -> Shape:
    n = p[0]
    if n in (0, 1):
        return "affine", ("up", "either")
    if n != int(n):
        curvature = "concave" if 0 < n < 1 else "convex"
        return curvature, ("up" if n > 0 else "down", "either")
    even = int(n) % 2 == 0
    if n > 0 and even:
        return "convex", (_by_sign(x), "either")
    if n > 0:
        return "convex" if x[0] >= 0 else "concave" if x[1] <= 0 else "neither", ("up", "either")
    if x[0] >= 0:
        return "convex", ("down", "either")
    if x[1] <= 0:
        return ("convex", ("up", "either")) if even else ("concave", ("down", "either"))
    return "neither", ("either", "either")


def _s_shape(x: Box) -> Shape:
    """Convex below 0, concave above, increasing."""
    return "concave" if x[0] >= 0 else "convex" if x[1] <= 0 else "neither", ("up",)


def _reverse_s(x: Box) -> Shape:
    return "convex" if x[0] >= 0 else "concave" if x[1] <= 0 else "neither", ("up",)


def _always(curvature: str, *slopes: str) -> Callable[..., Shape]:
    return lambda *boxes: (curvature, slopes)


def _even(*boxes: Box) -> Shape:
    return "convex", tuple(_by_sign(b) for b in boxes)


def _leaky(x: Box, a: Box) -> Shape:
    rate = a[0]
    if rate == 1:
        return "affine", ("up", "either")
    return "convex" if rate < 1 else "concave", ("up" if rate >= 0 else "either", "either")


def _wave(function: Callable[[float], float], slope: Callable[[float], float]) -> Callable[[Box], Shape]:
    """sin and cos on a box inside one arch: the curvature is minus the value."""

    def shape(x: Box) -> Shape:
        if not x[1] - x[0] <= math.pi + 1e-9:
            return "neither", ("either",)
        grid = np.linspace(x[0], x[1], 201)
        values, slopes = [function(float(t)) for t in grid], [slope(float(t)) for t in grid]
        curvature = "concave" if min(values) >= -1e-9 else "convex" if max(values) <= 1e-9 else "neither"
        return curvature, ("up" if min(slopes) >= -1e-9 else "down" if max(slopes) <= 1e-9 else "either",)

    return shape


def _over(u: Any, v: Any) -> Any:
    return np.where(np.asarray(v) > 0, u * u / v, np.nan)


def _many(curvature: str) -> Callable[..., Shape]:
    return lambda *boxes: (curvature, ("up",) * len(boxes))


def _below_zero(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *a: np.where(np.all([np.asarray(x) >= 0 for x in a[:2]], axis=0), function(*a), np.nan)


FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Shape]]] = {
    "exp": (np.exp, _always("convex", "up")),
    "expm1": (np.expm1, _always("convex", "up")),
    "log": (np.log, _always("concave", "up")),
    "log2": (np.log2, _always("concave", "up")),
    "log10": (np.log10, _always("concave", "up")),
    "log1p": (np.log1p, _always("concave", "up")),
    "sqrt": (np.sqrt, _always("concave", "up")),
    "abs": (np.abs, _even),
    "square": (np.square, _even),
    "pow": (ENTRYWISE["pow"], _power),
    "inv": (lambda x: 1 / x, lambda x: (lambda s: (s[0], s[1][:1]))(_power(x, (-1.0, -1.0)))),
    "cbrt": (np.cbrt, _s_shape),
    "sigmoid": (ENTRYWISE["sigmoid"], _s_shape),
    "tanh": (np.tanh, _s_shape),
    "atan": (np.arctan, _s_shape),
    "erf": (ENTRYWISE["erf"], _s_shape),
    "sinh": (np.sinh, _reverse_s),
    "asin": (np.arcsin, _reverse_s),
    "tan": (np.tan, _reverse_s),
    "cosh": (np.cosh, _even),
    "acos": (np.arccos, lambda x: ("concave" if x[0] >= 0 else "convex" if x[1] <= 0 else "neither", ("down",))),
    "sin": (np.sin, _wave(math.sin, math.cos)),
    "cos": (np.cos, _wave(math.cos, lambda t: -math.sin(t))),
    "softplus": (ENTRYWISE["softplus"], _always("convex", "up")),
    "pos": (lambda x: np.maximum(x, 0), _always("convex", "up")),
    "relu": (lambda x: np.maximum(x, 0), _always("convex", "up")),
    "leaky_relu": (lambda x, a: np.where(x > 0, x, a * x), _leaky),
    "huber": (
        lambda x, m: np.where(np.abs(x) <= m, x * x, 2 * m * np.abs(x) - m * m),
        lambda x, m: ("convex", (_by_sign(x), "either")),
    ),
    "max": (lambda *a: np.max(np.broadcast_arrays(*a), axis=0), _many("convex")),
    "min": (lambda *a: np.min(np.broadcast_arrays(*a), axis=0), _many("concave")),
    "hypot": (np.hypot, _even),
    "entr": (
        ENTRYWISE["entr"],
        lambda x: ("concave", ("down" if x[0] >= math.exp(-1) else "up" if x[1] <= math.exp(-1) else "either",)),
    ),
    "xlogx": (
        ENTRYWISE["xlogx"],
        lambda x: ("convex", ("up" if x[0] >= math.exp(-1) else "down" if x[1] <= math.exp(-1) else "either",)),
    ),
    "rel_entr": (ENTRYWISE["rel_entr"], _always("convex", "either", "down")),
    "kl_div": (ENTRYWISE["kl_div"], _always("convex", "either", "either")),
    "elu": (
        ENTRYWISE["elu"],
        lambda x, a: ("affine" if x[0] >= 0 else "convex" if 0 <= a[0] <= 1 else "neither", ("up", "either")),
    ),
    "square_over": (_over, lambda u, v: ("convex", (_by_sign(u), "down"))),
    "power_over": (
        lambda u, v, p: np.where(np.asarray(v) > 0, np.abs(u) ** p / np.asarray(v, dtype=float) ** (p - 1), np.nan),
        lambda u, v, p: ("convex" if p[0] >= 1 else "neither", (_by_sign(u), "down", "either")),
    ),
    "geo_mean_of_two": (_below_zero(lambda x, y: np.sqrt(x) * np.sqrt(y)), _always("concave", "up", "up")),
    "weighted_geo_mean": (
        _below_zero(lambda x, y, p: x**p * y ** (1 - p)),
        lambda x, y, p: ("concave" if 0 <= p[0] <= 1 else "neither", ("up", "up", "either")),
    ),
    "log_add_exp": (np.logaddexp, _always("convex", "up", "up")),
    "squared_error": (lambda a, b: (a - b) ** 2, _always("convex", "either", "either")),
    "hinge": (lambda t: np.maximum(1 - t, 0), _always("convex", "down")),
}


def function_shape(name: str, boxes: Sequence[Box]) -> tuple[Callable[..., Any], Shape]:
    """The formula of an elementwise function, and its shape on a box."""
    formula, shape = FUNCTIONS[name]
    return formula, shape(*boxes)


REDUCTIONS = {
    "max": ("convex", "up"), "min": ("concave", "up"), "logsumexp": ("convex", "up"), "sum": ("affine", "up"),
    "geo_mean": ("concave", "up"), "harmonic_mean": ("concave", "up"), "sum_largest": ("convex", "up"),
    "norm1": ("convex", "sign"), "norm2": ("convex", "sign"), "norminf": ("convex", "sign"), "norm": ("convex", "sign"),
    "sumsq": ("convex", "sign"), "mean": ("affine", "up"),
    # of whole arrays, with affine entries
    "eig_max": ("convex", "either"), "eig_min": ("concave", "either"), "log_det": ("concave", "either"),
    "norm_nuc": ("convex", "either"), "norm_spec": ("convex", "either"), "norm_fro": ("convex", "either"),
    "matrix_frac": ("convex", "either"), "tv": ("convex", "either"), "quad_over_lin": ("convex", "either"),
}  # fmt: skip


def reduction_shape(name: str, low: float | None, high: float | None, extra: Sequence[float]) -> Shape:
    """The shape of a function of many members that all lie between low and high (None: anything)."""
    curvature, slope = REDUCTIONS[name]
    if name == "norm" and extra and extra[0] < 1:
        curvature = "neither"
    if slope == "sign":
        slope = _by_sign((-math.inf if low is None else low, math.inf if high is None else high))
    return curvature, (slope,)
