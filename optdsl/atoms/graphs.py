"""How functions are written with cones: the set of points above a convex (below a concave) function.

A graph takes a builder `g`, the variable `t` that stands for the function, and the arguments; it adds conditions that
hold, for some value of the variables it makes, exactly where t lies on the function's convex side. Arguments and `t`
are affine expressions, one per lane, that can be added and multiplied by numbers and arrays of data. `g` offers

    new()                   a new variable in every lane; new(lower=0.0) with a lower bound
    at_least(e)             e >= 0
    square(u, v, w)         u^2 <= v w, v >= 0, w >= 0
    norm(t, *us)            sqrt(u1^2 + u2^2 + ...) <= t
    exponential(x, y, z)    y exp(x / y) <= z, y > 0, and its closure
    power(x, y, z, a)       |z| <= x^a y^(1 - a), x >= 0, y >= 0, with 0 < a < 1

and for reductions, where arguments run over the members and `t` over the groups

    spread(e)               a group's expression at each of its members
    total(e)                the sum over each group's members
    count                   members of each group, an array
    ball(t, u)              sqrt(sum of u^2 over the members) <= t

Sources: Boyd and Vandenberghe (2004); Lobo, Vandenberghe, Boyd and Lebret (1998) for second-order cones; Chares (2009)
for exponential and power cones; MOSEK Modeling Cookbook, chapters 3 to 5.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LN10 = float(np.log(10.0))
LN2 = float(np.log(2.0))


def exp(g: Any, t: Any, x: Any) -> None:
    g.exponential(x, 1.0, t)


def expm1(g: Any, t: Any, x: Any) -> None:
    g.exponential(x, 1.0, t + 1.0)


def log(g: Any, t: Any, x: Any) -> None:
    g.exponential(t, 1.0, x)


def log1p(g: Any, t: Any, x: Any) -> None:
    g.exponential(t, 1.0, x + 1.0)


def log10(g: Any, t: Any, x: Any) -> None:
    g.exponential(t * LN10, 1.0, x)


def log2(g: Any, t: Any, x: Any) -> None:
    g.exponential(t * LN2, 1.0, x)


def sqrt(g: Any, t: Any, x: Any) -> None:
    # t may be negative: the root itself is between
    root = g.new(lower=0.0)
    g.square(root, x, 1.0)
    g.at_least(root - t)


def entr(g: Any, t: Any, x: Any) -> None:
    g.exponential(t, x, 1.0)


def xlogx(g: Any, t: Any, x: Any) -> None:
    g.exponential(t * -1.0, x, 1.0)


def rel_entr(g: Any, t: Any, x: Any, y: Any) -> None:
    g.exponential(t * -1.0, x, y)


def kl_div(g: Any, t: Any, x: Any, y: Any) -> None:
    g.exponential((t + x - y) * -1.0, x, y)


def softplus(g: Any, t: Any, x: Any) -> None:
    """log(1 + e^x) <= t where e^(x - t) + e^(-t) <= 1."""
    u, v = g.new(lower=0.0), g.new(lower=0.0)
    g.exponential(x - t, 1.0, u)
    g.exponential(t * -1.0, 1.0, v)
    g.at_least((u + v) * -1.0 + 1.0)


def cosh(g: Any, t: Any, x: Any) -> None:
    u, v = g.new(lower=0.0), g.new(lower=0.0)
    g.exponential(x, 1.0, u)
    g.exponential(x * -1.0, 1.0, v)
    g.at_least(t - (u + v) * 0.5)


def hypot(g: Any, t: Any, x: Any, y: Any) -> None:
    g.norm(t, x, y)


def square(g: Any, t: Any, x: Any) -> None:
    g.square(x, t, 1.0)


def huber(g: Any, t: Any, x: Any, m: Any) -> None:
    """huber(x, m) = min over n of n^2 + 2 m |x - n| (Mangasarian and Musicant, 2000, eq. 6, scaled)."""
    inner, bowl, rest = g.new(), g.new(lower=0.0), g.new(lower=0.0)
    g.square(inner, bowl, 1.0)
    g.at_least(rest - (x - inner))
    g.at_least(rest + (x - inner))
    g.at_least(t - bowl - rest * (2.0 * m))


def pow(g: Any, t: Any, x: Any, p: float, negative: bool) -> None:
    """x^p with one exponent; `negative`: the argument is never positive. t stands for the power itself."""
    odd = float(p).is_integer() and int(p) % 2 == 1
    if negative:
        # (-x)^p is the power for even exponents, minus it for odd ones
        x = x * -1.0
        if odd:
            t = t * -1.0
    size = x
    if p == 2:
        g.square(x, t, 1.0)
    elif p > 1:
        g.power(t, 1.0, size, 1.0 / p)
        if not (float(p).is_integer() and int(p) % 2 == 0):
            g.at_least(x)
    elif 0 < p < 1:
        root = g.new(lower=0.0)
        g.at_least(root - t)
        if p == 0.5:
            g.square(root, x, 1.0)
        else:
            g.power(x, 1.0, root, p)
            g.at_least(x)
    elif p == -1:
        g.square(g.constant(1.0), t, x)
    else:
        g.power(t, x, g.constant(1.0), 1.0 / (1.0 - p))


def cbrt(g: Any, t: Any, x: Any, negative: bool) -> None:
    """The cube root; `negative`: the argument is never positive, and the root is minus that of its size."""
    if negative:
        x, t = x * -1.0, t * -1.0
    pow(g, t, x, 1.0 / 3.0, False)


def square_over(g: Any, t: Any, x: Any, y: Any) -> None:
    g.square(x, t, y)


def geo_mean_of_two(g: Any, t: Any, x: Any, y: Any) -> None:
    root = g.new(lower=0.0)
    g.square(root, x, y)
    g.at_least(root - t)


def norm2(g: Any, t: Any, x: Any) -> None:
    g.ball(t, x)


def p_norm(g: Any, t: Any, x: Any, p: float) -> None:
    """|x_i|^p <= s_i t^(p - 1) with the s_i adding up to t."""
    part = g.new_member(lower=0.0)
    g.power(part, g.spread(t), x, 1.0 / p)
    g.at_least(t - g.total(part))


def logsumexp(g: Any, t: Any, x: Any) -> None:
    part = g.new_member(lower=0.0)
    g.exponential(x - g.spread(t), 1.0, part)
    g.at_least(g.total(part) * -1.0 + 1.0)


def geo_mean(g: Any, t: Any, x: Any) -> None:
    """(x1 x2 ... xn)^(1/n) >= t >= 0 where the logarithms average to log t: in perspective, over t."""
    value = g.new(lower=0.0)
    g.at_least(value - t)
    part = g.new_member()
    # value * log(x_i / value) >= part_i, adding up to 0 or more
    g.exponential(part, g.spread(value), x)
    g.at_least(g.total(part))


def harmonic_mean(g: Any, t: Any, x: Any) -> None:
    """n / (1/x1 + ... + 1/xn) >= t >= 0 where the t^2 / x_i add up to at most n t."""
    value = g.new(lower=0.0)
    g.at_least(value - t)
    part = g.new_member(lower=0.0)
    g.square(g.spread(value), part, x)
    g.at_least(value * g.count - g.total(part))
