"""Answers made by hand, for the tests of the views."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optdsl.answer.labelled import LabelledArray
from optdsl.answer.solution import (
    Checks,
    ConflictAnswer,
    ConflictMember,
    ConstraintAnswer,
    ProblemClass,
    Ray,
    Route,
    ShownValue,
    Solution,
    Times,
    TraceTable,
    VariableAnswer,
)
from optdsl.answer.status import Guarantee, SecondOrder, Status
from optdsl.data.members import range_set, set_of

FOOD = set_of("FOOD", ["bread", "milk", "beans in tomato sauce"])
NUTR = set_of("NUTR", ["calories", "protein"])
HOUR = range_set("HOUR", 1, 24)
PLANT = set_of("PLANT", ["seattle", "san-diego"])
MARKET = set_of("MARKET", ["new-york", "chicago", "topeka"])
ARC = set_of("ARC", [(f"n{i}", f"n{j}") for i in range(40) for j in range(40) if i != j])

LP = ProblemClass("LP", "convex", "smooth")
HIGHS = Route("highs", "HIGHS", "every statement is affine")

DIET = Solution(
    model="diet",
    status=Status.OPTIMAL,
    guarantee=Guarantee.GLOBAL,
    problem_class=LP,
    route=HIGHS,
    objective=88.2,
    objective_name="total_cost",
    sense="minimize",
    bound=88.2,
    variables={
        "buy": VariableAnswer(
            LabelledArray([1.5, 0.0, 12.25], [FOOD], "buy"), LabelledArray([0.0, 0.3, 0.0], [FOOD], "buy")
        ),
        "total": VariableAnswer(LabelledArray(1234.5, (), "total"), LabelledArray(0.0, (), "total")),
    },
    constraints={
        "nutrition": ConstraintAnswer(
            LabelledArray([0.2, 0.0], [NUTR], "nutrition"), LabelledArray([0.0, 3.0], [NUTR], "nutrition")
        )
    },
    checks=Checks(1e-9, 2e-9, 1e-10, 3e-9, SecondOrder.NOT_NEEDED, True),
    trace=TraceTable(("iter", "objective"), np.array([[0.0, 12.0], [1.0, np.nan]])),
    time=Times(0.01, 0.02, 0.05, 0.1, 0.2),
    expressions={"twice": lambda: LabelledArray([3.0, 0.0, 24.5], [FOOD], "twice")},
)

SHOWN = replace(
    DIET,
    show=(
        ShownValue("nutrition.dual", LabelledArray([0.2, 0.0], [NUTR], "nutrition")),
        ShownValue("total_cost / 2", LabelledArray(44.1)),
    ),
    duals_with_integers_fixed=True,
)

LARGE = replace(
    DIET,
    status=Status.TIME_LIMIT,
    guarantee=Guarantee.NONE,
    bound=85.1,
    variables={
        "ship": VariableAnswer(LabelledArray([[50, 300, 0], [275, 0, 275.5]], [PLANT, MARKET], "ship")),
        "make": VariableAnswer(LabelledArray(np.arange(24) / 8, [HOUR], "make")),
        "store": VariableAnswer(LabelledArray(np.where(np.arange(24) % 3, 0, 1.5), [HOUR], "store")),
        "flow": VariableAnswer(LabelledArray(np.where(np.arange(1560) % 100 == 3, 7.25, 0), [ARC], "flow")),
        "big": VariableAnswer(LabelledArray(np.arange(1560) / 8, [ARC], "big")),
        "none": VariableAnswer(LabelledArray([], [set_of("EMPTY", [])], "none")),
    },
    time=Times(1.0, 0.1, 0.1, 70.0, 71.3),
)

INFEASIBLE = replace(
    DIET,
    status=Status.INFEASIBLE,
    objective=None,
    bound=None,
    variables={},
    constraints={},
    conflict=ConflictAnswer(
        (
            ConflictMember(
                "constraint", "demand", ("berlin",), "lower", "demand[c in CITY]:\n    sum(x) >= need[c]", 12
            ),
            ConflictMember("bound", "ship", ("a", 3), "upper", 'ship["a", 3] <= 10'),
            ConflictMember("integrality", "k"),
        ),
        True,
    ),
)

UNBOUNDED = replace(
    DIET,
    status=Status.UNBOUNDED,
    objective=None,
    bound=None,
    variables={},
    constraints={},
    ray=Ray({"buy": LabelledArray([1.0, 0.0, -1.0], [FOOD], "buy"), "total": LabelledArray(0.0, (), "total")}),
)
