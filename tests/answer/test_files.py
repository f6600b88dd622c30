"""Answers as files: complete or not at all."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from answers import DIET, LARGE

import optdsl.answer.files as files
from optdsl.answer.labelled import LabelledArray
from optdsl.answer.solution import VariableAnswer
from optdsl.data.members import set_of
from optdsl.errors import OptionError


def test_tables_carry_labels_and_values(tmp_path: Path) -> None:
    written = DIET.save(tmp_path / "new" / "folder")
    assert [path.name for path in written] == ["buy.csv", "total.csv", "nutrition.csv", "result.json"]
    folder = tmp_path / "new" / "folder"
    assert sorted(os.listdir(folder)) == sorted(path.name for path in written)
    buy = pyarrow.csv.read_csv(folder / "buy.csv")
    assert buy.to_pydict() == {
        "FOOD": ["bread", "milk", "beans in tomato sauce"],
        "value": [1.5, 0.0, 12.25],
        "reduced_cost": [0.0, 0.3, 0.0],
    }
    assert pyarrow.csv.read_csv(folder / "nutrition.csv").column_names == ["NUTR", "dual", "slack"]
    assert pyarrow.csv.read_csv(folder / "total.csv").to_pydict() == {"value": [1234.5], "reduced_cost": [0.0]}
    assert json.loads((folder / "result.json").read_text()) == json.loads(DIET.to_json())


def test_parquet_keeps_types(tmp_path: Path) -> None:
    LARGE.save(tmp_path, "parquet")
    ship = pyarrow.parquet.read_table(tmp_path / "ship.parquet").to_pydict()
    assert ship["PLANT"][3] == "san-diego" and ship["MARKET"][1] == "chicago" and ship["value"][1] == 300
    assert pyarrow.parquet.read_table(tmp_path / "make.parquet").to_pydict()["HOUR"] == list(range(1, 25))


def test_names_that_differ_in_case_get_two_files(tmp_path: Path) -> None:
    one = VariableAnswer(LabelledArray(1.0, (), "x"))
    written = replace(DIET, variables={"x": one, "X": one, "a/b": one}, constraints={}).save(tmp_path)
    assert [path.name for path in written] == ["x.csv", "X_2.csv", "a_b.csv", "result.json"]


def test_a_failure_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DIET.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fails(path: Path, text: str) -> None:
        path.write_text(text[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_write_text", fails)
    changed = replace(DIET, variables={"buy": VariableAnswer(LabelledArray(np.ones(3), DIET["buy"].axes, "buy"))})
    with pytest.raises(OptionError, match="No space left"):
        changed.save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_mixed_labels_become_text(tmp_path: Path) -> None:
    mixed = VariableAnswer(LabelledArray([1.0, 2.0], [set_of("S", ["a", 7])], "m"))
    replace(DIET, variables={"m": mixed}, constraints={}).save(tmp_path, "parquet")
    assert pyarrow.parquet.read_table(tmp_path / "m.parquet").to_pydict() == {"S": ["a", "7"], "value": [1.0, 2.0]}


def test_unknown_formats_and_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="did you mean parquet"):
        DIET.save(tmp_path, "parket")
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="cannot write into"):
        DIET.save(tmp_path / "file")
