"""Answers for people: whole pages compared, and the rules behind them."""

from dataclasses import replace

import numpy as np
import pytest
from answers import DIET, FOOD, INFEASIBLE, LARGE, SHOWN, UNBOUNDED
from hypothesis import given
from hypothesis import strategies as st

from optdsl.answer.labelled import LabelledArray
from optdsl.answer.layout import Page, page_of, shortened, width_of, wrapped
from optdsl.answer.numbers import number_text, point_aligned, residual_text, seconds_text
from optdsl.answer.solution import Checks, VariableAnswer
from optdsl.answer.status import SecondOrder
from optdsl.answer.terminal import solution_text
from optdsl.data.members import set_of

DIET_PAGE = """\
Optimal: no point that satisfies all constraints has a lower total_cost.

  objective   total_cost = 88.2 (minimized)
  guarantee   global: proved for the whole problem
  class       LP, convex, smooth
  method      highs; every statement is affine
  checks      passed; residuals: constraints 1e-09, optimality 2e-09, complementarity 1e-10, gap 3e-09
  time        0.20 s

total   1234.5

buy [FOOD]
  bread                    1.5
  milk                     0
  beans in tomato sauce   12.25"""

INFEASIBLE_PAGE = """\
Infeasible: no point satisfies all constraints.

  class    LP, convex, smooth
  method   highs; every statement is affine
  time     0.20 s

These cannot hold together, and without any one of them the others can:
  demand["berlin"], its lower side (>=)   line 12: demand[c in CITY]: sum(x) >= need[c]
  the upper bound of ship["a", 3]         ship["a", 3] <= 10
  k takes whole numbers only"""


def test_an_answer_and_a_conflict_as_pages() -> None:
    assert solution_text(DIET, Page(110)) == DIET_PAGE
    assert solution_text(INFEASIBLE, Page(110)) == INFEASIBLE_PAGE


def test_what_is_shown_replaces_the_variables() -> None:
    page = solution_text(SHOWN)
    assert "buy" not in page
    assert "nutrition.dual [NUTR]\n  calories   0.2\n  protein    0" in page
    assert "total_cost / 2   44.1" in page
    assert "note: duals and reduced costs are those of the problem with its integers fixed" in page


def test_matrices_shared_tables_and_shortened_lists() -> None:
    page = solution_text(LARGE)
    matrix = """\
ship [PLANT, MARKET]
              new-york   chicago   topeka
  seattle           50       300      0
  san-diego        275         0    275.5"""
    assert matrix in page
    assert "  HOUR    make   store\n     1   0         1.5\n     2   0.125     0" in page
    assert "... the other 1,544 are 0; --out DIR writes all" in page
    assert "... 1,547 more that are not 0, and 1 is 0; --out DIR writes all" in page
    assert "it cannot be below 85.1, a gap of 3.5%" in page
    assert "1 min 11 s (solving 1 min 10 s)" in page
    assert "none [EMPTY]  (no entries)" in page


def test_a_ray_shows_what_moves() -> None:
    page = solution_text(UNBOUNDED)
    assert page.endswith("buy [FOOD]\n  bread                    1\n  beans in tomato sauce   -1")
    assert "total" not in page.split("forever:")[1]


def test_failed_checks_are_said() -> None:
    failed = replace(DIET, checks=Checks(1e-3, None, None, None, SecondOrder.VIOLATED, False))
    assert "checks      not passed; residuals: constraints 1e-03; a feasible direction" in solution_text(failed)


def test_colors_only_where_the_page_takes_them() -> None:
    assert "\x1b[" not in solution_text(LARGE)
    colored = solution_text(LARGE, Page(100, color=True))
    assert "\x1b[1;33mStopped at the time limit:\x1b[0m" in colored


class Terminal:
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "color"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_no_color_is_respected(environment: dict[str, str], color: bool) -> None:
    assert page_of(Terminal(), environment).color is color  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [40, 60, 200])
def test_pages_keep_to_their_width(width: int) -> None:
    for line in solution_text(replace(LARGE, variables={}), Page(width)).splitlines():
        assert width_of(line) <= width
    wide = [line for line in solution_text(LARGE, Page(width)).splitlines() if "PLANT" in line]
    assert wide


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (3e-17, "0"),
        (1 / 3, "0.333333"),
        (12.0, "12"),
        (1234567.89, "1234568"),
        (2.5e-7, "2.5e-07"),
        (0.99999999, "1"),
        (-3.25, "-3.25"),
        (1e15, "1e+15"),
        (np.nan, "-"),
        (None, "-"),
        (-np.inf, "-inf"),
    ],
)
def test_numbers_read_well(value: float | None, text: str) -> None:
    assert number_text(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_printed_numbers_are_near_the_true_ones(value: float) -> None:
    assert float(number_text(value)) == pytest.approx(value, rel=1e-5, abs=1e-11)


@given(st.lists(st.floats(-1e14, 1e14), min_size=1))
def test_points_stand_above_each_other(values: list[float]) -> None:
    texts = point_aligned([number_text(value) for value in values])
    assert len({len(text) for text in texts}) == 1
    assert len({text.index(".") for text in texts if "." in text and "e" not in text}) <= 1


def test_durations_and_residuals() -> None:
    texts = [seconds_text(s) for s in (0.123, 1.26, 12.3, 59.9, 125)]
    assert texts == [
        "0.12 s",
        "1.3 s",
        "12 s",
        "60 s",
        "2 min 05 s",
    ]
    assert [residual_text(v) for v in (None, 0.0, 1.26e-9)] == ["-", "0", "1e-09"]


def test_strange_labels_stay_on_their_line() -> None:
    odd = set_of("ODD", ["a\nb", "漢字", "x" * 90, "\x1b[31m"])
    page = solution_text(replace(DIET, variables={"v": VariableAnswer(LabelledArray([1, 2, 3, 4.5], [odd], "v"))}))
    lines = page.splitlines()[-4:]
    assert "a\\nb" in lines[0] and "…" in lines[2] and "\x1b" not in page
    assert len({width_of(line.split("   ")[0] + " " * 0) <= 42 for line in lines}) == 1
    assert {width_of(line[: line.rindex(" ")]) for line in lines} == {width_of(lines[0][: lines[0].rindex(" ")])}


@given(st.text(max_size=80), st.integers(2, 40))
def test_shortened_texts_fit(text: str, limit: int) -> None:
    assert width_of(shortened(text, limit)) <= limit


def test_long_sentences_are_broken_at_spaces() -> None:
    lines = wrapped("one two three four", 9, 2)
    assert lines == ["one two", "  three", "  four"]
    assert FOOD.arity == 1
