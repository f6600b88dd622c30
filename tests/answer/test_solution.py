"""The solution record: names, words, and what is said about names that it does not have."""

from pathlib import Path

import numpy as np
import pytest
from answers import DIET, INFEASIBLE, SHOWN

from optdsl.answer.status import Guarantee, Status


def test_values_duals_and_slacks_by_name() -> None:
    assert DIET["buy"]["bread"] == 1.5
    assert DIET.dual("nutrition")["calories"] == 0.2
    assert DIET.slack("nutrition")["protein"] == 3
    assert DIET.reduced_cost("buy")["milk"] == 0.3
    assert DIET.value("twice")["bread"] == 3 and DIET.value("total_cost") == 88.2 and DIET.value("buy") is DIET["buy"]
    assert "buy" in DIET and "nutrition" not in DIET


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda: DIET["by"], 'there is no variable "by"; did you mean "buy"?'),
        (lambda: DIET["nutrition"], '"nutrition" is a constraint: see dual("nutrition") and slack("nutrition")'),
        (lambda: DIET["twice"], '"twice" is a named expression: see value("twice")'),
        (lambda: DIET.dual("q"), 'there is no constraint "q"; there are nutrition'),
        (lambda: INFEASIBLE["buy"], "there is no point to report: the status is infeasible"),
    ],
)
def test_wrong_names_are_explained(ask, sentence: str) -> None:
    with pytest.raises(KeyError) as caught:
        ask()
    assert str(caught.value) == sentence


def test_statuses_equal_their_words() -> None:
    assert Status.OPTIMAL == "optimal" and Status.OPTIMAL != "feasible"
    assert f"{Status.TIME_LIMIT}" == "time_limit" and {Status.OPTIMAL: 1}["optimal"] == 1
    assert [s.word for s in Status if s.acceptable] == ["optimal", "locally_optimal", "feasible"]
    assert Guarantee.NONE != Status.OPTIMAL


def test_repr_is_a_short_table() -> None:
    assert repr(DIET).splitlines() == [
        "Solution of diet: optimal, total_cost = 88.2 (guarantee: global)",
        "  buy[FOOD]         3 entries, from 0 to 12.25",
        "  total             1234.5",
        "  nutrition[NUTR]   2 entries, dual from 0 to 0.2",
    ]


def test_the_trace_is_a_table() -> None:
    assert np.array_equal(DIET.trace["iter"], [0, 1]) and len(DIET.trace) == 2
    assert list(DIET.trace.to_pandas().columns) == ["iter", "objective"]


def test_a_solution_made_by_hand_has_a_report_of_what_it_knows(tmp_path: Path) -> None:
    SHOWN.report(tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "<h2>Answer</h2>" in page and "<h2>Model</h2>" not in page
