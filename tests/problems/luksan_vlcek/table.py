"""Luksan and Vlcek, Sparse and partially separable test problems for unconstrained and equality constrained
optimization, Report 767 (Prague, 1999), problems 5.1 to 5.18, at two sizes each.

The report prints no values for these sizes: `best` is what another program finds from the standard start. Some of the
problems have other local minima, of different values at large sizes.
"""

from __future__ import annotations

from problems import HERE, Problem, points

_POINTS = points("luksan_vlcek")


def _row(file: str, size: int, best: float, rows: int, note: str = "") -> Problem:
    name = f"{file}_{size}"
    source = f"Luksan and Vlcek (1999), problem 5.{int(file[2:])}"
    path = HERE / "luksan_vlcek" / f"{file}.opt"
    return Problem(name, path, best, source, size, rows, data={"N": size}, point=_POINTS.get(name, {}), note=note)


PROBLEMS = (
    _row("lv01", 20, 6.2324586324, 18),
    _row("lv01", 1000, 6.2324586324, 998),
    _row("lv02", 20, 474.25856407, 13),
    _row("lv02", 1000, 28115.89123, 993),
    _row("lv03", 20, 14.168513898, 2),
    _row("lv03", 1000, 14.168513898, 2),
    _row("lv04", 20, 110.4257875, 18),
    _row("lv04", 1000, 4827.3909467, 998, note="found from a start that was moved a little"),
    _row("lv05", 20, 2.6389904922, 16),
    _row("lv05", 1000, 2.6392837031, 996),
    _row("lv06", 21, 1132.268446, 10),
    _row("lv06", 999, 62638.246134, 499),
    _row("lv07", 20, -8.226779474, 4),
    _row("lv07", 1000, -335.54835474, 4),
    _row("lv08", 20, 1631.1451934, 18),
    _row("lv08", 1000, 82599.682782, 998),
    _row("lv09", 20, 2.0878727674, 6),
    _row("lv09", 1000, 99.983313469, 6),
    _row("lv10", 20, 6.6393317074, 18),
    _row("lv10", 1000, 353.12245492, 998),
    _row("lv11", 20, 0.0, 12),
    _row("lv11", 998, 0.0, 664),
    _row("lv12", 21, 29.459573646, 15),
    _row("lv12", 997, 1498.9656212, 747),
    _row("lv13", 20, 118.83705825, 12),
    _row("lv13", 998, 7979.190097, 664),
    _row("lv14", 20, 91.684538987, 12),
    _row("lv14", 998, 5237.2281396, 664),
    _row("lv15", 21, 0.0, 15),
    _row("lv15", 997, 0.0, 747),
    _row("lv16", 21, 0.0, 15),
    _row("lv16", 997, 0.0, 747),
    _row("lv17", 21, 28.575545764, 15),
    _row("lv17", 997, 1423.062179, 747),
    _row("lv18", 21, 23.994722759, 15),
    _row("lv18", 997, 1194.9371934, 747),
)
