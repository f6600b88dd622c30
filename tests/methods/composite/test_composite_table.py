"""The table of the methods for composite objectives, the choice among them, and the page about them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optdsl
from optdsl.answer.composite_methods import options_of
from optdsl.methods.composite import table
from optdsl.methods.composite.losses import Positive
from optdsl.methods.composite.table import METHODS, Row, choose
from tests.methods.composite.problems import composite, dense, lasso, logistic

PAGE = Path(__file__).parents[3] / "docs" / "learning-convex.md"
every = pytest.mark.parametrize("row", METHODS, ids=lambda row: row.name)


@every
def test_defaults_of_the_table_are_those_of_the_method(row: Row) -> None:
    made = row.factory(**{option.name: option.default for option in row.options})
    assert repr(made) == repr(type(made)())
    assert made.name == row.name
    for option in row.options:
        assert option.what and not option.what.endswith(".")
    limit = {option.name: option for option in options_of(row.name)}["max_iter"]
    assert limit.default == row.iterations


@every
def test_the_page_has_every_method_with_its_options(row: Row) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert re.search(rf"^\| `{row.name}` \|", page, re.MULTILINE)
    section = page.split("\n## Options\n")[1].split("\n## ")[0]
    listed = re.findall(rf"^\| `{row.name}` \| `(\w+)` \| (\S+) \|", section, re.MULTILINE)
    assert [name for name, _ in listed] == [option.name for option in options_of(row.name)]
    for (_, shown), option in zip(listed, options_of(row.name), strict=True):
        default = option.default
        text = str(default).lower()
        assert shown == text or (not isinstance(default, (bool, str)) and float(shown) == default)


def test_names_are_there_once() -> None:
    names = [row.name for row in METHODS]
    assert len(set(names)) == len(names)
    assert all(table.row_of(name).name == name for name in names)


def test_what_is_chosen_takes_the_problem() -> None:
    for problem in (
        lasso(0.1),
        lasso(0.0, 1.0),
        logistic(0.1),
        composite(dense(np.eye(3), 0.0, Positive()), ridge=1.0),
    ):
        choice = choose(problem)
        assert choice is not None and choice.why and not table.row_of(choice.name).refuses(problem)


def test_very_many_variables_without_kinks_choose_gradients_and_say_why(monkeypatch: Any) -> None:
    problem = composite(dense(np.eye(12)), lower=0.0)
    chosen = choose(problem)
    assert chosen is not None and chosen.name == "proximal_newton"
    monkeypatch.setattr(table, "MOST_IN_HESSIAN", 11)
    chosen = choose(problem)
    assert chosen is not None and chosen.name == "accelerated_proximal_gradient"
    assert "12 of them without l1 penalties" in chosen.why


def test_it_is_asked_for_in_the_text_and_by_name() -> None:
    text = """set N = 1..30
set P = 1..8
let x[i in N, j in P] = cos(i * j / 3 + j)
var w[P]
minimize loss: sum((sin(i) - sum(x[i, j] * w[j] for j in P))^2 for i in N) + 2 * norm1(w)
"""
    written = optdsl.parse(f"{text}solve using accelerated_proximal_gradient(tol = 1e-8, max_iter = 4000)\n").solve()
    named = optdsl.parse(text).solve(method="accelerated_proximal_gradient")
    cones = optdsl.parse(text).solve()
    assert written.route.method == named.route.method == "accelerated_proximal_gradient"
    assert cones.route.method != named.route.method
    for solution in (written, named):
        assert (solution.status, solution.guarantee) == ("optimal", "global")
        assert solution.objective == pytest.approx(cones.objective, rel=1e-6)
        assert solution.bound <= solution.objective


def test_losses_with_kinks_are_refused_with_a_hint() -> None:
    text = "set N = 1..9\nvar w\nminimize loss: sum(abs(w - i) for i in N) + w^2\n"
    with pytest.raises(optdsl.OptError, match="losses that have a derivative everywhere"):
        optdsl.parse(text).solve(method="accelerated_proximal_gradient")
