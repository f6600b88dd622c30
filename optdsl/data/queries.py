"""Queries: one SELECT, run where it can read nothing but what the model names, and write nothing.

A `.opt` file may come from a stranger, and SQL is a programming language: DuckDB can write files, fetch
extensions, and read any file. So the query is looked at before it runs (one SELECT; table functions of a short
list; file names written out as literals), and the engine is closed around the files found that way. Either
alone would do against a known trick; both are there because there are unknown ones.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from optdsl.data.columns import transpose
from optdsl.data.content import Content, find_file, header_names, malformed
from optdsl.errors import DataError, Diagnostic, closest

if TYPE_CHECKING:
    import duckdb

_CSV_AND_PARQUET = ("read_csv", "read_csv_auto", "read_parquet", "parquet_scan")
_JSON = ("read_json", "read_json_auto", "read_ndjson", "read_ndjson_auto")
_FILE_FUNCTIONS = frozenset((*_CSV_AND_PARQUET, *_JSON))
_PURE_FUNCTIONS = frozenset(("range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree"))
_FILE_NAME = re.compile(r".*\.(csv|tsv|txt|parquet|json|jsonl|ndjson)(\.gz|\.zst)?", re.IGNORECASE | re.DOTALL)
_OTHER_TABLE_FILE = re.compile(r".*\.(xlsx?|ods|arrow|feather|npy|duckdb|db|sqlite)", re.IGNORECASE | re.DOTALL)


def run_query(query: str, database: str | None, folder: Path, table: str) -> Content:
    """The rows of a query in a DuckDB or SQLite file, or over the files that it names itself.

    `folder` is where relative file names start, `table` the table's name for messages. Raises DataError.
    """
    if database is None:
        return _run_duckdb(query, None, folder, table)
    path = find_file(database, folder)
    with path.open("rb") as file:
        head = file.read(20)
    if head.startswith(b"SQLite format 3\0"):
        return _run_sqlite(query, path, head, table)
    if head[8:12] == b"DUCK":
        return _run_duckdb(query, path, folder, table)
    raise malformed(database, "database", "it is neither a DuckDB nor a SQLite file")


# ------------------------------------------------------------------------------------------------------ DuckDB


def _run_duckdb(query: str, database: Path | None, folder: Path, table: str) -> Content:
    import duckdb

    from optdsl.data.arrow import content_of_table

    with _engine() as engine:
        tree = _parsed(engine, query, table)
        files = _resolve_files(tree, folder, table) if database is None else []
        if files:
            query = _one(engine, "SELECT json_deserialize_sql($1::JSON)", json.dumps(tree))
        try:
            if database is not None:
                engine.execute(f"ATTACH {_literal(str(database))} AS model_data (READ_ONLY)")
                engine.execute("USE model_data")
            _close(engine, files)
            result = engine.sql(query).to_arrow_table()
        except duckdb.Error as error:
            raise _failed(table, str(error), database is not None) from None
    return content_of_table(result, f"query of {table}")


def _engine() -> duckdb.DuckDBPyConnection:
    """An engine in memory that neither fetches extensions nor looks at Python variables nor spills to disk."""
    import duckdb

    settings: dict[str, Any] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "allow_persistent_secrets": "false",
        "python_enable_replacements": "false",
        "temp_directory": "",
    }
    return duckdb.connect(":memory:", config=settings)


def _close(engine: duckdb.DuckDBPyConnection, files: list[str]) -> None:
    """From now on the engine opens these files only, for reading, and the query cannot undo that."""
    engine.execute(f"SET allowed_paths = [{', '.join(map(_literal, files))}]")
    engine.execute("SET enable_external_access = false")
    engine.execute("SET lock_configuration = true")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _one(engine: duckdb.DuckDBPyConnection, query: str, parameter: str) -> str:
    row = engine.execute(query, [parameter]).fetchone()
    assert row is not None
    return str(row[0])


def _parsed(engine: duckdb.DuckDBPyConnection, query: str, table: str) -> dict[str, Any]:
    """The query's syntax tree as DuckDB writes it; DataError unless it is one SELECT of allowed functions."""
    tree: dict[str, Any] = json.loads(_one(engine, "SELECT json_serialize_sql($1::VARCHAR)", query))
    if tree["error"] and tree.get("error_type") == "parser":
        raise _failed(table, tree["error_message"], False)
    if tree["error"] or len(tree["statements"]) != 1:
        raise _not_a_select(table)
    for node in _nodes(tree):
        if node.get("type") == "TABLE_FUNCTION":
            name = node["function"].get("function_name", "a function")
            if name not in _FILE_FUNCTIONS | _PURE_FUNCTIONS:
                raise DataError(
                    Diagnostic(
                        "query-function",
                        f"the query of table {table} calls {name}(), which queries of models may not use",
                        hint="read files by read_csv, read_parquet or read_json, or name them after FROM",
                    )
                )
    return tree


def _not_a_select(table: str) -> DataError:
    return DataError(
        Diagnostic(
            "query-not-select",
            f"the query of table {table} is not a single SELECT statement",
            hint="a model only reads: SELECT, WITH, FROM and VALUES are allowed, and nothing that writes or loads",
        )
    )


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """All records of the tree, in any depth."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            yield node
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)


def _resolve_files(tree: dict[str, Any], folder: Path, table: str) -> list[str]:
    """Make every file name in the tree absolute, in place, and return them.

    Files are named as in `FROM 'data/flows.csv'` or as literals in the first argument of a reading function.
    """
    files: list[str] = []

    def resolve(name: str) -> str:
        if _OTHER_TABLE_FILE.fullmatch(name):
            raise _unnamed(table, f"reads {name}, which DuckDB cannot", f'declare it: table NAME from "{name}"')
        if any(mark in name for mark in "*?[{"):
            raise _unnamed(table, f"reads files by the pattern {name}", "name each file: read_csv(['a.csv', 'b.csv'])")
        files.append(str(find_file(name, folder).resolve()))
        return files[-1]

    for node in list(_nodes(tree)):
        if node.get("type") == "BASE_TABLE" and not node.get("schema_name"):
            name = node["table_name"]
            if _FILE_NAME.fullmatch(name) or _OTHER_TABLE_FILE.fullmatch(name):
                node["table_name"] = resolve(name)
                if "qualified_name" in node:
                    node["qualified_name"] = {"path": [node["table_name"]]}
        elif node.get("type") == "TABLE_FUNCTION" and node["function"]["function_name"] in _FILE_FUNCTIONS:
            for literal in _file_literals(node["function"], table):
                _set_text(literal, resolve(_text(literal) or ""))
    return files


# DuckDB 1.x and 2.x write calls and constants differently: `children` or `arguments`, `value` or `literal`.


def _arguments(call: dict[str, Any]) -> list[dict[str, Any]]:
    """The expressions between the parentheses of a call."""
    if "arguments" in call:
        return [argument["expression"] for argument in call["arguments"]]
    return list(call.get("children", ()))


def _text(expression: dict[str, Any]) -> str | None:
    """What a text constant says; None for every other expression."""
    if expression.get("class") != "CONSTANT":
        return None
    constant = expression.get("literal") or expression.get("value")
    text = constant.get("text", constant.get("value")) if isinstance(constant, dict) else None
    return text if isinstance(text, str) else None


def _set_text(expression: dict[str, Any], text: str) -> None:
    if "literal" in expression:
        expression["literal"]["text"] = text
    else:
        expression["value"]["value"] = text


def _file_literals(call: dict[str, Any], table: str) -> list[dict[str, Any]]:
    """The constants that name the files of a call: its first argument, a text or a list of texts."""
    literals = _arguments(call)[:1]
    if literals and (
        literals[0].get("function_name") == "list_value" or literals[0].get("type") == "ARRAY_CONSTRUCTOR"
    ):
        literals = _arguments(literals[0])
    if not literals or any(_text(literal) is None for literal in literals):
        name = call["function_name"]
        raise _unnamed(table, f"computes the file name of {name}()", "write the file name as a text: 'flows.csv'")
    return literals


def _unnamed(table: str, what: str, hint: str) -> DataError:
    return DataError(Diagnostic("query-file", f"the query of table {table} {what}", hint=hint))


def _failed(table: str, reason: str, in_database: bool) -> DataError:
    """The engine's own message, shortened to what is wrong and what was meant."""
    if "file handle conflict" in reason or "lock on file" in reason:
        return DataError(
            Diagnostic(
                "database-in-use",
                f"the database of table {table} is open for writing",
                hint="close the connection or the program that writes to it",
            )
        )
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    first = re.sub(r"^[\w ]*Error: ", "", lines[0])
    meant = [line[0].lower() + line[1:] for line in lines[1:] if line.startswith(("Did you mean", "Candidate"))]
    if not in_database and first.startswith("Table with name"):
        meant = ["without `in`, a query reads files: SELECT ... FROM 'flows.csv'"]  # not DuckDB's own tables
    if "Permission Error" in lines[0]:
        first = first.split(" - ")[0] + ", which the model does not name"
        where = "with `in`, a query reads that database only" if in_database else "name the file in the query"
        meant = [where]
    return DataError(
        Diagnostic(
            "query-failed",
            f"the query of table {table} cannot be run: {first[:1].lower()}{first[1:]}",
            hint=meant[0] if meant else None,
        )
    )


# ------------------------------------------------------------------------------------------------------ SQLite


def _run_sqlite(query: str, path: Path, head: bytes, table: str) -> Content:
    """The rows of a query in a SQLite file, opened for reading; only reading actions are let through."""
    from optdsl.data.records import content_of_cells

    denied: list[int] = []
    allowed = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}

    def authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if action in allowed and second != "load_extension":
            return sqlite3.SQLITE_OK
        denied.append(action)
        return sqlite3.SQLITE_DENY

    # A database in write-ahead mode without a log would make SQLite create one beside it: it is complete as it
    # is, and `immutable` says so.
    is_settled = head[18:19] == b"\x02" and not path.with_name(path.name + "-wal").exists()
    address = f"file:{quote(str(path.resolve()))}?mode=ro{'&immutable=1' if is_settled else ''}"
    connection = sqlite3.connect(address, uri=True)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.set_authorizer(authorize)
        cursor = connection.execute(query)
        names = [column[0] for column in cursor.description or ()]
        rows = cursor.fetchall()
    except (sqlite3.Error, sqlite3.Warning) as error:
        if denied or "one statement at a time" in str(error):
            raise _not_a_select(table) from None
        raise _failed(table, _with_table_names(connection, str(error)), True) from None
    finally:
        connection.close()
    if not names:
        raise _not_a_select(table)
    source = f"query of {table}"
    return content_of_cells(header_names(names, source), transpose(rows, len(names)), source)


def _with_table_names(connection: sqlite3.Connection, reason: str) -> str:
    """SQLite's message, and after an unknown table a line with the one that was meant."""
    if not reason.startswith("no such table: "):
        return reason
    known = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
    near = closest(reason.removeprefix("no such table: "), known)
    return f'{reason}\nDid you mean "{near}"?' if near else f"{reason}\nCandidate tables: {', '.join(known[:12])}"
