"""The test of the tests: a row that is deliberately wrong in one field fails the check of that field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from optdsl.atoms import ARRAYWISE, ELEMENTWISE, LOSSES, REDUCTIONS, Atom, Interval, MaxOf, Smoothness

from . import checks


def _negated(rule: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *boxes, **keywords: -rule(*boxes, **keywords)


def _shifted(row: Atom, by: float) -> Callable[..., Any]:
    return lambda *arguments, **keywords: row.kernel(*arguments, **keywords) + by


def _narrower(row: Atom) -> Callable[..., Any]:
    """The range without the top tenth of its finite width."""

    def rule(*boxes: Any, **keywords: Any) -> Interval:
        box = row.range(*boxes, **keywords)
        with np.errstate(all="ignore"):
            cut = 0.1 * (box.hi - box.lo)
            return Interval(box.lo, np.where(np.isfinite(cut), box.hi - cut, box.hi))

    return rule


def _level(value: Smoothness) -> Callable[..., Any]:
    return lambda box, *others, **keywords: np.full(np.shape(box.lo)[:1], int(value))


def _slopes(sign: float) -> Callable[..., Any]:
    return lambda *boxes, **keywords: tuple(
        np.full(np.shape(box.lo), sign) for box in boxes if isinstance(box, Interval))


def _halved(rule: Callable[..., Any]) -> Callable[..., Any]:
    return lambda F, *arguments, **keywords: tuple(
        None if part is None else 0.5 * part for part in rule(F, *arguments, **keywords))


E, R, A, L = ELEMENTWISE, REDUCTIONS, ARRAYWISE, LOSSES

WRONG: list[tuple[Atom, str, dict[str, Any], Callable[[Atom], None]]] = [
    (E["exp"], "curvature", {"curvature": _negated(E["exp"].curvature)}, checks.check_curvature),
    (E["sin"], "curvature", {"curvature": _negated(E["sin"].curvature)}, checks.check_curvature),
    (E["pow"], "curvature", {"curvature": _negated(E["pow"].curvature)}, checks.check_curvature),
    (E["sigmoid"], "curvature everywhere", {"curvature": E["exp"].curvature}, checks.check_curvature),
    (E["inv"], "curvature across the pole", {"curvature": E["exp"].curvature}, checks.check_curvature),
    (R["logsumexp"], "curvature", {"curvature": _negated(R["logsumexp"].curvature)}, checks.check_curvature),
    (R["prod"], "affine", {"curvature": R["sum"].curvature}, checks.check_curvature),
    (A["eig_max"], "curvature", {"curvature": A["eig_min"].curvature}, checks.check_curvature),
    (A["log_det"], "curvature", {"curvature": A["eig_max"].curvature}, checks.check_curvature),
    (L["cross_entropy"], "curvature", {"curvature": _negated(L["cross_entropy"].curvature)}, checks.check_curvature),
    (E["log"], "derivative", {"derivative": lambda F, x: (F.inv(x) * F.inv(x),)}, checks.check_derivative),
    (E["gelu"], "derivative", {"derivative": lambda F, x: (0.5 * (1 + F.erf(x)),)}, checks.check_derivative),
    (R["norm2"], "derivative", {"derivative": _halved(R["norm2"].derivative)}, checks.check_derivative),
    (R["harmonic_mean"], "derivative", {"derivative": R["geo_mean"].derivative}, checks.check_derivative),
    (A["det"], "derivative", {"derivative": A["log_det"].derivative}, checks.check_derivative),
    (A["eig_max"], "derivative", {"derivative": A["eig_min"].derivative}, checks.check_derivative),
    (A["tv"], "derivative", {"derivative": _halved(A["tv"].derivative)}, checks.check_derivative),
    (A["conv"], "derivative", {"derivative": lambda F, seed, result, a, x, batch=0: (None, 0.0 * x)},
     checks.check_derivative),
    (E["tanh"], "range", {"range": _narrower(E["tanh"])}, checks.check_range),
    (E["cosh"], "range without the valley", {"range": E["exp"].range}, checks.check_range),
    (E["atan2"], "range", {"range": _narrower(E["atan2"])}, checks.check_range),
    (R["norm"], "range", {"range": _narrower(R["norm"])}, checks.check_range),
    (A["dot"], "range", {"range": _narrower(A["dot"])}, checks.check_range),
    (A["eig_min"], "range", {"range": A["eig_max"].range}, checks.check_range),
    (E["abs"], "slope", {"slope": _slopes(1.0)}, checks.check_slope),
    (E["acos"], "slope", {"slope": _slopes(1.0)}, checks.check_slope),
    (E["inv"], "slope across the pole", {"slope": _slopes(-1.0)}, checks.check_slope),
    (R["prod"], "slope", {"slope": _slopes(1.0)}, checks.check_slope),
    (R["max"], "constant", {"slope": _slopes(0.0)}, checks.check_slope),
    (A["quad_over_lin"], "slope", {"slope": _slopes(1.0)}, checks.check_slope),
    (E["sqrt"], "kernel", {"kernel": _shifted(E["sqrt"], 1e-6)}, checks.check_examples),
    (E["kl_div"], "kernel against CVXPY", {"kernel": _shifted(E["kl_div"], 1e-6)}, checks.check_cvxpy),
    (R["sum_largest"], "kernel against CVXPY", {"kernel": _shifted(R["sum_largest"], 1e-6)}, checks.check_cvxpy),
    (A["norm_nuc"], "lowering", {"lowering": lambda cp, x: cp.norm(x, "fro")}, checks.check_cvxpy),
    (E["huber"], "lowering", {"lowering": lambda cp, x, m: 0.5 * cp.huber(x, m)}, checks.check_cvxpy),
    (E["log"], "kernel not nan outside", {"kernel": lambda x: np.log(np.abs(x) + 1e-320)}, checks.check_domain),
    (E["sqrt"], "domain too wide", {"domain": E["exp"].domain}, checks.check_domain),
    (E["exp"], "domain too narrow", {"domain": E["log"].domain}, checks.check_domain),
    (E["abs"], "smoothness", {"smoothness": E["exp"].smoothness}, checks.check_smoothness),
    (E["floor"], "smoothness", {"smoothness": _level(Smoothness.NONSMOOTH)}, checks.check_smoothness),
    (E["huber"], "smoothness", {"smoothness": _level(Smoothness.SMOOTH)}, checks.check_smoothness),
    (E["sqrt"], "smoothness at the end", {"smoothness": E["exp"].smoothness}, checks.check_smoothness),
    (R["max"], "smoothness", {"smoothness": _level(Smoothness.C1)}, checks.check_smoothness),
    (A["norm_fro"], "smoothness", {"smoothness": _level(Smoothness.SMOOTH)}, checks.check_smoothness),
    (E["abs"], "pieces", {"pieces": lambda count: MaxOf(((1.0,), 0.0), ((0.0,), 0.0))}, checks.check_pieces),
    (L["hinge"], "pieces", {"pieces": lambda count: MaxOf(((0.0,), 0.0), ((1.0,), 1.0))}, checks.check_pieces),
    (E["min"], "pieces", {"pieces": E["max"].pieces}, checks.check_pieces),
    (E["leaky_relu"], "pieces", {"pieces": lambda count, a: MaxOf(((1.0,), 0.0), ((a,), 0.0))}, checks.check_pieces),
    (R["norm1"], "form", {"reduction_form": "max_abs"}, checks.check_forms),
    (L["squared_error"], "form", {"quadratic_form": "huber"}, checks.check_forms),
    (R["sumsq"], "empty", {"empty": 1.0}, checks.check_groups),
    (R["mean"], "groups", {"kernel": lambda x, groups: groups.sum(x) / x.shape[-1]}, checks.check_groups),
    (A["outer"], "shapes", {"shapes": A["dot"].shapes}, checks.check_examples),
    (E["atan2"], "latex", {"latex": r"\operatorname{atan2}\left(#1\right)"}, checks.check_latex),
]


@pytest.mark.parametrize(("row", "what", "change", "check"), WRONG,
                         ids=[f"{row.name}: {what}" for row, what, _, _ in WRONG])
def test_wrong_row_fails(row: Atom, what: str, change: dict[str, Any], check: Callable[[Atom], None]) -> None:
    check(row)
    with pytest.raises((AssertionError, TypeError, ValueError)):
        check(replace(row, **change))


def test_every_check_has_a_wrong_row() -> None:
    assert {check for *_, check in WRONG} == set(checks.CHECKS)
