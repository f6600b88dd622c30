"""Engineering designs: the standard ones of the literature whose variables are continuous.

Others are in the set of Hock and Schittkowski: HS67 and HS114 (alkylation), HS83 (Himmelblau), HS93 (transformer),
HS104 (reactors), HS106 (heat exchangers), HS107 and HS109 (generators), HS112 (chemical equilibrium), HS116
(membranes).
"""

from __future__ import annotations

from typing import Any

from problems import HERE, Problem, points

_POINTS = points("engineering")


def _row(
    name: str, file: str, best: float, published: str, source: str, columns: int, rows: int, **known: Any
) -> Problem:
    path = HERE / "engineering" / f"{file}.opt"
    return Problem(
        name, path, best, source, columns, rows, published=published, scale=0.0, point=_POINTS[name], **known
    )


PROBLEMS = (
    _row(
        "welded_beam",
        "welded_beam",
        1.7248523086,
        "1.724852308597",
        "Ragsdell and Phillips (1976), as in Coello (2000)",
        4,
        7,
    ),
    _row(
        "pressure_vessel",
        "pressure_vessel",
        5885.33277362,
        "5885.332774",
        "Sandgren (1990), thicknesses continuous",
        4,
        3,
    ),
    _row("speed_reducer", "speed_reducer", 2994.47106615, "2994.471066", "Golinski (1970), as in Rao (1996)", 7, 11),
    _row("tension_spring", "tension_spring", 0.0126652327901, "0.0126652328", "Belegundu (1982), Arora (1989)", 3, 4),
    _row("three_bar_truss", "three_bar_truss", 263.895843376, "263.8958434", "Nowacki (1973)", 2, 3),
    _row("cantilever", "cantilever", 1.3399563606, "1.339956", "Fleury and Braibant (1986)", 5, 1),
    _row("tubular_column", "tubular_column", 26.4994968915, "", "Rao (1996)", 2, 2),
    _row(
        "corrugated_bulkhead",
        "corrugated_bulkhead",
        6.84295801008,
        "6.8429580",
        "Kvalie, Moe and Skjerlund (1966)",
        4,
        6,
    ),
    _row("i_beam", "i_beam", 0.013074118909, "0.0130741", "Gold and Krishnamurty (1997)", 4, 2),
    _row("reactors", "reactors", -0.388811434291, "-0.388811", "Ryoo and Sahinidis (1995)", 6, 5),
    _row("haverly", "haverly", 400, "400", "Haverly (1978), case 1", 7, 6, others=(0.0, 100.0)),
    _row(
        "haverly_2", "haverly", 600, "600", "Haverly (1978), case 2", 7, 6, data={"demand_x": 600}, others=(0.0, 400.0)
    ),
    _row("haverly_3", "haverly", 750, "750", "Haverly (1978), case 3", 7, 6, data={"price_b": 13}, others=(0.0, 125.0)),
)
