"""Every format gives the same columns; broken files give messages."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from optdsl.data import records
from optdsl.data.tables import Table, members, numeric, open_sql, open_table, read_array
from optdsl.errors import DataError

FILES = Path(__file__).parent / "files"


def cells(table: Table) -> dict[str, tuple[str, list[object]]]:
    return {name: (table.column(name).kind, table.column(name).objects().tolist()) for name in table.columns}


def code_of(error: pytest.ExceptionInfo[DataError]) -> str:
    return error.value.diagnostics[0].code


SAMPLE = pa.table(
    {
        "food": pa.array(["milk", "bread", None, "milk"]),
        "cost": pa.array([1.5, None, 2.0, -3.25]),
        "n": pa.array([1, 2, None, 4], pa.int16()),
        "ok": pa.array([True, False, True, None]),
        "day": pa.array([0, 1, 0, None], pa.date32()),
        "kind": pa.array(["b", "a", "b", None]).dictionary_encode(),
        "amount": pc.cast(pa.array([10, 20, 30, None]), pa.decimal128(22, 2)),
        "total": pc.cast(pa.array([10, 20, 30, None]), pa.decimal128(38, 0)),
        "half": pa.array([1.5, 0, 1, 2], pa.float32()),
    }
)
EXPECTED = {
    "food": ("text", ["milk", "bread", None, "milk"]),
    "cost": ("number", [1.5, None, 2.0, -3.25]),
    "n": ("integer", [1, 2, None, 4]),
    "ok": ("boolean", ["true", "false", "true", None]),
    "day": ("other", ["1970-01-01", "1970-01-02", "1970-01-01", None]),
    "kind": ("text", ["b", "a", "b", None]),
    "amount": ("number", [10.0, 20.0, 30.0, None]),
    "total": ("integer", [10, 20, 30, None]),
    "half": ("number", [1.5, 0.0, 1.0, 2.0]),
}


def test_typed_formats(tmp_path: Path) -> None:
    pq.write_table(SAMPLE, tmp_path / "t.parquet", row_group_size=2)
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as sink, pa.ipc.new_file(sink, SAMPLE.schema) as writer:
        for batch in SAMPLE.to_batches(max_chunksize=3):
            writer.write_batch(batch)
    with pa.OSFile(str(tmp_path / "t.ipc"), "wb") as sink, pa.ipc.new_stream(sink, SAMPLE.schema) as writer:
        writer.write_table(SAMPLE)
    for file in ("t.parquet", "t.arrow", "t.ipc"):
        table = open_table(file, folder=tmp_path, name="t")
        assert cells(table) == EXPECTED
        assert table.line_of(0) is None
        with pytest.raises(DataError) as caught:
            numeric(table.column("cost"), table)
        assert str(caught.value.diagnostics[0].place) == f"{file}, row 2, column cost"


def test_slices_and_repeated_dictionaries(tmp_path: Path) -> None:
    """Chunks with different dictionaries, unused entries and offsets still give codes by first appearance."""
    first = pa.DictionaryArray.from_arrays(pa.array([1, 0, None]), pa.array(["x", "y"]))
    second = pa.DictionaryArray.from_arrays(pa.array([2, 0, 1, 1]), pa.array(["y", "z", "x"]))[1:]
    table = pa.table({"k": pa.chunked_array([first, second])})
    with pa.OSFile(str(tmp_path / "t.ipc"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    column = open_table("t.ipc", folder=tmp_path, name="t").column("k")
    assert column.objects().tolist() == ["y", "x", None, "y", "z", "z"]
    assert column.categories is not None and column.categories.tolist() == ["y", "x", "z"]


@pytest.mark.parametrize("file", ["t.parquet", "t.arrow", "t.feather", "t.xlsx", "t.ods", "t.npy", "t.jsonl", "t.json"])
@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"PK\x03\x04 PAR1", b"\xff\xfe\x00" * 50])
def test_wrong_content(tmp_path: Path, file: str, content: bytes) -> None:
    (tmp_path / file).write_bytes(content)
    if (file, content) == ("t.jsonl", b""):
        assert open_table(file, folder=tmp_path, name="t").rows == 0
        return
    with pytest.raises(DataError) as caught:
        open_table(file, folder=tmp_path, name="t")
    assert code_of(caught) == "malformed-file"


def test_truncated_parquet(tmp_path: Path) -> None:
    pq.write_table(SAMPLE, tmp_path / "t.parquet")
    whole = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(whole[:4] + b"\0" * (len(whole) // 2) + whole[4 + len(whole) // 2 :])
    with pytest.raises(DataError):
        table = open_table("t.parquet", folder=tmp_path, name="t")
        for name in table.columns:
            table.column(name)


def test_nested_columns_are_only_an_error_when_used(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1], "b": [[1, 2]], "c": [{"x": 1}]}), tmp_path / "t.parquet")
    table = open_table("t.parquet", folder=tmp_path, name="t")
    assert numeric(table.column("a"), table).tolist() == [1.0]
    for name in ("b", "c"):
        with pytest.raises(DataError) as caught:
            table.column(name)
        assert code_of(caught) == "unusable-column"


def test_dates_are_not_numbers(tmp_path: Path) -> None:
    pq.write_table(pa.table({"day": pa.array([0, 1], pa.date32())}), tmp_path / "t.parquet")
    table = open_table("t.parquet", folder=tmp_path, name="t")
    assert members(table.column("day"), table).objects().tolist() == ["1970-01-01", "1970-01-02"]
    with pytest.raises(DataError, match="2 cells of column day are not numbers"):
        numeric(table.column("day"), table)


# -------------------------------------------------------------------------------------------------------- JSON


ROWS = [
    {"food": "milk", "cost": 1.5, "day": "2020-01-02"},
    {"cost": 2, "food": "bread", "day": "2020-01-03", "extra": True},
    {"food": None, "cost": 3},
]
JSON_CELLS = {
    "food": ("text", ["milk", "bread", None]),
    "cost": ("number", [1.5, 2.0, 3.0]),
    "day": ("text", ["2020-01-02", "2020-01-03", None]),
    "extra": ("boolean", [None, "true", None]),
}


@pytest.mark.parametrize("large", [False, True])
def test_json_lines(tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if large:
        monkeypatch.setattr(records, "SMALL", 0)
    (tmp_path / "t.jsonl").write_text("\n\n".join(map(json.dumps, ROWS)) + "\n")
    table = open_table("t.jsonl", folder=tmp_path, name="t")
    assert cells(table) == JSON_CELLS
    assert [table.line_of(row) for row in range(3)] == [1, 3, 5]


@pytest.mark.parametrize("large", [False, True])
def test_mixed_types_in_json_lines(tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if large:
        monkeypatch.setattr(records, "SMALL", 0)
    (tmp_path / "t.jsonl").write_text('{"v": 1}\n{"v": "12a"}\n{"v": "3.5"}\n')
    table = open_table("t.jsonl", folder=tmp_path, name="t")
    with pytest.raises(DataError, match="1 cell of column v is not a number: '12a'") as caught:
        numeric(table.column("v"), table)
    assert str(caught.value.diagnostics[0].place) == "t.jsonl, line 2, column v"


@pytest.mark.parametrize("large", [False, True])
def test_broken_json_lines(tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if large:
        monkeypatch.setattr(records, "SMALL", 0)
    for text, line in (('{"a": 1}\n\n{"a": 1\n', 3), ('{"a": 1}\n[1, 2]\n', 2), ('{"a": 1}\n' + "[" * 20000, 2)):
        (tmp_path / "t.jsonl").write_text(text)
        with pytest.raises(DataError) as caught:
            open_table("t.jsonl", folder=tmp_path, name="t")
        place = caught.value.diagnostics[0].place
        assert code_of(caught) == "malformed-file" and place is not None and place.line == line


def test_json_document(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps(ROWS, indent=1))
    assert cells(open_table("t.json", folder=tmp_path, name="t")) == JSON_CELLS
    (tmp_path / "t.json").write_text('{"a": [1]}')
    with pytest.raises(DataError, match="a table is a list of records"):
        open_table("t.json", folder=tmp_path, name="t")


# ------------------------------------------------------------------------------------------------ spreadsheets


def write_sheet(path: Path, rows: str) -> None:
    """A minimal workbook with one sheet of these row elements."""
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    packages = "http://schemas.openxmlformats.org/package/2006"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{packages}/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>',
        )
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{packages}/relationships">'
            f'<Relationship Id="r0" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook {space} xmlns:r="{office}"><sheets><sheet name="A" sheetId="1" r:id="r1"/></sheets></workbook>',
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{packages}/relationships">'
            f'<Relationship Id="r1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        )
        archive.writestr("xl/worksheets/sheet1.xml", f"<worksheet {space}><sheetData>{rows}</sheetData></worksheet>")


def text_cell(at: str, text: str) -> str:
    return f'<c r="{at}" t="inlineStr"><is><t>{text}</t></is></c>'


def test_spreadsheet_from_elsewhere() -> None:
    table = open_table("matrix.xlsx", folder=FILES, name="t")
    assert table.columns == ("i", "j", "value")
    assert members(table.column("i"), table).kind == "integer"
    assert numeric(table.column("value"), table)[:3].tolist() == [7.0, 8.0, 1.0]


def test_spreadsheet_rows_are_named_as_in_the_sheet(tmp_path: Path) -> None:
    head = text_cell("B3", "food") + text_cell("C3", "cost")
    write_sheet(
        tmp_path / "t.xlsx",
        f'<row r="3">{head}</row>'
        f'<row r="4">{text_cell("B4", "milk")}<c r="C4"><v>1.5</v></c></row>'
        f'<row r="6">{text_cell("B6", "007")}{text_cell("C6", "12a")}</row>'
        f'<row r="7">{text_cell("B7", "ham")}<c r="C7" t="e"><v>#DIV/0!</v></c></row>',
    )
    table = open_table("t.xlsx", folder=tmp_path, name="t")
    assert table.columns == ("food", "cost")
    assert table.column("food").objects().tolist() == ["milk", "007", "ham"]
    with pytest.raises(DataError) as caught:
        numeric(table.column("cost"), table)
    assert [str(d.place) for d in caught.value.diagnostics] == [
        "t.xlsx, line 6, column cost",
        "t.xlsx, line 7, column cost",
    ]


def test_empty_sheet(tmp_path: Path) -> None:
    write_sheet(tmp_path / "t.xlsx", "")
    with pytest.raises(DataError) as caught:
        open_table("t.xlsx", folder=tmp_path, name="t")
    assert code_of(caught) == "empty-sheet"


# ------------------------------------------------------------------------------------------------------- NumPy


def test_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.array([[1, 2], [3, 4]], dtype=np.int32))
    assert read_array("w.npy", folder=tmp_path).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    table = open_table("w.npy", folder=tmp_path, name="w")
    assert table.matching("c*") == ("c1", "c2")
    assert numeric(table.column("c2"), table).tolist() == [2.0, 4.0]
    np.save(tmp_path / "s.npy", np.array(2.5))
    assert read_array("s.npy", folder=tmp_path).shape == ()


def test_arrays_are_never_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str, str]]:
            return (open, (str(tmp_path / "pwned"), "w"))

    np.save(tmp_path / "w.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="Python objects"):
        read_array("w.npy", folder=tmp_path)
    import pickle

    (tmp_path / "p.npy").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataError):
        read_array("p.npy", folder=tmp_path)
    assert not (tmp_path / "pwned").exists()


def test_other_arrays_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", a=np.zeros(2))
    (tmp_path / "w.npz").rename(tmp_path / "w.npy")
    np.save(tmp_path / "c.npy", np.array([1j]))
    np.save(tmp_path / "u.npy", np.array(["a"]))
    for file in ("w.npy", "c.npy", "u.npy"):
        with pytest.raises(DataError):
            read_array(file, folder=tmp_path)


# ------------------------------------------------------------------------------------------------ files, columns


def test_files_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "foods.csv").write_text("a\n1\n")
    for path, code, hint in [
        ("food.csv", "missing-file", "did you mean foods.csv?"),
        ("foods.parquet", "missing-file", "did you mean foods.csv?"),
        ("data/foods.csv", "missing-file", "there is no folder data either"),
        (".", "not-a-file", "name one of the files in it: foods.csv"),
        ("/dev/zero", "not-a-file", None),
        ("https://example.com/foods.csv", "network-path", "download the file and name the copy"),
        ("a\0b.csv", "missing-file", None),
        ("x" * 5000 + ".csv", "unreadable-file", None),
    ]:
        with pytest.raises(DataError) as caught:
            open_table(path, folder=tmp_path, name="t")
        assert (code_of(caught), caught.value.hint) == (code, hint)
    (tmp_path / "foods.docx").write_text("x")
    with pytest.raises(DataError) as caught:
        open_table("foods.docx", folder=tmp_path, name="t")
    assert code_of(caught) == "unknown-format"


def test_columns_by_name_and_pattern(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("label,p2,p10,p1\nx,1,2,3\n")
    table = open_table("t.csv", folder=tmp_path, name="digits")
    assert table.matching("p*") == ("p2", "p10", "p1")
    with pytest.raises(DataError, match="table digits has no column lable") as caught:
        table.column("lable")
    assert caught.value.hint == "did you mean label?"


def test_members(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,c,d\n1.0,x,1.5,1\n2e0,y,2,\n1.0,x,inf,3\n")
    table = open_table("t.csv", folder=tmp_path, name="t")
    assert members(table.column("a"), table).values.tolist() == [1, 2, 1]
    assert members(table.column("b"), table).objects().tolist() == ["x", "y", "x"]
    with pytest.raises(DataError, match=r"2 cells of column c .* the first, 1.5, is not an integer"):
        members(table.column("c"), table)
    with pytest.raises(DataError, match="1 cell of column d is empty"):
        members(table.column("d"), table)


def test_columns_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,x\n")
    table = open_table("t.csv", folder=tmp_path, name="t")
    for name in table.columns:
        with pytest.raises(ValueError, match="read-only"):
            table.column(name).values[0] = 5


# ------------------------------------------------------------------------------------------------ speed, start-up


def test_a_million_rows_of_parquet_take_a_fraction_of_a_second(tmp_path: Path) -> None:
    count = 1_000_000
    labels = pa.array([f"place {k}" for k in range(1000)])
    rows = np.arange(count)
    table = pa.table(
        {
            "src": labels.take(pa.array(rows // 1000)),
            "dst": labels.take(pa.array(rows % 1000)),
            "cost": rows / 7.0,
            "unused": rows,
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    opened = open_table("t.parquet", folder=tmp_path, name="t")
    keys = [members(opened.column(name), opened) for name in ("src", "dst")]
    cost = numeric(opened.column("cost"), opened)
    assert [len(key.categories) for key in keys if key.categories is not None] == [1000, 1000]
    assert cost[-1] == (count - 1) / 7.0


@pytest.mark.parametrize(
    ("file", "unwanted"),
    [
        ("t.csv", ["pyarrow", "duckdb", "pandas", "cvxpy", "sympy", "python_calamine"]),
        ("t.jsonl", ["pyarrow", "duckdb", "pandas"]),
        ("t.parquet", ["duckdb", "pandas"]),
        ("large.csv", ["duckdb", "pandas"]),
    ],
)
def test_what_opening_a_table_imports(tmp_path: Path, file: str, unwanted: list[str]) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,x\n")
    (tmp_path / "large.csv").write_text("a,b\n" + '1,"x"\n2.5,\n' * 200_000)
    (tmp_path / "t.jsonl").write_text('{"a": 1, "b": "x"}\n')
    pq.write_table(pa.table({"a": [1, None], "b": ["x", None]}), tmp_path / "t.parquet")
    program = (
        "import sys; from pathlib import Path; from optdsl.data.tables import *\n"
        f"table = open_table({file!r}, folder=Path({str(tmp_path)!r}), name='t')\n"
        "[table.column(name) for name in table.columns]\n"
        f"print([name for name in {unwanted!r} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=Path.cwd())
    assert (ran.stdout.strip(), ran.stderr) == ("[]", "")


def test_sql_tables_share_the_columns_of_files() -> None:
    table = open_sql(
        "SELECT orig, sum(tons) AS tons FROM supply GROUP BY orig ORDER BY orig", "multi.sqlite", folder=FILES, name="t"
    )
    assert table.columns == ("orig", "tons")
    assert table.column("orig").kind == "text" and table.rows > 0
    assert (numeric(table.column("tons"), table) > 0).all()
