"""Wrong models: the part that is blamed, its column, why, what to write instead; and the model with that written.

A model is `declarations | objective subject to constraints`, each list separated by `;`. The last entry is the model
after the rewrite where that is convex (None: no rewrite in the same spirit is convex, or none is known).
"""

from __future__ import annotations

OTHERWISE = "write it with convex functions, or approximate it; `optdsl check` shows each statement"
Row = tuple[str, str, int, str, str, str | None]

WRONG: tuple[Row, ...] = (
    (
        "x in [0, 4]; y in [0, 4] | minimize f: x * y",
        "x * y",
        13,
        "a product of two variables, `x` and `y`; neither is constant",
        "fix `x` or `y`, or choose among a few values of one of them by binaries: then it is linear",
        None,
    ),
    (
        "x; y | minimize f: x * y + x",
        "x * y",
        13,
        "a product of two variables, `x` and `y`; neither is constant",
        (
            "declare `x >= 0` and `y >= 0`, if that holds: then this is a geometric program, solved to global"
            " optimality"
        ),
        None,
    ),
    (
        "x; y | minimize f: x + y subject to c: x * y >= 1",
        "x * y",
        6,
        "a product of two variables, `x` and `y`; neither is constant",
        "declare `x >= 0`, if that holds: then this is convex",
        "x >= 0; y >= 0 | minimize f: x + y subject to c: x * y >= 1",
    ),
    (
        "x in [-2, 2] | minimize f: x^3",
        "x^3",
        13,
        "`x^3` changes its curvature at 0, and `x` lies between -2 and 2",
        "declare `x >= 0`, if that holds: then this is convex",
        "x in [0, 2] | minimize f: x^3",
    ),
    (
        "x | minimize f: x^3 + x^2",
        "x^3",
        13,
        "`x^3` changes its curvature at 0, and `x` has no bounds",
        "declare `x >= 0`, if that holds: then this is convex",
        "x >= 0 | minimize f: x^3 + x^2",
    ),
    (
        "x | minimize f: 1 / x",
        "1 / x",
        13,
        "`1 / x` jumps at 0, and `x` has no bounds",
        "declare `x >= 0`, if that holds: then this is convex",
        "x >= 0 | minimize f: 1 / x",
    ),
    (
        "x | minimize f: x subject to c: 1 / x <= 4",
        "1 / x",
        6,
        "`1 / x` jumps at 0, and `x` has no bounds",
        "declare `x >= 0`, if that holds: then this is convex",
        "x >= 0 | minimize f: x subject to c: 1 / x <= 4",
    ),
    (
        "x in [0, 4] | minimize f: sqrt(x) + (x - 1)^2",
        "sqrt(x)",
        13,
        "`sqrt` is concave, but what is minimized must be convex: the whole is a difference of convex parts",
        "replace `sqrt(x)` by its tangent at a point that is good, solve, and repeat from the answer",
        None,
    ),
    (
        "x | minimize f: exp(sqrt(x)) + x^2",
        "sqrt(x)",
        17,
        "`exp` is increasing, but its argument is concave",
        OTHERWISE,
        None,
    ),
    (
        "x | minimize f: exp(x) - x^3",
        "x^3",
        22,
        "`x^3` changes its curvature at 0, and `x` has no bounds",
        "declare `x <= 0`, if that holds: then this is convex",
        "x <= 0 | minimize f: exp(x) - x^3",
    ),
    (
        "x; y | minimize f: abs(x) - abs(y)",
        "abs(y)",
        22,
        (
            "`abs` is convex, but a part that is subtracted in what is minimized must be concave: the whole "
            "is a difference of convex parts"
        ),
        "solve once with `y` and once with `-(y)` in its place, and keep the better answer",
        None,
    ),
    (
        "x; y | minimize f: x^2 - y^2",
        "y^2",
        19,
        "the square `y^2` has a minus sign: the whole is a difference of convex parts",
        "replace `y^2` by its tangent at a point that is good, solve, and repeat from the answer",
        None,
    ),
    (
        "x[I] | minimize f: quad_form(x, Q)",
        "quad_form(x, Q)",
        13,
        "this quadratic is not convex: its matrix has the negative eigenvalue -1",
        (
            "declare `Q` `psd`, so that such data is reported where it is read; a matrix that is only rounded"
            " is mended by adding a little to its diagonal"
        ),
        None,
    ),
    (
        "x[I] | maximize f: x @ Q @ x",
        "x @ Q @ x",
        13,
        "this quadratic is not concave: its matrix has the positive eigenvalue 3",
        (
            "declare `Q` `nsd`, so that such data is reported where it is read; a matrix that is only rounded"
            " is mended by taking a little from its diagonal"
        ),
        None,
    ),
    (
        "x[I]; y[I] | minimize f: sum(Q[i, j] * x[i] * y[j] for i in I, j in I)",
        "sum(Q[i, j] * x[i] * y[j] for i in I, j in I)",
        13,
        "this quadratic is not convex: its matrix has the negative eigenvalue -1.5",
        "fix `x` or `y`, or solve for the one and the other in turn: with one fixed it is linear",
        None,
    ),
    (
        "x[I]; y[J] | minimize f: sum(C[i, j] * x[i] * y[j] for i in I, j in J)",
        "sum(C[i, j] * x[i] * y[j] for i in I, j in J)",
        13,
        "this quadratic is not convex: its matrix has the negative eigenvalue -1.87",
        "fix `x` or `y`, or solve for the one and the other in turn: with one fixed it is linear",
        None,
    ),
    (
        "x in [0, 4]; y in [0, 4] | minimize f: x + y subject to c: x^2 + y^2 = 4",
        "x^2",
        6,
        "`x^2` is convex, but what stands in an equation must be affine",
        "relax it to `x^2 + y^2 <= 4`, if the optimum presses that side to equality anyway",
        "x in [0, 4]; y in [0, 4] | minimize f: x + y subject to c: x^2 + y^2 <= 4",
    ),
    (
        "x in [0, 4]; y in [0, 4] | minimize f: x - y subject to c: y = exp(x)",
        "exp(x)",
        10,
        "`exp` is convex, but what stands in an equation must be affine",
        "relax it to `y >= exp(x)`, if the optimum presses that side to equality anyway",
        "x in [0, 4]; y in [0, 4] | minimize f: x - y subject to c: y >= exp(x)",
    ),
    (
        "x in [-2, 2] | minimize f: x subject to c: x^2 >= 1",
        "x^2",
        6,
        "`x^2` is convex, but what is bounded below must be concave",
        "a binary `b` chooses the side: `x >= 1 - 3 * b`, `x <= 3 * (1 - b) - 1`",
        "x in [-2, 2]; b binary | minimize f: x subject to c: x >= 1 - 3 * b; d: x <= 3 * (1 - b) - 1",
    ),
    (
        "x in [-3, 2] | minimize f: x subject to c: abs(x) >= 1",
        "abs(x)",
        6,
        "`abs` is convex, but what is bounded below must be concave",
        "a binary `b` chooses the side: `x >= 1 - 4 * b`, `x <= 4 * (1 - b) - 1`",
        "x in [-3, 2]; b binary | minimize f: x subject to c: x >= 1 - 4 * b; d: x <= 4 * (1 - b) - 1",
    ),
    (
        "x in [-2, 2] | maximize f: abs(x) - x^2/4",
        "abs(x)",
        13,
        "`abs` is convex, but what is maximized must be concave: the whole is a difference of concave parts",
        "solve once with `x` and once with `-(x)` in its place, and keep the better answer",
        None,
    ),
    (
        "b binary; x in [0, 5] | minimize f: x - b * x",
        "b * x",
        17,
        "a product of two variables, `b` and `x`; neither is constant",
        (
            "replace `b * x` by a variable `w` with `0 <= w`, `w <= 5 * b`, `w <= x`, `w >= x - 5 * (1 - b)`:"
            " the same, and linear"
        ),
        (
            "b binary; x in [0, 5]; w >= 0 | minimize f: x - w subject to c: w <= 5 * b; d: w <= x; e: w >= x"
            " - 5 * (1 - b)"
        ),
    ),
    (
        "b binary; d binary | minimize f: b * d - b - d",
        "b * d",
        13,
        "a product of two variables, `b` and `d`; neither is constant",
        (
            "replace `b * d` by a variable `w in [0, 1]` with `w <= b`, `w <= d`, `w >= b + d - 1`: the same,"
            " and linear"
        ),
        (
            "b binary; d binary; w in [0, 1] | minimize f: w - b - d subject to c: w <= b; e: w <= d; g: w >="
            " b + d - 1"
        ),
    ),
    (
        "x in [0, 1]; y in [0, 1] | maximize f: x * y",
        "x * y",
        13,
        "a product of two variables, `x` and `y`; neither is constant",
        "maximize `log(x) + log(y)` instead: the same point is best",
        "x in [0, 1]; y in [0, 1] | maximize f: log(x) + log(y)",
    ),
    (
        "x in [0, 1] | minimize f: entr(x)",
        "entr(x)",
        13,
        "`entr` is concave, but what is minimized must be convex",
        "it is concave as a whole: `maximize` it, if that is what is meant",
        "x in [0, 1] | maximize f: entr(x)",
    ),
    (
        "x in [0, 1] | minimize f: log(x) + x^2",
        "log(x)",
        13,
        "`log` is concave, but what is minimized must be convex: the whole is a difference of convex parts",
        "replace `log(x)` by its tangent at a point that is good, solve, and repeat from the answer",
        None,
    ),
    (
        "x in [-4, 4] | maximize f: sigmoid(x) - 0.01*x^2",
        "sigmoid(x)",
        13,
        (
            "`sigmoid` changes its curvature (convex for x <= 0, concave for x >= 0), and `x` lies between -4"
            " and 4"
        ),
        "approximate it by straight pieces, with a binary for each",
        None,
    ),
    (
        "x in [1, 4]; y in [1, 4] | minimize f: x / y + y",
        "x / y",
        13,
        "a ratio of `x` and `y`, which both hold variables",
        "bound the ratio by a number instead: where `y` is positive, `x <= limit * y`",
        "x in [1, 4]; y in [1, 4] | minimize f: y subject to c: x <= 2 * y",
    ),
    (
        "x; y | minimize f: x + y subject to c: x / y <= 2",
        "x / y",
        6,
        "a ratio of `x` and `y`, which both hold variables",
        "declare `y >= 0`, if that holds: then this is convex",
        "x; y >= 0 | minimize f: x + y subject to c: x / y <= 2",
    ),
    (
        "x | minimize f: sin(x)",
        "sin(x)",
        13,
        (
            "`sin` changes its curvature (concave where sin(x) >= 0, convex where sin(x) <= 0), and `x` has "
            "no bounds"
        ),
        "approximate it by straight pieces, with a binary for each",
        None,
    ),
    (
        "x in [0, 5] | minimize f: floor(x) + x",
        "floor(x)",
        13,
        "`floor` is neither convex nor concave anywhere",
        "replace it by a variable `k integer` with `k <= x`, `k >= x - 1`",
        "x in [0, 5]; k integer | minimize f: k + x subject to c: k <= x; d: k >= x - 1",
    ),
    (
        "x[I] | minimize f: sum(a[i] * x[i]^2 for i in I)",
        "x[i]^2",
        24,
        "`x[i]^2` is convex, but a part that is subtracted in what is minimized must be concave",
        OTHERWISE,
        None,
    ),
    (
        "x[I] | minimize f: sum(a[i] * abs(x[i]) for i in I)",
        "abs(x[i])",
        24,
        "`abs` is convex, but a part that is subtracted in what is minimized must be concave",
        "solve once with `x[i]` and once with `-(x[i])` in its place, and keep the better answer",
        None,
    ),
    (
        "x[I] | minimize f: x[1] subject to c[i in I]: a[i] * x[i]^2 <= 1",
        "x[i]^2",
        21,
        "`x[i]^2` is convex, but a part that is subtracted in what is bounded above must be concave",
        "declare `x >= 0`, if that holds: then this is a geometric program, solved to global optimality",
        None,
    ),
    (
        "x[I] | minimize f: x[1] subject to c: norm2(x) >= 1",
        "norm2(x)",
        6,
        "`norm2` is convex, but what is bounded below must be concave",
        "the whole is convex: only the other direction, `<=`, holds on a convex set",
        None,
    ),
    (
        "x[I] | minimize f: (norm2(x) - 1)^2",
        "norm2(x) - 1",
        14,
        "a square neither rises nor falls throughout, so its argument must be affine; it is convex",
        "write `pos(norm2(x[i] for i in I) - 1)^2`, if only what exceeds 0 counts",
        "x[I] | minimize f: pos(norm2(x) - 1)^2",
    ),
    (
        "x; y | minimize f: max(x, y) subject to c: max(x, y) >= 1",
        "max(x, y)",
        6,
        "`max` is convex, but what is bounded below must be concave",
        "solve once for each of `x`, `y` in its place, and keep the better answer; or let a binary choose one",
        None,
    ),
    (
        "x; y | minimize f: min(x, y) + x^2",
        "min(x, y)",
        13,
        "`min` is concave, but what is minimized must be convex: the whole is a difference of convex parts",
        "solve once for each of `x`, `y` in its place, and keep the better answer; or let a binary choose one",
        None,
    ),
    (
        "x; y | minimize f: x^y",
        "x^y",
        13,
        "the exponent of `pow(x, y)` holds a variable",
        OTHERWISE,
        None,
    ),
    (
        "x[I] >= 0 | minimize f: prod(x[i] for i in I)",
        "prod(x[i] for i in I)",
        13,
        "a product over members that hold variables is neither convex nor concave",
        OTHERWISE,
        None,
    ),
    (
        "x | maximize f: exp(-x^2)",
        "exp(-x^2)",
        13,
        "`exp` is convex, but what is maximized must be concave",
        "maximize `-x^2` instead: the function around it is increasing, so the same point is best",
        "x | maximize f: -x^2",
    ),
    (
        "x | maximize f: exp(x) + x",
        "exp(x)",
        13,
        "`exp` is convex, but what is maximized must be concave",
        "it is convex as a whole: `minimize` it, if that is what is meant",
        None,
    ),
    (
        "x; y | minimize f: y subject to c: sqrt(x) <= y",
        "sqrt(x)",
        6,
        "`sqrt` is concave, but what is bounded above must be convex",
        "the whole is concave: only the other direction, `>=`, holds on a convex set",
        None,
    ),
    (
        "x; y | minimize f: log(exp(x) - exp(y))",
        "log(exp(x) - exp(y))",
        13,
        "`log` is concave, but what is minimized must be convex",
        "approximate it by straight pieces, with a binary for each",
        None,
    ),
    (
        "x; y | minimize f: x^2 - 3*x*y + y^2",
        "x*y",
        21,
        (
            "a product of two variables, `x` and `y`; neither is constant, and the squares beside it do not "
            "outweigh it: its matrix has the negative eigenvalue -0.5"
        ),
        "fix `x` or `y`, or choose among a few values of one of them by binaries: then it is linear",
        None,
    ),
    (
        "x; y | minimize f: x + y subject to c: 1 <= x^2 + y^2; d: 2 >= sqrt(x)",
        "x^2",
        11,
        "`x^2` is convex, but what is bounded below must be concave",
        "the whole is convex: only the other direction, `>=`, holds on a convex set",
        None,
    ),
    (
        "x; y | minimize f: max(min(x, y), 0)",
        "min(x, y)",
        17,
        "`max` is increasing, but its argument is concave",
        OTHERWISE,
        None,
    ),
    (
        "x; y | minimize f: tanh(x) + cos(y)",
        "cos(y)",
        23,
        (
            "`cos` changes its curvature (concave where cos(x) >= 0, convex where cos(x) <= 0), and `y` has "
            "no bounds"
        ),
        "approximate it by straight pieces, with a binary for each",
        None,
    ),
    (
        "x; y | minimize f: (x^2 + 1) * (y + 2)",
        "(x^2 + 1) * (y + 2)",
        13,
        "a product of `x^2 + 1` and `y + 2`, which both hold variables",
        (
            "declare `x >= 0` and `y >= 0`, if that holds: then this is a geometric program, solved to global"
            " optimality"
        ),
        None,
    ),
    (
        "x; y | minimize f: hypot(x, y) subject to c: hypot(x, y) = 2",
        "hypot(x, y)",
        6,
        "`hypot` is convex, but what stands in an equation must be affine",
        "relax it to `hypot(x, y) <= 2`, if the optimum presses that side to equality anyway",
        "x; y | minimize f: hypot(x, y) subject to c: hypot(x, y) <= 2",
    ),
    (
        "x; y | minimize f: huber(abs(x) - 1, 1)",
        "abs(x) - 1",
        19,
        "`huber` neither rises nor falls throughout, so its argument must be affine; it is convex",
        "declare `x >= 0`, if that holds: then this is convex",
        None,
    ),
    (
        "x; y | maximize f: logsumexp([x, y])",
        "logsumexp([x, y])",
        13,
        "`logsumexp` is convex, but what is maximized must be concave",
        "it is convex as a whole: `minimize` it, if that is what is meant",
        "x; y | minimize f: logsumexp([x, y])",
    ),
    (
        "x; y | minimize f: -log(x^2 + 1)",
        "x^2 + 1",
        18,
        "`log` is increasing, but its argument is convex",
        OTHERWISE,
        None,
    ),
    (
        "x; y | minimize f: x subject to c: x * y = 3",
        "x * y",
        6,
        "a product of two variables, `x` and `y`; neither is constant",
        (
            "declare `x >= 0` and `y >= 0`, if that holds: then this is a geometric program, solved to global"
            " optimality"
        ),
        None,
    ),
    (
        "x; y | minimize f: x subject to c: -1 <= x * y <= 3",
        "x * y",
        12,
        "a product of two variables, `x` and `y`; neither is constant",
        (
            "declare `x >= 0` and `y >= 0`, if that holds: then this is a geometric program, solved to global"
            " optimality"
        ),
        None,
    ),
    (
        "M[I, I] symmetric | minimize f: det(M)",
        "det(M)",
        13,
        "`det` of variables is neither convex nor concave",
        OTHERWISE,
        None,
    ),
    (
        "M[I, I] symmetric | minimize f: log_det(M)",
        "log_det(M)",
        13,
        "`log_det` is concave, but what is minimized must be convex",
        "it is concave as a whole: `maximize` it, if that is what is meant",
        "M[I, I] symmetric | maximize f: log_det(M)",
    ),
    (
        "b binary; x in [-2, 5] | minimize f: x^2 - b * x",
        "b * x",
        19,
        (
            "a product of two variables, `b` and `x`; neither is constant, and the squares beside it do not "
            "outweigh it: its matrix has the negative eigenvalue -0.207"
        ),
        (
            "replace `b * x` by a variable `w` with `w >= -2 * b`, `w <= 5 * b`, `w <= x + 2 * (1 - b)`, `w "
            ">= x - 5 * (1 - b)`: the same, and linear"
        ),
        (
            "b binary; x in [-2, 5]; w | minimize f: x^2 - w subject to c: w >= -2 * b; d: w <= 5 * b; e: w "
            "<= x + 2 * (1 - b); g: w >= x - 5 * (1 - b)"
        ),
    ),
    (
        "x; y | minimize f: x subject to c: x^3 + y <= 1",
        "x^3",
        6,
        "`x^3` changes its curvature at 0, and `x` has no bounds",
        "declare `x >= 0`, if that holds: then this is convex",
        "x >= 0; y | minimize f: x subject to c: x^3 + y <= 1",
    ),
    (
        "x; y | minimize f: x + y subject to c: x^2 * y >= 1",
        "x^2 * y",
        6,
        "a product of `x^2` and `y`, which both hold variables",
        "declare `x >= 0`, if that holds: then this is convex",
        "x >= 0; y >= 0 | minimize f: x + y subject to c: x^2 * y >= 1",
    ),
    (
        "x; y | minimize f: y subject to c: max(x, y) = 1",
        "max(x, y)",
        6,
        "`max` is convex, but what stands in an equation must be affine",
        "relax it to `max(x, y) <= 1`, if the optimum presses that side to equality anyway",
        None,
    ),
    (
        "x[I] | minimize f: sum(x[i] * x[j] for i in I, j in I if i < j)",
        "sum(x[i] * x[j] for i in I, j in I if i < j)",
        13,
        "this quadratic is not convex: its matrix has the negative eigenvalue -0.5",
        OTHERWISE,
        None,
    ),
    (
        "x; y in [0, 3] | minimize f: (abs(x) - 1)^2 + y",
        "abs(x) - 1",
        14,
        "`(abs(x) - 1)^2` neither rises nor falls throughout, so its argument must be affine; it is convex",
        "declare `x >= 0`, if that holds: then this is convex",
        None,
    ),
    (
        "x in [0, 9] | maximize f: x^2 - x",
        "x^2",
        13,
        "`x^2` is convex, but what is maximized must be concave",
        "it is convex as a whole: `minimize` it, if that is what is meant",
        None,
    ),
    (
        "x in [0, 9]; y | minimize f: y subject to c: y = sqrt(x)",
        "sqrt(x)",
        10,
        "`sqrt` is concave, but what stands in an equation must be affine",
        "relax it to `y <= sqrt(x)`, if the optimum presses that side to equality anyway",
        "x in [0, 9]; y | minimize f: y subject to c: y <= sqrt(x)",
    ),
    (
        "x; y in [0, 3] | minimize f: ceil(2*x + y)",
        "ceil(2*x + y)",
        13,
        "`ceil` is neither convex nor concave anywhere",
        "replace it by a variable `k integer` with `k >= e`, `k <= e + 1`, where e is `2 * x + y`",
        None,
    ),
    (
        "x; y in [0, 3] | minimize f: sinh(x) + y",
        "sinh(x)",
        13,
        "`sinh` changes its curvature (concave for x <= 0, convex for x >= 0), and `x` has no bounds",
        "approximate it by straight pieces, with a binary for each",
        None,
    ),
)
