"""More, Garbow and Hillstrom, Testing unconstrained optimization software, ACM TOMS 7 (1981) 17-41: 35 sums of squares.

Standard starts; the dimensions are the published ones, some of them several (`data`).
"""

from __future__ import annotations

from typing import Any

from problems import HERE, Problem, points

_POINTS = points("mgh")


def _row(name: str, best: float, published: str, columns: int, **known: Any) -> Problem:
    number = name[3:5]
    return Problem(
        name,
        HERE / "mgh" / f"mgh{number}.opt",
        best,
        f"More, Garbow and Hillstrom (1981), problem {int(number)}",
        columns,
        0,
        published=published,
        scale=1e-3 if best == 0 else 0.0,
        point=_POINTS[name],
        **known,
    )


PROBLEMS = (
    _row("mgh01", 0.0, "0", 2),
    _row("mgh02", 0.0, "0", 2, others=(48.9842536792,)),
    _row("mgh03", 0.0, "0", 2),
    _row("mgh04", 0.0, "0", 2),
    _row("mgh05", 0.0, "0", 2),
    _row("mgh06", 124.362182356, "124.362", 2),
    _row("mgh07", 0.0, "0", 3),
    _row("mgh08", 0.00821487730658, "8.21487e-3", 3, others=(17.4286933333,)),
    _row("mgh09", 1.12793276962e-08, "1.12793e-8", 3),
    _row("mgh10", 87.9458551707, "87.9458", 3),
    _row("mgh11", 0.0, "0", 3, others=(32.835,)),
    _row("mgh12", 0.0, "0", 3),
    _row("mgh13", 0.0, "0", 4),
    _row("mgh14", 0.0, "0", 4),
    _row("mgh15", 0.000307505603849, "3.07505e-4", 4, others=(0.00102734,)),
    _row("mgh16", 85822.2016264, "85822.2", 4),
    _row("mgh17", 5.46489469748e-05, "5.46489e-5", 5),
    _row("mgh18", 0.0, "0", 6, others=(0.00565564992925,)),
    _row("mgh19", 0.0401377362935, "4.01377e-2", 11),
    _row("mgh20_n6", 0.00228767005355, "2.28767e-3", 6, data={"n": 6}),
    _row("mgh20_n9", 1.3997601381e-06, "1.39976e-6", 9, data={"n": 9}),
    _row("mgh20_n12", 4.72238110705e-10, "4.72238e-10", 12, data={"n": 12}),
    _row("mgh21", 0.0, "0", 40),
    _row("mgh22", 0.0, "0", 40),
    _row("mgh23_n4", 2.2499775009e-05, "2.24997e-5", 4, data={"n": 4}),
    _row("mgh23_n10", 7.08765146709e-05, "7.08765e-5", 10, data={"n": 10}),
    _row("mgh24_n4", 9.37629300736e-06, "9.37629e-6", 4, data={"n": 4}),
    _row("mgh24_n10", 0.000293660537457, "2.93660e-4", 10, data={"n": 10}),
    _row("mgh25", 0.0, "0", 10),
    _row("mgh26", 0.0, "0", 10, others=(2.79506e-05,)),
    _row("mgh27", 0.0, "0", 10, others=(1.0,)),
    _row("mgh28", 0.0, "0", 10),
    _row("mgh29", 0.0, "0", 10),
    _row("mgh30", 0.0, "0", 10),
    _row("mgh31", 0.0, "0", 10, others=(2.680219921, 3.057278432)),
    _row("mgh32", 10.0, "10", 10),
    _row("mgh33", 20 * 19 / (2 * 41), "20*19/(2*41)", 10),
    _row("mgh34", (20**2 + 3 * 20 - 6) / (2 * 37), "(20**2 + 3*20 - 6)/(2*37)", 10),
    _row("mgh35_n7", 0.0, "0", 7, data={"n": 7}),
    _row("mgh35_n8", 0.00351687372568, "3.51687e-3", 8, data={"n": 8}),
    _row("mgh35_n9", 0.0, "0", 9, data={"n": 9}),
    _row(
        "mgh35_n10",
        0.00477271377152,
        "6.50395e-3",
        10,
        data={"n": 10},
        others=(0.00650395479645,),
        note="the published value is that of the local minimum near the start",
    ),
)
