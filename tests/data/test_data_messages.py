"""The messages about data, word for word: one golden file per code in `tests/golden/data`.

`OPTDSL_UPDATE_GOLDEN=1` writes them anew.
"""

import ast
import os
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from optdsl.data.supplied import from_python, from_set_option
from optdsl.data.tables import Table, members, numeric, open_sql, open_table
from optdsl.errors import OptError

FILES = Path(__file__).parent / "files"
GOLDEN = Path(__file__).parents[1] / "golden" / "data"
SOURCES = sorted((Path(__file__).parents[2] / "optdsl" / "data").glob("*.py"))

FOODS = 'food,cost,id\n"bread,\nwhite",2,1\nmilk,12a,1.5\nham,,2\nfish,"1,5",2.5\neggs,NaN,3\n'


def foods(folder: Path, text: str | bytes = FOODS, file: str = "foods.csv") -> Table:
    (folder / file).write_bytes(text.encode() if isinstance(text, str) else text)
    return open_table(file, folder=folder, name="foods")


def cost(folder: Path, text: str) -> object:
    table = foods(folder, text)
    return numeric(table.column("cost"), table)


def ids(folder: Path) -> object:
    table = foods(folder)
    return members(table.column("id"), table)


def nested(folder: Path) -> object:
    pq.write_table(pa.table({"sizes": [[1, 2]]}), folder / "foods.parquet")
    return open_table("foods.parquet", folder=folder, name="foods").column("sizes")


def query(folder: Path, text: str, database: str | None = None) -> object:
    where = FILES if database == "multi.sqlite" else folder
    return open_sql(text, database, folder=where, name="flows")


def in_use(folder: Path) -> object:
    with duckdb.connect(str(folder / "flows.duckdb")):
        return query(folder, "SELECT 1", "flows.duckdb")


SITUATIONS: dict[str, Callable[[Path], object]] = {
    "bad-option-form": lambda folder: from_set_option("demand 5"),
    "bad-quoting": lambda folder: foods(folder, 'food,cost\nbread,2\n"milk,3\neggs,4\n'),
    "bad-set-option": lambda folder: from_set_option('NODE="a b" c,d'),
    "database-in-use": in_use,
    "duplicate-column": lambda folder: foods(folder, "food,cost,food\nbread,2,x\n"),
    "empty-cell": lambda folder: cost(folder, "food,cost\nbread,2\nmilk,\nham,\n"),
    "empty-file": lambda folder: foods(folder, ""),
    "empty-sheet": lambda folder: open_table("empty.xlsx", folder=FILES, name="foods"),
    "malformed-file": lambda folder: foods(folder, '{"food": "bread"}\n{"food": "milk"\n', "foods.jsonl"),
    "missing-file": lambda folder: (foods(folder), open_table("food.csv", folder=folder, name="foods")),
    "nan-in-data": lambda folder: cost(folder, "food,cost\nbread,2\nmilk,nan\n"),
    "nan-supplied": lambda folder: from_python("cost", {("bread", 1): 2.0, ("milk", 2): float("nan")}),
    "network-path": lambda folder: open_table("https://example.com/foods.csv", folder=folder, name="foods"),
    "not-a-file": lambda folder: (foods(folder), open_table(".", folder=folder, name="foods")),
    "not-a-member": ids,
    "not-a-number": lambda folder: cost(folder, FOODS),
    "bad-encoding": lambda folder: foods(folder, "food,cost\nbread,2\nK\xe4se,3\n".encode("latin-1")),
    "query-failed": lambda folder: query(folder, "SELECT * FROM suply", "multi.sqlite"),
    "query-file": lambda folder: query(folder, "SELECT * FROM read_csv('data/*.csv')"),
    "query-function": lambda folder: query(folder, "SELECT * FROM read_text('/etc/passwd')"),
    "query-not-select": lambda folder: query(folder, "COPY (SELECT 1) TO 'flows.csv'"),
    "ragged-row": lambda folder: foods(folder, "food,cost\nbread, white,2\nmilk,3\nham,\nfish\n"),
    "unknown-column": lambda folder: foods(folder).column("price"),
    "unknown-format": lambda folder: foods(folder, "x", "foods.docx"),
    "unreadable-file": lambda folder: open_table("f" * 300 + ".csv", folder=folder, name="foods"),
    "unsupported-value": lambda folder: from_python("cost", {"bread": 2, "milk": np.array([1, 2])}),
    "unusable-column": nested,
}


@pytest.mark.parametrize("code", SITUATIONS)
def test_message(code: str, tmp_path: Path) -> None:
    with pytest.raises(OptError) as caught:
        SITUATIONS[code](tmp_path)
    assert code in [diagnostic.code for diagnostic in caught.value.diagnostics]
    text = f"{caught.value}\n"
    assert str(tmp_path) not in text
    golden = GOLDEN / f"{code}.txt"
    if os.environ.get("OPTDSL_UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def codes_in_the_source() -> set[str]:
    """The literal codes of the diagnostics that the readers of tables and of supplied values make."""
    mine = ["columns", "content", "delimited", "arrow", "records", "queries", "tables"]
    mine += ["forms", "frames", "python_values", "supplied"]
    calls = [
        node
        for path in SOURCES
        if path.stem in mine
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Diagnostic"
    ]
    return {str(ast.literal_eval(call.args[0])) for call in calls}


def test_every_code_has_a_golden_file_and_every_file_a_code() -> None:
    assert codes_in_the_source() == set(SITUATIONS)
    assert {path.stem for path in GOLDEN.glob("*.txt")} >= set(SITUATIONS)
