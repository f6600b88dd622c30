"""Every proof is replayed by an independent checker, and a damaged proof is found out."""

from __future__ import annotations

import copy
import json
import math
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optdsl
from optdsl.answer.assemble import verdict_of
from optdsl.classify import analyze
from optdsl.errors import OptError
from optdsl.language import parse
from optdsl.model import build

from .proof_checker import Tally, Wrong, check_proofs
from .test_never_wrong import CONCAVE, CONVEX, HEAD, ROLES
from .test_rewrites_random import HEADER, INDEXED, LEAVES, PATTERNS, REDUCED

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.opt"))
BLOCK = re.compile(r"^```opt file=(\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
IN_DOCS = {
    f"{page.name}: {name}": text
    for page in sorted((ROOT / "docs").glob("*.md"))
    for name, text in BLOCK.findall(page.read_text(encoding="utf-8"))
}

NATURAL = """
minimize f: sqrt(1 + x^2) + x^2 / y
minimize f: x*log(x) + y*log(y/x) + exp(x - y)
minimize f: 1/x + 1/(x + y) - sqrt(x*y) + (x - y)^2
minimize f: log(exp(x) + exp(y)) + log(1 + exp(x - 2*y))
minimize f: x^2 + x*y + y^2 - 3*x + max(x, y, 2)
minimize f: sum(w[i]*s[i]^2 for i in I) + norm2(s) + sum(abs(s[i]) for i in I if w[i] > 1)
minimize f: (x + y)^3 + x^1.5 + y^-2 + abs(s[1] - s[2])^3
minimize f: -log(x*y) - log(4 - x) + kl_div(x, y)
minimize f: huber(s[1], 1) + pos(s[2] - 1)^2 + softplus(s[3]) + logsumexp(s)
minimize f: sum_largest(s, 2) + norm(s, 3) + norminf(s) + norm1(s[i] - w[i] for i in I)
minimize f: max(x^2, exp(y), sum(s[i]^2 for i in I)) + exp(x^2 + y^2)
minimize f: quad_form(s, Q) + x^2/(y + 1) + hypot(s[1], s[2])
minimize f: prod(p[i] for i in I)^-1 + 1/prod(p[i] for i in I)
minimize f: x*y/(x + y)*-1 + cosh(s[1]) + x^4/y^3
maximize f: geo_mean(p) + sqrt(x*y) + min(x, y, 2) - x^2
maximize f: entr(x) + log(x) + log1p(y) + x^0.3*y^0.7 - s[1]^2
maximize f: harmonic_mean(p) + x - x^2/(x + y) + sum(sqrt(p[i]) for i in I)
maximize f: sqrt(x) + sqrt(min(x, 2*y)) + log(sqrt(x) + y)
minimize f: x subject to c: x*y >= 1; d: x^2 <= y*p[1]; e: sqrt(x) >= 1; g: 0 <= 4 - x^2
minimize f: x + y subject to c: 1/x + 1/y <= 2; d: exp(x + y) = 3; e: log(x) >= -1; g: abs(s[1]) <= 2
minimize f: y subject to c: sqrt(s[1]^2 + s[2]^2) <= y; d: norm2(s) <= 2*y - 1; e[i in I]: s[i]^2 <= w[i]*p[i]
minimize f: y subject to c[i in I if i > 1]: w[i]*s[i-1]^2 - p[i] <= y; d: -1 <= s[1] - s[2] <= 4
minimize f: y subject to c: x*log(x/y) <= 1; d: p[1]^2*p[2] >= 1; e: x^2/y <= 3; g: log(exp(x)+exp(y)) <= 3
minimize f: y subject to c: s[1]^2 + s[1]*s[2] + s[2]^2 + exp(s[3]) <= y; d: (s[1] - s[2])*(s[1] - s[2]) <= 4
minimize f: y subject to c: x/y <= 2; d: y >= s[1]^2/x; e: max(s[1], s[2]^2) <= 3; g: sqrt(x)*sqrt(y) >= 1
minimize f: y subject to c[i in I]: mixed[i]*s[i] + (s[i]^2 if w[i] > 1 else abs(s[i])) <= 3; d: x^3 <= 8
minimize f: y subject to c: sum(mixed[i]*(s[i]^2 if mixed[i] > 0 else -s[i]^2) for i in I) <= 4; d: y^-1 <= 2
minimize f: eig_max(M) + norm_nuc(M) - log_det(M) + trace(M)
minimize f: tv(s) + norm_spec(M) subject to c: M >> 0; d: M + M.T << 9*Q
minimize f: matrix_frac(s, M) + quad_over_lin(s, y) - eig_min(M)
minimize f: norm2(s[i]^3 for i in I)^2 + norm2(s)^2 + x
""".strip().splitlines()
NATURAL_HEADER = """
set I = 1..3
param w[I] = [0.5, 1, 2]
param mixed[I] = [1, -2, 0]
param Q[I, I] symmetric = [[2, 1, 0], [1, 2, 1], [0, 1, 2]]
var x in [0.1, 4]
var y in [0.2, 5]
var s[I] in [-3, 3]
var p[I] >= 0.1
var M[I, I] psd
"""


MOST_VARIABLES = 200


def checked(text: str, folder: Path = ROOT, tally: Tally | None = None, seed: int = 0) -> dict[str, Any]:
    """The verdict on a text, its proofs replayed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verdict = json.loads(optdsl.parse(text).check().to_json())
    check_proofs(text, verdict, tally, seed, folder)
    return verdict


def classified(text: str, tally: Tally, seed: int) -> None:
    """The same without the choice of a method."""
    with np.errstate(all="ignore"):
        analysis = analyze(build(parse(text, "test.opt")), explain=True)
    verdict = json.loads(verdict_of(analysis, None).to_json())
    check_proofs(text, verdict, tally, seed)


def natural(line: str) -> str:
    head, _, constraints = line.partition(" subject to ")
    rows = "".join(f"  {row.strip()}\n" for row in constraints.split(";") if row)
    return f"{NATURAL_HEADER}{head}\n" + (f"subject to\n{rows}" if rows else "")


@pytest.mark.parametrize("path", EXAMPLES, ids=[p.stem for p in EXAMPLES])
def test_examples(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    verdict = json.loads(optdsl.load(path).check().to_json())
    if verdict["size"]["variables"] > MOST_VARIABLES:
        pytest.skip("the plain evaluator walks every member of every sum")
    tally = check_proofs(text, verdict, folder=path.parent)
    assert tally.steps or tally.nowhere or verdict["class"]["convexity"] != "convex"
    assert tally.unread <= tally.steps // 4


@pytest.mark.parametrize("name", IN_DOCS)
def test_documents(name: str) -> None:
    try:
        model = build(parse(IN_DOCS[name], name), folder=ROOT)
        numbers = sum(math.prod(len(axis) for axis in array.axes) for array in model.parameters.values())
        if max(model.columns, numbers // 10) > MOST_VARIABLES:
            pytest.skip("the plain evaluator walks every member of every sum")
        checked(IN_DOCS[name])
    except (OptError, FileNotFoundError):
        pytest.skip("a page's text that shows a mistake or reads a file")


@pytest.mark.parametrize("line", NATURAL)
def test_natural_spellings(line: str) -> None:
    tally = Tally()
    verdict = checked(natural(line), tally=tally)
    assert verdict["class"]["convexity"] == "convex", [s["blame"] for s in verdict["statements"]]
    assert all(s["proof"] for s in verdict["statements"])
    assert not tally.nowhere and not tally.texts
    assert all(p["line"] and p["column"] for s in verdict["statements"] for p in s["proof"])


OTHERWISE = """
GP: x >= 0; y >= 0 | minimize f: x/y + y + 3/(x*y) subject to c: x*y <= 4; d: x + sqrt(y)*x <= 9
GP: x >= 0; y >= 0; z >= 0 | maximize f: x*y*z subject to c: 2*(x*z + y*z) <= 200; d: x*y = 60; e: 0.5 <= x/y <= 2
GP: x >= 0; y >= 0 | minimize f: max(x/y, y^2/x, 1/x) + x^0.3 subject to c: (x + y)^2 <= 10*y; d: x >= 0.1
GP: x[I] >= 0 | minimize f: sum(w[i]/x[i] for i in I) + prod(x[i] for i in I) subject to c[i in I]: x[i]^2 <= 9/x[1]
GP: x >= 0.1; y >= 0.1 | minimize f: x*y subject to c: x - y^2 >= 1; d: exp(x/y) <= 4*x
QUASICONVEX: x in [0, 4]; y in [0, 4] | minimize f: (x - 2*y) / (x + y + 1)
QUASICONVEX: x in [0, 4]; y in [0, 4] | maximize f: log((x + 1) / (x + y + 1)) subject to c: x + y <= 3
QUASICONVEX: x in [0, 4]; y in [-1, 4] | minimize f: sqrt(x + 2*y + 3)
QUASICONVEX: x in [0, 4]; y in [0, 4] | minimize f: max((x + 1)/(y + 2), (y + 1)/(x + 3))
QUASICONVEX: x in [-2, 2]; y | maximize f: exp(-x^2 - y^2)
""".strip().splitlines()


def otherwise(line: str) -> tuple[str, str]:
    """The type and the text of a problem that is solved in another form."""
    kind, _, rest = line.partition(": ")
    declarations, _, rest = rest.partition(" | ")
    head, _, constraints = rest.partition(" subject to ")
    rows = "".join(f"  {row.strip()}\n" for row in constraints.split(";") if row)
    variables = "".join(f"var {d.strip()}\n" for d in declarations.split(";"))
    data = "set I = 1..3\nparam w[I] = [0.5, 1, 2]\n"
    return kind, data + variables + head + "\n" + (f"subject to\n{rows}" if rows else "")


@pytest.mark.parametrize("line", OTHERWISE)
def test_other_forms(line: str) -> None:
    kind, text = otherwise(line)
    tally = Tally()
    verdict = checked(text, tally=tally)
    assert verdict["class"]["type"] == kind
    assert all(s["proof"] for s in verdict["statements"])
    assert not tally.nowhere and not tally.texts
    broken = copy.deepcopy(verdict)
    step = broken["statements"][0]["proof"][0 if kind == "GP" else -2]
    step["expr"] = f"{step['expr']} + 3*sin(9*{'x[1]' if 'x[I]' in line else 'x'}) + 4"
    with pytest.raises((Wrong, KeyError, ValueError)):
        check_proofs(text, broken)


@pytest.mark.parametrize("function", [*CONVEX, *CONCAVE])
def test_shapes_in_their_roles(function: str) -> None:
    sense = "minimize" if function in CONVEX else "maximize"
    tally = Tally()
    checked(HEAD + ROLES[sense].format(f=function), tally=tally)
    checked(HEAD + ROLES["at most" if function in CONVEX else "at least"].format(f=function), tally=tally)
    assert tally.steps >= 4
    assert not tally.texts


# ------------------------------------------------------------------------------------------------------- random trees


def random_tree(random: np.random.Generator, depth: int, leaves: tuple[str, ...] = LEAVES) -> str:
    """A tree of the patterns that rewritings look for, and of noise."""
    if depth == 0 or random.random() < 0.15:
        return str(random.choice(leaves))
    if leaves is LEAVES and random.random() < 0.2:
        inner = random_tree(random, depth - 1, INDEXED)
        return str(random.choice(REDUCED)).format(inner, str(random.choice(LEAVES)))
    parts = [random_tree(random, depth - 1, leaves) for _ in range(2)]
    return str(random.choice(PATTERNS)).format(*parts)


def random_model(random: np.random.Generator) -> str:
    objective = random_tree(random, int(random.integers(1, 4)))
    left, right = random_tree(random, int(random.integers(1, 3))), random_tree(random, 1)
    sense = random.choice(["minimize", "maximize"])
    return f"{HEADER}{sense} f: {objective}\nsubject to\n  c: {left} {random.choice(['<=', '>='])} {right}\n"


def try_many(count: int, seed: int) -> Tally:
    random, tally = np.random.default_rng(seed), Tally()
    for number in range(count):
        text = random_model(random)
        try:
            classified(text, tally, number)
        except OptError:
            continue  # a division by zero, data outside a domain
    return tally


def test_random_trees() -> None:
    tally = try_many(120, 1)
    assert tally.steps > 200
    assert len(tally.texts) <= tally.steps // 50


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(20))
def test_many_random_trees(seed: int) -> None:
    tally = try_many(2000, 100 + seed)
    assert tally.steps > 3000


# --------------------------------------------------------------------------------------------------- test of the test

SAMPLE = natural(
    "minimize f: x^2 + x*y + y^2 + 2*exp(x^2) - sqrt(y) + sum(w[i]*s[i]^2 for i in I)"
    " subject to c: x*y >= 1; d: sqrt(1 + x^2) + s[1]^2 <= 9; e[i in I]: w[i]*abs(s[i]) <= p[i]"
)
TURNED = str.maketrans("<>", "><")
OTHER = {"convex": "concave", "concave": "convex", "affine": "convex"}


def _damages(step: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What can be wrong with a step: each a copy with one thing changed."""
    found = []
    curvature, _, sign = step["gives"].partition(", ")
    if curvature in ("convex", "concave"):
        found.append(("curvature", {**step, "gives": ", ".join(filter(None, (OTHER[curvature], sign)))}))
    if sign == "nonnegative":
        found.append(("sign", {**step, "gives": f"{curvature}, nonpositive"}))
    if step["kind"] not in ("affine", "quadratic", "rewriting", "equivalence"):
        found.append(("uses", {**step, "uses": step["uses"][:-1]}))
        found.append(("later", {**step, "uses": [step["step"] + 1]}))
    if step["kind"] not in ("relation", "conclusion", "equivalence", "objective", "bound"):
        found.append(("expression", {**step, "expr": f"{step['expr']} + 0.3*(x - y)^2 - 0.3*x^3 + 5*sin(3*y)"}))
    if step["kind"] in ("rewriting", "rewritten"):
        found.append(("after", {**step, "after": [f"{step['after'][0]} + 0.01*x"]}))
    if step["kind"] in ("equivalence", "conclusion"):
        found.append(("after", {**step, "after": [a.translate(TURNED) for a in step["after"]]}))
    if step["kind"] == "relation":
        found.append(("side", {**step, "expr": step["expr"].translate(TURNED)}))
    if step.get("range") and step["range"][0] is not None:
        far = 1e9 if step["range"][1] is None else step["range"][1] + 1
        found.append(("range", {**step, "range": [far, None]}))
    if "certificate" in step and "value" in step["certificate"]:
        found.append(("certificate", {**step, "certificate": {**step["certificate"], "value": -0.1}}))
    return found


def test_a_damaged_proof_is_found_out() -> None:
    verdict = checked(SAMPLE)
    tried: dict[str, int] = {}
    for k, statement in enumerate(verdict["statements"]):
        for n, step in enumerate(statement["proof"]):
            for what, damaged in _damages(step):
                broken = copy.deepcopy(verdict)
                broken["statements"][k]["proof"][n] = damaged
                with pytest.raises((Wrong, ValueError, KeyError)):
                    check_proofs(SAMPLE, broken)
                    pytest.fail(f"{what} of step {step['step']} of {statement['name']}: {damaged}")
                tried[what] = tried.get(what, 0) + 1
    assert set(tried) >= {"curvature", "sign", "uses", "later", "expression", "after", "side", "range", "certificate"}


def test_a_missing_end_is_found_out() -> None:
    verdict = checked(SAMPLE)
    for k in range(len(verdict["statements"])):
        broken = copy.deepcopy(verdict)
        proof = broken["statements"][k]["proof"]
        proof.pop()
        while proof[-1]["kind"] == "relation":  # of an equal form: that shows the statement too
            proof.pop()
        with pytest.raises(Wrong):
            check_proofs(SAMPLE, broken)


def test_the_proof_of_another_statement_is_found_out() -> None:
    verdict = checked(SAMPLE)
    broken = copy.deepcopy(verdict)
    broken["statements"][2]["proof"] = verdict["statements"][1]["proof"]
    with pytest.raises(Wrong):
        check_proofs(SAMPLE, broken)


LARGEST = (
    "minimize f: max(y^2 + y*u + u^2, z^1.5)\nsubject to\n  c: max(y^2 + y*u + u^2, abs(z)) + 3 <= z",
    "maximize f: min(-y^2 - y*u - u^2, z) + u\nsubject to\n  c: y >= 0",
    "minimize f: max(y^2 + y*u + u^2, 3) + z^2 + z*u + u^2 + exp(z)\nsubject to\n  c: y >= 0",
)


@pytest.mark.parametrize("lines", LARGEST)
def test_quadratics_within_the_largest_of_parts_are_shown_by_their_matrices(lines: str) -> None:
    verdict = checked(f"{HEADER}{lines}\n")
    kinds = {step["kind"] for statement in verdict["statements"] for step in statement["proof"]}
    assert "quadratic" in kinds and "collected" not in kinds
