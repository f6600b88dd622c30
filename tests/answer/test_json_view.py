"""JSON: the object of RESULT, strictly."""

import json
from dataclasses import replace

import numpy as np
import pytest
from answers import ARC, DIET, INFEASIBLE, LARGE, SHOWN, UNBOUNDED

from optdsl.answer.json_view import errors_json, json_text
from optdsl.answer.labelled import LabelledArray
from optdsl.answer.solution import Ray, VariableAnswer
from optdsl.errors import DataPlace, Diagnostic, Source, Span


def strict(text: str) -> dict:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_the_object_is_the_one_of_result() -> None:
    found = strict(DIET.to_json())
    assert found == {
        "optdsl": 1,
        "model": "diet",
        "status": "optimal",
        "guarantee": "global",
        "objective": {"name": "total_cost", "sense": "minimize", "value": 88.2, "bound": 88.2},
        "class": {"type": "LP", "convexity": "convex", "smoothness": "smooth"},
        "route": {"method": "highs", "solver": "HIGHS", "why": "every statement is affine"},
        "variables": {
            "buy": {
                "sets": ["FOOD"],
                "index": [["bread"], ["milk"], ["beans in tomato sauce"]],
                "value": [1.5, 0.0, 12.25],
                "reduced_cost": [0.0, 0.3, 0.0],
            },
            "total": {"sets": [], "index": [[]], "value": [1234.5], "reduced_cost": [0.0]},
        },
        "constraints": {
            "nutrition": {
                "sets": ["NUTR"],
                "index": [["calories"], ["protein"]],
                "dual": [0.2, 0.0],
                "slack": [0.0, 3.0],
            }
        },
        "show": [],
        "checks": {
            "primal_residual": 1e-9,
            "dual_residual": 2e-9,
            "complementarity": 1e-10,
            "gap": 3e-9,
            "second_order": "not_needed",
            "ok": True,
        },
        "trace": {"columns": ["iter", "objective"], "rows": [[0.0, 12.0], [1.0, None]]},
        "time": {"read": 0.01, "classify": 0.02, "compile": 0.05, "solve": 0.1, "total": 0.2},
    }
    assert list(found)[:5] == ["optdsl", "model", "status", "guarantee", "objective"]


def test_what_is_not_finite_is_null() -> None:
    values = LabelledArray([np.inf, np.nan, 1.0], DIET["buy"].axes, "buy")
    found = strict(replace(DIET, variables={"buy": VariableAnswer(values)}, objective=np.inf).to_json())
    assert found["variables"]["buy"]["value"] == [None, None, 1.0]
    assert found["variables"]["buy"]["reduced_cost"] is None
    assert found["objective"]["value"] is None


def test_a_feasibility_problem_has_no_objective() -> None:
    assert strict(replace(DIET, sense=None, objective=None, objective_name=None).to_json())["objective"] is None


def test_products_and_tuples_list_their_members() -> None:
    found = strict(LARGE.to_json())["variables"]
    assert found["ship"]["sets"] == ["PLANT", "MARKET"]
    assert found["ship"]["index"][4] == ["san-diego", "chicago"] and found["ship"]["value"][4] == 0
    assert found["flow"]["index"][0] == list(ARC.member(0))
    assert found["none"] == {"sets": ["EMPTY"], "index": [], "value": [], "reduced_cost": None}


def test_shown_items_and_flagged_duals() -> None:
    found = strict(SHOWN.to_json())
    assert found["show"][1] == {"expr": "total_cost / 2", "value": 44.1}
    assert found["show"][0]["index"] == [["calories"], ["protein"]] and found["show"][0]["value"] == [0.2, 0.0]
    assert found["duals"] == "integers fixed"


def test_conflicts_and_rays() -> None:
    found = strict(INFEASIBLE.to_json())
    assert found["conflict"]["irreducible"] is True
    assert found["conflict"]["members"][:2] == [
        {"kind": "constraint", "name": "demand", "index": ["berlin"], "side": "lower"},
        {"kind": "bound", "name": "ship", "index": ["a", 3], "side": "upper"},
    ]
    assert strict(UNBOUNDED.to_json())["ray"]["buy"]["value"] == [1.0, 0.0, -1.0]
    curved = strict(replace(UNBOUNDED, ray=Ray(None, "it is curved")).to_json())
    assert curved["ray"] is None and curved["why"] == "it is curved"


def test_errors_name_their_place() -> None:
    source, span = Source("m.opt", "minimize x"), Span(9, 10, 1, 10, 1, 11)
    found = strict(
        errors_json(
            [
                Diagnostic("unknown-name", "x is not declared", span, "declare it", source),
                Diagnostic("empty-cell", "a cell is empty", place=DataPlace("foods.csv", 3, "cost")),
            ]
        )
    )
    assert found["errors"][0] == {
        "code": "unknown-name",
        "file": "m.opt",
        "line": 1,
        "column": 10,
        "message": "x is not declared",
        "hint": "declare it",
    }
    assert [found["errors"][1][key] for key in ("file", "line", "column")] == ["foods.csv", 3, "cost"]


def test_numbers_that_json_lacks_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        json_text({"a": float("nan")})
