"""Models with variables that equalities define, each beside the same model with these put in place by hand.

`shift` (a number or an array by name) is added to what defines a variable: the multiplier of the equality is then the
rate of the optimum in it. In both texts the constraints that are common have the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Pair:
    """A model, the same by hand, and for each equality that defines a variable the parameter added to its right side.

    shapes: of the parameters that are arrays. kinked: the multipliers of the equalities are not unique.
    """

    name: str
    defined: str
    by_hand: str
    shifts: Mapping[str, str] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    kinked: bool = False

    def zeros(self) -> dict[str, np.ndarray | float]:
        """The data without any shift."""
        return {n: np.zeros(self.shapes[n]) if n in self.shapes else 0.0 for n in self.shifts.values()}


def _pair(name: str, texts: str, kinked: bool = False, **shapes: tuple[int, ...]) -> Pair:
    """Texts: what both have, what the one has and what the other; `c: e` marks `c`'s shift `e` in the first line."""
    head, common, defined, by_hand = texts.split("----\n")
    shifts = dict(part.split(":") for part in head.split())
    return Pair(name, common + defined, common + by_hand, shifts, shapes, kinked)


PAIRS = (
    _pair(
        "exponential",
        """c:e
----
param e
var x >= -2, <= 2
----
var y
minimize o: y - 2 * x
subject to
  c: y = exp(x) + e
----
minimize o: exp(x) + e - 2 * x
""",
    ),
    _pair(
        "square_with_another_constraint",
        """c:e
----
param e
var x
var z >= 0
----
var y
minimize o: y + z
subject to
  c: y = x^2 + e
  far: x + z >= 3
----
minimize o: x^2 + e + z
subject to
  far: x + z >= 3
""",
    ),
    _pair(
        "multiplied_by_data",
        """c:e
----
param e
param w = 4
var x >= 0.1, <= 9
----
var y
maximize o: y - x
subject to
  c: w * y = log(x) * 8 + e
----
maximize o: (log(x) * 8 + e) / w - x
""",
    ),
    _pair(
        "on_the_right",
        """c:e
----
param e
var x >= -3, <= 3
----
var y
minimize o: 2 * y + x
subject to
  c: exp(x) + x^2 - y = e
----
minimize o: 2 * (exp(x) + x^2 - e) + x
""",
    ),
    _pair(
        "upper_bound_that_binds",
        """c:e
----
param e
var x[1..2]
----
var y <= 4
maximize o: x[1] + 2 * x[2]
subject to
  c: y = x[1]^2 + x[2]^2 + e
----
maximize o: x[1] + 2 * x[2]
subject to
  top: x[1]^2 + x[2]^2 + e <= 4
""",
    ),
    _pair(
        "lower_bound_that_binds",
        """c:e
----
param e
var x >= 0.01, <= 50
----
var y >= 1
minimize o: x
subject to
  c: y = log(x) + e
----
minimize o: x
subject to
  low: log(x) + e >= 1
""",
    ),
    _pair(
        "bound_that_is_implied",
        """c:e
----
param e
var x >= -2, <= 2
----
var y >= 0
minimize o: y - x
subject to
  c: y = exp(x) + e
----
minimize o: exp(x) + e - x
""",
    ),
    _pair(
        "in_a_constraint",
        """c:e
----
param e
var x
var z
----
var y
minimize o: x + z
subject to
  c: y = x^2 + z^2 + e
  round: y + x <= 2
----
minimize o: x + z
subject to
  round: x^2 + z^2 + e + x <= 2
""",
    ),
    _pair(
        "chain",
        """c:e d:g
----
param e
param g
var x >= -1, <= 3
----
var y
var z
minimize o: z - 5 * x
subject to
  c: y = x^2 + e
  d: z = exp(y / 4) + g
----
minimize o: exp((x^2 + e) / 4) + g - 5 * x
""",
    ),
    _pair(
        "chain_written_backwards",
        """d:g c:e
----
param e
param g
var x >= -1, <= 3
----
var y
var z
minimize o: z - 5 * x
subject to
  d: z = exp(y / 4) + y + g
  c: y = x^2 + e
----
minimize o: exp((x^2 + e) / 4) + x^2 + e + g - 5 * x
""",
    ),
    _pair(
        "chain_of_three",
        """c:e d:g h:k
----
param e
param g
param k
var x >= -1, <= 3
var t
----
var y
var z
var w
minimize o: w + t^2
subject to
  h: w = z^2 + y + k
  c: y = exp(-x) + e
  d: z = y + x^2 + g
  sum_: x + t = 2
----
minimize o: (exp(-x) + e + x^2 + g)^2 + exp(-x) + e + k + t^2
subject to
  sum_: x + t = 2
""",
    ),
    _pair(
        "family",
        """c:e
----
set I = 1..3
param e[I]
param a[I] = [1, 2, 3]
var x[I] >= -2, <= 2
----
var y[I]
minimize o: sum(y[i] for i in I) - sum(a[i] * x[i] for i in I)
subject to
  c[i in I]: y[i] = exp(x[i]) * a[i] / 2 + e[i]
  both: sum(x[i] for i in I) <= 1
----
minimize o: sum(exp(x[i]) * a[i] / 2 + e[i] for i in I) - sum(a[i] * x[i] for i in I)
subject to
  both: sum(x[i] for i in I) <= 1
""",
        e=(3,),
    ),
    _pair(
        "family_of_pairs",
        """c:e
----
set I = 1..2
set J = 1..3
param e[I, J]
param a[I, J] = [[1, 2, 3], [2, 1, 0.5]]
var x[J] >= -3, <= 3
----
var y[I, J]
minimize o: sum(y[i, j] for i in I, j in J)
subject to
  c[i in I, j in J]: y[i, j] = (x[j] - a[i, j])^2 + e[i, j]
  row[i in I]: sum(y[i, j] * a[i, j] for j in J) <= 30
  all: sum(x[j] for j in J) = 1
----
minimize o: sum((x[j] - a[i, j])^2 + e[i, j] for i in I, j in J)
subject to
  row[i in I]: sum(((x[j] - a[i, j])^2 + e[i, j]) * a[i, j] for j in J) <= 30
  all: sum(x[j] for j in J) = 1
""",
        e=(2, 3),
    ),
    _pair(
        "family_of_sums",
        """c:e
----
set I = 1..3
set K = 1..2
param e[K]
param a[K, I] = [[1, 2, -1], [0.5, -1, 2]]
var x[I] >= -3, <= 3
----
var y[K]
minimize o: sum(y[k] for k in K) + sum(x[i] for i in I)
subject to
  c[k in K]: y[k] = sum(a[k, i]^2 * x[i]^2 for i in I) + exp(sum(a[k, i] * x[i] for i in I)) + e[k]
  cap: y[1] <= 3
----
minimize o: sum(sum(a[k, i]^2 * x[i]^2 for i in I) + exp(sum(a[k, i] * x[i] for i in I)) + e[k] for k in K) + sum(x[i] for i in I)
subject to
  cap: sum(a[1, i]^2 * x[i]^2 for i in I) + exp(sum(a[1, i] * x[i] for i in I)) + e[1] <= 3
""",  # noqa: E501
        e=(2,),
    ),
    _pair(
        "neighbors",
        """c:e
----
set T = 1..4
param e[T]
var x[0..4] >= -5, <= 5
----
var y[T]
minimize o: sum(y[t] for t in T) + sum((y[t] + y[t - 1])^2 for t in T if t > 1)
subject to
  c[t in T]: y[t] = (x[t] - x[t - 1])^2 + e[t]
  a: x[0] = 0
  b: x[4] = 3
----
minimize o: sum((x[t] - x[t - 1])^2 + e[t] for t in T) + sum(((x[t] - x[t - 1])^2 + e[t] + (x[t - 1] - x[t - 2])^2 + e[t - 1])^2 for t in T if t > 1)
subject to
  a: x[0] = 0
  b: x[4] = 3
""",  # noqa: E501
        e=(4,),
    ),
    _pair(
        "family_over_tuples",
        """c:e
----
set ARC = {(1, 2), (2, 3), (1, 3)}
param e[ARC]
param cost[ARC] = {(1, 2): 1, (2, 3): 2, (1, 3): 1.5}
var flow[ARC] >= 0
----
var delay[ARC]
minimize o: sum(delay[i, j] for (i, j) in ARC)
subject to
  c[(i, j) in ARC]: delay[i, j] = cost[i, j] * flow[i, j] + flow[i, j]^2 + e[i, j]
  out: flow[1, 2] + flow[1, 3] = 2
  middle: flow[1, 2] = flow[2, 3]
----
minimize o: sum(cost[i, j] * flow[i, j] + flow[i, j]^2 + e[i, j] for (i, j) in ARC)
subject to
  out: flow[1, 2] + flow[1, 3] = 2
  middle: flow[1, 2] = flow[2, 3]
""",
        e=(3,),
    ),
    _pair(
        "bounds_by_entry",
        """c:e
----
set I = 1..3
param e[I]
param top[I] = [1, 2, inf]
var x[I]
----
var y[i in I] <= top[i]
maximize o: x[1] + x[2] + x[3] - x[3]^2
subject to
  c[i in I]: y[i] = x[i]^2 + e[i]
----
maximize o: x[1] + x[2] + x[3] - x[3]^2
subject to
  top1: x[1]^2 + e[1] <= 1
  top2: x[2]^2 + e[2] <= 2
""",
        e=(3,),
    ),
    _pair(
        "kink_away_from_the_optimum",
        """c:e
----
param e
var x >= -4, <= 4
----
var y
minimize o: y + (x - 3)^2
subject to
  c: y = abs(x) + e
----
minimize o: abs(x) + e + (x - 3)^2
""",
    ),
    _pair(
        "kink_at_the_optimum",
        """c:e
----
param e
var x >= -4, <= 4
----
var y
minimize o: 2 * y + x
subject to
  c: y = abs(x) + e
----
minimize o: 2 * (abs(x) + e) + x
""",
    ),
    _pair(
        "greatest_of_three",
        """c:e
----
param e
var x[1..2] >= -4, <= 4
----
var y
minimize o: y + 0.1 * x[1]
subject to
  c: y = max(x[1] + x[2], -2 * x[1], x[2] - 3 * x[1]) + e
  low: x[2] >= -1
----
minimize o: max(x[1] + x[2], -2 * x[1], x[2] - 3 * x[1]) + e + 0.1 * x[1]
subject to
  low: x[2] >= -1
""",
    ),
    _pair(
        "kink_pressed_by_a_bound",
        """c:e
----
param e
var x[1..2] >= -4, <= 4
----
var y <= 1
maximize o: x[1] + x[2]
subject to
  c: y = abs(x[1]) + abs(x[2]) + e
----
maximize o: x[1] + x[2]
subject to
  top: abs(x[1]) + abs(x[2]) + e <= 1
""",
    ),
    _pair(
        "norm",
        """c:e
----
param e
var x[1..2]
----
var y
minimize o: y
subject to
  c: y = norm2([x[1], x[2]]) + e
  line: x[1] + 2 * x[2] >= 5
----
minimize o: norm2([x[1], x[2]]) + e
subject to
  line: x[1] + 2 * x[2] >= 5
""",
    ),
    _pair(
        "whole_numbers_left",
        """c:e
----
param e
var k integer, in [0, 5]
var x >= -2, <= 2
----
var y
minimize o: y - 3 * k + x
subject to
  c: y = exp(k / 2) + x^2 + e
----
minimize o: exp(k / 2) + x^2 + e - 3 * k + x
""",
    ),
    _pair(
        "softmax_like",
        """c:e
----
set I = 1..3
param e
param b[I] = [0.5, -1, 2]
var x[I] >= -2, <= 2
----
var y
minimize o: y - 0.2 * x[1] - 0.5 * x[2]
subject to
  c: y = log(sum(exp(x[i] + b[i]) for i in I)) + e
----
minimize o: log(sum(exp(x[i] + b[i]) for i in I)) + e - 0.2 * x[1] - 0.5 * x[2]
""",
    ),
    _pair(
        "divisor",
        """c:e
----
param e
var x >= 0.1, <= 8
----
var y
minimize o: 3 * y + 2 * x
subject to
  c: y = 1 / x + e
----
minimize o: 3 / x + 3 * e + 2 * x
""",
    ),
    _pair(
        "straight_and_curved",
        """c:e d:g
----
param e
param g
var x[1..2] >= -3, <= 3
----
var s
var y
minimize o: y + x[1]
subject to
  d: s = x[1] - 2 * x[2] + g
  c: y = s^2 + exp(s) + x[2]^2 + e
----
minimize o: (x[1] - 2 * x[2] + g)^2 + exp(x[1] - 2 * x[2] + g) + x[2]^2 + e + x[1]
""",
    ),
    _pair(
        "product_through_a_sum",
        """d:g
----
param g
var x[1..2] >= -3, <= 3
----
var s
minimize o: s * x[1] + x[2]^2 + x[2]
subject to
  d: s = x[1] + x[2] + g
----
minimize o: (x[1] + x[2] + g) * x[1] + x[2]^2 + x[2]
""",
    ),
    _pair(
        "product_with_a_fixed_one",
        """
----
var x >= -3, <= 3
var z >= -3, <= 3
----
var p >= 2, <= 2
minimize o: p * x * x + z^2 + p * z
subject to
  far: x + z >= 1
----
minimize o: 2 * x * x + z^2 + 2 * z
subject to
  far: x + z >= 1
""",
    ),
    _pair(
        "maximized_root",
        """c:e
----
param e
var x >= 0, <= 9
var z >= 0, <= 9
----
var y
maximize o: y
subject to
  c: y = sqrt(x + 1) + log(z + 1) + e
  budget: x + 2 * z <= 10
----
maximize o: sqrt(x + 1) + log(z + 1) + e
subject to
  budget: x + 2 * z <= 10
""",
    ),
    _pair(
        "used_twice",
        """c:e
----
param e
var x >= -3, <= 3
var z >= -3, <= 3
----
var y
minimize o: y + y^2 + z
subject to
  c: y = x^2 + 1 + z^2 + e
  both: x + z = 1
  cap: 2 * y + x <= 6
----
minimize o: x^2 + 1 + z^2 + e + (x^2 + 1 + z^2 + e)^2 + z
subject to
  both: x + z = 1
  cap: 2 * (x^2 + 1 + z^2 + e) + x <= 6
""",
    ),
    _pair(
        "entry_named_by_a_member",
        """c:e
----
set I = {"a", "b"}
param e[I]
param w[I] = [1, 3]
var x[I] >= -3, <= 3
----
var y[I]
minimize o: y["a"] + 2 * y["b"] + x["a"]
subject to
  c[i in I]: y[i] = w[i] * x[i]^2 - x[i] + e[i]
  top: y["b"] + x["a"] <= 0.4
----
minimize o: x["a"]^2 - x["a"] + e["a"] + 2 * (3 * x["b"]^2 - x["b"] + e["b"]) + x["a"]
subject to
  top: 3 * x["b"]^2 - x["b"] + e["b"] + x["a"] <= 0.4
""",
        e=(2,),
    ),
    _pair(
        "least_squares_residuals",
        """c:e
----
set R = 1..4
param e[R]
param u[R] = [0, 1, 2, 3]
param v[R] = [1, 2.2, 2.9, 4.3]
var slope
var cut
----
var off[R]
var loss
minimize o: loss
subject to
  c[i in R]: off[i] = v[i] - slope * u[i] - cut + e[i]
  total: loss = sum(off[i]^2 for i in R)
----
minimize o: sum((v[i] - slope * u[i] - cut + e[i])^2 for i in R)
""",
        e=(4,),
    ),
    _pair(
        "whole_array",
        """c:e
----
set I = 1..3
param e[I]
param A[I, I] = [[2, 1, 0], [0, 1, 1], [1, 0, 3]]
var x[I] >= -2, <= 2
----
var y[I]
minimize o: sum(y) - x[1]
subject to
  c: y = exp(A @ x) + e
----
minimize o: sum(exp(A @ x)) + sum(e) - x[1]
""",
        e=(3,),
    ),
    _pair(
        "index_as_a_number",
        """c:e
----
set I = 1..4
param e[I]
var x >= -3, <= 3
----
var y[I]
minimize o: sum(y[i] for i in I if i > 1) + 0.1 * y[1]
subject to
  c[i in I]: y[i] = i * (x - i)^2 + e[i]
  last_: y[4] + 3 * y[2] <= 40
----
minimize o: sum(i * (x - i)^2 + e[i] for i in I if i > 1) + 0.1 * ((x - 1)^2 + e[1])
subject to
  last_: 4 * (x - 4)^2 + e[4] + 3 * (2 * (x - 2)^2 + e[2]) <= 40
""",
        e=(4,),
    ),
)
