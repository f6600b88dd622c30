"""An answer as files: a table per variable and constraint, and result.json; never half-written."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from optdsl.answer.json_view import solution_json
from optdsl.answer.labelled import LabelledArray, index_labels, index_names
from optdsl.answer.solution import Solution, TraceTable
from optdsl.data.members import Labels, TextLabels
from optdsl.errors import Diagnostic, OptionError, closest

FORMATS = ("csv", "parquet")


def write_files(solution: Solution, folder: Path, format: str = "csv") -> tuple[Path, ...]:
    """Writes into `folder`, made if missing: one table per variable and constraint, and result.json, last.

    Each file is written beside its place and renamed when all are complete. Returns the paths. Raises
    OptionError for an unknown format or a folder that cannot be written.
    """
    check_format(format)
    make_folder(folder)
    writers = dict(_writers(solution, format))
    try:
        return write_beside(folder, writers)
    except OSError as error:
        raise OptionError(_cannot_write(folder, error)) from None


def make_folder(folder: Path) -> None:
    """Makes the folder where it is missing. Raises OptionError where files cannot be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise OptionError(_cannot_write(folder, error)) from None


def _cannot_write(folder: Path, error: OSError) -> Diagnostic:
    return Diagnostic(
        "cannot-write",
        f"cannot write into {folder}: {error.strerror or error}",
        hint="--out needs a folder that exists or can be made, and may be written to",
    )


def check_format(format: str) -> None:
    """Raises OptionError for a format that tables cannot be written in."""
    if format not in FORMATS:
        near = closest(format, FORMATS)
        hint = f"did you mean {near}?" if near else f"formats are {' and '.join(FORMATS)}"
        raise OptionError(Diagnostic("unknown-output-format", f'there is no output format "{format}"', hint=hint))


def check_trace(path: Path) -> None:
    """Raises OptionError where a trace cannot be written to such a file."""
    check_format(path.suffix[1:].lower())
    make_folder(path.parent)


def write_trace(trace: TraceTable, path: Path) -> None:
    """Writes the iterations of a run as a table, beside its place and renamed. Raises OptionError where it cannot."""
    import pyarrow

    check_trace(path)
    table = pyarrow.table({name: trace[name] for name in trace.columns})
    try:
        write_beside(path.parent, {path.name: _arrow_writer(table, path.suffix[1:].lower())})
    except OSError as error:
        raise OptionError(_cannot_write(path.parent, error)) from None


Writer = Callable[[Path], object]


def _writers(solution: Solution, format: str) -> Iterable[tuple[str, Writer]]:
    """File names and what writes each; result.json last."""
    used: set[str] = set()
    tables = {
        **{name: {"value": a.value, "reduced_cost": a.reduced_cost} for name, a in solution.variables.items()},
        **{name: {"dual": a.dual, "slack": a.slack} for name, a in solution.constraints.items()},
    }
    for name, columns in tables.items():
        given = {column: array for column, array in columns.items() if array is not None}
        if given:
            yield f"{_file_name(name, used)}.{format}", _table_writer(given, format)
    yield "result.json", lambda path: _write_text(path, solution_json(solution) + "\n")


def _file_name(name: str, used: set[str]) -> str:
    """A name that is a file name on every system and, without regard to case, not used yet."""
    plain = re.sub(r"[^\w.\- ]", "_", name) or "_"
    candidate, number = plain, 2
    while candidate.casefold() in used:
        candidate, number = f"{plain}_{number}", number + 1
    used.add(candidate.casefold())
    return candidate


def write_beside(folder: Path, writers: Mapping[str, Writer]) -> tuple[Path, ...]:
    """Writes files beside their places, and renames them when all are complete. Returns the paths."""
    written: list[tuple[Path, Path]] = []
    try:
        for name, write in writers.items():
            beside = folder / f".{name}.{os.getpid()}.tmp"
            written.append((beside, folder / name))
            write(beside)
        for beside, place in written:
            os.replace(beside, place)
    finally:
        for beside, _ in written:
            beside.unlink(missing_ok=True)
    return tuple(place for _, place in written)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _table_writer(columns: Mapping[str, LabelledArray], format: str) -> Writer:
    return lambda path: _arrow_writer(answer_table(columns), format)(path)


def _arrow_writer(table: Any, format: str) -> Writer:
    def write(path: Path) -> None:
        if format == "parquet":
            from pyarrow import parquet

            parquet.write_table(table, path)
        else:
            from pyarrow import csv

            csv.write_csv(table, path)

    return write


def answer_table(columns: Mapping[str, LabelledArray]) -> Any:
    """Arrays over the same axes as one Arrow table: a column per index position, then one per array."""
    import pyarrow

    axes = next(iter(columns.values())).axes
    names = index_names(axes, taken=tuple(columns))
    data = {name: _arrow_labels(labels) for name, labels in zip(names, index_labels(axes), strict=True)}
    for name, array in columns.items():
        data[name] = pyarrow.array(np.asarray(array).ravel())
    return pyarrow.table(data)


def _arrow_labels(labels: Labels) -> Any:
    """Labels as an Arrow array: int64, or text (integers among text become text)."""
    import pyarrow

    if not isinstance(labels, TextLabels):
        return pyarrow.array(labels.integers)
    categories = pyarrow.array(labels.categories.astype(str).astype(object), pyarrow.string())
    return categories.take(pyarrow.array(labels.codes))
