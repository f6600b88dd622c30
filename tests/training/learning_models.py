"""Random learning models, as text: sums over rows in many spellings, penalties, constraints on averages."""

from __future__ import annotations

import re
from itertools import count
from random import Random

DATA = """
param n = 24
set ROW = 1..n
set P = 1..{p}
set H = {h}
set C = {{{classes}}}
set WORD = {{"ant", "bee", "cow", "dog"}}
set TRAIN = {{i in ROW if mod(i, 4) != 0}}
set VALID = ROW - TRAIN
param X[i in ROW, j in P] = sin(1.1 * i * j + 0.2)
param y[i in ROW] = cos(3 * i)
param hit[i in ROW] = 1 if sin(1.7 * i) > 0 else 0
param count[i in ROW] = mod(i, 4)
param label[i in ROW] in C = {label}
param word[i in ROW] in WORD = "ant" if mod(i, 3) = 0 else ("bee" if mod(i, 5) < 3 else "dog")
param other[i in ROW] in WORD = "cow" if mod(i, 2) = 0 else "bee"
param chain[i in ROW] in ROW = max(1, i - 1)
var w[P]
var b
var A[P, H]
var a[H]
var q[H]
var B[H, C]
var c[C]
var E[WORD, H]
var R[P, P] symmetric
var k fixed, init 0.7
let bend(t) = t / (2 + t^2)
let score[i in ROW] = sum(X[i, j] * w[j] for j in P) + b
let hidden = tanh(X @ A + a)
let logits = hidden @ B + c
let first[i in ROW, h in H] = sigmoid(X[i, 1] * a[h])
let second[i in ROW, h in H] = tanh(X[i, 1] * q[h] + 0.5 * first[i, h])
"""

HIDDEN = ("1..1", "1..2", "1..3", '{"only"}', '{"left", "right"}')
CLASSES = (
    ('"red", "blue"', '"red" if X[i, 1] > 0 else "blue"'),
    ('"one"', '"one"'),
    ("3, 5, 9", "3 if mod(i, 3) = 0 else (5 if mod(i, 2) = 0 else 9)"),
)

LEAVES = (
    "score[i]",
    "y[i]",
    "b",
    "w[1]",
    "X[i, :] @ w",
    "(X @ w)[i]",
    "E[word[i], first(H)]",
    "E[word[i], :] @ E[other[i], :]",
    "sum(E[word[i], h] * a[h] for h in H)",
    "hidden[i, :] @ q",
    "hidden[i, first(H)]",
    "logits[i, label[i]]",
    "sum(second[i, h] * q[h] for h in H)",
    "sum(X[i, j] * R[j, l] * X[i, l] for j in P, l in P)",
    "c[label[i]]",
    "(score[i] - score[chain[i]])",
    "(score[i] - score[i - 1] if i > 1 else 0.3)",
    "(hidden[i + 2, first(H)] * w[1] if i + 2 in ROW else b)",
    "(sum(y[i - l] * score[i - l] for l in 1..2) if i > 2 else score[i])",
    "k * w[last(P)]",
    "mean(hidden[i, h]^2 for h in H)",
    "B[first(H), label[i]]",
)
ONE = (
    "tanh({})",
    "sigmoid({})",
    "softplus({})",
    "exp(0.3 * ({}))",
    "abs({})",
    "pos({})",
    "({})^2",
    "huber({}, 0.4)",
    "gelu({})",
    "silu({})",
    "elu({}, 0.7)",
    "leaky_relu({}, 0.1)",
    "log(1 + ({})^2)",
    "sqrt(1.5 + ({})^2)",
    "sin({})",
    "bend({})",
    "-({})",
    "hinge({})",
    "1 / (1 + exp(-({})))",
    "squared_error({}, y[i])",
    "binary_cross_entropy({}, hit[i])",
    "poisson_nll(0.5 * ({}), count[i])",
    "max(0.9 * ({0}), -0.1 * ({0}))",
    "({})^3 / 4",
    "sum(X[i, j] * w[j] * ({}) for j in P if j > 1)",
    "max(X[i, j] * w[j] + ({}) for j in P)",
    "min(A[j, h] + ({}) for j in P, h in H)",
    "logsumexp(a[h] + ({}) for h in H)",
    "norm2(q[h] * X[i, 1] + ({}) for h in H)",
    "norm1(q[h] - ({}) for h in H)",
    "cross_entropy(logits[i, :] * ({}), label[i])",
)
TWO = (
    "({}) + ({})",
    "({}) - ({})",
    "({}) * ({})",
    "max({}, {})",
    "min({}, {})",
    "({}) / (2 + ({})^2)",
    "(({}) if hit[i] = 1 else ({}))",
)
ITERATED = ("i in ROW", "i in TRAIN", "i in VALID", "i in ROW if mod(i, 5) != 1", "i in TRAIN if hit[i] = 1")
TERMS = (
    "{n} * sum({e} for {s})",
    "mean({e} for {s})",
    "{n} * mean({e} for {s})",
    "sum(({e}) * w[j] for {s2}, j in P)",
    "sum(({e}) * X[i, j]^2 for j in P, {s2})",
    "sum(a[h]^2 + {n} * mean(({e}) * q[h] for {s}) for h in H)",
    "mean(sum(({e}) * E[word[i], h] for h in H) for {s})",
)
ARRAYS = (
    "mean(squared_error(X @ w + b, y))",
    "sum((hidden @ q - y)^2) / n",
    "sumsq(X[TRAIN, :] @ w - y[TRAIN])",
    "mean(abs(X[VALID, :] @ w))",
    "mean(cross_entropy(logits, label))",
    "mean(squared_error(tanh(X @ A) @ A.T, X))",
    "sum(relu(X @ A + 0.1), over = H)[2] + sum(sigmoid(X @ w))",
    "mean(binary_cross_entropy(score, hit))",
    "dot(score - y, score)",
    "(score - y) @ (score - y) / 9",
    "norm1(score - y)",
    "sum(softmax(logits) * outer(y, c))",
    "mean(logsumexp(logits, over = C))",
    "mean(max(hidden, over = H))",
    "mean((score - mean(score) - y)^2)",
    "sum(y * exp(score) / sum(exp(score)))",
    "sum(softmax(logits, over = ROW) * outer(y, c))",
    "norm2(score - y)^2 / n",
    "norm_fro(hidden @ A.T - X)^2 / n",
    "mean(max(score - 0.1, over = ROW) * y)",
    "sum(mean(({e})^2 for i in ROW if mod(i, 3) = g) * b for g in 0..2)",
    "sum(mean(({e}) for i in TRAIN if i > 3 * j) for j in P)",
)
PENALTIES = ("sumsq(w)", "norm1(A)", "norm2(w + 2)", "w[1]^2", "log(1 + sumsq(A))", "norminf(E)", "sum(R)", "k * b")
CONSTRAINTS = (
    "sum({e} for {s}) / n <= 1",
    "-1 <= mean({e} for {s}) <= 2",
    "sumsq(w) <= 3",
    "mean(score[i] for i in TRAIN) = mean(score[i] for i in VALID)",
)
INDEXED = (
    "[j in P]: sum(X[i, j] * ({e}) for i in TRAIN) + w[j] <= j",
    "[h in H]: mean(hidden[i, h]^2 for i in ROW) >= 0.1",
    "[g in 0..1]: -1 <= mean(({e}) for i in ROW if hit[i] = g) - mean(({e}) for i in ROW) <= 1",
    "[g in 0..2, j in P if j != g]: sum(X[i, j] * ({e}) for i in TRAIN if mod(i, 3) = g) <= w[j]",
)


class Writer:
    """Writes expressions; each iteration inside an expression has indices of its own."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.numbers = count(1)

    def row(self, depth: int) -> str:
        """An expression for row i."""
        kind = self.random.random()
        if depth <= 0 or kind < 0.15:
            return self._renamed(self.random.choice(LEAVES))
        if kind < 0.6:
            return self._renamed(self.random.choice(ONE)).format(self.row(depth - 1))
        return self.random.choice(TWO).format(self.row(depth - 1), self.row(depth - 1))

    def _renamed(self, form: str) -> str:
        return re.sub(r"\b[jhl]\b", rf"\g<0>{next(self.numbers)}", form)

    def filled(self, form: str) -> str:
        """A term or a constraint with its places filled."""
        return form.format(
            e=self.row(self.random.randint(0, 3)),
            s=self.random.choice(ITERATED),
            s2=self.random.choice(ITERATED[:3]),
            n=self.random.choice(FACTORS),
        )


FACTORS = ("2", "0.3", "k", "n", "(-1)", "exp(b)", "(w[1] - 2)")


def model_text(seed: int) -> str:
    """A model whose objective is a sum over ROW and the rest."""
    writer = Writer(seed)
    random = writer.random
    classes, label = random.choice(CLASSES)
    data = DATA.format(p=random.randint(1, 3), h=random.choice(HIDDEN), classes=classes, label=label)
    terms = [writer.filled(random.choice((*TERMS, *ARRAYS))) for _ in range(random.randint(1, 3))]
    terms.append(random.choice(("1", "0.1", "-2")) + " * " + random.choice(PENALTIES))
    lines = [f"{random.choice(('minimize', 'maximize'))} f: " + " + ".join(terms)]
    rows = [f"  c{k}: " + writer.filled(random.choice(CONSTRAINTS)) for k in range(random.randint(0, 2))]
    rows += [f"  d{k}" + writer.filled(random.choice(INDEXED)) for k in range(random.randint(0, 1))]
    if rows:
        lines += ["subject to", *rows]
    return data + "\n".join(lines) + "\n"
