"""Saved results: written whole, read back by label, and refused where they are damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import optdsl
from optdsl.answer.labelled import LabelledArray
from optdsl.answer.saving import LARGE
from optdsl.answer.solution import Solution, VariableAnswer
from optdsl.data.members import SetValue, labels_of
from optdsl.data.saved import SavedFault, read_saved
from optdsl.errors import DataError, OptionError

FIT = """
set I = %s
param goal[I]
var x[I] %s
minimize loss: sum((x[i] - goal[i])^2 for i in I)
"""


def solved(members: str, goal: dict[str, float], init: str = "", folder: Path = Path()) -> Solution:
    return optdsl.parse(FIT % (members, init), folder=folder).solve(goal=goal)


def with_values(**arrays: LabelledArray) -> Solution:
    """A solution that holds these values."""
    one = optdsl.parse("var x >= 1\nminimize o: x").solve()
    return replace(one, variables={name: VariableAnswer(value) for name, value in arrays.items()})


def axis(name: str, *members: int | str) -> SetValue:
    return SetValue(name, (labels_of(members),))


def test_the_file_is_the_results_object(tmp_path: Path) -> None:
    solution = solved('{"a", "b"}', {"a": 1, "b": 2})
    assert solution.save(tmp_path / "run.json") == (tmp_path / "run.json",)
    assert json.loads((tmp_path / "run.json").read_text()) == json.loads(solution.to_json())
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("rows", [3, LARGE])
def test_every_kind_of_label_comes_back(rows: int, tmp_path: Path) -> None:
    row, mixed = axis("ROW", *range(10, 10 + rows)), axis("MIXED", "a", 7, "7", "ä b", -1)
    pairs = SetValue("PAIR", (labels_of(["a", "a", "b"]), labels_of([1, 2, 1])))
    random = np.random.default_rng(1)
    arrays = {
        "W": LabelledArray(random.normal(size=rows * 5), (row, mixed), "W"),
        "P": LabelledArray(random.normal(size=3 * rows), (pairs, row), "P"),
        "s": LabelledArray(2.5, (), "s"),
        "none": LabelledArray(np.zeros(0), (axis("EMPTY"), row), "none"),
    }
    written = with_values(**arrays).save(tmp_path / "run.json")
    assert [path.name for path in written] == (["run.npz", "run.json"] if rows >= LARGE else ["run.json"])
    saved = read_saved(tmp_path / "run.json", "run.json")
    for name, array in arrays.items():
        found = saved.variables[name]
        np.testing.assert_array_equal(found.values, np.asarray(array).ravel())
        if array.size:
            assert [[k.at(n) for n in (0, len(k) - 1)] for k in found.keys] == [
                [column[0], column[-1]] for column in array.label_columns()
            ]


def test_values_go_where_their_labels_are(tmp_path: Path) -> None:
    solved('{"a", "b", "c"}', {"a": 1, "b": 2, "c": 3}).save(tmp_path / "run.json")
    turned = solved('{"c", "a", "b"}', {"a": 0, "b": 0, "c": 0}, 'fixed, init from "run.json"', tmp_path)
    assert turned["x"].to_dict() == pytest.approx({"c": 3, "a": 1, "b": 2})
    fewer = solved('{"c", "a"}', {"a": 0, "c": 0}, 'fixed, init from "run.json"', tmp_path)
    assert fewer["x"].to_dict() == pytest.approx({"c": 3, "a": 1})
    assert any('"b", which is not in `I` here' in note for note in fewer.notes)
    with pytest.raises(DataError, match=r'no value for `x\["d"\]`'):
        solved('{"a", "d"}', {"a": 0, "d": 0}, 'init from "run.json"', tmp_path)


def test_a_large_result_starts_another_run(tmp_path: Path) -> None:
    text = "set I = %s\nvar x[I] %s\nminimize loss: sum((x[i] - i)^2 for i in I)\n"
    optdsl.parse(text % (f"1..{LARGE}", "")).solve().save(tmp_path / "run.json")
    assert (tmp_path / "run.npz").stat().st_size < (tmp_path / "run.json").stat().st_size + 20 * LARGE
    shifted = optdsl.parse(text % (f"2..{LARGE}", 'fixed, init from "run.json"'), folder=tmp_path).solve()
    np.testing.assert_allclose(shifted["x"], np.arange(2, LARGE + 1), atol=1e-6)


def test_fine_tuning_moves_only_what_is_free(tmp_path: Path) -> None:
    """Layers learned on one table are kept, and the last one goes on from there on another."""
    text = """
    set ROW = 1..6
    set H = 1..2
    param u[ROW]
    param y[ROW]
    var a[H] %s
    var c[H] %s
    minimize loss: sum((tanh(u[i] * a + 1) @ c - y[i])^2 for i in ROW) + 0.01 * sumsq(c) + 0.01 * sumsq(a)
    """
    u = np.linspace(-1, 1, 6)
    first = optdsl.parse(text % ("init normal(0, 1)", "init normal(0, 1)")).solve(u=u, y=np.tanh(u))
    first.save(tmp_path / "run.json")
    model = optdsl.parse(text % ('fixed, init from "run.json"', 'init from "run.json"'), folder=tmp_path)
    second = model.solve(u=u, y=2 * np.tanh(u) + 1)
    np.testing.assert_allclose(second["a"], first["a"], rtol=1e-12)
    assert not np.allclose(second["c"], first["c"], atol=1e-3)


def test_damage_is_found_wherever_it_is(tmp_path: Path) -> None:
    row = axis("ROW", *range(LARGE))
    with_values(W=LabelledArray(np.ones(LARGE), (row,), "W")).save(tmp_path / "run.json")
    text, data = (tmp_path / "run.json").read_bytes(), (tmp_path / "run.npz").read_bytes()
    random = np.random.default_rng(3)
    for _ in range(40):
        cut = int(random.integers(len(data)))
        changed = bytearray(data)
        changed[cut] ^= 1 + int(random.integers(255))
        for damaged in (data[:cut], bytes(changed)):
            (tmp_path / "run.npz").write_bytes(damaged)
            with pytest.raises(SavedFault):
                read_saved(tmp_path / "run.json", "run.json")
    (tmp_path / "run.npz").write_bytes(data)
    read_saved(tmp_path / "run.json", "run.json")
    for cut in range(len(text) - 2):
        (tmp_path / "run.json").write_bytes(text[:cut])
        with pytest.raises(SavedFault):
            read_saved(tmp_path / "run.json", "run.json")


@pytest.mark.parametrize(
    "variables",
    [
        '{"x": 1}', '{"x": {}}', '{"x": {"sets": [], "index": [[1.5]], "value": [1]}}', '{"x": null}',
        '{"x": {"sets": ["I"], "index": [["a"], ["b", 1]], "value": [1, 2]}}',
        '{"x": {"sets": ["I"], "index": [["a"]], "value": ["b"]}}',
        '{"x": {"sets": ["I"], "array": "v0", "axes": [1]}}',
    ],
)  # fmt: skip
def test_what_is_no_result_is_refused(variables: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(f'{{"optdsl": 1, "variables": {variables}}}')
    with pytest.raises(SavedFault, match="damaged"):
        read_saved(tmp_path / "run.json", "run.json")


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    solution = solved('{"a"}', {"a": 1})
    with pytest.raises(OptionError, match="cannot be written"):
        solution.save(tmp_path / "no" / "run.json")
    nothing = optdsl.parse("var x >= 1, <= 0\nminimize o: x").solve()
    with pytest.raises(OptionError, match="no values to save"):
        nothing.save(tmp_path / "run.json")
    assert not list(tmp_path.iterdir())
