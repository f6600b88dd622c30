"""Queries read what the model names, and can do nothing else."""

import os
import sqlite3
import threading
from pathlib import Path

import duckdb
import pytest

from optdsl.data.tables import Table, open_sql
from optdsl.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a model's data, and around it what the model does not name."""
    here = tmp_path / "model"
    (here / "data").mkdir(parents=True)
    (here / "data" / "flows.csv").write_text("src,v\na,1\nb,2\n")
    (here / "data" / "half;s.csv").write_text("src;v\na;1\n")
    (here / "it's.csv").write_text("x\n5\n")
    (here / "secret.csv").write_text("s\nhidden\n")
    (tmp_path / "outside.csv").write_text("s\nhidden\n")
    with duckdb.connect(str(here / "x.duckdb")) as connection:
        connection.execute("CREATE TABLE flows AS SELECT i AS src, i * 1.5 AS v, 'k' || i AS name FROM range(3) t(i)")
        connection.execute("CREATE MACRO peek(f) AS TABLE SELECT * FROM read_csv(f)")
        connection.execute(f"CREATE VIEW evil AS SELECT * FROM read_csv('{here}/secret.csv')")
    connection = sqlite3.connect(here / "y.sqlite")
    connection.execute("PRAGMA journal_mode = wal")
    connection.execute("CREATE TABLE flows (src TEXT, v REAL, n INT)")
    connection.executemany("INSERT INTO flows VALUES (?, ?, ?)", [("a", 1.5, 1), ("b", None, 2)])
    connection.commit()
    connection.close()
    return here


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.parent.rglob("*")) if path.is_file()}


def cells(table: Table) -> dict[str, list[object]]:
    return {name: table.column(name).objects().tolist() for name in table.columns}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT * FROM 'data/flows.csv'", {"src": ["a", "b"], "v": [1, 2]}),
        ("FROM 'data/flows.csv' SELECT v WHERE src = 'a'", {"v": [1]}),
        ("SELECT f.v FROM read_csv('data/flows.csv') AS f", {"v": [1, 2]}),
        ("SELECT flows.v FROM 'data/flows.csv'", {"v": [1, 2]}),
        ("SELECT * FROM read_csv(['data/half;s.csv'], delim = ';')", {"src": ["a"], "v": [1]}),
        ("SELECT * FROM read_csv('data/flows.csv', names = ['p', 'q'], header = true)", {"p": ["a", "b"], "q": [1, 2]}),
        ("SELECT * FROM 'it''s.csv'", {"x": [5]}),
        ('WITH c AS (SELECT * FROM "data/flows.csv") SELECT sum(c.v) AS s FROM c JOIN c d USING (src)', {"s": [3]}),
        ("SELECT 'data/flows.csv' AS name, v FROM 'data/flows.csv' LIMIT 1", {"name": ["data/flows.csv"], "v": [1]}),
        ("SELECT (SELECT max(v) FROM 'data/flows.csv') AS m", {"m": [2]}),
        ("SELECT i FROM range(3) t(i)", {"i": [0, 1, 2]}),
        ("VALUES (1), (2);", {"col0": [1, 2]}),
        ("SELECT src FROM 'data/flows.csv' WHERE v > 5", {"src": []}),
    ],
)
def test_queries_over_files(folder: Path, query: str, expected: dict[str, list[object]]) -> None:
    before = snapshot(folder)
    assert cells(open_sql(query, None, folder=folder, name="t")) == expected
    assert snapshot(folder) == before


def test_relative_names_start_at_the_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert open_sql("SELECT * FROM 'data/flows.csv'", None, folder=folder, name="t").rows == 2


def test_queries_in_databases(folder: Path) -> None:
    before = snapshot(folder)
    table = open_sql("SELECT src, v, name FROM flows WHERE src > 0", "x.duckdb", folder=folder, name="t")
    assert cells(table) == {"src": [1, 2], "v": [1.5, 3.0], "name": ["k1", "k2"]}
    assert str(table.place(1, "v")) == "query of t, row 2, column v"
    table = open_sql("WITH c AS (SELECT * FROM flows) SELECT src, v, n FROM c", "y.sqlite", folder=folder, name="t")
    assert cells(table) == {"src": ["a", "b"], "v": [1.5, None], "n": [1, 2]}
    assert snapshot(folder) == before


ATTACKS = [
    "COPY (SELECT 1) TO '{box}/new.csv'",
    "COPY (SELECT 1) TO '{box}/data/flows.csv'",
    "ATTACH '{box}/new.db'",
    "ATTACH '{box}/x.duckdb' AS w",
    "EXPORT DATABASE '{box}/out'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{box}/evil.duckdb_extension'",
    "SET enable_external_access = true",
    "PRAGMA enable_object_cache",
    "PRAGMA database_list",
    "CREATE TABLE t (a INT)",
    "CREATE TEMP TABLE t AS SELECT 1",
    "INSERT INTO flows VALUES (9, 9, 'z')",
    "DELETE FROM flows",
    "DROP TABLE flows",
    "UPDATE flows SET v = 0",
    "CALL pragma_version()",
    "EXPLAIN ANALYZE SELECT 1",
    "PREPARE p AS SELECT 1",
    "SELECT 1; COPY (SELECT 1) TO '{box}/new.csv'",
    "SELECT 1; SELECT 2",
    "",
    "-- nothing",
    "SELECT * FROM glob('{box}/*')",
    "SELECT * FROM read_text('{box}/secret.csv')",
    "SELECT * FROM read_blob('{box}/secret.csv')",
    "SELECT * FROM sniff_csv('{box}/secret.csv')",
    "SELECT * FROM query('COPY (SELECT 1) TO ''{box}/new.csv''')",
    "SELECT * FROM query('SELECT * FROM ''{box}/secret.csv''')",
    "SELECT * FROM query_table('{box}/secret.csv')",
    "SELECT * FROM json_execute_serialized_sql('x')",
    "SELECT * FROM parquet_metadata('{box}/secret.parquet')",
    "SELECT * FROM read_duckdb('{box}/x.duckdb')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM enable_logging(storage = 'file')",
    "SELECT * FROM checkpoint()",
    "SELECT getenv('HOME')",
    "SELECT * FROM read_csv('{box}/' || 'secret.csv')",
    "SELECT * FROM read_csv((SELECT '{box}/secret.csv'))",
    "SELECT * FROM read_csv(getvariable('x'))",
    "SELECT * FROM read_csv(['data/flows.csv', '{box}/sec' || 'ret.csv'])",
    "SELECT * FROM read_csv()",
    "SELECT * FROM '{box}/*.csv'",
    "SELECT * FROM read_csv('{box}/s?cret.csv')",
    "SELECT * FROM 'data/**/flows.csv'",
    "SELECT * FROM 'https://example.com/a.csv'",
    "SELECT * FROM read_csv('s3://bucket/a.csv')",
    "SELECT * FROM local_variable",
    "SELECT * FROM '/dev/stdin'",
    "SELECT * FROM read_csv('/dev/stdin')",
    "SELECT (SELECT count(*) FROM glob('/*')) FROM 'data/flows.csv'",
    "WITH RECURSIVE c AS (SELECT * FROM read_text('{box}/secret.csv')) SELECT * FROM c",
]


@pytest.mark.parametrize("database", [None, "x.duckdb"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_duckdb_does_nothing_else(folder: Path, attack: str, database: str | None) -> None:
    local_variable = __import__("pyarrow").table({"a": [1]})
    before = snapshot(folder)
    with pytest.raises(DataError) as caught:
        open_sql(attack.format(box=folder), database, folder=folder, name="t")
    assert "hidden" not in str(caught.value)
    assert snapshot(folder) == before
    assert local_variable.num_rows == 1


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM 'data/flows.csv'",
        "SELECT * FROM read_csv('{box}/secret.csv')",
        "SELECT * FROM peek('{box}/secret.csv')",
        "SELECT * FROM evil",
    ],
)
def test_a_database_opens_no_other_file(folder: Path, query: str) -> None:
    with pytest.raises(DataError):
        open_sql(query.format(box=folder), "x.duckdb", folder=folder, name="t")


def test_the_engine_is_closed_even_where_the_query_is_not_looked_at(folder: Path) -> None:
    """The second wall alone: everything is refused by the settings too."""
    from optdsl.data.queries import _close, _engine

    before = snapshot(folder)
    with _engine() as engine:
        _close(engine, [str(folder / "data" / "flows.csv")])
        assert engine.sql(f"SELECT count(*) FROM '{folder}/data/flows.csv'").fetchall() == [(2,)]
        for attack in (
            f"SELECT * FROM '{folder}/secret.csv'",
            f"SELECT * FROM read_text('{folder}/secret.csv')",
            f"SELECT * FROM read_csv('{folder}/data/../secret.csv')",
            f"SELECT * FROM '{folder}/*.csv'",
            f"COPY (SELECT 1) TO '{folder}/new.csv'",
            f"COPY (SELECT 1) TO '{folder}/data/flows.csv'",
            f"ATTACH '{folder}/new.db'",
            f"ATTACH '{folder}/x.duckdb'",
            "INSTALL httpfs",
            "SET enable_external_access = true",
            f"SET allowed_directories = ['{folder}']",
            "SET lock_configuration = false",
            "SET temp_directory = '/tmp'",
            "SELECT * FROM before",
        ):
            with pytest.raises(duckdb.Error):
                engine.execute(attack).fetchall()
    assert snapshot(folder) == before


SQLITE_ATTACKS = [
    "INSERT INTO flows VALUES ('c', 1, 1)",
    "UPDATE flows SET v = 0",
    "DELETE FROM flows",
    "DROP TABLE flows",
    "CREATE TABLE x (a)",
    "CREATE TEMP TABLE x (a)",
    "ATTACH '{box}/new.db' AS n",
    "VACUUM",
    "VACUUM INTO '{box}/copy.db'",
    "PRAGMA journal_mode = delete",
    "PRAGMA writable_schema = 1",
    "SELECT * FROM pragma_database_list",
    "SELECT load_extension('{box}/evil')",
    "SELECT writefile('{box}/new.csv', 'x')",
    "SELECT readfile('{box}/secret.csv')",
    "SELECT 1; SELECT 2",
    "BEGIN",
    "",
]


@pytest.mark.parametrize("attack", SQLITE_ATTACKS)
def test_sqlite_only_reads(folder: Path, attack: str) -> None:
    before = snapshot(folder)
    with pytest.raises(DataError):
        open_sql(attack.format(box=folder), "y.sqlite", folder=folder, name="t")
    assert snapshot(folder) == before


def test_a_logged_sqlite_file_is_read_with_its_log(folder: Path) -> None:
    writer = sqlite3.connect(folder / "y.sqlite")
    writer.execute("INSERT INTO flows VALUES ('c', 3, 3)")
    writer.commit()
    assert (folder / "y.sqlite-wal").exists()
    assert open_sql("SELECT * FROM flows", "y.sqlite", folder=folder, name="t").rows == 3
    writer.close()


@pytest.mark.parametrize(
    ("query", "database", "code", "text"),
    [
        ("SELECT x FROM 'data/flows.csv'", None, "query-failed", '"x" not found'),
        ("SELEC 1", None, "query-failed", "syntax error"),
        ("SELECT * FROM flow", "x.duckdb", "query-failed", 'did you mean "flows"?'),
        ("SELECT * FROM flow", "y.sqlite", "query-failed", "no such table: flow"),
        ("SELECT * FROM flows", None, "query-failed", "without `in`, a query reads files"),
        ("SELECT * FROM 'data/flow.csv'", None, "missing-file", "did you mean data/flows.csv?"),
        ("SELECT * FROM 'a.xlsx'", None, "query-file", 'table NAME from "a.xlsx"'),
        ("SELECT 1", "z.duckdb", "missing-file", "did you mean x.duckdb?"),
        ("SELECT 1", "secret.csv", "malformed-file", "neither a DuckDB nor a SQLite file"),
        ("SELECT 1 AS a, 2 AS a", "y.sqlite", "duplicate-column", "columns 1 and 2"),
        ("SELECT 1 AS a, 2 AS a", None, "duplicate-column", "columns 1 and 2"),
        ("SELECT CAST('x' AS INT)", None, "query-failed", "Could not convert"),
    ],
)
def test_messages(folder: Path, query: str, database: str | None, code: str, text: str) -> None:
    with pytest.raises(DataError) as caught:
        open_sql(query, database, folder=folder, name="t")
    assert caught.value.diagnostics[0].code == code
    assert text.lower() in str(caught.value).lower()


def test_several_threads_may_query_one_database(folder: Path) -> None:
    rows: list[int] = []

    def read() -> None:
        for _ in range(3):
            rows.append(open_sql("SELECT * FROM flows", "x.duckdb", folder=folder, name="t").rows)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows == [3] * 12


def test_a_database_that_the_caller_has_open(folder: Path) -> None:
    """Open for writing: newer engines refuse, older ones read; both are sound, a traceback is not."""
    with duckdb.connect(str(folder / "x.duckdb")):
        try:
            assert open_sql("SELECT * FROM flows", "x.duckdb", folder=folder, name="t").rows == 3
        except DataError as error:
            assert error.diagnostics[0].code == "database-in-use"
    with duckdb.connect(str(folder / "x.duckdb"), read_only=True):
        assert open_sql("SELECT * FROM flows", "x.duckdb", folder=folder, name="t").rows == 3


def test_no_home_folder_is_touched(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    open_sql("SELECT * FROM 'data/flows.csv'", None, folder=folder, name="t")
    assert os.listdir(home) == []
