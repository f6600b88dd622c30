"""Test functions of global optimization: boxes, no start, many local minima; four with constraints (CEC 2006).

The first line of each file names its source. Values after Dixon and Szego (1978), Floudas et al. (1999), Ali et al.
(2005), Surjanovic and Bingham (2013) and Liang et al. (2006).
"""

from __future__ import annotations

from typing import Any

from problems import HERE, Problem, points

_POINTS = points("global_")


def _row(name: str, file: str, best: float, published: str, columns: int, rows: int, **known: Any) -> Problem:
    path = HERE / "global_" / f"{file}.opt"
    source = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
    return Problem(name, path, best, source, columns, rows, published=published, point=_POINTS[name], **known)


PROBLEMS = (
    _row("branin", "branin", 0.39788735773, "0.397887", 2, 0),
    _row("camel6", "camel6", -1.03162845349, "-1.0316285", 2, 0, others=(-0.215463824, 2.10425031)),
    _row("camel3", "camel3", 0, "0", 2, 0, others=(0.298638442,)),
    _row("goldstein_price", "goldstein_price", 3, "3", 2, 0, others=(30.0, 84.0, 840.0)),
    _row("hartman3", "hartman3", -3.86278214782, "-3.86278", 3, 0, others=(-3.08976416, -1.00081686)),
    _row("hartman6", "hartman6", -3.32236801142, "-3.32237", 6, 0, others=(-3.20316192,)),
    _row("shekel_m5", "shekel", -10.1531996791, "-10.1532", 4, 0, data={"m": 5}),
    _row("shekel_m7", "shekel", -10.4029405668, "-10.4029", 4, 0, data={"m": 7}),
    _row("shekel_m10", "shekel", -10.5364098167, "-10.5364", 4, 0, data={"m": 10}),
    _row("rastrigin_n2", "rastrigin", 0, "0", 2, 0, data={"n": 2}),
    _row("rastrigin_n10", "rastrigin", 0, "0", 10, 0, data={"n": 10}),
    _row("griewank_n2", "griewank", 0, "0", 2, 0, data={"n": 2}),
    _row("griewank_n10", "griewank", 0, "0", 10, 0, data={"n": 10}),
    _row("ackley_n2", "ackley", 0, "0", 2, 0, data={"n": 2}),
    _row("ackley_n10", "ackley", 0, "0", 10, 0, data={"n": 10}),
    _row("levy_n5", "levy", 0, "0", 5, 0, data={"n": 5}),
    _row("michalewicz_n2", "michalewicz", -1.8013034101, "-1.8013", 2, 0, data={"n": 2}),
    _row("michalewicz_n5", "michalewicz", -4.68765817909, "-4.687658", 5, 0, data={"n": 5}),
    _row("michalewicz_n10", "michalewicz", -9.66015171564, "-9.66015", 10, 0, data={"n": 10}),
    _row("schwefel_n3", "schwefel", 0, "0", 3, 0, data={"n": 3}),
    _row("easom", "easom", -1, "-1", 2, 0, others=(-8.11022389e-05,)),
    _row("himmelblau", "himmelblau", 0, "0", 2, 0),
    _row("booth", "booth", 0, "0", 2, 0),
    _row("matyas", "matyas", 0, "0", 2, 0),
    _row("bohachevsky", "bohachevsky", 0, "0", 2, 0),
    _row("shubert", "shubert", -186.730908831, "-186.7309", 2, 0),
    _row("styblinski_tang_n5", "styblinski_tang", -195.830828519, "-195.8308", 5, 0, data={"n": 5}),
    _row("rosenbrock_n5", "rosenbrock", 0, "0", 5, 0, data={"n": 5}, others=(3.93083943,)),
    _row("dixon_price_n4", "dixon_price", 0, "0", 4, 0, data={"n": 4}),
    _row("zakharov_n5", "zakharov", 0, "0", 5, 0, data={"n": 5}),
    _row("trid_n6", "trid", -50, "-50", 6, 0, data={"n": 6}),
    _row("trid_n10", "trid", -210, "-210", 10, 0, data={"n": 10}),
    _row("eggholder", "eggholder", -959.640662724, "-959.6407", 2, 0),
    _row("drop_wave", "drop_wave", -1, "-1", 2, 0),
    _row("holder_table", "holder_table", -19.2085025679, "-19.2085", 2, 0),
    _row("cross_in_tray", "cross_in_tray", -2.06261187082, "-2.06261", 2, 0),
    _row("bukin6", "bukin6", 0, "0", 2, 0),
    _row("schaffer2", "schaffer2", 0, "0", 2, 0),
    _row("langermann", "langermann", -4.15580929185, "-4.155809", 2, 0),
    _row("hosaki", "hosaki", -2.3458115761, "-2.3458", 2, 0, others=(-1.12779403,)),
    _row("cosine_mixture_n4", "cosine_mixture", -0.4, "-0.4", 4, 0, data={"n": 4}),
    _row("aluffi_pentini", "aluffi_pentini", -0.3523860738, "-0.3523861", 2, 0, others=(-0.152639442,)),
    _row("salomon_n5", "salomon", 0, "0", 5, 0, data={"n": 5}),
    _row("sinusoidal_n5", "sinusoidal", -3.5, "-3.5", 5, 0, data={"n": 5}),
    _row("powersum", "powersum", 0, "0", 4, 0),
    _row("perm_n4", "perm", 0, "0", 4, 0, data={"n": 4}),
    _row("g01", "g01", -15, "-15", 13, 9),
    _row("g02", "g02", -0.803619104125, "-0.80361910", 20, 2),
    _row("g08", "g08", -0.095825041418, "-0.0958250414", 2, 2),
    _row("g24", "g24", -5.50801327159, "-5.5080133", 2, 2, others=(-4.41998474, -4.05370785)),
)
