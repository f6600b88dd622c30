"""Points far out on a tail are not called best; flat minima, and minima in other units, are.

A tail has no best point: the objective gets better forever, ever less. Each model of the one table would end with
slopes below every tolerance; each of the other has a minimum that a careless test takes for a tail.
"""

from __future__ import annotations

import pytest

import optdsl
from optdsl import Solution

TAILS = {
    "exp": """
        var x init 1
        var y init 0.5
        minimize f: exp(-x) + y^4 - y^2
    """,
    "exp_scaled_up": """
        var x init 1
        var y init 0.5
        minimize f: 1e8*exp(-x) + y^4 - y^2
    """,
    "exp_scaled_all_down": """
        var x init 1
        var y init 0.5
        minimize f: 1e-8*(exp(-x) + y^4 - y^2)
    """,
    "exp_scaled_all_up": """
        var x init 1
        var y init 0.5
        minimize f: 1e8*(exp(-x) + y^4 - y^2)
    """,
    "exp_fast": """
        var x init 1
        var y init 0.5
        minimize f: exp(-100*x) + y^4 - y^2
    """,
    "exp_slow": """
        var x init 1
        var y init 0.5
        minimize f: exp(-x/100) + y^4 - y^2
    """,
    "recip": """
        var x in [0.1, inf] init 1
        var y init 0.5
        minimize f: 1/x + y^4 - y^2
    """,
    "recip2": """
        var x init 1
        var y init 0.5
        minimize f: 1/(1+x^2) + y^4 - y^2
    """,
    "recip2_neg": """
        var x init -3
        var y init 0.5
        minimize f: 1/(1+x^2) + y^4 - y^2
    """,
    "softplus": """
        var x init 1
        var y init 0.5
        minimize f: log(1+exp(-x)) + y^4 - y^2
    """,
    "xexp": """
        var x >= 1 init 2
        var y init 0.5
        minimize f: x*exp(-x) + y^4 - y^2
    """,
    "arctan": """
        var x init 1
        var y init 0.5
        minimize f: -atan(x) + y^4 - y^2
    """,
    "tanh": """
        var x init 1
        var y init 0.5
        minimize f: -tanh(x) + y^4 - y^2
    """,
    "sigmoid": """
        var x init 1
        var y init 0.5
        minimize f: 1/(1+exp(x)) + y^4 - y^2
    """,
    "two_tails": """
        var x init 1
        var z init 1
        var y init 0.5
        minimize f: exp(-x) + exp(-z) + y^4 - y^2
    """,
    "tail_row": """
        var x init 1
        var y init 0.5
        minimize f: exp(-x) + y^4 - y^2
        subject to
        c: x - y >= 1
    """,
    "tail_ineq_curve": """
        var x init 1
        var y init 0.5
        minimize f: 1/(x*x) + y^4 - y^2
        subject to
        c: x*x + y*y >= 1
    """,
    "tail_eq": """
        var x init 1
        var z init 1
        var y init 0.5
        minimize f: exp(-x-z) + y^4 - y^2
        subject to
        c: x - z = 1
    """,
    "tail_curve": """
        var x init 2
        var y init 0.5
        var z >= 0 init 0.5
        minimize f: z + y^4 - y^2
        subject to
        c: x*z >= 1
    """,
    "tail_curve2": """
        var x init 2
        var y init 0.5
        var z >= 0 init 0.5
        minimize f: z + y^4 - y^2
        subject to
        c: x*z = 1
    """,
    "family": """
        set I = 1..5
        param a[I] = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5}
        var x[I] init 1
        var y[I] init 0.5
        minimize f: sum(exp(-a[i]*x[i]) for i in I) + sum(y[i]^4 - y[i]^2 for i in I)
    """,
    "family30": """
        set I = 1..30
        var x[I] init 0.7
        minimize f: sum((x[i]-i)^2*(1+(x[i]-i)^2) - 0.1*cos(x[i]) for i in I if i <= 28) +
            sum(exp(-x[i]) for i in I if i > 28)
    """,
    "family100": """
        set I = 1..100
        var x[I] init 0.7
        minimize f: sum(x[i]^4-x[i]^2 for i in I if i <= 98) + sum(exp(-x[i]) for i in I if i > 98)
    """,
    "family_large": """
        set I = 1..500
        var x[I] init 0.7
        minimize f: sum(x[i]^4-x[i]^2+(x[i]*x[i-1]-0.5)^2 for i in I if i > 1 and i <= 490) +
            sum(exp(-x[i]) for i in I if i > 490)
        subject to
        r: sum(x[i] for i in I if i <= 490) <= 1000
    """,
    "tail_coupled": """
        var x init 1
        var y init 0.5
        minimize f: 1/(1+x^2) + 1e2*(y - 1/(1+x^2))^2 + cos(y)-1
    """,
    "max_tail": """
        var x init 1
        var y init 0.5
        maximize f: 1 - exp(-x) - y^4 + y^2
    """,
    "max_sigmoids": """
        var x init 1
        var y init 0.5
        maximize f: 1/(1+exp(-x)) + 1/(1+exp(-x-y)) - y^4+y^2
    """,
    "gauss": """
        var x init 1
        var y init 0.5
        minimize f: exp(-x^2) + y^4 - y^2
    """,
    "separable_logistic": """
        var a init 0.1
        var b init 0.1
        minimize f: (1/(1+exp(a+b)))^2 + (1/(1+exp(2*a-b)))^2
    """,
    "loggap": """
        var x init 1
        var y init 0.5
        minimize f: log(1+1/(1+x^2)) + y^4 - y^2
    """,
    "logit_separable": """
        set J = 1..6
        var a init 0
        var b init 0
        minimize f: sum((1/(1+exp(-(a*(j-3.5)+b))) - (1 if j > 3 else 0))^2 for j in J)
    """,
    "sat_and_true": """
        var x init 1
        var y init 0.5
        minimize f: tanh(y)^2 - tanh(x*1)*0.5 + y^4 - y^2
    """,
    "hill": """
        var x init 1
        var y init 0.5
        minimize f: y^2 - x^2/(1+x^2)*cos(0*y) + y^4 - y^2
    """,
    "prod_tail": """
        var x init 1
        var z init 1
        var y init 0.5
        minimize f: 1/(x*z) + y^4 - y^2
        subject to
        c: x >= 0.1
        d: z >= 0.1
    """,
    "curve_row_tail": """
        var x init 1
        var z init 1
        maximize f: z
        subject to
        c: z <= 1 - 1/(1+x^2)
        d: z >= -5
    """,
    "curve_eq_tail": """
        var x init 1
        var z init 1
        minimize f: z
        subject to
        c: z = exp(-x)
    """,
    "logtail_unb": """
        var x init 1
        var y init 0.5
        minimize f: -log(1+x^2) + y^4 - y^2
    """,
    "sqrt_unb": """
        var x init 1
        var y init 0.5
        minimize f: -sqrt(1+x^2)^0.5 + y^4 - y^2
    """,
    "mini_net": """
        set J = 1..4
        var a init 0.5
        var b init 0.1
        var c init 0.3
        minimize f: sum((tanh(a*(j-2.5)) - (1 if j > 2 else -1))^2 for j in J) + c^4 - c^2
    """,
}
"""Models whose best value is reached nowhere (or has none), started so that a method runs out on the tail."""

MINIMA = {
    "quartic": """
        var x init 1
        var y init 0.5
        minimize f: x^4 + y^4 - y^2
    """,
    "sextic": """
        var x init 1
        var y init 0.5
        minimize f: x^6 + y^4 - y^2
    """,
    "octic_shift": """
        var x init 1
        var y init 0.5
        minimize f: (x-3)^8 + y^4 - y^2
    """,
    "quartic_far": """
        var x init 1
        var y init 0.5
        minimize f: (x-1000)^4 + y^4 - y^2
    """,
    "quartic_down": """
        var x init 1
        var y init 0.5
        minimize f: 1e-8*(x-3)^4 + y^4 - y^2
    """,
    "quartic_up": """
        var x init 1
        var y init 0.5
        minimize f: 1e8*((x-3)^4 + y^4 - y^2)
    """,
    "quad_down": """
        var x init 1
        var y init 0.5
        minimize f: 1e-6*((x-3)^2 + y^4 - y^2)
    """,
    "quad_up": """
        var x init 1
        var y init 0.5
        minimize f: 1e8*((x-3)^2 + y^4 - y^2)
    """,
    "valley": """
        var x init 1
        var y init 0.5
        minimize f: (x*y - 1)^2
    """,
    "valley2": """
        var x init 1
        var z init 3
        var y init 0.5
        minimize f: (x*z - 1)^4 + y^4 - y^2
    """,
    "flatdir": """
        var x init 1
        var z init 3
        var y init 0.5
        minimize f: (x+z-1)^2 + y^4 - y^2
    """,
    "rosen": """
        var x init -1.2
        var y init 1
        minimize f: 100*(y-x^2)^2 + (1-x)^2
    """,
    "rosen_scaled": """
        var x init -1.2e-4
        var y init 1
        minimize f: 100*(y-1e8*x^2)^2 + (1-1e4*x)^2
    """,
    "exp_bound": """
        var x <= 5 init 1
        var y init 0.5
        minimize f: exp(-x) + y^4 - y^2
    """,
    "exp_bound100": """
        var x <= 100 init 1
        var y init 0.5
        minimize f: exp(-x) + y^4 - y^2
    """,
    "exp_row": """
        var x init 1
        var y init 0.5
        minimize f: exp(-x) + y^4 - y^2
        subject to
        c: x^2 <= 100
    """,
    "recip_max": """
        var x init 1
        var y init 0.5
        maximize f: 1/(1+x^2) - y^4 + y^2
    """,
    "exp_well": """
        var x init 1
        var y init 0.5
        minimize f: exp(-x) + 1e-3*x + y^4 - y^2
    """,
    "exp_well_flat": """
        var x init 1
        var y init 0.5
        minimize f: exp(-x) + 1e-5*x + y^4 - y^2
    """,
    "gauss_well": """
        var x init 1
        var y init 0.5
        minimize f: -exp(-(x-3)^2) + y^4 - y^2
    """,
    "ratio": """
        var x init 1
        var y init 0.5
        minimize f: -x/(1+x^2) + y^4 - y^2
    """,
    "xexp_low": """
        var x init 1
        var y init 0.5
        minimize f: -x*exp(-x) + y^4 - y^2
    """,
    "huberish": """
        var x init 1
        var y init 0.5
        minimize f: sqrt(1+(x-2)^2) + y^4 - y^2
    """,
    "powell": """
        var a init 3
        var b init -1
        var c init 0
        var d init 1
        minimize f: (a+10*b)^2 + 5*(c-d)^2 + (b-2*c)^4 + 10*(a-d)^4
    """,
    "log1p4": """
        var x init 1
        var y init 0.5
        minimize f: log(1+(x-3)^4) + y^4 - y^2
    """,
    "sum_of_tails": """
        var x init 1
        var y init 0.5
        minimize f: exp(-x) + exp(x-8) + y^4 - y^2
    """,
    "tanh_sq": """
        var x init 1
        var y init 0.5
        minimize f: tanh(x-1)^2 + y^4 - y^2
    """,
    "tiny_bowl": """
        var x init 1
        var y init 0.5
        minimize f: 1e-4*(x-50)^2/(1+(x-50)^2) + y^4 - y^2
    """,
    "logit_overlap": """
        set J = 1..6
        var a init 0
        var b init 0
        minimize f: sum((1/(1+exp(-(a*(j-3.5)+b))) - (1 if (j > 3 or j == 1) and j != 6 else 0))^2 for j in J)
    """,
    "y2exp": """
        var x init 1
        var y init 0.5
        minimize f: exp(-x)*y^2 + y^2 + y^2*sin(y)*0.1
    """,
    "y4exp": """
        var x init 1
        var y init 0.5
        minimize f: exp(-x)*y^4 + y^4 + 0.1*y^4*sin(y)
    """,
    "y4recip": """
        var x init 1
        var y init 0.5
        minimize f: y^4*(1+1/(1+x^2)) + 0.01*y^4*sin(y)
    """,
    "valley4": """
        var x init 2
        var y init 2
        minimize f: (x*y - 1)^4
    """,
    "valley4b": """
        var x init 2
        var y init 2
        minimize f: (x^2 + y^2 - 1)^4
    """,
    "valley6_x": """
        var x init 2
        var y init 2
        var z init 1
        minimize f: (x*y*z - 1)^6 + 0.1*(x-y)^4
    """,
    "exptail_true": """
        var x init 1
        var y init 0.5
        minimize f: exp(-x) + 1e-12*x^2 + y^4 - y^2
    """,
    "p10": """
        var x init 1
        var y init 0.5
        minimize f: (x-2)^10 + y^4 - y^2
    """,
    "p20": """
        var x init 1
        var y init 0.5
        minimize f: (x-2)^20 + y^4 - y^2
    """,
    "expinv": """
        var x init 1
        var y init 0.5
        minimize f: exp(-1/(1e-3+(x-2)^2)) + y^4 - y^2
    """,
    "pos4": """
        var x init 1
        var y init 0.5
        minimize f: pos(x-3)^4 + y^4 - y^2
    """,
    "ineq_true": """
        var x init 1
        var y init 0.5
        minimize f: exp(-x) + y^4 - y^2
        subject to
        c: x*y <= 3
        d: y >= 0.1
    """,
    "circle": """
        var x init 1
        var y init 0.1
        minimize f: x*y
        subject to
        c: x^2+y^2 = 1
    """,
    "trap": """
        var x in [0,4] init 1
        var y in [0,4] init 1
        minimize f: x*y
        subject to
        c: x+y=2
    """,
    "scale_big_x": """
        var x init 1
        var y init 0.5
        minimize f: ((x-1e7)/1e7)^2 + y^4 - y^2
    """,
    "scale_big_x4": """
        var x init 1
        var y init 0.5
        minimize f: ((x-1e7)/1e6)^4 + y^4 - y^2
    """,
    "scale_small_x": """
        var x init 1e-8
        var y init 0.5
        minimize f: (1e8*x-3)^4 + y^4 - y^2
    """,
}
"""Models with a minimum: flat, far away, in large or small units, on a bound, beside a tail."""


def _solved(text: str) -> Solution:
    return optdsl.parse(text).solve()


@pytest.mark.parametrize("name", TAILS)
def test_a_tail_is_no_minimum(name: str) -> None:
    solution = _solved(TAILS[name])
    if solution.guarantee.word == "global":  # within the tolerance of a proved bound: that none is reached is told
        assert solution.checks.gap is not None and any("ever less" in note for note in solution.notes)
        return
    assert solution.status.word not in ("optimal", "locally_optimal"), solution.status.word
    assert solution.guarantee.word == "none"


@pytest.mark.parametrize("name", MINIMA)
def test_a_minimum_is_no_tail(name: str) -> None:
    assert _solved(MINIMA[name]).status.word in ("optimal", "locally_optimal")


def test_the_note_names_what_grows() -> None:
    notes = " ".join(_solved(TAILS["exp"]).notes)
    assert "as `x` grows" in notes and "may not be attained" in notes
    assert "as `x` falls" in " ".join(_solved(TAILS["recip2_neg"]).notes)
