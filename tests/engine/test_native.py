"""The compiled tier of kernels against the NumPy tier and against many digits."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import mpmath
import numpy as np
import pytest

from optdsl.atoms import ENTRIES
from optdsl.engine import native
from optdsl.engine.graph import Graph
from optdsl.engine.kernel import Kernel, function_named
from optdsl.engine.native_math import FAR, FORMS
from optdsl.engine.space import GraphFunction

from .differences import disagreement, problem_of

pytest.importorskip("llvmlite")
pytestmark = pytest.mark.skipif(native._llvm() is None, reason="the processor has no fused multiplication")

ODD = np.array([
    np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, -2.0, 0.5, 710.0, 709.7, -745.0, -744.0, 800.0, -800.0, 5e-324,
    1e-310, -1e-310, 1e-20, -1e-20, 1e300, -1e300, FAR, -1.5 * FAR, np.pi, np.pi / 2, 20.0, -37.0,
])  # fmt: skip


def points(count: int, seed: int = 0) -> np.ndarray:
    """Numbers of many sizes, and the odd ones."""
    random = np.random.default_rng(seed)
    wide = random.normal(size=count) * 10.0 ** random.integers(-6, 3, count)
    return random.permutation(np.concatenate([ODD, wide, random.uniform(-2, 2, count)]))


def both(graph: Graph, outputs: Sequence[int], slots: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The outputs by machine code and by NumPy."""
    lanes = len(slots[0])
    code = native.compiled(graph, outputs, function_named)
    assert code is not None
    found = np.full((len(outputs), lanes), 7.0)
    kernel = Kernel(graph, outputs)
    kernel._left = np.inf
    with np.errstate(all="ignore"):
        expected = kernel(slots, lanes)
        if not code(slots, lanes, found):
            pytest.fail("not computed")
    assert kernel._native is None
    return found, expected


def units_apart(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest distance in units in the last place; infinite where one is nan or infinite and the other is not."""
    with np.errstate(all="ignore"):
        same = (found == expected) | (np.isnan(found) & np.isnan(expected))
        distance = np.abs(found - expected) / np.spacing(np.abs(expected))
    distance = np.where(same, 0.0, np.where(np.isfinite(found) & np.isfinite(expected), distance, np.inf))
    return float(distance.max(initial=0.0))


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_every_function(name: str) -> None:
    graph = Graph()
    row = ENTRIES[name]
    arity = max(1, row.arity[0])
    nodes = [graph.slot(k) for k in range(arity)]
    outputs = [graph.apply(name, *nodes), graph.add(graph.apply(name, *nodes), nodes[0])]
    slots = [points(3000, seed) for seed in range(arity)]
    if name in ("sin", "cos", "tan"):
        slots[0] = np.where(np.abs(slots[0]) < FAR, slots[0], 0.3)
    found, expected = both(graph, outputs, slots)
    assert units_apart(found[0], expected[0]) <= 4
    with np.errstate(all="ignore"):
        assert np.array_equal(found[1], found[0] + slots[0], equal_nan=True)


DIGITS = {
    "exp": mpmath.exp, "expm1": mpmath.expm1, "tanh": mpmath.tanh, "cosh": mpmath.cosh, "sinh": mpmath.sinh,
    "log": mpmath.log, "log1p": mpmath.log1p, "sin": mpmath.sin, "cos": mpmath.cos, "tan": mpmath.tan,
    "atan": mpmath.atan, "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)), "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "xlogx": lambda x: x * mpmath.log(x), "entr": lambda x: -x * mpmath.log(x),
}  # fmt: skip
EXACT = {"sqrt", "abs", "floor", "ceil", "sign", "max", "min", "pos", "relu"}
"""To the last bit, as NumPy has them."""


def test_every_form_is_measured() -> None:
    assert set(FORMS) == set(DIGITS) | EXACT


@pytest.mark.parametrize("name", sorted(DIGITS))
def test_accuracy(name: str) -> None:
    random = np.random.default_rng(1)
    x = np.concatenate([
        random.normal(size=1500), random.normal(size=500) * 20, random.normal(size=300) * 1e-3,
        random.uniform(-700, 700, 300), random.uniform(0.5, 2, 300), np.exp(random.uniform(-300, 13, 300)),
        np.arange(1, 300) * np.pi / 2,
    ])  # fmt: skip
    if name in ("log", "xlogx", "entr"):
        x = np.abs(x)
    elif name == "log1p":
        x = x[x > -1]
    elif name in ("sin", "cos", "tan"):
        # some doubles nearest to multiples of pi / 2
        x = np.concatenate([x, np.arange(1, 600000, 1777) * (np.pi / 2), [6381956.970095103 / 16]])
        x = x[np.abs(x) < FAR]
    elif name in ("sinh", "cosh", "exp"):
        x = np.concatenate([x, random.uniform(700, 710.4, 100)])
    graph = Graph()
    found, _ = both(graph, [graph.apply(name, graph.slot(0))], [x])
    with mpmath.workdps(60):
        for number, value in zip(x, found[0], strict=True):
            true = DIGITS[name](mpmath.mpf(float(number)))
            if abs(true) >= mpmath.mpf(2) ** 1024:
                assert np.isinf(value)
                continue
            error = abs(mpmath.mpf(float(value)) - true) / np.spacing(abs(float(true)))
            assert error <= (3 if name in ("tanh", "sigmoid", "silu") else 2), number


def random_graph(seed: int, arithmetic: bool) -> tuple[Graph, list[int]]:
    """A graph of 60 operations over 3 slots, and 8 outputs, among them a slot, a constant and one twice."""
    random = np.random.default_rng(seed)
    graph = Graph()
    nodes = [graph.slot(0), graph.slot(1), graph.slot(2), graph.const(0.7), graph.const(-2.0)]
    names = ["abs", "sqrt", "max", "min"] if arithmetic else ["sin", "exp", "tanh", "erf", "hypot", "log", "pow"]
    for _ in range(60):
        a, b, t = (int(k) for k in random.choice(nodes, 3))
        kind = random.choice(["add", "sub", "mul", "div", "neg", "select", "function"])
        if kind == "function":
            name = str(random.choice(names))
            nodes.append(graph.apply(name, *(a, b)[: ENTRIES[name].arity[0]]))
        elif kind == "select":
            nodes.append(graph.select(t, a, b))
        elif kind == "neg":
            nodes.append(graph.neg(a))
        else:
            nodes.append(getattr(graph, kind)(a, b))
    outputs = [int(k) for k in random.choice(nodes[5:], 5)]
    return graph, [*outputs, nodes[1], graph.const(3.0), outputs[0]]


@pytest.mark.parametrize("seed", range(12))
def test_arithmetic_has_the_same_bits(seed: int) -> None:
    graph, outputs = random_graph(seed, arithmetic=True)
    slots = [points(1000, seed + k) for k in range(3)]
    found, expected = both(graph, outputs, slots)
    assert np.array_equal(found, expected, equal_nan=True)


@pytest.mark.parametrize("seed", range(12))
def test_machine_code_and_numpy_take_turns(seed: int) -> None:
    """Functions with no form of their own are computed between stages; errors are those of the functions, grown."""
    graph, outputs = random_graph(seed, arithmetic=False)
    random = np.random.default_rng(seed)
    slots = [random.uniform(0.2, 1.8, 2 * native.BLOCK + 5) for _ in range(3)]
    found, expected = both(graph, outputs, slots)
    close = np.isclose(found, expected, rtol=1e-9, atol=1e-9) | (np.isnan(found) & np.isnan(expected))
    # at a jump or far outside every scale a last bit decides
    assert close.mean() > 0.999
    assert np.array_equal(found[5], slots[1])
    assert np.array_equal(found[0], found[7], equal_nan=True)


@pytest.mark.parametrize("lanes", [0, 1, 2, 3, 7, 8, 9, 63, 65, 1001])
def test_numbers_of_lanes_and_slots_that_are_slices(lanes: int) -> None:
    graph = Graph()
    x, y = graph.slot(0), graph.slot(1)
    value = graph.add(graph.apply("exp", graph.mul(x, y)), graph.apply("sqrt", graph.apply("erf", y)))
    outputs = [value, *graph.gradient(value, frozenset({0, 1})).values()]
    base = np.random.default_rng(0).uniform(0.1, 1.0, 3 * lanes + 5)
    slots = [base[1 : 1 + 3 * lanes : 3], base[:lanes][::-1]]
    kernel = Kernel(graph, outputs)
    kernel._left = 0.0
    wide = np.full((len(outputs), lanes + 4), 9.0)
    found = kernel(slots, lanes, wide[:, 2 : lanes + 2])
    expected = both(graph, outputs, slots)[1]
    assert units_apart(found, expected) <= 4
    assert (wide[:, :2] == 9).all() and (wide[:, lanes + 2 :] == 9).all()
    assert (kernel._native is not None) == (lanes > 1)


def test_sines_of_huge_numbers_are_left_to_numpy() -> None:
    graph = Graph()
    kernel = Kernel(graph, [graph.apply("sin", graph.slot(0))])
    kernel._left = 0.0
    x = np.append(np.linspace(-5, 5, 999), 1e22)
    assert units_apart(kernel([x], 1000)[0], np.sin(x)) == 0
    assert kernel._native is not None


def test_a_kernel_is_compiled_once_it_has_cost_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(native.SWITCH, raising=False)
    graph = Graph()
    outputs = [graph.apply("exp", graph.mul(graph.slot(0), graph.slot(0)))]
    x = np.random.default_rng(0).normal(size=20_000)
    kernel = Kernel(graph, outputs)
    first = kernel([x], len(x))
    assert kernel._native is None
    calls = int(kernel._price.compile / (kernel._price.lane * len(x))) + 1
    for _ in range(calls):
        last = kernel([x], len(x))
    assert kernel._native is not None
    assert units_apart(last, first) <= 4
    monkeypatch.setenv(native.SWITCH, "0")
    kernel = Kernel(graph, outputs)
    for _ in range(calls + 1):
        kernel([x], len(x))
    assert kernel._native is None


def test_derivatives_of_compiled_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(native.SWITCH, "always")
    text = (
        "set I = 1..9\nvar x[I]\nvar y[I]\n"
        "minimize sum(log(1 + exp(x[i])) * sin(y[i]) + tanh(x[i] * y[i])^2 + abs(x[i])^3 for i in I)\n"
        "subject to\n  c[i in 1..8]: x[i] * x[i + 1] + cos(y[i])^2 / (1 + x[i]^2) <= 1\n"
    )
    x = np.random.default_rng(2).normal(size=18)
    assert max(disagreement(problem_of(text), x).values()) < 3e-5


def test_without_llvmlite_there_is_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    monkeypatch.setattr(native, "_llvm", native._llvm.__wrapped__)
    monkeypatch.setitem(os.environ, native.SWITCH, "always")
    assert not native.available()
    graph = Graph()
    kernel = Kernel(graph, [graph.apply("exp", graph.slot(0))])
    assert np.array_equal(kernel([np.arange(5.0)], 5)[0], np.exp(np.arange(5.0)))
    assert kernel._native is None


def test_what_the_derivatives_use_again_is_kept() -> None:
    """Sines and exponentials of the value are not computed again; derivatives are those of the whole formula."""
    graph = Graph()
    x, y = graph.slot(0), graph.slot(1)
    output = graph.add(graph.mul(graph.apply("sin", x), graph.apply("exp", graph.mul(x, y))), graph.apply("sqrt", y))
    function = GraphFunction(graph, output, frozenset({0, 1}), frozenset())
    a, b = np.random.default_rng(0).uniform(0.5, 1.5, (2, 50))
    slots = [a, b]
    e = np.exp(a * b)
    assert units_apart(function.value(slots, 50), np.sin(a) * e + np.sqrt(b)) <= 4
    assert len(slots) == 4
    assert {op[1] for op in graph.ops if op[0] == "apply"} == {"sin", "cos", "exp", "sqrt"}
    partials, seconds = function.partials(slots, 50), function.seconds(slots, 50)
    assert np.allclose(partials, [np.cos(a) * e + np.sin(a) * b * e, np.sin(a) * a * e + 0.5 / np.sqrt(b)], rtol=1e-13)
    mixed = np.cos(a) * a * e + np.sin(a) * (1 + a * b) * e
    assert np.allclose(seconds[1], mixed, rtol=1e-13)
    for kind in ("partials", "seconds"):
        kernel = function._kernels[kind]
        ops = [graph.ops[node] for node in graph.below(kernel._outputs)]
        assert not [op for op in ops if op[0] == "apply" and op[1] in ("sin", "exp")]
