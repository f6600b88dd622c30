"""The functions of the language in many digits, for the re-evaluation of a witness.

Each takes a context of mpmath and numbers of it, and answers with a number, or None outside the function's domain.
They are written from the definitions in the language's text, not from the table's kernels, so that the two check
each other. A function of the table that is missing here is evaluated by its kernel, with that many digits fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Function = Callable[..., Any]


def _log(m: Any, x: Any) -> Any:
    return m.log(x) if x > 0 else None


def _sqrt(m: Any, x: Any) -> Any:
    return m.sqrt(x) if x >= 0 else None


def _xlogx(m: Any, x: Any) -> Any:
    if x < 0:
        return None
    return x * m.log(x) if x else m.zero


def _entr(m: Any, x: Any) -> Any:
    return None if x < 0 else -_xlogx(m, x)


def _rel_entr(m: Any, x: Any, y: Any) -> Any:
    if x < 0 or y < 0 or (y == 0 and x > 0):
        return None
    return x * m.log(x / y) if x else m.zero


def _kl_div(m: Any, x: Any, y: Any) -> Any:
    found = _rel_entr(m, x, y)
    return None if found is None else found - x + y


def _cbrt(m: Any, x: Any) -> Any:
    return m.sign(x) * m.cbrt(abs(x))


def _pow(m: Any, x: Any, p: Any) -> Any:
    if p == m.floor(p) and abs(p) < 10**6:
        return None if x == 0 and p < 0 else x ** int(p)
    if x < 0 or (x == 0 and p < 0):
        return None
    return x**p


def _sigmoid(m: Any, x: Any) -> Any:
    return 1 / (1 + m.exp(-x)) if x >= 0 else m.exp(x) / (1 + m.exp(x))


def _softplus(m: Any, x: Any) -> Any:
    return max(x, m.zero) + m.log1p(m.exp(-abs(x)))


def _unit(function: str) -> Function:
    return lambda m, x: getattr(m, function)(x) if -1 <= x <= 1 else None


def _huber(m: Any, x: Any, width: Any) -> Any:
    return x * x if abs(x) <= width else 2 * width * abs(x) - width * width


def _plain(function: str) -> Function:
    return lambda m, x: getattr(m, function)(x)


ELEMENTWISE: dict[str, Function] = {
    "exp": _plain("exp"),
    "log": _log,
    "log10": lambda m, x: m.log10(x) if x > 0 else None,
    "log2": lambda m, x: m.log(x) / m.log(2) if x > 0 else None,
    "log1p": lambda m, x: m.log(1 + x) if x > -1 else None,
    "expm1": _plain("expm1"),
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "entr": _entr,
    "xlogx": _xlogx,
    "rel_entr": _rel_entr,
    "kl_div": _kl_div,
    "sinh": _plain("sinh"),
    "cosh": _plain("cosh"),
    "tanh": _plain("tanh"),
    "sqrt": _sqrt,
    "cbrt": _cbrt,
    "square": lambda m, x: x * x,
    "inv": lambda m, x: 1 / x if x else None,
    "pow": _pow,
    "hypot": lambda m, x, y: m.sqrt(x * x + y * y),
    "sin": _plain("sin"),
    "cos": _plain("cos"),
    "tan": _plain("tan"),
    "asin": _unit("asin"),
    "acos": _unit("acos"),
    "atan": _plain("atan"),
    "atan2": lambda m, y, x: m.atan2(y, x) if x or y else m.zero,
    "erf": _plain("erf"),
    "gelu": lambda m, x: x * (1 + m.erf(x / m.sqrt(2))) / 2,
    "silu": lambda m, x: x * _sigmoid(m, x),
    "abs": lambda m, x: abs(x),
    "sign": _plain("sign"),
    "floor": _plain("floor"),
    "ceil": _plain("ceil"),
    "max": lambda m, *x: max(x),
    "min": lambda m, *x: min(x),
    "pos": lambda m, x: max(x, m.zero),
    "relu": lambda m, x: max(x, m.zero),
    "elu": lambda m, x, a: x if x > 0 else a * m.expm1(x),
    "leaky_relu": lambda m, x, a: x if x > 0 else a * x,
    "huber": _huber,
}


def _norm(m: Any, x: Sequence[Any], p: Any) -> Any:
    if p == m.inf:
        return max(abs(v) for v in x)
    return m.fsum(abs(v) ** p for v in x) ** (1 / p)


def _logsumexp(m: Any, x: Sequence[Any]) -> Any:
    top = max(x)
    return top + m.log(m.fsum(m.exp(v - top) for v in x))


def _geo_mean(m: Any, x: Sequence[Any]) -> Any:
    if min(x) < 0:
        return None
    return m.exp(m.fsum(m.log(v) for v in x) / len(x)) if min(x) > 0 else m.zero


def _harmonic_mean(m: Any, x: Sequence[Any]) -> Any:
    return len(x) / m.fsum(1 / v for v in x) if min(x) > 0 else None


REDUCTIONS: dict[str, Function] = {
    "sum": lambda m, x: m.fsum(x),
    "prod": lambda m, x: m.fprod(x),
    "mean": lambda m, x: m.fsum(x) / len(x),
    "max": lambda m, x: max(x),
    "min": lambda m, x: min(x),
    "norm1": lambda m, x: m.fsum(abs(v) for v in x),
    "norm2": lambda m, x: m.sqrt(m.fsum(v * v for v in x)),
    "norminf": lambda m, x: max((abs(v) for v in x), default=m.zero),
    "norm": _norm,
    "sumsq": lambda m, x: m.fsum(v * v for v in x),
    "logsumexp": _logsumexp,
    "geo_mean": _geo_mean,
    "harmonic_mean": _harmonic_mean,
    "sum_largest": lambda m, x, k: m.fsum(sorted(x, reverse=True)[: int(k)]),
}
# Reductions that move by no more than their members do, all movements added up.
NOT_STEEP = frozenset({"sum", "mean", "max", "min", "norm1", "norm2", "norminf", "norm", "logsumexp", "sum_largest"})


def _eigenvalues(m: Any, x: Any) -> Any:
    return m.eigsy(m.matrix(x), eigvals_only=True)


def _log_det(m: Any, x: Any) -> Any:
    if min(_eigenvalues(m, x)) <= 0:
        return None
    return m.log(m.det(m.matrix(x)))


def _singular(m: Any, x: Any) -> Any:
    rows, columns = len(x), len(x[0])
    matrix = m.matrix(x)
    return m.svd_r(matrix if rows >= columns else matrix.T, compute_uv=False)


def _inverse(m: Any, x: Any) -> Any:
    return (m.matrix(x) ** -1).tolist() if m.det(m.matrix(x)) else None


def _matrix_frac(m: Any, x: Any, p: Any) -> Any:
    if min(_eigenvalues(m, p)) <= 0:
        return None
    vectors = m.matrix(x)
    solved = m.matrix(p) ** -1 * vectors
    return m.fsum(a * b for a, b in zip(vectors, solved, strict=True))


ARRAYS: dict[str, Function] = {
    "det": lambda m, x: m.det(m.matrix(x)),
    "log_det": _log_det,
    "inv_matrix": _inverse,
    "eig_max": lambda m, x: max(_eigenvalues(m, x)),
    "eig_min": lambda m, x: min(_eigenvalues(m, x)),
    "norm_nuc": lambda m, x: m.fsum(_singular(m, x)),
    "norm_spec": lambda m, x: max(_singular(m, x)),
    "matrix_frac": _matrix_frac,
}
