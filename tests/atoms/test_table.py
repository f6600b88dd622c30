"""The table as a whole: its names, how rows are found, what the sharp facts are, what importing costs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optdsl.atoms import (
    ALIASES,
    ARRAYWISE,
    ATOMS,
    ELEMENTWISE,
    LOSSES,
    METRICS,
    NAMES,
    REDUCTIONS,
    REFUSED,
    Atom,
    F,
    MaxOf,
    MinOf,
    Smoothness,
    find,
    interior,
    interval,
    point,
    rows,
)
from optdsl.atoms.reference import reference_markdown

ROOT = Path(__file__).resolve().parents[2]
LANGUAGE = """
exp log log10 log2 log1p expm1 sqrt cbrt abs sign sin cos tan asin acos atan sinh cosh tanh erf square inv floor ceil
pow max min pos relu sigmoid softplus gelu silu elu leaky_relu huber entr kl_div rel_entr xlogx hypot atan2 mod div
sum prod mean norm1 norm2 norminf norm sumsq logsumexp softmax geo_mean harmonic_mean sum_largest any all
dot outer diag trace det log_det inv_matrix eig_max eig_min norm_nuc norm_spec norm_fro quad_form quad_over_lin
matrix_frac tv cumsum diff conv stack concat reshape
cross_entropy binary_cross_entropy squared_error hinge poisson_nll accuracy argmax rmse mae r2 auc confusion
"""
SMOOTH, C1, NONSMOOTH, DISCONTINUOUS = Smoothness.SMOOTH, Smoothness.C1, Smoothness.NONSMOOTH, Smoothness.DISCONTINUOUS
INF, NAN = np.inf, np.nan


def test_the_table_holds_the_functions_of_the_language() -> None:
    assert set(NAMES) == set(LANGUAGE.split())


def test_rows_are_found_by_name_and_by_what_they_act_on() -> None:
    assert find("exp") is ELEMENTWISE["exp"]
    assert find("max") is ELEMENTWISE["max"]
    assert find("max", "groups") is REDUCTIONS["max"]
    assert find("exp", "groups") is None
    assert find("nothing") is None
    assert rows("min") == (ELEMENTWISE["min"], REDUCTIONS["min"])
    assert len(ATOMS) == sum(map(len, (ELEMENTWISE, REDUCTIONS, ARRAYWISE, LOSSES, METRICS)))


def test_other_names_lead_to_functions_and_hide_none() -> None:
    assert set(ALIASES.values()) <= set(NAMES)
    assert not set(ALIASES) & set(NAMES)
    assert not set(REFUSED) & (set(NAMES) | set(ALIASES))
    assert "sigmoid" in REFUSED["logistic"]
    assert "softplus" in REFUSED["logistic"]


@pytest.mark.parametrize("field", fields(Atom), ids=lambda field: field.name)
def test_a_missing_field_is_an_error(field: Any) -> None:
    given = {f.name: getattr(ELEMENTWISE["exp"], f.name) for f in fields(Atom) if f.name != field.name}
    with pytest.raises(TypeError, match=field.name):
        Atom(**given)


def test_rows_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        ELEMENTWISE["exp"].name = "other"  # type: ignore[misc]


def test_argument_names_and_numbers() -> None:
    pow_row, max_row = ELEMENTWISE["pow"], ELEMENTWISE["max"]
    assert pow_row.is_data(1)
    assert not pow_row.is_data(0)
    assert max_row.parameter(7) == "x"
    assert max_row.accepts(5)
    assert not max_row.accepts(1)
    assert not pow_row.accepts(3)
    assert ELEMENTWISE["atan2"].render_latex("y", "x") == r"\operatorname{atan2}\left(y, x\right)"


def _box(lo: float, hi: float) -> Any:
    return interval(lo, hi)


SHARP: list[tuple[str, tuple[Any, ...], tuple[Any, ...], float, Smoothness]] = [
    # name, boxes, slopes, curvature, smoothness: what a rule must not be too timid to say
    ("abs", (_box(0, 5),), (1,), 0, SMOOTH),
    ("abs", (_box(-5, 0),), (-1,), 0, SMOOTH),
    ("abs", (_box(-1, 1),), (NAN,), 1, NONSMOOTH),
    ("relu", (_box(-1, 1),), (1,), 1, NONSMOOTH),
    ("relu", (_box(-3, 0),), (0,), 0, SMOOTH),
    ("max", (_box(0, 1), _box(2, 3)), (1, 1), 0, SMOOTH),
    ("max", (_box(0, 1), _box(0.5, 3)), (1, 1), 1, NONSMOOTH),
    ("min", (_box(0, 1), _box(0.5, 3)), (1, 1), -1, NONSMOOTH),
    ("log", (_box(1, INF),), (1,), -1, SMOOTH),
    ("sqrt", (_box(0, INF),), (1,), -1, NONSMOOTH),
    ("sqrt", (interior(_box(0, INF)),), (1,), -1, SMOOTH),
    ("inv", (_box(0, INF),), (-1,), 1, DISCONTINUOUS),
    ("inv", (_box(-4, -1),), (-1,), -1, SMOOTH),
    ("inv", (_box(-1, 1),), (NAN,), NAN, DISCONTINUOUS),
    ("pow", (_box(-2, 2), point(2.0)), (NAN, NAN), 1, SMOOTH),
    ("pow", (_box(0, 2), point(3.0)), (1, NAN), 1, SMOOTH),
    ("pow", (_box(-2, 0), point(3.0)), (1, NAN), -1, SMOOTH),
    ("pow", (_box(-2, 2), point(3.0)), (1, NAN), NAN, SMOOTH),
    ("pow", (_box(-INF, INF), point(1.5)), (1, NAN), 1, C1),
    ("pow", (_box(-INF, INF), point(0.5)), (1, NAN), -1, NONSMOOTH),
    ("pow", (_box(-2, -1), point(-2.0)), (1, NAN), 1, SMOOTH),
    ("pow", (_box(-2, 2), _box(1, 2)), (NAN, NAN), NAN, DISCONTINUOUS),
    ("sin", (_box(0, np.pi),), (NAN,), -1, SMOOTH),
    ("sin", (_box(np.pi, 2 * np.pi),), (NAN,), 1, SMOOTH),
    ("cos", (_box(0, np.pi),), (-1,), NAN, SMOOTH),
    ("tan", (_box(0.1, 1.5),), (1,), 1, SMOOTH),
    ("tan", (_box(1, 2),), (NAN,), NAN, DISCONTINUOUS),
    ("tanh", (_box(0, INF),), (1,), -1, SMOOTH),
    ("gelu", (_box(-1.4, 1.4),), (NAN,), 1, SMOOTH),
    ("silu", (_box(-2.39, 2.39),), (NAN,), 1, SMOOTH),
    ("huber", (_box(-0.5, 0.5), point(1.0)), (NAN, NAN), 1, SMOOTH),
    ("huber", (_box(2, 5), point(1.0)), (1, NAN), 0, SMOOTH),
    ("huber", (_box(-5, 5), point(1.0)), (NAN, NAN), 1, C1),
    ("elu", (_box(-1, 1), point(1.0)), (1, NAN), 1, C1),
    ("leaky_relu", (_box(-1, 1), point(2.0)), (1, NAN), -1, NONSMOOTH),
    ("floor", (_box(0.2, 0.8),), (0,), 0, SMOOTH),
    ("kl_div", (_box(2, 3), _box(1, 2)), (1, -1), 1, SMOOTH),
    ("hypot", (_box(1, 2), _box(-1, 1)), (1, NAN), 1, SMOOTH),
    ("squared_error", (_box(2, 3), _box(0, 1)), (1, -1), 1, SMOOTH),
    ("hinge", (_box(-1, 3),), (-1,), 1, NONSMOOTH),
    ("binary_cross_entropy", (_box(-5, 5), point(1.0)), (-1, NAN), 1, SMOOTH),
]


@pytest.mark.parametrize(("name", "boxes", "slopes", "curvature", "smoothness"), SHARP)
def test_sharp_facts(name: str, boxes: Any, slopes: Any, curvature: float, smoothness: Smoothness) -> None:
    row = {**ELEMENTWISE, **LOSSES}[name]
    assert np.array_equal([float(s) for s in row.slope(*boxes)], slopes, equal_nan=True)
    assert np.array_equal(row.curvature(*boxes), curvature, equal_nan=True)
    assert row.smoothness(*boxes) == smoothness


@pytest.mark.parametrize(("name", "boxes", "lo", "hi"), [
    ("exp", (_box(-INF, 0),), 0, 1),
    ("sin", (_box(0, np.pi),), 0, 1),
    ("log", (_box(-1, 1),), -INF, 0),
    ("square", (_box(-3, 2),), 0, 9),
    ("inv", (_box(0, 2),), 0.5, INF),
    ("pow", (_box(-2, 3), point(3.0)), -8, 27),
    ("pow", (_box(-2, 3), point(-2.0)), 1 / 9, INF),
    ("tan", (_box(0, 3),), -INF, INF),
    ("atan2", (_box(0, 1), _box(-1, 1)), 0, np.pi),
    ("kl_div", (_box(1, 2), _box(1, 2)), 0, 2 * np.log(2) - 1),
    ("huber", (_box(-3, 1), point(1.0)), 0, 5),
    ("max", (_box(0, 2), _box(1, 3)), 1, 3),
    ("mod", (_box(0, 100), point(7.0)), 0, 7),
])
def test_ranges_are_tight(name: str, boxes: Any, lo: float, hi: float) -> None:
    got = ELEMENTWISE[name].range(*boxes)
    np.testing.assert_allclose([float(got.lo), float(got.hi)], [lo, hi], rtol=1e-12, atol=1e-12)


def test_quadratic_forms_are_decided_by_eigenvalues() -> None:
    row = ARRAYWISE["quad_form"]
    x = interval([-1.0, -1.0], [1.0, 1.0])
    for matrix, expected in (([[2, 1], [1, 2]], 1), ([[-2, 1], [1, -2]], -1), ([[1, 2], [2, 1]], NAN),
                             ([[1, 1], [1, 1]], 1), ([[0, 0], [0, 0]], 0)):
        assert np.array_equal(row.curvature(x, point(np.array(matrix, dtype=float))), expected, equal_nan=True)


def test_pieces_of_many_arguments() -> None:
    largest = ELEMENTWISE["max"].pieces
    assert largest is not None
    assert largest(3) == MaxOf(((1.0, 0.0, 0.0), 0.0), ((0.0, 1.0, 0.0), 0.0), ((0.0, 0.0, 1.0), 0.0))
    leaky = ELEMENTWISE["leaky_relu"].pieces
    assert leaky is not None
    assert isinstance(leaky(1, np.array([0.1, 0.5])), MaxOf)
    assert isinstance(leaky(1, np.array([1.5, 3.0])), MinOf)
    assert leaky(1, np.array([0.1, 3.0])) is None


def test_kernels_accept_integers_and_broadcast() -> None:
    assert find("sqrt").kernel(4) == 2.0  # type: ignore[union-attr]
    assert find("hypot").kernel([3, 5], [[4], [12]]).shape == (2, 2)  # type: ignore[union-attr]
    assert F.max(np.array([1.0, 5.0]), 2.0).tolist() == [2.0, 5.0]
    with pytest.raises(AttributeError, match="nothing"):
        _ = F.nothing


def test_shape_rules_refuse_with_a_reason() -> None:
    for name, shapes, reason in (
        ("dot", ((3,), (4,)), "equal length"), ("dot", ((3,), (3, 3)), "vector"), ("trace", ((2, 3),), "square"),
        ("quad_form", ((3,), (2, 2)), "length 2"), ("stack", ((3,), (4,)), "one shape"), ("reshape", ((6,), 4), "6"),
        ("concat", ((3, 2), (3, 4)), "agree"), ("cross_entropy", ((5, 3), (4,)), "shape"),
        ("diag", ((2, 3),), "square"),
        ("conv", ((2, 2), (3,)), "vector"), ("quad_over_lin", ((3,), (3,)), "one number"),
        ("tv", ((2, 2, 2),), "matrix"),
    ):
        row = {**ARRAYWISE, **LOSSES}[name]
        with pytest.raises(ValueError, match=reason):
            row.shapes.result(*shapes)


def test_importing_the_table_is_cheap() -> None:
    script = "import sys, optdsl.atoms; print([m for m in ('scipy', 'sympy', 'cvxpy', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_function_reference_is_current() -> None:
    page = (ROOT / "docs" / "functions.md").read_text(encoding="utf-8")
    assert page == reference_markdown(), (
        "docs/functions.md is old: write it again with python -m optdsl.atoms.reference docs/functions.md"
    )
