"""Values from Python and from the command line."""

import dataclasses
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sparse

from optdsl.data.columns import Column
from optdsl.data.supplied import (
    DenseValue,
    FrameValue,
    ListValue,
    MappingValue,
    ScalarValue,
    SparseValue,
    Supplied,
    from_data_option,
    from_python,
    from_set_option,
)
from optdsl.data.tables import numeric
from optdsl.errors import DataError, OptionError

NAN = float("nan")


def plain(value: Any) -> Any:
    """Arrays and columns as lists, for comparison."""
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    if isinstance(value, Column):
        return value.objects().tolist()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value


def supplied(value: Any) -> tuple[type, list[Any]]:
    found = from_python("p", value)
    return type(found), [plain(getattr(found, field.name)) for field in dataclasses.fields(found)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, 5),
        (2.5, 2.5),
        (True, 1),
        (np.float32(1.5), 1.5),
        (np.int8(3), 3),
        (np.bool_(True), 1),
        (np.array(3.0), 3.0),
        (Fraction(1, 4), 0.25),
        (Decimal("1.5"), 1.5),
        (float("inf"), float("inf")),
        ("abc", "abc"),
        (Path("a.csv"), "a.csv"),
    ],
)
def test_scalars(value: Any, expected: Any) -> None:
    found = from_python("p", value)
    assert found == ScalarValue(expected)
    assert isinstance(found, ScalarValue) and type(found.value) is type(expected)


@pytest.mark.parametrize(
    ("value", "keys", "values"),
    [
        ({"a": 1, "b": 2.5}, [["a", "b"]], [1.0, 2.5]),
        ({("a", 1): 0.6, ("b", 2): 0.4}, [["a", "b"], [1, 2]], [0.6, 0.4]),
        ({"a": {"x": 1, "y": 2}, "b": {"x": 3}, "c": {}}, [["a", "a", "b"], ["x", "y", "x"]], [1, 2, 3]),
        ({"a": {1: {"q": 1}}}, [["a"], [1], ["q"]], [1]),
        ({"a": {("x", 1): 5}}, [["a"], ["x"], [1]], [5]),
        ({("a", "b"): {"x": 1}}, [["a"], ["b"], ["x"]], [1]),
        ({1: "x", 2: "y"}, [[1, 2]], ["x", "y"]),
        ({1.0: 2}, [[1]], [2]),
        ({np.int64(1): np.float64(2.5)}, [[1]], [2.5]),
        ({"a": 1, 2: 3}, [["a", 2]], [1, 3]),
        ({}, [], []),
        ({"a": True}, [["a"]], [1]),
    ],
)
def test_dicts(value: Any, keys: list[list[Any]], values: list[Any]) -> None:
    assert supplied(value) == (MappingValue, [keys, values, False])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1, 2, 3], [[1, 2, 3]]),
        ((1, 2.5), [[1.0, 2.5]]),
        (["a", "b"], [["a", "b"]]),
        (["a", 1], [["a", 1]]),
        ([], [[]]),
        (range(1, 10, 4), [[1, 5, 9]]),
        ({"b", "a", "c"}, [["a", "b", "c"]]),
        (frozenset({3, "a", 1}), [[1, 3, "a"]]),
        ({("b", 1), ("a", 2)}, [["a", "b"], [2, 1]]),
        ([("a", 1), ("b", 2)], [["a", "b"], [1, 2]]),
        ([(1, 2), (3, 4)], [[1, 3], [2, 4]]),
        ([["a", "b"], ["c", "d"]], [["a", "c"], ["b", "d"]]),
        (np.array(["a", "b"]), [["a", "b"]]),
        (np.array([1, "a"], dtype=object), [[1, "a"]]),
        ({}.keys(), [[]]),
    ],
)
def test_lists(value: Any, expected: list[list[Any]]) -> None:
    assert supplied(value) == (ListValue, [expected])


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([[1, 2], [3, 4]], "i"),
        ([[1, 2.5], [3, 4]], "f"),
        ([[[1, 2]], [[3, 4]]], "i"),
        (np.zeros((2, 0)), "f"),
        (np.array([1, 2], dtype=np.uint64), "i"),
        (np.array([2**63], dtype=np.uint64), "f"),
        (np.array([True, False]), "i"),
        ([np.array([1.0, 2.0]), np.array([3.0, 4.0])], "f"),
        (np.float16([[1, 2]]), "f"),
    ],
)
def test_arrays(value: Any, kind: str) -> None:
    found = from_python("p", value)
    assert isinstance(found, DenseValue)
    assert found.values.dtype.kind == kind and found.values.dtype.itemsize == 8
    assert found.values.tolist() == np.asarray(value).astype(kind + "8").tolist()


def test_the_callers_array_is_not_shared_for_writing() -> None:
    mine = np.array([1.0, 2.0])
    found = from_python("p", mine)
    mine[0] = 7.0
    assert isinstance(found, DenseValue) and found.values.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "make", [sparse.csr_matrix, sparse.csc_array, sparse.coo_array, sparse.lil_matrix, sparse.dia_array]
)
def test_sparse_matrices(make: Any) -> None:
    found = from_python("p", make(np.array([[0, 1.5, 0], [2, 0, 0]])))
    assert isinstance(found, SparseValue)
    assert found.shape == (2, 3)
    entries = sorted(zip(found.rows.tolist(), found.columns.tolist(), found.values.tolist(), strict=True))
    assert entries == [(0, 1, 1.5), (1, 0, 2.0)]


FRAME = pd.DataFrame({"i": ["a", "b"], "j": [1, 2], "v": [0.5, 1.5]})


def test_pandas_series() -> None:
    assert supplied(pd.Series([1, 2])) == (MappingValue, [[[0, 1]], [1, 2], True])
    assert supplied(pd.Series({"a": 1.5, "b": 2})) == (MappingValue, [[["a", "b"]], [1.5, 2.0], False])
    assert supplied(FRAME.set_index(["i", "j"]).v) == (MappingValue, [[["a", "b"], [1, 2]], [0.5, 1.5], False])
    assert supplied(pd.Series([1, 2], dtype="Int64"))[1][1] == [1, 2]
    assert supplied(pd.Series(["x", "y", "x"], dtype="category"))[1][1] == ["x", "y", "x"]
    assert supplied(pd.Series([1, 2.5], dtype=object))[1][1] == [1.0, 2.5]
    assert supplied(pd.Series([1, 2], index=[1.0, 2.0]))[1][0] == [[1, 2]]
    dated = pd.Series([1, 2], index=pd.to_datetime(["2020-01-01", "2020-01-02"]))
    assert supplied(dated)[1][0] == [["2020-01-01T00:00:00", "2020-01-02T00:00:00"]]
    assert supplied(pd.Index(["a", "b"])) == (ListValue, [[["a", "b"]]])
    assert supplied(pd.MultiIndex.from_tuples([("a", 1)])) == (ListValue, [[["a"], [1]]])


def test_frames() -> None:
    columns = [["a", "b"], [1, 2], [0.5, 1.5]]
    assert supplied(FRAME) == (FrameValue, [columns, []])
    assert supplied(FRAME.set_index("i")) == (FrameValue, [columns[1:], columns[:1]])
    assert supplied(pl.DataFrame(FRAME.to_dict("list"))) == (FrameValue, [columns, []])
    assert supplied(pa.table(FRAME.to_dict("list"))) == (FrameValue, [columns, []])
    assert supplied(FRAME.to_dict("list")) == (FrameValue, [columns, []])
    records = np.array([("a", 1.5)], dtype=[("i", "U1"), ("v", float)])
    assert supplied(records) == (FrameValue, [[["a"], [1.5]], []])
    assert supplied(pl.Series("q", [1, 2])) == (DenseValue, [[1, 2]])
    assert supplied(pl.Series("q", ["a", "b"])) == (ListValue, [[["a", "b"]]])


def test_a_frame_is_a_table_too() -> None:
    value = from_python("foods", FRAME.set_index("i").assign(w=[1.0, NAN]))
    assert isinstance(value, FrameValue)
    table = value.table("foods")
    assert table.columns == ("i", "j", "v", "w") and table.rows == 2
    with pytest.raises(DataError, match="1 cell is NaN") as caught:
        numeric(table.column("w"), table)
    assert str(caught.value.diagnostics[0].place) == "value of foods, row 2, column w"


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (NAN, "is NaN"),
        ({"a": 1, "b": NAN}, "is NaN at 'b'"),
        ({("a", 2): NAN}, "is NaN at ('a', 2)"),
        ({"a": {"x": 1.0, "y": NAN}}, "is NaN at ('a', 'y')"),
        ([1, NAN], "is NaN at position 2"),
        ([[1, 2], [NAN, 4]], "is NaN at position [2, 1]"),
        (np.array([1.0, NAN]), "is NaN at position [2]"),
        (sparse.csr_matrix([[0, NAN]]), "is NaN at position [1, 2]"),
        (pd.Series([1.0, NAN], index=["a", "b"]), "is NaN at 'b'"),
        (pd.Series([1, None], index=["a", "b"], dtype="Int64"), "is missing at 'b'"),
        (pd.Series(["x", None], index=["a", "b"]), "is missing at 'b'"),
        (pl.Series([1.0, None]), "is missing at position 2"),
    ],
)
def test_nan_is_an_error_with_its_key(value: Any, where: str) -> None:
    with pytest.raises(DataError) as caught:
        from_python("p", value)
    assert caught.value.diagnostics[0].message == f"the value given to p {where}"


@pytest.mark.parametrize(
    "value",
    [
        None,
        object(),
        1 + 2j,
        b"x",
        print,
        np.array([1j]),
        np.array([None, 1]),
        np.ma.array([1, 2], mask=[0, 1]),
        {1.5: 2},
        {None: 1},
        {True: 1},
        {10**30: 1},
        {"a": None},
        {"a": "x", "b": 1},
        {"a": {"x": 1}, "b": 2},
        {"a": {"x": 1}, "b": {("x", "y"): 2}},
        {("a", 1): 1, "b": 2},
        {("a", 1): 1, ("b",): 2},
        {"a": [1, 2], "b": [1]},
        [[1, 2], [3]],
        [1, [2]],
        [None, 1],
        [{"a": 1}],
        [("a", 1), ("b",)],
        [[[1, 2], [3]], [[4, 5], [6, 7]]],
        {None, "a"},
        {1j, 2j},
        pd.Timestamp("2020-01-01"),
        pd.Series([1], index=[1.5]),
        pd.Series([1, 2], index=["a", None]),
        sparse.csr_matrix([[1j]]),
        sparse.csr_matrix(np.array([[True]], dtype=object).astype(complex)),
    ],
)
def test_what_is_not_read_gets_a_message(value: Any) -> None:
    with pytest.raises(DataError) as caught:
        from_python("demand", value)
    assert "demand" in caught.value.diagnostics[0].message
    assert caught.value.hint


def test_a_million_entries_are_read_whole() -> None:
    count = 1_000_000
    pairs = {(f"p{k // 1000}", f"c{k % 1000}"): k * 1.0 for k in range(count)}
    series = pd.Series(np.arange(count) * 1.0, index=pd.MultiIndex.from_tuples(list(pairs)))
    for value in (pairs, series):
        found = from_python("p", value)
        assert isinstance(found, MappingValue) and len(found.values) == count


def test_other_libraries_are_never_imported() -> None:
    program = (
        "import sys; import numpy as np; from optdsl.data.supplied import from_python, from_set_option\n"
        "from_python('p', {'a': 1.0}); from_python('p', np.eye(2)); from_python('p', [1, 2]); from_set_option('n=1')\n"
        "print([n for n in ('pandas', 'polars', 'scipy', 'pyarrow', 'duckdb', 'cvxpy') if n in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=Path.cwd())
    assert (ran.stdout.strip(), ran.stderr) == ("[]", "")


# --------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("n=5", "n", 5),
        ("n=-5", "n", -5),
        ("x=1e-3", "x", 0.001),
        ("x=-inf", "x", float("-inf")),
        (" n = 5 ", "n", 5),
        ("größe=1", "größe", 1),
        ("n=007", "n", "007"),
        ("n=1_000", "n", "1_000"),
        ("s=a b", "s", "a b"),
        ('s="5"', "s", "5"),
        ("s='x, y'", "s", "x, y"),
        ('s=""', "s", ""),
        ("s=a=b", "s", "a=b"),
        ("S=a,b,c", "S", ["a", "b", "c"]),
        ("S=1, 2,3", "S", [1, 2, 3]),
        ("S=1,2.5", "S", [1.0, 2.5]),
        ("S=a,", "S", ["a"]),
        ("S=a,1", "S", ["a", 1]),
        ("S='a,b',\"c d\"", "S", ["a,b", "c d"]),
    ],
)
def test_set_options(text: str, name: str, expected: Any) -> None:
    found_name, value = from_set_option(text)
    assert found_name == name
    expected_form: tuple[type[Supplied], Any] = (
        (ListValue, [[expected]]) if isinstance(expected, list) else (ScalarValue, [expected])
    )
    assert (type(value), [plain(getattr(value, f.name)) for f in dataclasses.fields(value)]) == expected_form


@pytest.mark.parametrize("text", ["", "n", "=3", "n=", "n=  ", "n=nan", "S=a,,b", 'S="a', 'S="a" b', "a b=3", "2n=1"])
def test_set_options_that_are_wrong(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        from_set_option(text)
    assert caught.value.hint


def test_data_options(tmp_path: Path) -> None:
    (tmp_path / "a b.csv").write_text("x\n1\n")
    assert from_data_option("foods=a b.csv", tmp_path) == ("foods", "a b.csv")
    with pytest.raises(DataError, match=r"there is no file a\.csv"):
        from_data_option("foods=a.csv", tmp_path)
    with pytest.raises(OptionError):
        from_data_option("a b.csv", tmp_path)
