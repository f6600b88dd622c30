"""The linear examples, computed without optdsl; one function for each."""

from __future__ import annotations

import math

import numpy as np
from reference_program import DATA, Expected, Program, numbers, read_rows


def diet() -> Expected:
    foods = read_rows("diet/foods.csv")
    names = [row["food"] for row in foods]
    amounts = {(row["nutrient"], row["food"]): float(row["amount"]) for row in read_rows("diet/content.csv")}
    program = Program()
    buy = program.block(len(names), upper=10)
    program.charge(zip(buy, numbers(foods, "cost"), strict=True))
    rows = [
        program.row([(buy[k], amounts[nutrient, food]) for k, food in enumerate(names)], lower=need)
        for nutrient, need in (("calories", 2000), ("protein", 80), ("fat", 60))
    ]
    answer = program.solve()
    return Expected(answer.objective, {"nutrition": answer.row_dual[rows]}, {"buy": answer.point[buy]})


def transportation() -> Expected:
    plants, markets = read_rows("transportation/plants.csv"), read_rows("transportation/markets.csv")
    miles = {(row["plant"], row["market"]): float(row["distance"]) for row in read_rows("transportation/distances.csv")}
    program = Program()
    ship = program.block(len(plants), len(markets))
    for p, plant in enumerate(plants):
        for m, market in enumerate(markets):
            program.charge([(ship[p, m], 90 * miles[plant["plant"], market["market"]] / 1000)])
        program.row([(c, 1) for c in ship[p]], upper=float(plant["capacity"]))
    rows = [
        program.row([(c, 1) for c in ship[:, m]], lower=float(market["demand"])) for m, market in enumerate(markets)
    ]
    answer = program.solve()
    return Expected(answer.objective, {"demand": answer.row_dual[rows]})


def production() -> Expected:
    hours_each, hours = [0.5, 1.25, 0.75], [160, 160, 120, 160, 160, 140]
    cost, holding, opening = [22, 65, 30], [1.5, 4, 2], [0, 10, 0]
    market = [[90, 110, 140, 160, 120, 100], [40, 45, 60, 70, 55, 50], [80, 70, 60, 100, 120, 90]]
    price = [[45, 45, 48, 52, 48, 45], [120, 120, 125, 140, 130, 120], [60, 60, 62, 62, 66, 60]]
    program = Program()
    make, sell, stock = program.block(3, 6), program.block(3, 6), program.block(3, 7)
    for p in range(3):
        program.row([(stock[p, 0], 1)], opening[p], opening[p])
        for t in range(6):
            program.upper[sell[p, t]] = market[p][t]
            program.charge([(sell[p, t], price[p][t]), (make[p, t], -cost[p]), (stock[p, t + 1], -holding[p])])
            program.row([(stock[p, t], 1), (make[p, t], 1), (sell[p, t], -1), (stock[p, t + 1], -1)], 0, 0)
    labor = [program.row([(make[p, t], hours_each[p]) for p in range(3)], upper=hours[t]) for t in range(6)]
    answer = program.solve(maximize=True)
    return Expected(answer.objective, {"labor": answer.row_dual[labor]}, {"make": answer.point[make]})


def blending() -> Expected:
    available, cost = [3000, 5000, 8000], [68, 58, 47]
    octane, sulfur = [99, 94, 85], [0.5, 1.2, 2.1]
    price, octane_least, sulfur_most = [72, 86], [88, 95], [1.8, 1.0]
    least, most = [4000, 2000], [8000, 5000]
    program = Program()
    mix = program.block(3, 2)
    for c in range(3):
        program.charge((mix[c, g], price[g] - cost[c]) for g in range(2))
    supply = [program.row([(mix[c, g], 1) for g in range(2)], upper=available[c]) for c in range(3)]
    demand, quality, clean = [], [], []
    for g in range(2):
        demand.append(program.row([(mix[c, g], 1) for c in range(3)], least[g], most[g]))
        quality.append(program.row([(mix[c, g], octane[c] - octane_least[g]) for c in range(3)], lower=0))
        clean.append(program.row([(mix[c, g], sulfur[c] - sulfur_most[g]) for c in range(3)], upper=0))
    answer = program.solve(maximize=True)
    duals = {"supply": supply, "demand": demand, "quality": quality, "clean": clean}
    return Expected(answer.objective, {name: answer.row_dual[rows] for name, rows in duals.items()})


def network_flow() -> Expected:
    nodes, arcs = read_rows("network_flow/nodes.csv"), read_rows("network_flow/arcs.csv")
    program = Program()
    flow = program.block(len(arcs))
    program.charge(zip(flow, numbers(arcs, "cost"), strict=True))
    for k, arc in enumerate(arcs):
        program.upper[flow[k]] = float(arc["capacity"])
    balance = []
    for node in nodes:
        terms = [(flow[k], (arc["tail"] == node["node"]) - (arc["head"] == node["node"])) for k, arc in enumerate(arcs)]
        balance.append(program.row(terms, upper=float(node["supply"])))
    answer = program.solve()
    return Expected(answer.objective, {"balance": answer.row_dual[balance]}, {"flow": answer.point[flow]})


def multicommodity() -> Expected:
    links, orders = read_rows("multicommodity/links.csv"), read_rows("multicommodity/orders.csv")
    goods = list(dict.fromkeys(row["good"] for row in orders))
    nodes = list(dict.fromkeys([row["tail"] for row in links] + [row["head"] for row in links]))
    amount = {(row["good"], row["node"]): float(row["amount"]) for row in orders}
    program = Program()
    ship = program.block(len(goods), len(links))
    for g, good in enumerate(goods):
        program.charge(zip(ship[g], numbers(links, "length"), strict=True))
        for node in nodes:
            terms = [(ship[g, k], (row["tail"] == node) - (row["head"] == node)) for k, row in enumerate(links)]
            program.row(terms, amount.get((good, node), 0), amount.get((good, node), 0))
    room = [
        program.row([(ship[g, k], 1) for g in range(len(goods))], upper=float(link["capacity"]))
        for k, link in enumerate(links)
    ]
    answer = program.solve()
    return Expected(answer.objective, {"capacity": answer.row_dual[room]})


def dispatch() -> Expected:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(DATA / "dispatch/hours.parquet").to_pydict()
    load, wind = np.array(table["load"]), np.array(table["wind"])
    most, price, ramp = [200, 300, 250], [12, 41, 83], [200, 60, 100]
    count = len(load)
    program = Program()
    give, windy = program.block(3, count), program.block(count)
    charge, discharge = program.block(count, upper=80), program.block(count, upper=80)
    level = program.block(count, upper=240)
    meet = []
    for t in range(count):
        program.upper[windy[t]] = wind[t]
        inputs = [(give[s, t], 1.0) for s in range(3)] + [(windy[t], 1), (discharge[t], 1), (charge[t], -1)]
        meet.append(program.row(inputs, load[t], load[t]))
        terms = [(level[t], 1), (charge[t], -0.92), (discharge[t], 1)]
        if t:
            program.row([*terms, (level[t - 1], -1)], 0, 0)
        else:
            program.row(terms, 60, 60)
        for s in range(3):
            program.upper[give[s, t]] = most[s]
            program.charge([(give[s, t], price[s])])
            if t:
                program.row([(give[s, t], 1), (give[s, t - 1], -1)], -ramp[s], ramp[s])
    program.lower[level[-1]] = 60
    return Expected(program.solve().objective)


def newsvendor() -> Expected:
    chance = [18.0**k * math.exp(-18) / math.factorial(k) for k in range(41)]
    program = Program()
    buy, sell = program.block(), program.block(41)
    program.charge([(buy, 0.2 * sum(chance) - 1.1)])
    for k in range(41):
        program.upper[sell[k]] = k
        program.charge([(sell[k], chance[k] * (2.5 - 0.2))])
        program.row([(sell[k], 1), (buy, -1)], upper=0)
    answer = program.solve(maximize=True)
    return Expected(answer.objective, values={"buy": answer.point[buy]})


def fairness() -> Expected:
    need, stock = [60, 45, 50, 40], [90, 60]
    truck = [[50, 38, 40, 0], [0, 0, 30, 35]]
    program = Program()
    send, worst = program.block(2, 4), program.block(lower=-np.inf)
    program.charge([(worst, 1)])
    for c in range(4):
        program.row([(send[0, c], 1 / need[c]), (send[1, c], 1 / need[c]), (worst, -1)], lower=0)
        for d in range(2):
            program.upper[send[d, c]] = truck[d][c]
    supply = [program.row([(send[d, c], 1) for c in range(4)], upper=stock[d]) for d in range(2)]
    answer = program.solve(maximize=True)
    return Expected(answer.objective, {"supply": answer.row_dual[supply]})


def project() -> Expected:
    tasks = ["dig", "base", "walls", "roof", "pipes", "wires", "paint"]
    before = ["dig base", "base walls", "walls roof", "base pipes", "walls wires", "pipes paint", "wires paint"]
    days, shorter = [5, 6, 12, 8, 7, 9, 6], [1, 2, 4, 3, 2, 3, 2]
    cost = [600, 350, 480, 290, 150, 260, 420]
    program = Program()
    begin, save, finish = program.block(7), program.block(7), program.block(lower=-np.inf)
    program.charge([(finish, 700)])
    for j in range(7):
        program.upper[save[j]] = shorter[j]
        program.charge([(save[j], cost[j])])
        program.row([(finish, 1), (begin[j], -1), (save[j], 1)], lower=days[j])
    for pair in [*before, "roof paint"]:
        i, j = (tasks.index(name) for name in pair.split())
        program.row([(begin[j], 1), (begin[i], -1), (save[i], 1)], lower=days[i])
    answer = program.solve()
    return Expected(answer.objective, values={"save": answer.point[save]})


def chebyshev() -> Expected:
    x = np.arange(9) / 2
    y = np.array([1.1, 0.6, 0.9, 0.8, 1.9, 2.2, 3.9, 4.6, 7.2])
    program = Program()
    a, largest = program.block(3, lower=-np.inf), program.block()
    program.charge([(largest, 1)])
    for xi, yi in zip(x, y, strict=True):
        fit = [(a[k], xi**k) for k in range(3)]
        program.row([*fit, (largest, 1)], lower=yi)
        program.row([*fit, (largest, -1)], upper=yi)
    answer = program.solve()
    return Expected(answer.objective, values={"a": answer.point[a]})


def l1_regression() -> Expected:
    flats = read_rows("l1_regression/flats.csv")
    program = Program()
    coefficients = program.block(3, lower=-np.inf)
    for flat in flats:
        over, under = program.block(), program.block()
        program.charge([(over, 1), (under, 1)])
        fit = zip(coefficients, (1, float(flat["size"]), float(flat["distance"])), strict=True)
        program.row([*fit, (over, 1), (under, -1)], float(flat["rent"]), float(flat["rent"]))
    answer = program.solve()
    names = ("base", "per_m2", "per_km")
    values = {name: answer.point[column] for name, column in zip(names, coefficients, strict=True)}
    return Expected(answer.objective, values=values)


def cvar() -> Expected:
    assets = ["r_bonds", "r_europe", "r_asia", "r_gold", "r_cash"]
    rows = read_rows("cvar/scenarios.csv")
    r = np.column_stack([numbers(rows, asset) for asset in assets])
    program = Program()
    share, threshold, beyond = program.block(5), program.block(lower=-np.inf), program.block(len(r))
    program.charge([(threshold, 1), *((b, 1 / 4) for b in beyond)])
    for k, row in enumerate(r):
        program.row([*zip(share, row, strict=True), (threshold, 1), (beyond[k], 1)], lower=0)
    invest = program.row([(s, 1) for s in share], 1, 1)
    earn = program.row(zip(share, r.mean(axis=0), strict=True), lower=0.007)
    answer = program.solve()
    duals = {"invest": answer.row_dual[invest], "earn": answer.row_dual[earn]}
    return Expected(answer.objective, duals, {"share": answer.point[share]})


def max_flow() -> Expected:
    pipes = read_rows("max_flow/pipes.csv")
    program = Program()
    flow = program.block(len(pipes))
    for k, pipe in enumerate(pipes):
        program.upper[flow[k]] = float(pipe["capacity"])
        program.charge([(flow[k], pipe["tail"] == "source")])
    for node in "abcd":
        program.row([(flow[k], (p["head"] == node) - (p["tail"] == node)) for k, p in enumerate(pipes)], 0, 0)
    return Expected(program.solve(maximize=True).objective)


def game() -> Expected:
    payoff = [[0, -1, 1, -1], [2, 0, -1, 1], [-1, 1, 0, -1]]
    program = Program()
    p, value = program.block(3), program.block(lower=-np.inf)
    program.charge([(value, 1)])
    for j in range(4):
        program.row([*((p[i], payoff[i][j]) for i in range(3)), (value, -1)], lower=0)
    mixed = program.row([(c, 1) for c in p], 1, 1)
    answer = program.solve(maximize=True)
    return Expected(answer.objective, {"mixed": answer.row_dual[mixed]}, {"p": answer.point[p]})
