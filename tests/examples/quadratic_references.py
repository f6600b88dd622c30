"""The convex quadratic examples, computed without optdsl; one function for each."""

from __future__ import annotations

import numpy as np
from reference_program import Expected, Program, numbers, read_rows

FREE = -np.inf


def portfolio() -> Expected:
    mean = numbers(read_rows("portfolio/returns.csv"), "mean")
    rows = read_rows("portfolio/covariance.csv")
    covariance = np.array([[float(row[other["asset"]]) for other in rows] for row in rows])
    program = Program()
    share = program.block(len(mean), upper=0.4)
    for i in range(len(mean)):
        for j in range(len(mean)):
            program.product(share[i], share[j], covariance[i, j])
    invest = program.row([(s, 1) for s in share], 1, 1)
    earn = program.row(zip(share, mean, strict=True), lower=0.06)
    answer = program.solve()
    duals = {"invest": answer.row_dual[invest], "earn": answer.row_dual[earn]}
    return Expected(answer.objective, duals, {"share": answer.point[share]})


def least_squares() -> Expected:
    from scipy.optimize import lsq_linear

    rows = read_rows("least_squares/spectrum.csv")
    pigments = [name for name in rows[0] if name.startswith("pigment_")]
    spectra = np.column_stack([numbers(rows, name) for name in pigments])
    answer = lsq_linear(spectra, numbers(rows, "measured"), (0, 1), method="bvls", tol=1e-14)
    return Expected(2 * answer.cost, values={"amount": answer.x})


def svm() -> Expected:
    rows = read_rows("svm/points.csv")
    x = np.column_stack([numbers(rows, "first"), numbers(rows, "second")])
    label = numbers(rows, "label")
    program = Program()
    w, b, short = program.block(2, lower=FREE), program.block(lower=FREE), program.block(len(label))
    for f in range(2):
        program.product(w[f], w[f], 0.5)
    program.charge((s, 2) for s in short)
    for i, sign in enumerate(label):
        program.row([(w[0], sign * x[i, 0]), (w[1], sign * x[i, 1]), (b, sign), (short[i], 1)], lower=1)
    answer = program.solve()
    return Expected(answer.objective, values={"w": answer.point[w], "b": answer.point[b]})


def huber() -> Expected:
    # With M = 1: huber(r) = min over r = s + p - n of s^2 + 2 (p + n), p, n >= 0 (Mangasarian and Musicant, 2000).
    rows = read_rows("huber/readings.csv")
    program = Program()
    level, slope = program.block(lower=FREE), program.block(lower=FREE)
    for row in rows:
        inner, over, under = program.block(lower=FREE), program.block(), program.block()
        program.product(int(inner), int(inner), 1)
        program.charge([(over, 2), (under, 2)])
        terms = [(level, 1), (slope, float(row["time"])), (inner, 1), (over, 1), (under, -1)]
        program.row(terms, float(row["value"]), float(row["value"]))
    answer = program.solve()
    return Expected(answer.objective, values={"level": answer.point[level], "slope": answer.point[slope]})


def denoise() -> Expected:
    y = numbers(read_rows("denoise/signal.csv"), "value")
    program = Program()
    x, jump = program.block(len(y), lower=FREE), program.block(len(y) - 1)
    program.charge((j, 0.5) for j in jump)
    for k in range(len(y)):
        program.square([(x[k], 1)], -y[k], weight=0.5)
    for k in range(len(y) - 1):
        program.row([(jump[k], 1), (x[k + 1], -1), (x[k], 1)], lower=0)
        program.row([(jump[k], 1), (x[k + 1], 1), (x[k], -1)], lower=0)
    answer = program.solve()
    return Expected(answer.objective, values={"x": answer.point[x]})
