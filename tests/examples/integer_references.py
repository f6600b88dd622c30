"""The examples with integers, computed without optdsl; one function for each."""

from __future__ import annotations

import itertools
import math

import numpy as np
from reference_program import Expected, Program, numbers, read_rows


def assignment() -> Expected:
    minutes = [
        [90, 76, 75, 70, 83],
        [35, 85, 55, 65, 48],
        [125, 95, 90, 105, 110],
        [45, 110, 95, 115, 76],
        [60, 62, 72, 78, 64],
    ]
    totals = [sum(minutes[p][j] for p, j in enumerate(order)) for order in itertools.permutations(range(5))]
    return Expected(float(min(totals)))


def knapsack() -> Expected:
    items = read_rows("knapsack/items.csv")
    names = [row["item"] for row in items]
    weight, value = numbers(items, "weight"), numbers(items, "value")
    best = 0.0
    for choice in itertools.product((0, 1), repeat=len(items)):
        take = np.array(choice)
        legal = take @ weight <= 7.5 + 1e-9 and take[names.index("stove")] <= take[names.index("bottle")]
        best = max(best, float(take @ value)) if legal else best
    return Expected(best)


def facility_location() -> Expected:
    sites, clients = read_rows("facility_location/sites.csv"), read_rows("facility_location/clients.csv")
    demand = numbers(clients, "demand")
    program = Program()
    opened = program.block(len(sites), upper=1, integer=True)
    serve = program.block(len(sites), len(clients), upper=1)
    for s, site in enumerate(sites):
        program.charge([(opened[s], float(site["rent"]))])
        for c, client in enumerate(clients):
            miles = math.hypot(float(site["x"]) - float(client["x"]), float(site["y"]) - float(client["y"]))
            program.charge([(serve[s, c], 3 * demand[c] * miles)])
            program.row([(serve[s, c], 1), (opened[s], -1)], upper=0)
        program.row([*zip(serve[s], demand, strict=True), (opened[s], -80)], upper=0)
    for c in range(len(clients)):
        program.row([(column, 1) for column in serve[:, c]], 1, 1)
    answer = program.solve()
    return Expected(answer.objective, values={"open": answer.point[opened], "serve": answer.point[serve]})


def unit_commitment() -> Expected:
    units, load = read_rows("unit_commitment/units.csv"), numbers(read_rows("unit_commitment/load.csv"), "load")
    hours = len(load)
    get = {name: numbers(units, name) for name in units[0] if name != "unit"}
    program = Program()
    on = program.block(3, hours, upper=1, integer=True)
    started, power = program.block(3, hours, upper=1), program.block(3, hours)
    for u, t in itertools.product(range(3), range(hours)):
        here, start, give = on[u, t], started[u, t], power[u, t]
        program.charge([(start, get["start_cost"][u]), (here, get["run_cost"][u]), (give, get["fuel_cost"][u])])
        program.row([(give, 1), (here, -get["least"][u])], lower=0)
        program.row([(give, 1), (here, -get["most"][u])], upper=0)
        if t == 0:
            program.row([(start, 1), (here, -1)], lower=-get["was_on"][u])
        else:
            program.row([(start, 1), (here, -1), (on[u, t - 1], 1)], lower=0)
            rise = [(give, 1), (power[u, t - 1], -1)]
            program.row([*rise, (start, -get["least"][u])], upper=get["ramp"][u])
            program.row([(c, -a) for c, a in rise] + [(here, get["most"][u])], upper=get["ramp"][u] + get["most"][u])
        recent = range(max(0, t - int(get["min_up"][u]) + 1), t + 1)
        program.row([*((started[u, s], 1) for s in recent), (here, -1)], upper=0)
    for t in range(hours):
        program.row([(power[u, t], 1) for u in range(3)], load[t], load[t])
        program.row([(on[u, t], get["most"][u]) for u in range(3)], lower=1.1 * load[t])
    return Expected(program.solve().objective)


def sudoku() -> Expected:
    grid = np.zeros((9, 9))
    for row in read_rows("sudoku/given.csv"):
        grid[int(row["row"]) - 1, int(row["column"]) - 1] = int(row["digit"])
    assert _fill(grid)
    return Expected(None, values={"answer": grid})


def _fill(grid: np.ndarray) -> bool:
    empty = np.argwhere(grid == 0)
    if not len(empty):
        return True
    r, c = empty[0]
    box = grid[r // 3 * 3 : r // 3 * 3 + 3, c // 3 * 3 : c // 3 * 3 + 3]
    for digit in range(1, 10):
        if digit not in grid[r] and digit not in grid[:, c] and digit not in box:
            grid[r, c] = digit
            if _fill(grid):
                return True
            grid[r, c] = 0
    return False


def scheduling() -> Expected:
    # name: release, due, weight, hours; the rows of the SQLite file, added up by hand. The lathe opens at 1.
    jobs = {
        "gear": (0, 9, 3, 4.0),
        "shaft": (0, 6, 2, 2.5),
        "valve": (2, 12, 3, 3.0),
        "bracket": (3, 10, 1, 2.0),
        "housing": (0, 20, 2, 5.0),
        "pin": (5, 11, 1, 1.5),
    }
    best = math.inf
    for order in itertools.permutations(jobs):
        clock, total = 1.0, 0.0
        for release, due, weight, hours in (jobs[name] for name in order):
            clock = max(clock, release) + hours
            total += weight * max(0.0, clock - due)
        best = min(best, total) if clock <= 30 else best
    return Expected(best)


def cutting_stock() -> Expected:
    length, orders = np.array([22, 31, 36, 47]), [73, 64, 45, 38]
    patterns = [
        pattern
        for pattern in itertools.product(range(5), range(4), range(3), range(3))
        if pattern @ length <= 100 < pattern @ length + length[0]
    ]
    program = Program()
    cut = program.block(len(patterns), integer=True)
    program.charge((c, 1) for c in cut)
    for k in range(4):
        program.row([(c, pattern[k]) for c, pattern in zip(cut, patterns, strict=True)], lower=orders[k])
    return Expected(program.solve().objective)
