"""Text tables: what analysts' files look like, and the line of every mistake in them."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from optdsl.data.delimited import read_delimited
from optdsl.data.tables import Table, members, numeric, open_table
from optdsl.errors import DataError


def table(folder: Path, text: str | bytes, file: str = "t.csv", small: int = 1 << 20) -> Table:
    path = folder / file
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return Table("t", file, read_delimited(path, file, small=small))


# Both readers must give the same: one for small files, one for large.
BOTH = pytest.mark.parametrize("small", [1 << 20, 0], ids=["small", "large"])


@BOTH
def test_types_are_decided_from_all_cells(tmp_path: Path, small: int) -> None:
    text = (
        "food,cost , qty,id,ok,day,none,big,wide\r\n"
        '"bread, white",1.5,3,007,true,2020-01-02,,1,12345678901234567890\r\n'
        '"mi\nlk",325.,1e3,012,false,2020-01-03,  ,9007199254740993,1\r\n'
        "ham,inf,-.5E-1,1,TRUE,,,-3,2\r\n"
    )
    opened = table(tmp_path, "\ufeff" + text, small=small)
    assert opened.columns == ("food", "cost", "qty", "id", "ok", "day", "none", "big", "wide")
    assert opened.rows == 3
    found = {name: (opened.column(name).kind, opened.column(name).objects().tolist()) for name in opened.columns}
    assert found == {
        "food": ("text", ["bread, white", "mi\nlk", "ham"]),
        "cost": ("number", [1.5, 325.0, np.inf]),
        "qty": ("number", [3.0, 1000.0, -0.05]),
        "id": ("text", ["007", "012", "1"]),
        "ok": ("boolean", ["true", "false", "TRUE"]),
        "day": ("text", ["2020-01-02", "2020-01-03", None]),
        "none": ("text", [None, None, None]),
        "big": ("integer", [1, 9007199254740993, -3]),
        "wide": ("text", ["12345678901234567890", "1", "2"]),
    }
    assert numeric(opened.column("ok"), opened).tolist() == [1.0, 0.0, 1.0]
    assert numeric(opened.column("id"), opened).tolist() == [7.0, 12.0, 1.0]


@BOTH
def test_lines_count_quoted_line_breaks_and_blank_lines(tmp_path: Path, small: int) -> None:
    text = 'a,b\n"x\ny\nz",1\n\n"p",2\n   \nq,12a\nr,\ns,oops\n'
    opened = table(tmp_path, text, small=small)
    assert [opened.line_of(row) for row in range(opened.rows)] == [2, 6, 8, 9, 10]
    with pytest.raises(DataError) as caught:
        numeric(opened.column("b"), opened)
    first, second = caught.value.diagnostics
    assert first.message == "2 cells of column b are not numbers; the first is '12a'"
    assert first.place is not None and (first.place.line, first.place.column) == (8, "b")
    assert second.message == "1 cell of column b is empty"
    assert second.place is not None and second.place.line == 9


@BOTH
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_endings(tmp_path: Path, small: int, ending: str) -> None:
    opened = table(tmp_path, ending.join(["a,b", "x,1", "y,2"]), small=small)
    assert opened.column("b").objects().tolist() == [1, 2]
    assert opened.line_of(1) == 3


@BOTH
def test_nan_is_no_number(tmp_path: Path, small: int) -> None:
    opened = table(tmp_path, "a\n1\nNaN\nnan\n", small=small)
    with pytest.raises(DataError) as caught:
        numeric(opened.column("a"), opened)
    assert [d.code for d in caught.value.diagnostics] == ["nan-in-data"]
    assert "2 cells are NaN" in caught.value.diagnostics[0].message
    assert caught.value.diagnostics[0].place is not None and caught.value.diagnostics[0].place.line == 3


@BOTH
def test_spellings_that_python_or_arrow_would_take(tmp_path: Path, small: int) -> None:
    opened = table(tmp_path, "a,b,c\n1_000,0x10,٣\n", small=small)
    for name in opened.columns:
        with pytest.raises(DataError, match="is not a number"):
            numeric(opened.column(name), opened)


@BOTH
@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("", "empty-file", None),
        ("\n\n  \n", "empty-file", None),
        ("a,b,a\n1,2,3\n", "duplicate-column", 1),
        ("a,b\n1,2\n3\n4,5,6\n", "ragged-row", 3),
        ('a,b\n"x\ny",2\n3,4,5\n', "ragged-row", 4),
        ('a,b\n1,2\n"x,3\n4,5\n', "bad-quoting", 3),
        ("a,b\n1,2\nx\0y,3\n", "malformed-file", 3),
        ("a,b\nx,1\nK\xf6ln,2\n".encode("latin-1"), "bad-encoding", 3),
        ("a,b\r\nx,1\r\n".encode("utf-16"), "bad-encoding", 1),
    ],
)
def test_broken_files(tmp_path: Path, small: int, text: str | bytes, code: str, line: int | None) -> None:
    with pytest.raises(DataError) as caught:
        table(tmp_path, text, small=small)
    diagnostic = caught.value.diagnostics[0]
    assert diagnostic.code == code
    assert (diagnostic.place.line if diagnostic.place else None) == line


@BOTH
def test_header_only_is_an_empty_table(tmp_path: Path, small: int) -> None:
    opened = table(tmp_path, "a,b", small=small)
    assert (opened.rows, opened.columns) == (0, ("a", "b"))
    assert numeric(opened.column("a"), opened).shape == (0,)
    assert len(members(opened.column("b"), opened)) == 0


def test_separators(tmp_path: Path) -> None:
    assert table(tmp_path, "a;b\n1,5;x\n").columns == ("a", "b")
    assert table(tmp_path, "a\tb, c\n1\tx\n", "t.tsv").columns == ("a", "b, c")
    assert table(tmp_path, "a\tb\n1\tx\n", "t.txt").columns == ("a", "b")
    assert table(tmp_path, '"a;b",c\n1,x\n').columns == ("a;b", "c")
    european = table(tmp_path, "a;b\n1,5;x\n")
    with pytest.raises(DataError) as caught:
        numeric(european.column("a"), european)
    assert caught.value.hint is not None and "decimal point" in caught.value.hint


def test_compressed(tmp_path: Path) -> None:
    table(tmp_path, gzip.compress(b"a,b\n1,x\n"), "t.csv.gz")
    opened = open_table("t.csv.gz", folder=tmp_path, name="t")
    assert opened.column("a").objects().tolist() == [1]
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"a,b\n1,x\n" * 100)[:-12])
    with pytest.raises(DataError, match="not a readable gzip"):
        open_table("cut.csv.gz", folder=tmp_path, name="t")


def test_unnamed_and_blank_padded_headers(tmp_path: Path) -> None:
    opened = table(tmp_path, ",a , b\n0,x , y\n")
    assert opened.columns == ("column1", "a", "b")
    assert [opened.column(name).objects().tolist() for name in opened.columns] == [[0], ["x"], ["y"]]


CELL = st.text(alphabet='ab01.,"\n\r e-+;x ', max_size=5)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.lists(CELL, min_size=2, max_size=2), min_size=1, max_size=6))
@example(rows=[["", "+0"]])
@example(rows=[["+1", "-0"], ["+1e1", "+01"]])
def test_both_readers_agree_on_any_well_formed_file(rows: list[list[str]]) -> None:
    import tempfile

    quoted = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row] for row in rows]
    text = "p,q\n" + "\n".join(",".join(row) for row in quoted) + "\n"
    with tempfile.TemporaryDirectory() as name:
        first, second = (table(Path(name), text, small=small) for small in (1 << 20, 0))
    assert first.rows == second.rows == len(rows)
    for column in first.columns:
        assert first.column(column).kind == second.column(column).kind
        assert first.column(column).objects().tolist() == second.column(column).objects().tolist()


@settings(max_examples=300, deadline=None)
@given(data=st.text(alphabet='ab1.,"\n\r \té\0', max_size=40))
def test_any_text_is_a_table_or_a_message(data: str) -> None:
    import tempfile

    outcomes = []
    with tempfile.TemporaryDirectory() as name:
        for small in (1 << 20, 0):
            try:
                opened = table(Path(name), data, small=small)
                outcomes.append([opened.column(column).objects().tolist() for column in opened.columns])
                assert opened.rows == 0 or opened.line_of(opened.rows - 1) is not None
            except DataError as error:
                assert str(error)
                outcomes.append(None)
    if '"' not in data:  # stray quotes: Arrow's reader is more lenient
        assert outcomes[0] == outcomes[1]
