"""Damaged examples never give a traceback: they are read, or refused with messages."""

import random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from .damage import KINDS, MODELS, PIECES, Damage, damaged, drawn, never_a_traceback

FRACTIONS = st.floats(0, 1, exclude_max=True)
DAMAGES = st.lists(
    st.builds(Damage, st.sampled_from(KINDS), FRACTIONS, FRACTIONS, st.sampled_from(PIECES)), min_size=1, max_size=3
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(st.sampled_from(sorted(MODELS)), DAMAGES)
@example("diet", [])
def test_damaged_examples_never_give_a_traceback(name: str, damages: list[Damage]) -> None:
    never_a_traceback(damaged(MODELS[name], damages))


# Each of these once gave a traceback, or a warning of NumPy.
FOUND = {
    "dispatch": [("give[s, t - 1]", "give[s, log(-1) - 1]")],
    "scheduling": [('max(release[j], opens["lathe"])', "max(release[j], opens[JOB])")],
    "least_squares": [("S[ROW, PIGMENT]", "S[ROW, {}]")],
    "sudoku": [("3 * b + j", "3..b + j")],
    "diet": [('"protein"', "inf")],
    "fairness": [("need[c]", "need[log(-1)]")],
    "facility_location": [("open[s]", "open[inf]")],
    "transportation": [("cost[p, m]", "log(-1)")],
    "chebyshev": [("4.6", "inf")],
    "cvar": [("param worst = 4", "param worst = 0")],
}


@pytest.mark.parametrize("name", sorted(FOUND))
def test_what_was_found_before(name: str) -> None:
    for old, new in FOUND[name]:
        assert old in MODELS[name]
        never_a_traceback(MODELS[name].replace(old, new, 1))


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(100, 140))
def test_many_damaged_examples_never_give_a_traceback(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(250):
        name = chance.choice(sorted(MODELS))
        never_a_traceback(damaged(MODELS[name], drawn(chance)))
