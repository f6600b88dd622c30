"""Where an answer comes from: the text, the data, what was asked for, and how to ask for it again."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from optdsl.answer.numbers import number_text
from optdsl.answer.verdict import Verdict
from optdsl.data.content import find_file
from optdsl.data.forms import DenseValue, ListValue, MappingValue, ScalarValue, SparseValue, Supplied
from optdsl.data.tables import open_table
from optdsl.errors import OptError
from optdsl.language import tree

MOST_LISTED = 12
"""Items of a list, given as data, that are shown."""
PACKAGES = ("numpy", "scipy", "sympy", "cvxpy", "highspy", "clarabel", "scs", "osqp", "pyscipopt", "llvmlite")


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file that a model reads: what reads it, its name as given, where it is, and its size and time then."""

    reader: str
    named: str
    path: Path | None
    stamp: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file holds now: rows and columns where it is a table, its SHA-256, whether it changed since the run."""

    rows: int | None
    columns: tuple[str, ...]
    sha256: str | None
    changed: bool


@dataclass(frozen=True, slots=True, eq=False)
class Examined:
    """The verdict on a model with its data, and the method and options that the caller or the file asks for."""

    verdict: Verdict
    method: str | None
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Provenance:
    """What a solve was given. `examine` works out the verdict, again with this data; it may raise OptError."""

    file: tree.File
    folder: Path
    files: tuple[DataFile, ...]
    supplied: Mapping[str, Supplied]
    paths: Mapping[str, str]
    method: str | None
    options: Mapping[str, Any]
    seed: int | None
    time_limit: float | None
    examine: Callable[[], Examined]
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def text(self) -> str:
        """The model's text."""
        return self.file.source.text

    @property
    def name(self) -> str:
        """The model's file, or what messages call its text."""
        return self.file.source.name

    @property
    def command(self) -> str | None:
        """The command that repeats the run; None where the text or some data did not come from files and words."""
        words = {name: _word(value) for name, value in self.supplied.items()}
        if self.name.startswith("<") or None in words.values():
            return None
        parts = ["optdsl", "solve", self.name]
        for name, word in words.items():
            parts += ["--set", f"{name}={word}"]
        for name, path in self.paths.items():
            parts += ["--data", f"{name}={path}"]
        if self.method is not None:
            parts += ["--method", self.method]
        for name, value in self.options.items():
            parts += ["--opt", f"{name}={value}"]
        if self.seed is not None:
            parts += ["--seed", str(self.seed)]
        if self.time_limit is not None:
            parts += ["--time-limit", f"{self.time_limit:g}"]
        return shlex.join(parts)


def provenance_of(
    file: tree.File, examine: Callable[[], Examined], keywords: Mapping[str, Any]
) -> Provenance:
    """The record of a solve that is about to begin; `keywords` are those of `optdsl.answer.stages.solve_tree`."""
    folder = keywords["folder"]
    paths = dict(keywords.get("paths") or {})
    supplied = dict(keywords.get("supplied") or {})
    controls = keywords.get("controls")
    return Provenance(
        file=file,
        folder=folder,
        files=tuple(_files(file, folder, supplied, paths)),
        supplied=supplied,
        paths=paths,
        method=keywords.get("method"),
        options=dict(keywords.get("options") or {}),
        seed=keywords.get("seed"),
        time_limit=None if controls is None else controls.time_limit,
        examine=examine,
    )


def _files(
    file: tree.File, folder: Path, supplied: Mapping[str, Supplied], paths: Mapping[str, str]
) -> Iterator[DataFile]:
    for name, path in paths.items():
        yield _data_file(name, path, Path())
    for statement in file.statements:
        declared = getattr(statement, "name", None)
        value = supplied.get(declared or "")
        if isinstance(statement, tree.TableDecl) and isinstance(value, ScalarValue):
            yield _data_file(statement.name, str(value.value), Path())
        if declared in paths or value is not None:
            continue
        if isinstance(statement, tree.TableDecl):
            if statement.query is not None:
                yield _data_file(f"{statement.name} (query: {statement.query})", statement.path or "", folder)
            elif statement.path is not None:
                yield _data_file(statement.name, statement.path, folder)
        elif isinstance(statement, tree.ParamDecl) and isinstance(statement.source, tree.FromFile):
            yield _data_file(statement.name, statement.source.path, folder)
        elif isinstance(statement, tree.VarDecl):
            for attribute in statement.attributes:
                if isinstance(attribute, tree.Init) and isinstance(attribute.value, tree.FromFile):
                    yield _data_file(f"init of {statement.name}", attribute.value.path, folder)


def _data_file(reader: str, named: str, folder: Path) -> DataFile:
    try:
        path = find_file(named, folder)
        status = path.stat()
    except (OptError, OSError):
        return DataFile(reader, named, None, None)
    return DataFile(reader, named, path, (status.st_size, status.st_mtime_ns))


def facts_of(given: DataFile) -> FileFacts:
    """What the file holds now."""
    if given.path is None:
        return FileFacts(None, (), None, False)
    rows: int | None = None
    columns: tuple[str, ...] = ()
    try:
        table = open_table(str(given.path), folder=Path(), name=given.reader)
        rows, columns = table.rows, tuple(table.columns)
    except OptError:  # no table, as a database or an array
        pass
    try:
        with given.path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        status = given.path.stat()
    except OSError:
        return FileFacts(rows, columns, None, True)
    return FileFacts(rows, columns, digest, (status.st_size, status.st_mtime_ns) != given.stamp)


def _word(value: Supplied) -> str | None:
    """A value as `--set` takes it; None where it does not."""
    if isinstance(value, ScalarValue):
        return _item(value.value)
    if isinstance(value, ListValue) and len(value.columns) == 1:
        return ",".join(_item(item) for item in value.columns[0].objects().tolist())
    return None


def _item(value: object) -> str:
    """A number or text as an item of `--set`: text that could be read as something else is quoted."""
    if isinstance(value, str) and re.fullmatch(r"[^\W\d]\w*", value) is None:
        return f"'{value}'" if '"' in value else f'"{value}"'
    return str(value)


def described(value: Supplied) -> str:
    """A value given from outside, shortened."""
    if isinstance(value, ScalarValue):
        return str(value.value)
    if isinstance(value, ListValue):
        if len(value.columns) != 1:
            return f"{len(value):,} items of {len(value.columns)} parts"
        items = value.columns[0].objects().tolist()
        listed = ", ".join(map(str, items[:MOST_LISTED]))
        return listed + (f", ... ({len(items):,} items)" if len(items) > MOST_LISTED else "")
    if isinstance(value, DenseValue):
        size, values = " x ".join(map(str, value.values.shape)), value.values
        span = f", from {number_text(float(values.min()))} to {number_text(float(values.max()))}" if values.size else ""
        digest = hashlib.sha256(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data).hexdigest()
        return f"array {size}{span}, SHA-256 {digest}"
    if isinstance(value, SparseValue):
        return f"sparse matrix {value.shape[0]:,} x {value.shape[1]:,} with {len(value.values):,} entries"
    if isinstance(value, MappingValue):
        return f"{len(np.asarray(value.values.values)):,} values by key"
    rows = len(np.asarray(value.columns[0].values)) if value.columns else 0
    return f"{rows:,} rows with columns {', '.join(column.name for column in value.columns)}"


def versions() -> dict[str, str]:
    """optdsl, Python and the packages that may have had a part, with their versions."""
    found = {"optdsl": _version("optdsl"), "Python": sys.version.split()[0], "system": platform.platform()}
    for name in PACKAGES:
        version = _version(name)
        if version is not None:
            found[name] = version
    return {name: version for name, version in found.items() if version is not None}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
