"""Luksan and Vlcek, Sparse and partially separable test problems for unconstrained and equality constrained
optimization, Report 767 (Prague, 1999), problems 5.1 to 5.18, at two sizes each.

The report prints no values for these sizes. At the small size `best` is the least of what another program finds from
some hundred starts, `others` are some of the rest, among them the one from the standard start. At the large size
`best` is what it finds from the standard start alone: where the small one has several minima, lower ones are to be
expected.
"""

from __future__ import annotations

from problems import HERE, Problem, points

_POINTS = points("luksan_vlcek")


def _row(file: str, size: int, best: float, rows: int, others: tuple[float, ...] = (), note: str = "") -> Problem:
    name = f"{file}_{size}"
    path = HERE / "luksan_vlcek" / f"{file}.opt"
    source = f"Luksan and Vlcek (1999), problem 5.{int(file[2:])}"
    point = _POINTS.get(name, {})
    return Problem(name, path, best, source, size, rows, others=others, data={"N": size}, point=point, note=note)


PROBLEMS = (
    _row("lv01", 20, 0.0, 18, others=(6.232458632, 533094.0863)),
    _row("lv01", 1000, 0.0, 998, others=(6.2324586324,)),
    _row("lv02", 20, 468.5384681, 13, others=(474.2585641,)),
    _row("lv02", 1000, 28115.89123, 993),
    _row("lv03", 20, 14.1685139, 2, others=(401.0842456, 680.7806669, 1067.696399)),
    _row("lv03", 1000, 14.168513898, 2),
    _row("lv04", 20, 65.95730114, 18, others=(72.71097803, 97.02667443, 110.4257875, 229.8426058, 994.8288699)),
    _row("lv04", 1000, 4827.3909467, 998, note="found from a start that was moved a little"),
    _row("lv05", 20, 0.2740046325, 16, others=(0.3322235495, 0.3735709432, 0.431893346, 2.581104247, 2.638990492)),
    _row("lv05", 1000, 2.6392837031, 996),
    _row("lv06", 21, 1132.268446, 10, others=(543605.7056, 546203.7229, 547687.465, 548188.4584, 548494.8958)),
    _row("lv06", 999, 62638.246134, 499),
    _row(
        "lv07",
        20,
        -10.76687638,
        4,
        others=(-10.64993601, -10.60844692, -10.14336734, -9.284263508, -9.141569711, -8.226779474),
    ),
    _row("lv07", 1000, -335.54835474, 4),
    _row("lv08", 20, 1631.145193, 18, others=(2387.786349, 2706.268158, 2865.264836)),
    _row("lv08", 1000, 82599.682782, 998),
    _row(
        "lv09", 20, 2.03338159, 6, others=(2.035038873, 2.039519791, 2.041177086, 2.041253213, 2.081734567, 2.087872767)
    ),
    _row("lv09", 1000, 99.936617776, 6, others=(99.983313469,), note="found from another start"),
    _row(
        "lv10",
        20,
        6.388913385,
        18,
        others=(6.408661559, 6.414045179, 6.418129675, 6.421026508, 6.427174183, 6.639331707),
    ),
    _row("lv10", 1000, 353.12245492, 998),
    _row("lv11", 20, 0.0, 12, others=(3.352748788, 3.382500321, 3.602481131, 8.143381606, 10.00447938)),
    _row("lv11", 998, 0.0, 664),
    _row(
        "lv12", 21, 3.978146027, 15, others=(14.61275144, 14.71182021, 15.1122474, 20.2273743, 23.23821749, 29.45957365)
    ),
    _row("lv12", 997, 1498.9656212, 747),
    _row(
        "lv13",
        20,
        12.17124853,
        12,
        others=(14.95639997, 30.80120619, 31.8562406, 31.98078502, 32.82826963, 118.8370583),
    ),
    _row("lv13", 998, 7979.190097, 664),
    _row(
        "lv14", 20, 19.714274, 12, others=(29.85429451, 31.19869548, 34.55146317, 35.16106766, 35.84127802, 91.68453899)
    ),
    _row("lv14", 998, 5237.2281396, 664),
    _row("lv15", 21, 0.0, 15, others=(7.281105247, 138.6896686)),
    _row("lv15", 997, 0.0, 747),
    _row("lv16", 21, 0.0, 15, others=(10.60436287, 15.70316149)),
    _row("lv16", 997, 0.0, 747),
    _row("lv17", 21, 28.57554576, 15),
    _row("lv17", 997, 1423.062179, 747),
    _row("lv18", 21, 23.96265587, 15, others=(23.99472276,)),
    _row("lv18", 997, 1194.9371934, 747),
)
