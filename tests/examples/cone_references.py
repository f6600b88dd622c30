"""The conic, geometric and quasi-convex examples, computed without optdsl; one function for each.

Where the literature has a formula or an iteration of its own, that is what is computed; otherwise the model is written
by hand in CVXPY.
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np
from reference_program import Expected, Program
from scipy.optimize import brentq, minimize, root

TIGHT = {"solver": cp.CLARABEL, "tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-11}


def robust_lp() -> Expected:
    profit, capacity = np.array([12, 25, 17]), np.array([80, 60, 50])
    hours = np.array([[1, 2.5, 1.5], [0.5, 1, 2], [1, 1, 0.5]])
    spread = np.array([[0.1, 0.5, 0.1], [0.05, 0.2, 0.6], [0.2, 0.1, 0.1]])
    make = cp.Variable(3, nonneg=True)
    enough = [hours[m] @ make + 1.5 * cp.norm(cp.multiply(spread[m], make)) <= capacity[m] for m in range(3)]
    value = cp.Problem(cp.Maximize(profit @ make), enough).solve(**TIGHT)
    return Expected(value, {"enough": np.array([row.dual_value for row in enough])}, {"make": make.value})


def fermat_weber() -> Expected:
    """Weiszfeld's iteration (1937)."""
    places = np.array([[0, 1], [4, 0], [7, 5], [3, 8], [9, 2]], dtype=float)
    trips = np.array([3, 2, 2.5, 4, 1])
    point = trips @ places / trips.sum()
    for _ in range(2000):
        pull = trips / np.linalg.norm(places - point, axis=1)
        point = pull @ places / pull.sum()
    distance = np.linalg.norm(places - point, axis=1)
    return Expected(trips @ distance, values={"x": point[0], "y": point[1], "distance": distance})


def antenna() -> Expected:
    element = np.arange(8)
    angles = np.array([k for k in range(0, 181, 5) if abs(k - 60) > 15])
    waves = np.exp(1j * np.pi * np.outer(np.cos(np.radians(angles)), element))
    weight = cp.Variable(8, complex=True)
    heard = np.exp(1j * np.pi * np.cos(np.radians(60)) * element) @ weight == 1
    value = cp.Problem(cp.Minimize(cp.max(cp.abs(waves @ weight))), [heard]).solve(**TIGHT)
    return Expected(value, values={"re": weight.value.real, "im": weight.value.imag})


def max_entropy() -> Expected:
    """Chances are proportional to e^(slope k); the slope is the root of one equation."""
    face = np.arange(1, 7)

    def chances(slope: float) -> np.ndarray:
        powers = np.exp(slope * face)
        return powers / powers.sum()

    slope = brentq(lambda t: chances(t) @ face - 4.5, -5, 5, xtol=1e-14)
    p = chances(slope)
    return Expected(-(p @ np.log(p)), {"average": np.array(-slope)}, {"p": p})


def entropic_transport() -> Expected:
    """Sinkhorn's iterations: rows and columns are scaled in turn (Cuturi, 2013)."""
    mass, goal = np.array([0.1, 0.4, 0.3, 0.2]), np.array([0.3, 0.2, 0.1, 0.15, 0.25])
    cost = np.subtract.outer(np.arange(1, 5) / 4, np.arange(1, 6) / 5) ** 2
    kernel = np.exp(-cost / 0.05)
    left, right = np.ones(4), np.ones(5)
    for _ in range(5000):
        left = mass / (kernel @ right)
        right = goal / (kernel.T @ left)
    move = left[:, None] * kernel * right
    return Expected(float((cost * move + 0.05 * move * np.log(move)).sum()), values={"move": move})


def water_filling() -> Expected:
    """The level of the water at which the power is used up."""
    noise = np.array([0.8, 1.2, 0.3, 2.5, 0.6, 1.7])
    level = brentq(lambda t: np.maximum(t - noise, 0).sum() - 4, 0, 10, xtol=1e-14)
    power = np.maximum(level - noise, 0)
    return Expected(np.log1p(power / noise).sum(), {"budget": np.array(1 / level)}, {"p": power})


def box() -> Expected:
    """Walls A and ground F fully used, width and depth equal: the volume is A sqrt(F) / 4."""
    walls, ground = 200.0, 60.0
    side = np.sqrt(ground)
    duals = {"walls": np.array(side / 4), "ground": np.array(walls / (8 * side))}
    values = {"width": side, "depth": side, "height": walls / (4 * side)}
    return Expected(walls * side / 4, duals, {name: np.array(value) for name, value in values.items()})


def gates() -> Expected:
    x = cp.Variable(5, pos=True)
    outside, after = [0, 0, 0, 0, 8], {0: [2], 1: [2, 3], 2: [4], 3: [4], 4: []}
    pin = [0.5, 0.5, 0.75, 0.75, 1]
    delay = [(pin[g] * x[g] + outside[g] + sum(x[h] for h in after[g])) / x[g] for g in range(5)]
    paths = [(0, 2, 4), (1, 2, 4), (1, 3, 4)]
    slowest = cp.max(cp.hstack([sum(delay[g] for g in path) for path in paths]))
    room = cp.multiply([1, 0.8, 1.2, 0.7, 1], x)
    heat = cp.multiply([1, 0.7, 0.7, 0.5, 0.5], x)
    held = [cp.sum(room) <= 12, cp.sum(heat) <= 8, x >= 1, x <= 20]
    value = cp.Problem(cp.Minimize(slowest), held).solve(gp=True, **TIGHT)
    # CVXPY's multipliers are those of the logarithms: d log(objective) / d log(side).
    duals = {name: np.array(-held[k].dual_value * value / side) for k, name, side in ((0, "room", 12), (1, "heat", 8))}
    return Expected(value, duals)


def sparse_covariance() -> Expected:
    covariance = np.array(
        [
            [1.2, 0.6, 0.05, 0.3],
            [0.6, 1.5, 0.4, 0.1],
            [0.05, 0.4, 0.9, -0.35],
            [0.3, 0.1, -0.35, 1.1],
        ]
    )
    inverse = cp.Variable((4, 4), PSD=True)
    apart = 1 - np.eye(4)
    loss = cp.trace(covariance @ inverse) - cp.log_det(inverse)
    loss += 0.12 * cp.sum(cp.multiply(apart, cp.abs(inverse)))
    value = cp.Problem(cp.Minimize(loss)).solve(**TIGHT)
    return Expected(value, values={"K": inverse.value})


def max_cut() -> Expected:
    """The dual problem: the smallest sum of a diagonal that dominates a quarter of the graph's Laplacian."""
    edges = [(1, 2), (2, 3), (3, 4), (4, 5), (5, 1), (1, 6), (3, 6), (5, 7), (2, 7), (6, 7)]
    laplacian = np.zeros((7, 7))
    for (i, j), weight in zip(edges, [3, 2, 4, 3, 5, 2, 3, 4, 3, 2], strict=True):
        ends = np.eye(7)[i - 1] - np.eye(7)[j - 1]
        laplacian += weight * np.outer(ends, ends)
    diagonal = cp.Variable(7)
    dominates = cp.diag(diagonal) - laplacian / 4 >> 0
    value = cp.Problem(cp.Minimize(cp.sum(diagonal)), [dominates]).solve(**TIGHT)
    # The text's objective does not hold the diagonal of X; a quarter of the Laplacian does.
    return Expected(value, {"unit": diagonal.value - np.diag(laplacian) / 4})


def d_optimal() -> Expected:
    """Known: a third at each end and in the middle (Kiefer and Wolfowitz, 1959)."""
    effort = np.zeros(11)
    effort[[0, 5, 10]] = 1 / 3
    return Expected(np.log(4 / 27), values={"effort": effort})


def ratio() -> Expected:
    """The transformation of Charnes and Cooper: y = t mix, with t over the denominator fixed at one."""
    earn, cost, risk = [2, 7, 5, 6], [1, 4, 2, 5], [0.5, 4, 2.5, 2]
    program = Program()
    y, t = program.block(4), program.block()
    program.charge([*zip(y, earn, strict=True), (t, 1)])
    program.row([*zip(y, cost, strict=True), (t, 1.5)], 1, 1)
    program.row([*((k, 1) for k in y), (t, -1)], 0, 0)
    program.row([*zip(y, risk, strict=True), (t, -2.2)], upper=0)
    for k in y:
        program.row([(k, 1), (t, -0.6)], upper=0)
    answer = program.solve(maximize=True)
    return Expected(answer.objective, values={"mix": answer.point[y] / answer.point[t]})


def logistic() -> Expected:
    study = np.arange(1, 13) / 2 - 3
    sleep = np.array([7, 6, 8, 5, 6.5, 8, 5, 7, 7.5, 4, 6, 8]) - 6.5
    passed = np.array([0, 0, 0, 0, 1, 1, 0, 1, 1, 0, 1, 1])
    features = np.column_stack([np.ones(12), study, sleep])
    charged = np.array([0, 0.1, 0.1])

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = features @ w
        value = np.logaddexp(0, z) - passed * z
        slope = features.T @ (1 / (1 + np.exp(-z)) - passed) + 2 * charged * w
        return float(value.sum() + charged @ w**2), slope

    found = minimize(loss, np.zeros(3), jac=True, method="BFGS", options={"gtol": 1e-10})
    base, by_study, by_sleep = found.x
    return Expected(found.fun, values={"base": base, "by_study": by_study, "by_sleep": by_sleep})


def equilibrium() -> Expected:
    """The conditions of an equilibrium in the atoms' potentials and the total (White, Johnson and Dantzig, 1958)."""
    energy = np.array([-6.089, -17.164, -34.054, -5.914, -24.721, -14.986, -24.1, -10.708, -26.662, -22.179])
    atoms = np.array(
        [[1, 2, 2, 0, 0, 1, 0, 0, 0, 1], [0, 0, 0, 1, 2, 1, 1, 0, 0, 0], [0, 0, 1, 0, 0, 0, 1, 1, 2, 1]], dtype=float
    )
    given = np.array([2.0, 1.0, 1.0])

    def free_energy(amount: np.ndarray) -> float:
        return float(amount @ (energy + np.log(amount / amount.sum())))

    def gaps(unknown: np.ndarray) -> np.ndarray:
        amount = np.exp(unknown[3] + unknown[:3] @ atoms - energy)
        return np.append(atoms @ amount - given, amount.sum() / np.exp(unknown[3]) - 1)

    balance = {"type": "eq", "fun": lambda amount: atoms @ amount - given}
    near = minimize(free_energy, np.full(10, 0.1), bounds=[(1e-6, 2)] * 10, constraints=balance, method="SLSQP").x
    potentials = np.linalg.lstsq(atoms.T, energy + np.log(near / near.sum()), rcond=None)[0]
    found = root(gaps, np.append(potentials, np.log(near.sum())), tol=1e-14)
    amount = np.exp(found.x[3] + found.x[:3] @ atoms - energy)
    return Expected(free_energy(amount), {"balance": found.x[:3]}, {"amount": amount})
