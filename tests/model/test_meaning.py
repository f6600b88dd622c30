"""Texts in which one rule of the language decides; optdsl and the plain evaluator must read them alike."""

from __future__ import annotations

import pytest
from agreement import assert_agreement, model_of

from optdsl.classify import analyze
from optdsl.errors import ModelError

MEANINGS = {
    "conditions add up as numbers": """
set I = 1..4
var x[I]
minimize sum(((i > 1) + (i > 2)) * x[i] for i in I)
""",
    "a sum of conditions counts": """
set I = 1..4
param n = sum(i > 2 for i in I)
var x
minimize n * x
""",
    "a condition over an empty product": """
set I = 1..3
set J = 1..0
var x[I]
minimize sum(x[i] for i in I, j in J if i < j) + sum(x[i] for i in I)
""",
    "a family without instances": """
set I = 1..3
set J = 1..0
var x[I]
minimize sum(x[i] for i in I)
subject to
  c[i in I, j in J if i < j]: x[i] <= j
  d[i in I]: sum(x[k] for k in I, j in J if k < j and i < k) <= 1
""",
    "an equality in a declaration keeps both indices": """
set I = 1..3
var y[i in I, j in I if i = j]
minimize sum(y[i, i] for i in I)
subject to
  c[i in I, j in I if i = j]: y[i, j] <= 1
""",
    "an equality in a family keeps all indices": """
set I = 1..3
set A = {(i, j) in I * I if i <= j}
var y[I]
minimize sum(y[i] for i in I)
subject to
  c[(i, j) in A if i = 2]: y[j] <= i
  d[i in I, (k, j) in A if k = i]: y[j] <= i + k
""",
    "a condition guards the ones behind it": """
set T = 1..4
var x[T]
minimize sum(x[t] for t in T)
subject to
  c[k in T]: sum(x[i] for i in T if k > 1 and i = prev(k, T)) <= x[k]
""",
    "a condition guards a look-up behind it": """
set T = 1..4
param p[2..4] = [1, 2, 3]
var x[T]
minimize sum(x[t] for t in T)
subject to
  c[k in T]: sum(x[i] for i in T if k > 1 and i = p[k]) <= x[k]
""",
    "reshape": """
set I = 1..6
var x[I]
minimize sum(reshape(x, 2, 3) @ [1, 2, 3])
subject to
  c: reshape(x, 3, 2) <= 4
""",
    "ranges that count down": """
set I = 5..1 by -2
var x[I]
minimize sum(i * x[i] for i in I)
subject to
  c[i in I if i < 5]: x[i] <= x[prev(i, I)]
  d[k in 1..3]: sum(x[j] for j in 5..1 by -2 if j > k) <= k
  e[k in 1..3]: sum(j for j in k..1 by -1) + x[1] <= k
""",
    "a number between the members": """
set M = {"a", 2, "b"}
var x[M]
minimize sum(x[m] for m in M if m = 2.5) + sum(x[m] for m in M if m = 2)
""",
    "membership in a range with an index": """
set I = 1..5
var x[I]
minimize sum(x[i] for i in I if i in 2..i + 1 and i in 1..4 by 3)
""",
    "one name for a tuple": """
set I = 1..3
set A = {(i, j) in I * I if i < j}
var x[A]
param c[a in A] = 2
minimize sum(c[a] * x[a] for a in A)
subject to
  q[a in A]: x[a] <= 3
  r[(i, j) in A]: x[i, j] + sum(x[k, j] for (k, j) in A) <= 3
""",
    "parts fixed by literals": """
set I = 1..3
set A = {(i, j) in I * I if i < j}
var x[A]
minimize sum(x[1, j] for (1, j) in A) + sum(x[i, j] for (i, j) in A if j = 3) +
  sum(x[i, j] for (i, j) in A if i = first(I) + 1)
""",
    "a name twice in a tuple": """
set I = 1..3
set A = I * I
var x[A]
minimize sum(x[i, i] for (i, i) in A)
""",
    "members as indices": """
set I = 1..4
set C = {"r", "g"}
param lab[I] in C = ["r", "g", "g", "r"]
param nx[I] = [2, 3, 4, 1]
var x[I]
var y[C]
minimize sum(x[nx[i]] * i for i in I) + sum(y[lab[i]] for i in I)
subject to
  a[c in C]: sum(x[i] for i in I if lab[i] = c) <= y[c]
  b[i in I]: y[lab[i]] + y[lab[nx[i]]] <= x[nx[nx[i]]]
""",
    "recursion": """
param fact[k in 0..5] = 1 if k = 0 else k * fact[k - 1]
param fib[k in 1..8] = 1 if k <= 2 else fib[k-1] + fib[k-2]
param grid[i in 0..3, j in 0..3] = 1 if i = 0 or j = 0 else grid[i-1, j] + grid[i, j-1]
param back[k in 1..4] = k if k = 4 else back[k+1] + k
param cum[k in 1..5] = k + sum(cum[j] for j in 1..k-1)
var x
minimize x * fact[5] + fib[8] + grid[3,3] + back[1] + cum[5]
""",
    "named expressions": """
set I = 1..3
set S = {"a", "b"}
param m[I, S] = [[1,2],[3,4],[5,6]]
var w[I, S]
let rows[i in I] = sum(w[i, s] for s in S)
let sc = m * w
let f(t, i) = t * i + 1
minimize sum(rows[i] for i in I) + sum(sc) + f(rows[2], 3) + sum(f(w[i, "a"], i) for i in I)
subject to
  c[i in I if i > 1]: rows[i] - rows[i - 1] <= sum(sc[i, s] for s in S)
  d: rows <= 4
  e: sc[:, "a"] >= rows
""",
    "inline literal": """
set I = 1..4
var x[1..6]
minimize sum(x[j] for i in I, j in {i, i + 1})
subject to
  c[i in I]: sum(x[j] for j in {i, i + 2}) <= 1
""",
    "inline builder element": """
set I = 1..4
var x[1..9]
minimize sum(x[k] for i in I, k in {j + 1 for j in 1..i})
""",
    "inline union": """
set I = 1..4
var x[0..9]
minimize sum(x[k] for i in I, k in (1..i) | {0})
""",
    "inline difference": """
set I = 1..4
var x[I]
minimize sum(x[k] for i in I, k in I - {i})
""",
    "family union": """
set I = 1..4
set F[i in I] = (1..i) | {0, i + 1}
set G[i in I] = F[i] & I
set H[i in I] = I - F[i]
var x[0..9]
minimize sum(x[k] for i in I, k in F[i]) + sum(size(G[i]) + size(H[i]) for i in I)
""",
    "family product": """
set I = 1..3
set F[i in I] = (1..i) * {"a", "b"}
var x[I, {"a", "b"}]
minimize sum(i * x[k, s] for i in I, (k, s) in F[i])
""",
    "family of two": """
set I = 1..3
set S = {"a", "b"}
set F[i in I, s in S] = {j in I if j >= i or s = "a"}
var x[I]
minimize sum(ord(k, F[i, s]) * x[k] for i in I, s in S, k in F[i, s]) +
  sum(x[first(F[i, "b"])] + last(F[i, "a"]) for i in I)
subject to
  c[i in I, s in S]: size(F[i, s]) * x[i] <= (1 if 2 in F[i, s] else 3)
""",
    "family domain": """
set I = 1..3
set F[i in I if i > 1] = {j in I if j < i}
var x[I]
minimize sum(x[k] for i in 2..3, k in F[i])
""",
    "var over family": """
set I = 1..3
set F[i in I] = 1..i
var x[i in I, j in F[i]] >= i - j
minimize sum(x[i, j] for i in I, j in F[i])
subject to
  c[i in I, j in F[i] if i != j]: x[i, j] <= x[j, j]
  d[i in I]: sum(x[i, j] for j in F[i]) <= 3
""",
    "symmetric": """
set I = 1..3
var X[I, I] symmetric
minimize sum(i * X[i, j] for i in I, j in I) + trace(X)
subject to
  c: X <= 3
  d[i in I, j in I if i < j]: X[i, j] - X[j, i] = 0
""",
    "let inside": """
set I = 1..3
set A = {(i, j) in I * I if i < j}
var x[A]
let f[(i, j) in A] = 2 * x[i, j] - 1
minimize sum(f)
subject to
  c[a in A]: f[a] <= 3
  d[i in I]: sum(f[i, j] for (i, j) in A) <= 1
""",
    "index arithmetic on param": """
set I = 1..4
param p[I] = [2, 3, 4, 1]
param q[I] = [1, 2, 2, 3]
var x[0..9]
minimize sum(x[p[i] + q[i]] - x[2 * i] for i in I if p[i] + q[i] in 0..9 and 2 * i <= 8)
""",
    "nested function": """
set I = 1..3
var x[I]
let sq(t) = t * t
let f(t, i) = sum(sq(i - k) * t for k in I) + i
minimize sum(f(x[i], i) for i in I) + f(x[1] + x[2], 2)
""",
    "function with whole array": """
set I = 1..3
var x[I]
param w[I] = [1, 2, 3]
let inner(a, b) = sum(a * b)
let total(v) = inner(w, v) + v[2]
minimize total(x) + total(w)
""",
    "double index array": """
set I = 1..3
param p[I] = [2, 3, 1]
var x[I, I]
minimize sum(x[p, 1]) + sum(x[:, 2] * p) + sum(x[2, p])
subject to
  c: x[p, :] <= p
""",
    "condition arrays": """
set I = 1..4
param a[I] = [1, -1, 2, 0]
var x[I]
minimize sum([x[i] if a[i] > 0 else 0 for i in I]) + sum(max(a, 0) * x)
subject to
  c: x[{i in I if a[i] > 0}] <= 2
""",
    "chain of data": """
set I = 1..3
var x[I]
minimize sum(x)
subject to
  c[i in I]: 0 <= 2 <= 3
  d[i in I]: i <= x[i] <= i + 1 <= 9
  e: 1 <= x
""",
    "mean of cond": """
set I = 1..6
var x[I]
minimize mean(x[i] for i in I if mod(i, 2) = 0) + max(i for i in I if i < 4) * x[1] + prod(i for i in 1..4) * x[2]
subject to
  c[k in 2..3]: mean(x[i] for i in I if i <= k) <= max(i for i in 1..k) + min(i - k for i in I)
""",
    "any all": """
set I = 1..4
set A = {(1, 2), (2, 3), (4, 4)}
var x[I]
minimize sum(x[i] for i in I if any((i, j) in A for j in I) and all(j <= 4 for (i, j) in A))
""",
    "chained compare": """
set I = 1..6
var x[I]
minimize sum(x[i] for i in I if 2 <= i < 5 != i)
""",
    "strings by position": """
set S = {"x", "y"}
param t[1..3] in S = ["y", "x", "y"]
param u[1..3] = ["p", "q", "p"]
var z[S]
minimize sum(z[t[i]] * i for i in 1..3 if u[i] = "p") + sum(z[s] for s in S if s = t[1])
""",
    "neg by": """
var x[1..9]
minimize sum(x[i] for k in 1..3, i in 9..k by -k)
""",
    "power prec": """
var x[1..3]
minimize -2^2 * x[1] + 2^-1 * x[2] + (-2)^2 * x[3] + 2^3^2 - 7 * x[1] / 2 / 2 - 3 - 2
""",
    "range arithmetic": """
param n = 3
set T = n - 2..2 * n by n - 1
var x[T]
minimize sum(x[t] for t in n - 2..2 * n by n - 1)
""",
    "self named": """
set I = 1..2
set J = 1..3
param I2[I] = [1, 2]
var x[I, J]
minimize sum(x[I, J] for I in 1..2, J in 1..3)
""",
    "named expressions at shifted indices": """
set I = 1..4
set A = {(1, 2), (2, 3)}
var x[I]
let f[i in I if i > 1] = i * 2
let g[i in I] = x[i] + (f[i] if i > 1 else 0)
let h[(i, j) in A] = 3
minimize sum(g[i - 1] for i in I if i > 1) + sum(f[i + 1] for i in I if i + 1 in I) + sum(g[2 * i] for i in 1..2) +
  sum(h[a] + h[i, j] for a in A, (i, j) in A) + sum(h[i, i + 1] for i in 1..2) + g[1] + sum(f[{2, 4}]) + sum(g)
""",
    "the order of a set": """
set I = 1..3
set ARC = {(3, 1), (1, 2), (2, 3), (1, 3)}
set Q = {(i, j, k) for i in I, j in I, k in I if i < k}
set P = {(i, j, k) for i in I, j in I, (i, k) in ARC}
set R = {k - i for i in I, j in I, k in I if i < k and j != k}
set F[i in I] = {j + k for j in I, k in I, (k, j) in ARC if i <= j}
var x
minimize x + sum(ord((i, j, k), Q) * i for (i, j, k) in Q) + sum(ord(r, R) * r for r in R)
""",
    "a condition in a set before the next iterator": """
set N = 1..2
set U = {1, 2, 9}
set F[i in N] = 1..i
var x[N]
minimize sum(x[j] for i in {u in U if u < 5}, j in F[i]) + sum(x[j] for k in N, i in {u in U if u <= k}, j in F[i])
""",
    "named expressions in pieces of arrays": """
set I = 1..3
var x[I]
let f[i in I if i > 1] = x[i]
minimize sum(concat([f[i + 1] for i in 1..2], [x[i] for i in I]) * 2) + sum(stack([f[i + 1] for i in 1..2], [1, 2])) +
  sum([f[2], f[3], x[1]]) + sum([[f[i + 1] for i in 1..2], [x[1], 4]])
""",
}

FAULTS = {
    "an index outside a family": """
set I = 1..3
set F[i in 1..2] = 1..i
var x[I]
minimize sum(x[i] for i in I)
subject to
  c[i in I]: sum(x[j] for j in F[i]) <= 1
""",
    "a range that ends at a half": """
param n = 5
var x[1..n]
minimize sum(x[i] for i in 1..n if i in 1..n/2)
""",
    "a range that ends at a half for some index": """
param n = 4
var x[1..n]
minimize sum(x[i] for k in 1..n, i in 1..k/2)
""",
    "membership in a range that ends at a half": """
param n = 4
var x[1..n]
minimize sum(x[i] for k in 1..n, i in 1..n if i in 1..k/2)
""",
    "an index outside a named expression": """
set I = 1..3
let f[i in I if i > 1] = i * 2
var x
minimize x
subject to
  c: f[1] * x <= 3
""",
    "an index outside a named expression, for some": """
set I = 1..3
let f[i in I] = i * 2
let g[i in I] = f[i] + (f[i - 1] if i > 1 else 0)
var x
minimize x + sum(g[i] + g[i + 1] for i in I)
""",
    "an index outside a named array": """
set A = {(1, 2), (2, 3)}
let f[(i, j) in A] = i * j
var x
minimize x + sum(f[i, j] for i in 1..2, j in 2..3)
""",
}


@pytest.mark.parametrize("title", MEANINGS)
def test_meaning(title: str) -> None:
    assert assert_agreement(MEANINGS[title]) is not None, "both find a mistake"


@pytest.mark.parametrize("title", FAULTS)
def test_fault(title: str) -> None:
    assert assert_agreement(FAULTS[title]) is None
    with pytest.raises(ModelError) as caught:
        analyze(model_of(FAULTS[title]))
    assert all(d.span is not None and d.hint for d in caught.value.diagnostics)
