"""Integer programs of textbooks: at published optima, or at optima computed here by other means."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, linear_sum_assignment, milp

import optdsl

HERE = Path(__file__).parent
MODELS, DATA = HERE / "models", HERE / "data" / "mip"


def solve(model: str, **data: object) -> optdsl.Solution:
    solution = optdsl.load(MODELS / f"{model}.opt").solve(**data)
    assert solution.checks.ok
    return solution


def columns(name: str) -> list[tuple[str, ...]]:
    """The rows of a CSV file, without the header."""
    with open(DATA / f"{name}.csv", newline="", encoding="utf-8") as file:
        return [tuple(row) for row in csv.reader(file)][1:]


@pytest.mark.parametrize(
    ("model", "data", "optimum"),
    [
        ("food_manufacture_2", {}, 100278.70),
        ("steel_multi_fixed", {}, 229850),
        ("steel_multi_fixed", {"least": 375, "serves": 5}, 235625),
        ("factory_planning_2", {}, 108855.00),
        pytest.param("ulysses16", {}, 6859, marks=pytest.mark.nightly),
    ],
)
def test_published_optimum(model: str, data: dict[str, float], optimum: float) -> None:
    solution = solve(model, **data)
    assert solution.status.word == "optimal"
    assert solution.objective == pytest.approx(optimum, rel=1e-6, abs=0.005)


def test_cover_against_enumeration() -> None:
    pairs = columns("cover")
    elements = {element for element, _ in pairs}
    held = {subset: {e for e, s in pairs if s == subset} for _, subset in pairs}
    fewest = next(
        count
        for count in range(len(held) + 1)
        if any(set().union(*(held[s] for s in chosen)) == elements for chosen in itertools.combinations(held, count))
    )
    assert solve("cover").objective == pytest.approx(fewest)


def test_cut_patterns_against_scipy() -> None:
    patterns = np.array(columns("cut_patterns"), dtype=float)
    orders = [48, 35, 24, 10, 8]
    answer = milp(np.ones(len(patterns)), constraints=LinearConstraint(patterns.T, lb=orders), integrality=1)
    solution = solve("cut")
    assert solution.objective == pytest.approx(answer.fun) == pytest.approx(47)


def test_fixed_charge_against_scipy() -> None:
    unit = np.array([float(row[2]) for row in columns("fctp")])
    fix = np.array([float(row[3]) for row in columns("fctp")])
    supply, demand = np.array([20, 40, 35, 25]), np.array([25, 20, 15, 30, 10, 20])
    most = np.minimum.outer(supply, demand).ravel()
    rows = np.kron(np.eye(4), np.ones(6)), np.kron(np.ones(4), np.eye(6))
    balance = np.block([[rows[0], np.zeros((4, 24))], [rows[1], np.zeros((6, 24))]])
    sides = np.concatenate([supply, demand])
    answer = milp(
        np.concatenate([unit, fix]),
        constraints=[
            LinearConstraint(balance, sides, sides),
            LinearConstraint(np.hstack([np.eye(24), -np.diag(most)]), ub=0),
        ],
        bounds=(0, np.concatenate([np.full(24, np.inf), np.ones(24)])),
        integrality=np.repeat([0, 1], 24),
        options={"mip_rel_gap": 0},
    )
    assert solve("fixed_charge").objective == pytest.approx(answer.fun, rel=1e-7)


def test_facility_against_enumeration() -> None:
    sites, clients = np.array(columns("fl_sites"), dtype=float), np.array(columns("fl_clients"), dtype=float)
    distance = np.hypot(*(sites[:, None, :2] - clients[None]).transpose(2, 0, 1))
    best = min(
        sites[list(opened), 2].sum() + distance[list(opened)].min(axis=0).sum()
        for count in range(1, len(sites) + 1)
        for opened in itertools.combinations(range(len(sites)), count)
    )
    assert solve("facility").objective == pytest.approx(best, rel=1e-8)


def test_vertex_cover_against_enumeration() -> None:
    edges = columns("mvcp_edges")
    nodes = sorted({node for edge in edges for node in edge})
    fewest = next(
        count
        for count in range(len(nodes) + 1)
        if any(all(set(edge) & set(chosen) for edge in edges) for chosen in itertools.combinations(nodes, count))
    )
    assert solve("vertex_cover").objective == pytest.approx(fewest)


def test_trucks_against_matchings() -> None:
    allowed = columns("trucks_allowed")
    packs, trucks = sorted({p for p, _ in allowed}), sorted({t for _, t in allowed})
    cost = dict.fromkeys(allowed, 0)
    fewest = None
    for count in range(1, len(trucks) + 1):
        for driving in itertools.combinations(trucks, count):
            places = [truck for truck in driving for _ in range(4)]
            if len(places) < len(packs):
                continue
            table = np.array([[cost.get((pack, truck), 1) for truck in places] for pack in packs])
            rows, chosen = linear_sum_assignment(table)
            if table[rows, chosen].sum() == 0:
                fewest = count
                break
        if fewest:
            break
    assert solve("trucks").objective == pytest.approx(fewest)


def test_tours_against_scipy() -> None:
    roads = [(int(i), int(j), float(length)) for i, j, length in columns("ulysses")]
    table = np.full((16, 16), 1e6)
    for i, j, length in roads:
        table[i - 1, j - 1] = length
    rows, chosen = linear_sum_assignment(table)
    assert solve("tours").objective == pytest.approx(table[rows, chosen].sum())


def test_sudoku() -> None:
    solution = solve("sudoku")
    assert solution.status.word == "feasible" and solution.objective is None
    grid = np.rint(np.asarray(solution.value("grid"))).astype(int)
    digits = set(range(1, 10))
    for k in range(9):
        box = grid[k // 3 * 3 : k // 3 * 3 + 3, k % 3 * 3 : k % 3 * 3 + 3]
        assert set(grid[k]) == set(grid[:, k]) == set(box.ravel()) == digits
    for row, column, digit in columns("sudoku_given"):
        assert grid[int(row) - 1, int(column) - 1] == int(digit)
