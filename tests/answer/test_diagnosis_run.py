"""What is said of runs that did not converge: each sentence by a run that provokes it and by one that must not."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import optdsl
from optdsl.answer.diagnosis_run import diagnose_run
from optdsl.answer.labelled import LabelledArray
from optdsl.answer.solution import Checks, TraceTable
from optdsl.answer.status import Status
from optdsl.engine.problem import ModelProblem
from optdsl.language import parse
from optdsl.methods.driver import COLUMNS, Ending, Outcome, Record
from optdsl.model import build

BANANA = "var x init -1.2\nvar y init 1\nminimize f: 100*(y - x^2)^2 + (1 - x)^2\n"
SPLIT = """set I = 1..30
set K = 1..5
var b[I] binary
var over[K] >= 0
var under[K] >= 0
param w[k in K, i in I] = 10 + i*i*k*11 - 89*floor(i*i*k*11/89)
minimize f: 1 + sum(over[k] + under[k] for k in K)
subject to
  c[k in K]: sum(w[k, i]*b[i] for i in I) + under[k] - over[k] = 700 + 7*k
"""
TWO_SCALES = "var small init 1\nvar big init 3\nminimize f: exp(1e-7*small) - 1e-7*small + 1e4*(big - 1)^4\n"
FAR = "var x init 1e4\nvar y init 1e4\nminimize f: x^4 + sin(y)\nsubject to\n  c: x*y <= 1\n"

RUNS = {
    "banana, 3 iterations": (BANANA, {"method": "gradient_descent", "options": {"max_iter": 3}}),
    "banana, solved": (BANANA, {}),
    "banana, 60 iterations of gradient descent": (
        BANANA,
        {"method": "gradient_descent", "options": {"max_iter": 60, "tol": 1e-12}},
    ),
    "banana, Nelder and Mead": (BANANA, {"method": "direct_search", "options": {"max_iter": 30}}),
    "two scales": (TWO_SCALES, {"method": "gradient_descent", "options": {"max_iter": 12}}),
    "far start": (FAR, {"options": {"max_iter": 3}}),
    "near start": (FAR.replace("1e4", "2"), {"options": {"max_iter": 2}}),
    "split, one node": (SPLIT, {"options": {"max_iter": 1}}),
    "split of one": (SPLIT.replace("1..5", "1..1"), {}),
}


@cache
def solution(name):
    text, keywords = RUNS[name]
    return optdsl.parse(text).solve(**keywords)


SENTENCES = {
    "The run was still converging": (["banana, 3 iterations"], ["banana, solved", "split, one node"]),
    "The variables `big` and `small` are scaled": (["two scales"], ["banana, 3 iterations", "near start"]),
    "The run began far away": (["far start"], ["near start", "banana, 3 iterations"]),
    "The search was stopped before the best possible value": (["split, one node"], ["split of one"]),
}


@pytest.mark.parametrize(("sentence", "name"), [(s, name) for s, (names, _) in SENTENCES.items() for name in names])
def test_sentence_is_provoked(sentence, name):
    found = [item for item in solution(name).diagnosis if item.finding.startswith(sentence)]
    assert len(found) == 1, (solution(name).status, solution(name).diagnosis)
    assert found[0].evidence.endswith(".") and found[0].advice.endswith(".")


@pytest.mark.parametrize(("sentence", "name"), [(s, name) for s, (_, names) in SENTENCES.items() for name in names])
def test_sentence_is_not_said(sentence, name):
    assert not [item for item in solution(name).diagnosis if item.finding.startswith(sentence)]


@pytest.mark.parametrize("name", RUNS)
def test_every_run_that_did_not_converge_has_a_diagnosis_and_no_other(name):
    assert bool(solution(name).diagnosis) == (not solution(name).status.acceptable)


def test_it_is_in_every_view():
    found = solution("banana, 3 iterations").diagnosis[0]
    record = json.loads(solution("banana, 3 iterations").to_json())["diagnosis"][0]
    assert record == {"finding": found.finding, "evidence": found.evidence, "advice": found.advice}
    assert found.finding in str(solution("banana, 3 iterations"))


def test_advice_on_iterations_is_enough():
    advice = solution("banana, 3 iterations").diagnosis[0].advice
    assert advice.startswith("Give it more iterations: at this pace about ")
    convex = "var x init 1\nvar y init 2\nminimize f: x^2 + 30*y^2 + exp(-x)\n"
    short = optdsl.parse(convex).solve(method="gradient_descent", options={"max_iter": 4, "tol": 1e-8})
    number = int(float(short.diagnosis[0].advice.split("about ")[1].split(" in")[0]))
    whole = optdsl.parse(convex).solve(method="gradient_descent", options={"max_iter": 20 * number, "tol": 1e-8})
    assert whole.status.acceptable


# ------------------------------------------------------------------------ runs that are made by hand


MADE = """var x init 0
var y init 0
minimize f: x^2 - y^2 + y^4
subject to
  keep: x + y^2 >= -1
  reach: x >= -5
"""


def made(text=MADE, x=(0.0, 0.0), trace=None, status=Status.NUMERICAL_ERROR, checks=None, **changed):
    """The findings on a run with this end and these columns of the trace."""
    model = build(parse(text, "<text>"), folder=Path("."), name="made")
    problem = ModelProblem(model)
    rows = np.zeros((12, len(COLUMNS)))
    rows[:, COLUMNS.index("dual")] = 1.0
    rows[:, [COLUMNS.index("step"), COLUMNS.index("penalty")]] = np.nan
    for name, values in (trace or {}).items():
        rows[:, COLUMNS.index(name)] = values
    zeros = np.zeros(len(problem.row_lower))
    outcome = Outcome(
        np.array(x), zeros, np.zeros(len(x)), Record(0.0, rows[-1, 2], 1.0), Ending.NO_PROGRESS, 11, 0.1, {}, rows
    )
    outcome = replace(outcome, **changed)
    return diagnose_run(model, problem, outcome, TraceTable(COLUMNS, rows), status, checks or Checks())


def starts(found):
    return [item.finding for item in found]


def test_steps_that_are_tiny():
    assert "The steps have become tiny." in starts(made(trace={"step": np.geomspace(1, 1e-12, 12)}))
    assert "The steps have become tiny." not in starts(made(trace={"step": np.geomspace(1, 1e-4, 12)}))


def test_a_penalty_that_grows():
    grown = {"penalty": np.geomspace(1, 1e9, 12), "primal": 0.5}
    sentence = "The penalty on violated constraints has grown out of hand."
    assert sentence in starts(made(trace=grown))
    assert sentence not in starts(made(trace={**grown, "primal": 1e-9}))
    assert sentence not in starts(made(trace={"penalty": np.geomspace(1, 1e-9, 12), "primal": 0.5}))  # a barrier


def test_the_constraint_that_does_not_hold_is_named():
    found = made(x=(-9.0, 0.0), trace={"primal": 8.0})
    item = next(item for item in found if "does not hold" in item.finding)
    assert item.finding == "`keep` does not hold where the run ended."
    assert item.evidence == "It is violated by 8; 2 of 2 constraints are violated."
    assert not any("does not hold" in text for text in starts(made()))


def test_a_saddle_and_what_leaving_it_gains():
    free = MADE[: MADE.index("subject")]
    escape = {"x": LabelledArray(0.0, (), "x"), "y": LabelledArray(1.0, (), "y")}
    found = made(free, status=Status.STATIONARY, checks=Checks(escape=escape))
    item = next(item for item in found if "saddle" in item.finding)
    assert "the wrong way along `y`" in item.evidence and "from 0 to -0.2498" in item.evidence
    assert not any("saddle" in text for text in starts(made(free, status=Status.STATIONARY)))


def test_derivatives_that_are_not_finite():
    root = "var x >= 0 init 1\nvar y\nminimize f: sqrt(x) + y^2\n"
    found = made(root, x=(0.0, 0.0))
    item = next(item for item in found if "not finite" in item.finding)
    assert item.finding == "The derivative by `x` is not finite where the run ended."
    assert not any("not finite" in text for text in starts(made(root, x=(1.0, 0.0))))


def test_where_functions_are_undefined():
    text = "var x init -3\nminimize f: x^2\nsubject to\n  c: log(x)*x <= 4\n"
    found = made(text, x=(-3.0,), ending=Ending.UNDEFINED)
    assert starts(found) == ["No point was found at which all functions are defined."]
    assert found[0].evidence == "At the start `c` is undefined."


def test_a_run_that_stands_still():
    assert starts(made())[0] == "The run made no more progress."
    stopped = made(trace={"dual": np.geomspace(1, 1e-5, 12)}, status=Status.ITERATION_LIMIT)
    assert starts(stopped)[0] == "The run was still converging when it was stopped."
    falling = made(trace={"objective": np.linspace(5, 1, 12)}, status=Status.TIME_LIMIT)
    assert starts(falling)[0] == "The objective was still improving when the run was stopped."


@pytest.mark.parametrize("status", [Status.OPTIMAL, Status.LOCALLY_OPTIMAL, Status.FEASIBLE, Status.INFEASIBLE])
def test_nothing_where_there_is_an_answer(status):
    assert made(status=status) == ()
