"""Every example says in its header what comes out; here it is solved, and compared with an independent computation."""

from __future__ import annotations

import inspect
import itertools
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cone_references
import integer_references
import learning_references
import linear_references
import numpy as np
import pytest
import quadratic_references
from learning_references import LEARNED, TRAINED
from local_references import LOCAL
from reference_program import EXAMPLES, Expected

import optdsl

FILES = sorted(EXAMPLES.glob("*.opt"))
NAMES = [path.stem for path in FILES]
RESULT = re.compile(r"# result: (?P<status>[a-z_]+)(, objective (?P<objective>\S+))?")


@dataclass(frozen=True)
class Header:
    """The machine-readable line of an example's first comment."""

    status: str
    objective: float | None


def header(path: Path) -> Header:
    """The header of an example: the last line of its first comment is `# result: STATUS, objective VALUE`."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line)
    found = RESULT.fullmatch(lines[-1])
    assert found, f"{path.name}: the last line of the first comment is not a result line: {lines[-1]!r}"
    objective = found["objective"]
    return Header(found["status"], None if objective is None else float(objective))


def references() -> dict[str, Callable[[], Expected]]:
    """The reference functions by the name of their example."""
    found = {}
    modules = (linear_references, quadratic_references, integer_references, cone_references, learning_references)
    for module in modules:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_") and name not in LEARNED:
                found[name] = function
    return {**found, "transportation_array": linear_references.transportation}


REFERENCES = references()
LOCAL_TOO = {**LOCAL, **LEARNED}


@cache
def solved(name: str, method: str | None = None) -> optdsl.Solution:
    return optdsl.load(EXAMPLES / f"{name}.opt").solve(method=method)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_header_says_what_the_example_is(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert re.fullmatch(rf"# {path.name}: \S.{{20,}}\.", first)
    assert "\n# Shows: " in path.read_text(encoding="utf-8")
    header(path)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_is_in_the_canonical_layout(path: Path) -> None:
    assert optdsl.load(path).format() == path.read_text(encoding="utf-8"), f"run optdsl fmt {path.name}"


def test_every_example_with_an_answer_has_a_reference() -> None:
    with_answer = {path.stem for path in FILES if header(path).status in ("optimal", "feasible")}
    assert with_answer - set(TRAINED) == set(REFERENCES)


@pytest.mark.parametrize("name", NAMES)
def test_answers_what_its_header_says(name: str) -> None:
    said, solution = header(EXAMPLES / f"{name}.opt"), solved(name)
    assert solution.status.word == said.status
    if said.objective is None:
        assert solution.objective is None or said.status == "unbounded"
    else:
        digits = 0.05 if name in TRAINED else 1e-6  # rounding grows along thousands of steps
        assert solution.objective == pytest.approx(said.objective, rel=digits, abs=1e-8)
    if said.status in ("optimal", "feasible"):
        assert solution.checks.ok


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_agrees_with_the_reference(name: str) -> None:
    expected, solution = REFERENCES[name](), solved(name)
    if expected.objective is None:
        assert solution.objective is None
    else:
        assert solution.objective == pytest.approx(expected.objective, rel=1e-6, abs=1e-8)
    for constraint, dual in expected.duals.items():
        np.testing.assert_allclose(solution.dual(constraint), dual, rtol=1e-5, atol=1e-6, err_msg=constraint)
    for variable, value in expected.values.items():
        np.testing.assert_allclose(solution.value(variable), value, rtol=2e-4, atol=2e-5, err_msg=variable)


def test_every_local_example_has_a_reference() -> None:
    assert {path.stem for path in FILES if header(path).status == "locally_optimal"} == set(LOCAL_TOO)


@pytest.mark.parametrize("name", sorted(LOCAL_TOO))
def test_local_answer_is_the_known_one(name: str) -> None:
    known, solution = LOCAL_TOO[name](), solved(name)
    assert solution.checks.ok
    assert solution.objective == pytest.approx(known.objective, rel=known.within, abs=known.within)
    for variable, value in known.values.items():
        np.testing.assert_allclose(solution.value(variable), value, rtol=2e-4, atol=2e-5, err_msg=variable)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", sorted(TRAINED))
def test_trained_models_are_good_from_every_seed(name: str, seed: int) -> None:
    solution = optdsl.load(EXAMPLES / f"{name}.opt").solve(seed=seed)
    shown = {item.text: float(item.value) for item in solution.show or ()}
    for text, floor in TRAINED[name].least.items():
        assert shown[text] >= floor
    for text, ceiling in TRAINED[name].most.items():
        assert shown[text] <= ceiling


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_cvxpy_gives_the_same_answer(name: str) -> None:
    direct, other = solved(name), solved(name, "cvxpy")
    assert other.route.method == "cvxpy"
    assert other.status == direct.status
    if direct.objective is None:
        assert other.objective is None
    else:
        assert other.objective == pytest.approx(direct.objective, rel=1e-6, abs=1e-8)
    assert other.checks.ok
    for constraint in REFERENCES[name]().duals:
        np.testing.assert_allclose(
            other.dual(constraint), direct.dual(constraint), rtol=1e-5, atol=2e-6, err_msg=constraint
        )


def test_what_is_not_convex_says_where() -> None:
    told = json.loads(optdsl.load(EXAMPLES / "nonconvex.opt").check().to_json())
    assert told["class"]["convexity"] == "nonconvex" and told["witness"]["statement"] == "mixture"


def test_the_witness_of_the_nonconvex_example() -> None:
    """Both points are mixtures of the text, and the equation is bent between them."""
    witness = json.loads(optdsl.load(EXAMPLES / "nonconvex.opt").check().to_json())["witness"]
    weight, (first, second) = witness["weight"], witness["points"]
    between = {name: weight * np.array(first[name]) + (1 - weight) * np.array(second[name]) for name in first}

    def mixture(point: dict[str, np.ndarray]) -> float:
        (sour, sweet), sell, quality = point["pump"], point["sell"], point["quality"]
        return float(np.squeeze(quality)) * float(np.squeeze(sell)) - 3 * float(sour) - float(sweet)

    for point in (first, second, between):
        (sour, sweet), sell = point["pump"], float(np.squeeze(point["sell"]))
        assert 0 <= sell <= 100 and sell == pytest.approx(sour + sweet)
        assert 1 <= float(np.squeeze(point["quality"])) <= 2.5
    values = [mixture(point) for point in (first, second, between)]
    assert values == pytest.approx(witness["values"])
    assert abs(values[2] - weight * values[0] - (1 - weight) * values[1]) > 1e-3


def test_the_conflict_of_the_infeasible_example() -> None:
    conflict = solved("infeasible").conflict
    assert conflict is not None and conflict.irreducible
    members = {(member.kind, member.name, member.index, member.side) for member in conflict.members}
    assert members == {
        ("constraint", "demand", ("berlin",), "lower"),
        ("bound", "send", ("hamburg", "berlin"), "upper"),
        ("bound", "send", ("leipzig", "berlin"), "upper"),
    }


def test_the_ray_of_the_unbounded_example() -> None:
    ray = solved("unbounded").ray
    assert ray is not None and ray.direction is not None
    change = {pair: value for pair, value in ray.direction["change"].to_dict().items() if abs(value) > 1e-12}
    profit = float(ray.direction["profit"])
    assert profit > 0 and all(value > 0 for value in change.values())
    rates = exchange_rates()
    assert only_profitable_circle(rates) == ("euro", "yen", "dollar")
    assert set(change) == {("euro", "yen"), ("yen", "dollar"), ("dollar", "euro")}
    for money in ("euro", "yen", "dollar"):
        comes = sum(rates[pair] * value for pair, value in change.items() if pair[1] == money)
        goes = sum(value for pair, value in change.items() if pair[0] == money)
        left = comes - goes - (profit if money == "euro" else 0)
        assert left >= -1e-9 * (comes + goes)


def exchange_rates() -> dict[tuple[str, str], float]:
    text = (EXAMPLES / "unbounded.opt").read_text(encoding="utf-8")
    found = re.findall(r'\("(\w+)", "(\w+)"\): ([0-9.]+)', text)
    return {(first, second): float(rate) for first, second, rate in found}


def only_profitable_circle(rates: dict[tuple[str, str], float]) -> tuple[str, ...]:
    moneys = sorted({first for first, _ in rates})
    circles = [
        ("euro", *rest)
        for count in range(1, len(moneys))
        for rest in itertools.permutations([money for money in moneys if money != "euro"], count)
    ]
    gains = {
        circle: math.prod(rates[pair] for pair in zip(circle, (*circle[1:], circle[0]), strict=True))
        for circle in circles
    }
    profitable = [circle for circle, gain in gains.items() if gain > 1]
    assert len(profitable) == 1, gains
    return profitable[0]
