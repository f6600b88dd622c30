"""All rows, and how to find one by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from optdsl.atoms.arrays import ARRAYS
from optdsl.atoms.atom import ActsOn, Atom
from optdsl.atoms.exponentials import EXPONENTIALS
from optdsl.atoms.functions import NumpyFunctions
from optdsl.atoms.internal import INTERNAL_ROWS
from optdsl.atoms.internal_forms import FORM_ROWS
from optdsl.atoms.losses import LOSSES as LOSS_ROWS
from optdsl.atoms.matrices import MATRICES
from optdsl.atoms.metrics import METRICS as METRIC_ROWS
from optdsl.atoms.norms import NORMS
from optdsl.atoms.piecewise import PIECEWISE
from optdsl.atoms.powers import POWERS
from optdsl.atoms.rearrangements import REARRANGEMENTS
from optdsl.atoms.reductions import REDUCTIONS as REDUCTION_ROWS
from optdsl.atoms.trigonometry import TRIGONOMETRY


def _by_name(rows: tuple[Atom, ...]) -> Mapping[str, Atom]:
    table = {row.name: row for row in rows}
    if len(table) != len(rows):
        raise ValueError("two rows of one kind have the same name")
    return MappingProxyType(table)


ELEMENTWISE = _by_name(EXPONENTIALS + POWERS + TRIGONOMETRY + PIECEWISE)
REDUCTIONS = _by_name(REDUCTION_ROWS + NORMS)
ARRAYWISE = _by_name(ARRAYS + REARRANGEMENTS + MATRICES)
LOSSES = _by_name(LOSS_ROWS)
METRICS = _by_name(METRIC_ROWS)
INTERNAL = _by_name(INTERNAL_ROWS + FORM_ROWS)
"""Elementwise rows that rewritings use and no text can name."""
ENTRIES: Mapping[str, Atom] = MappingProxyType({**ELEMENTWISE, **INTERNAL})
"""Every row that an `Apply` may name."""

ATOMS: tuple[Atom, ...] = tuple(
    row for table in (ELEMENTWISE, REDUCTIONS, ARRAYWISE, LOSSES, METRICS) for row in table.values()
)
NAMES: tuple[str, ...] = tuple(dict.fromkeys(row.name for row in ATOMS))

REFUSED: Mapping[str, str] = MappingProxyType({
    "logistic": "it means two things: write sigmoid(x) for 1/(1 + e^-x), softplus(x) for log(1 + e^x)",
})
"""Names that are refused on purpose, with what to write instead."""

ALIASES: Mapping[str, str] = MappingProxyType({
    "ln": "log", "loge": "log", "log_e": "log", "lg": "log10", "ld": "log2", "log1pexp": "softplus",
    "log_1p": "log1p", "power": "pow", "sqr": "square", "sq": "square", "root": "sqrt", "cube_root": "cbrt",
    "reciprocal": "inv", "inv_pos": "inv", "absolute": "abs", "fabs": "abs", "sgn": "sign", "signum": "sign",
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "maximum": "max", "minimum": "min",
    "fmax": "max", "fmin": "min", "pmax": "max", "pmin": "min", "ceiling": "ceil", "int": "floor",
    "positive_part": "pos", "plus": "pos", "expit": "sigmoid", "swish": "silu", "entropy": "entr",
    "kullback_leibler": "kl_div", "relative_entropy": "rel_entr", "hypotenuse": "hypot",
    "norm_1": "norm1", "norm_2": "norm2", "norm_inf": "norminf", "l1_norm": "norm1", "l2_norm": "norm2",
    "linf_norm": "norminf", "pnorm": "norm", "sum_squares": "sumsq", "sum_sq": "sumsq", "sumsqr": "sumsq",
    "log_sum_exp": "logsumexp", "lse": "logsumexp", "average": "mean", "avg": "mean", "product": "prod",
    "geomean": "geo_mean", "geometric_mean": "geo_mean", "harmmean": "harmonic_mean", "sumlargest": "sum_largest",
    "quad_over_linear": "quad_over_lin", "quadform": "quad_form", "matrixfrac": "matrix_frac",
    "lambda_max": "eig_max", "lambda_min": "eig_min", "max_eig": "eig_max", "min_eig": "eig_min",
    "logdet": "log_det", "determinant": "det", "tr": "trace", "inverse": "inv_matrix", "matrix_inverse": "inv_matrix",
    "normNuc": "norm_nuc", "nuclear_norm": "norm_nuc", "sigma_max": "norm_spec", "spectral_norm": "norm_spec",
    "frobenius": "norm_fro", "total_variation": "tv", "convolve": "conv", "concatenate": "concat", "vstack": "stack",
    "hstack": "concat", "inner": "dot", "scalar_product": "dot", "crossentropy": "cross_entropy",
    "softmax_cross_entropy": "cross_entropy", "bce": "binary_cross_entropy", "mse": "squared_error",
    "fmod": "mod", "rem": "mod", "remainder": "mod", "floordiv": "div", "exists": "any", "forall": "all",
})
"""Other languages' names for functions of this one: only for hints."""

F = NumpyFunctions(ELEMENTWISE)
"""The namespace that derivative rules are called with on NumPy arrays."""


def rows(name: str) -> tuple[Atom, ...]:
    """All rows of a name: none, one, or two for `max` and `min`, which work on entries and on groups."""
    return tuple(row for row in ATOMS if row.name == name)


def find(name: str, acts_on: ActsOn | None = None) -> Atom | None:
    """The row of a name, if any; `acts_on` picks between the two of `max` and `min` (None: on entries)."""
    return next((row for row in ATOMS if row.name == name and acts_on in (None, row.acts_on)), None)
