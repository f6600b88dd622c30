"""Test problems of nonsmooth optimization, most of them largest of several functions, from their usual starts.

Luksan and Vlcek (2000), Test problems for nonsmooth unconstrained and linearly constrained optimization, report V-798,
Academy of Sciences of the Czech Republic; Makela and Neittaanmaki (1992), Nonsmooth optimization. Values as they print
them. Formulas with rows of HS43, HS78, HS86, HS100 and HS113 penalize them exactly.
"""

from __future__ import annotations

from typing import Any

from problems import HERE, Problem


def _row(name: str, best: float, published: str, columns: int, **known: Any) -> Problem:
    path = HERE / "nonsmooth" / f"{name}.opt"
    source = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
    return Problem(name, path, best, source, columns, 0, published=published, **known)


PROBLEMS = (
    _row("cb2", 1.9522244939, "1.9522245", 2),
    _row("cb3", 2, "2", 2),
    _row("dem", -3, "-3", 2),
    _row("ql", 7.2, "7.2", 2),
    _row("lq", -1.41421356237, "-sqrt(2)", 2),
    _row("mifflin1", -1, "-1", 2),
    _row("mifflin2", -1, "-1", 2),
    _row("crescent", 0, "0", 2),
    _row("wf", 0, "0", 2),
    _row("spiral", 0, "0", 2),
    _row("evd52", 3.5997192998, "3.5997193", 3),
    _row("rosen_suzuki", -44, "-44", 4),
    _row("polak6", -44, "-44", 4),
    _row("pbc3", 0.0042021426722, "0.0042021427", 3),
    _row("bard", 0.050816326531, "0.050816327", 3),
    _row("kowalik_osborne", 0.008084368386, "0.0080843684", 4),
    _row("davidon2", 115.7064396, "115.70644", 4),
    _row("oet5", 0.0026359735, "0.0026359735", 4),
    _row("oet6", 0.0020160753794, "0.0020160753", 4),
    _row("exp", 0.00012237125, "0.00012237125", 5),
    _row("pbc1", 0.022340496049, "0.022340496", 5),
    _row("evd61", 0.034904926536, "0.034904926", 6),
    _row("el_attar", 0.55981306536, "0.55981306", 6),
    _row("wong1", 680.63005737, "680.63006", 7),
    _row("wong2", 24.306209073, "24.306209", 10),
    _row("polak2", 54.598150033, "54.598150", 10),
    _row("polak3", 3.7034827174, "3.70348", 11),
    _row("gill", 9.7857720808, "9.7857721", 10),
    _row("hs78", -2.919700409, "-2.9197004", 5),
    _row("colville1", -32.348678966, "-32.348679", 5),
    _row("shor", 22.600162099, "22.600162", 5),
    _row("maxquad", -0.84140833459, "-0.84140833", 10),
    _row("maxq", 0, "0", 20),
    _row("maxl", 0, "0", 20),
    _row("goffin", 0, "0", 50),
    _row("mxhilb", 0, "0", 50),
    _row("l1hilb", 0, "0", 50),
    _row("osborne2", 0.048027400713, "0.048027401", 11),
)
