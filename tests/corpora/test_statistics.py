"""Regressions as optimization problems, against certified and published coefficients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import optdsl

MODELS = Path(__file__).parent / "models"


def solve(model: str, **data: float) -> optdsl.Solution:
    solution = optdsl.load(MODELS / f"{model}.opt").solve(**data)
    assert solution.status.word == "optimal" and solution.checks.ok
    return solution


def test_longley_certified_values() -> None:
    # NIST, Statistical Reference Datasets, Longley (higher level of difficulty).
    solution = solve("longley")
    assert solution.objective == pytest.approx(0.836424055505915, rel=1e-6)
    certified = {
        "GNPDEFL": 15.0618722713733,
        "GNP": -0.358191792925910e-01,
        "UNEMP": -2.02022980381683,
        "ARMED": -1.03322686717359,
        "POP": -0.511041056535807e-01,
        "YEAR": 1829.15146461355,
    }
    found = solution.value("coefficient").to_dict()
    assert found == pytest.approx(certified, rel=1e-3)
    assert float(solution.value("intercept")) == pytest.approx(-3482258.63459582, rel=1e-4)


def test_norris_certified_values() -> None:
    # NIST, Statistical Reference Datasets, Norris (lower level of difficulty).
    solution = solve("norris")
    assert float(solution["level"]) == pytest.approx(-0.262323073774029, rel=1e-5)
    assert float(solution["slope"]) == pytest.approx(1.00211681802045, rel=1e-8)
    assert solution.objective == pytest.approx(26.6173985294224, rel=1e-7)


def test_stackloss_by_absolute_deviations() -> None:
    # Birkes and Dodge, Alternative Methods of Regression (1993), table 4.3: sum of absolute deviations 42.08.
    solution = solve("stackloss")
    assert solution.objective == pytest.approx(42.08116, abs=5e-6)
    assert float(solution["level"]) == pytest.approx(-39.68986, abs=5e-6)
    np.testing.assert_allclose(solution["b"], [0.83188, 0.57391, -0.06087], atol=5e-6)


@pytest.mark.parametrize(
    ("tau", "level", "slope"),
    [(0.25, 95.48354, 0.47410), (0.5, 81.48225, 0.56018), (0.75, 62.39659, 0.64401)],
)
def test_engel_quantiles(tau: float, level: float, slope: float) -> None:
    # The coefficients that the R package quantreg prints for its data set `engel`.
    solution = solve("engel", tau=tau)
    assert float(solution["level"]) == pytest.approx(level, abs=1e-4)
    assert float(solution["slope"]) == pytest.approx(slope, abs=1e-5)
