"""The Python interface: loading, data by keyword, checks, solves, and errors as exceptions."""

import threading
from pathlib import Path

import numpy as np
import pandas
import pytest

import optdsl

GOLDEN = Path(__file__).parents[1] / "golden" / "shell"

TEXT = """\
set FOOD
param cost[FOOD] >= 0
param need default 10
var buy[FOOD] >= 0, <= 10
let spent[f in FOOD] = cost[f] * buy[f]
minimize total_cost: sum(spent[f] for f in FOOD)
subject to
  enough: sum(buy[f] for f in FOOD) >= need
"""

COST = {"bread": 2.0, "milk": 1.0, "eggs": 4.0}


@pytest.fixture
def model() -> optdsl.Model:
    return optdsl.parse(TEXT, "diet.opt")


def test_a_solution_carries_labels(model: optdsl.Model) -> None:
    solution = model.solve(FOOD=list(COST), cost=COST, need=12)
    assert solution.status is optdsl.Status.OPTIMAL and solution.status == "optimal"
    assert solution.guarantee == "global" and solution.objective == pytest.approx(14)
    assert isinstance(solution["buy"], np.ndarray)
    assert solution["buy"].to_dict() == pytest.approx({"bread": 2, "milk": 10, "eggs": 0})
    assert float(solution.dual("enough")) == pytest.approx(2)
    assert solution.reduced_cost("buy")["milk"] == pytest.approx(-1)
    assert solution.value("spent")["bread"] == pytest.approx(4)
    assert solution.checks.ok and solution.time.total > 0
    assert "Solution of diet: optimal, total_cost = 14" in repr(solution)


def test_data_comes_in_every_form(model: optdsl.Model) -> None:
    forms = [COST, pandas.Series(COST), np.array(list(COST.values())), list(COST.values())]
    answers = [model.solve(FOOD=list(COST), cost=form).objective for form in forms]
    assert answers == pytest.approx([10] * 4)


def test_words_of_the_interface_can_be_names_of_data() -> None:
    model = optdsl.parse("param method\nvar x >= method\nminimize x\n")
    assert model.solve(data={"method": 3}).objective == pytest.approx(3)
    with pytest.raises(optdsl.DataError) as caught:
        optdsl.parse("param n\nvar x >= n\nminimize x\n").solve(n=1, data={"n": 2})
    assert str(caught.value) + "\n" == (GOLDEN / "given-twice.txt").read_text()


def test_unknown_data_is_an_error_with_the_nearest_name(model: optdsl.Model) -> None:
    with pytest.raises(optdsl.OptError, match="did you mean `cost`") as caught:
        model.solve(FOOD=list(COST), cots=COST, cost=COST)
    assert caught.value.hint == "did you mean `cost`?"


def test_a_check_is_a_verdict(model: optdsl.Model) -> None:
    verdict = model.check(FOOD=list(COST), cost=COST)
    assert verdict.problem_class.type == "LP" and verdict.solvable and verdict.size.variables == 3
    assert str(verdict).startswith("diet: LP (linear)")


def test_compiled_models_take_the_rest_of_the_data(model: optdsl.Model) -> None:
    compiled = model.compile(FOOD=list(COST), cost=COST)
    assert [compiled.solve(need=need).objective for need in (5, 12, 20)] == pytest.approx([5, 14, 30])
    assert compiled.solve(cost={"bread": 1, "milk": 1, "eggs": 1}).objective == pytest.approx(10)
    assert repr(compiled) == "Compiled diet.opt with FOOD, cost"


def test_a_compiled_model_goes_on_from_its_last_basis() -> None:
    text = """
set I = 1..40
set J = 1..40
param need
var x[I, J] >= 0
minimize cost: sum((1 + mod(7 * i + 11 * j, 13)) * x[i, j] for i in I, j in J)
subject to
  out[i in I]: sum(x[i, j] for j in J) <= need + 5
  into[j in J]: sum(x[i, j] for i in I) >= need
"""
    model = optdsl.parse(text)
    compiled = model.compile()
    first, second = compiled.solve(need=10), compiled.solve(need=11)
    again = compiled.solve(need=11)
    assert second.objective == pytest.approx(model.solve(need=11).objective)
    assert len(again.trace) < len(first.trace)


def test_infeasible_is_a_status_and_not_an_error(model: optdsl.Model) -> None:
    solution = model.solve(FOOD=list(COST), cost=COST, need=31)
    assert solution.status == "infeasible" and solution.objective is None
    assert {member.name for member in solution.conflict.members} == {"enough", "buy"}
    with pytest.raises(KeyError, match="the status is infeasible"):
        solution["buy"]


def test_what_cannot_be_solved_is_an_exception_of_its_own() -> None:
    with pytest.raises(optdsl.NotSolvable) as caught:
        optdsl.parse("var x integer, in [1, 9]\nminimize f: sin(x)\n").solve()
    assert caught.value.line == 1 and caught.value.column is not None


def test_mistakes_have_places_and_hints(tmp_path: Path) -> None:
    with pytest.raises(optdsl.OptSyntaxError) as caught:
        optdsl.parse("var x >= 0\nminimize x +\n")
    assert caught.value.line is not None and "error[" in str(caught.value)
    (tmp_path / "diet.opt").write_text(TEXT)
    with pytest.raises(optdsl.DataError, match=r"did you mean .*diet\.opt"):
        optdsl.load(tmp_path / "deit.opt")


def test_loaded_models_find_their_files(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("f,c\na,2\n")
    text = 'table t from "c.csv"\nset F from t(f)\nparam c[F] from t(f, c)\nvar x[F] >= c\nminimize sum(x)\n'
    (tmp_path / "m.opt").write_text(text)
    model = optdsl.load(tmp_path / "m.opt")
    assert model.solve().objective == pytest.approx(2)
    assert model.format() == text
    assert "var x" in repr(model) and "minimize objective" in repr(model)


def test_threads_share_a_model(model: optdsl.Model) -> None:
    found: dict[int, float] = {}

    def solve(need: int) -> None:
        solution = model.solve(FOOD=list(COST), cost=COST, need=need)
        found[need] = solution.objective

    threads = [threading.Thread(target=solve, args=(need,)) for need in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == pytest.approx({need: float(need) for need in range(1, 7)})


def test_a_maximum_is_told_in_its_own_sense() -> None:
    solution = optdsl.parse("var x in [0, 3]\nmaximize gain: 2 * x + 1\n").solve()
    assert solution.objective == pytest.approx(7) and solution.bound == pytest.approx(7)
    assert float(solution.reduced_cost("x")) == pytest.approx(2)


def test_names_of_the_package() -> None:
    assert set(optdsl.__all__) <= set(dir(optdsl))
    for name in optdsl.__all__:
        assert getattr(optdsl, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        optdsl.nothing  # noqa: B018
