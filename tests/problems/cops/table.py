"""Dolan, More and Munson, Benchmarking Optimization Software with COPS 3.0 (Argonne, ANL/MCS-TM-273, 2004).

Problems 1 to 17 at several sizes; 18 to 22 (smoothing of meshes, transition states) need data and grids that are not
here. Published values have three to six digits; `best` is what another program finds from the model's start, of
electrons and polygons the best known value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from problems import HERE, Problem, points

_POINTS = points("cops")


def _row(
    name: str, file: str, best: float, published: str, columns: int, rows: int, data: Mapping[str, Any], note: str = ""
) -> Problem:
    path = HERE / "cops" / f"{file}.opt"
    source = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
    point = _POINTS.get(name, {})
    scale = min(1.0, abs(best)) or 1.0
    return Problem(
        name, path, best, source, columns, rows, published=published, data=data, scale=scale, point=point, note=note
    )


PROBLEMS = (
    _row("polygon_6", "polygon", 0.67498144292, "0.674981", 12, 20, {"nv": 6}),
    _row("polygon_8", "polygon", 0.72686848274, "0.726868", 16, 35, {"nv": 8}),
    _row("polygon_10", "polygon", 0.74913734587, "0.749137", 20, 54, {"nv": 10}),
    _row(
        "polygon_25",
        "polygon",
        0.78023207888,
        "",
        50,
        324,
        {"nv": 25},
        note="a regular polygon is largest where the number of sides is odd (Reinhardt 1922)",
    ),
    _row("electrons_25", "electrons", 243.8127603, "243.812760", 75, 25, {"np": 25}),
    _row("electrons_50", "electrons", 1055.1823147, "1055.182315", 150, 50, {"np": 50}),
    _row("electrons_100", "electrons", 4448.35063434, "4448.350634", 300, 100, {"np": 100}),
    _row("electrons_200", "electrons", 18438.8427175, "18438.842718", 600, 200, {"np": 200}),
    _row("camshape_20", "camshape", 4.3279435517, "", 20, 43, {"n": 20}),
    _row("camshape_100", "camshape", 4.2841471217, "4.28414", 100, 203, {"n": 100}),
    _row(
        "camshape_400", "camshape", 4.2756884788, "", 400, 803, {"n": 400}, note="violations of 1e-10 change it by 7e-6"
    ),
    _row("chain_20", "chain", 5.0834023876, "", 42, 23, {"nh": 20}),
    _row("chain_50", "chain", 5.072261494, "5.07226", 102, 53, {"nh": 50}),
    _row("chain_100", "chain", 5.0697846107, "5.06978", 202, 103, {"nh": 100}),
    _row("chain_400", "chain", 5.0686216946, "5.06862", 802, 403, {"nh": 400}),
    _row("pinene_25", "pinene", 19.871532133, "", 505, 500, {"nh": 25}),
    _row("pinene_100", "pinene", 19.872170145, "1.98721e1", 2005, 2000, {"nh": 100}),
    _row("marine_10", "marine", 23011606.941, "", 175, 152, {"nh": 10}),
    _row("marine_100", "marine", 19746262.785, "1.97462e7", 1615, 1592, {"nh": 100}),
    _row("channel_10", "channel", 0.0, "", 80, 80, {"nh": 10}),
    _row("channel_100", "channel", 0.0, "", 800, 800, {"nh": 100}),
    _row("robot_10", "robot", 9.30169173, "", 100, 72, {"nh": 10}),
    _row("robot_50", "robot", 9.1468785018, "9.14687", 460, 312, {"nh": 50}),
    _row("robot_200", "robot", 9.1413954989, "9.14138", 1810, 1212, {"nh": 200}),
    _row("steering_20", "steering", 0.55517989389, "", 106, 87, {"nh": 20}),
    _row("steering_200", "steering", 0.5545770161, "5.54577e-1", 1006, 807, {"nh": 200}),
    _row("rocket_20", "rocket", 1.0127160734, "", 85, 64, {"nh": 20}),
    _row("rocket_100", "rocket", 1.0128320246, "1.01283", 405, 304, {"nh": 100}),
    _row("rocket_400", "rocket", 1.0128366123, "1.01283", 1605, 1204, {"nh": 400}),
    _row("glider_100", "glider", 1255.0586006, "1.25505e3", 506, 407, {"nh": 100}),
    _row("gasoil_10", "gasoil", 0.0052887495961, "", 103, 100, {"nh": 10}),
    _row("gasoil_100", "gasoil", 0.0052365943161, "5.2366e-3", 1003, 1000, {"nh": 100}),
    _row("methanol_10", "methanol", 0.0090357506043, "", 125, 120, {"nh": 10}),
    _row("methanol_100", "methanol", 0.0090222910678, "9.02229e-3", 1205, 1200, {"nh": 100}),
    _row("catmix_10", "catmix", -0.048071478978, "", 110, 80, {"nh": 10}),
    _row("catmix_100", "catmix", -0.048055693908, "-4.80556e-2", 1100, 800, {"nh": 100}),
    _row("torsion_10", "torsion", -0.40994517288, "", 144, 0, {"nx": 10, "ny": 10}),
    _row("torsion_50", "torsion", -0.41808763133, "-4.18087e-1", 2704, 0, {"nx": 50, "ny": 50}),
    _row("bearing_10", "bearing", -0.15381790335, "", 144, 0, {"nx": 10, "ny": 10}),
    _row("bearing_50", "bearing", -0.15482422128, "-1.5482e-1", 2704, 0, {"nx": 50, "ny": 50}),
    _row("minsurf_10", "minsurf", 2.6723585121, "", 144, 48, {"nx": 10, "ny": 10}),
    _row("minsurf_50", "minsurf", 2.514889165, "2.51488", 2704, 208, {"nx": 50, "ny": 50}),
)
