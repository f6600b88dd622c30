"""A solution as a saved result: RESULT's object in one JSON file, its large arrays in a NumPy archive beside it."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from optdsl.answer.files import write_beside
from optdsl.answer.json_view import json_text, solution_record
from optdsl.answer.labelled import LabelledArray
from optdsl.answer.solution import Solution
from optdsl.data.saved import packed
from optdsl.errors import Diagnostic, OptionError

LARGE = 2_000
"""Entries from which a variable's values go into the archive."""


def check_saved(path: Path) -> None:
    """Raises OptionError where a result cannot be saved to such a file."""
    if path.suffix.lower() != ".json":
        raise OptionError(
            Diagnostic(
                "unknown-output-format",
                f"a result is saved as JSON, and {path.name} does not end in .json",
                hint=f"write {path.with_suffix('.json').name}",
            )
        )
    folder = path.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK) or path.is_dir():
        reason = "is a folder" if path.is_dir() else "cannot be written: its folder is missing or protected"
        raise OptionError(
            Diagnostic("cannot-write", f"{path} {reason}", hint="name a file in a folder that may be written to")
        )


def save_result(solution: Solution, path: Path) -> tuple[Path, ...]:
    """Writes the result, each file beside its place and renamed, the JSON last. Returns the paths.

    Raises OptionError where that is not possible, or where there are no values to save.
    """
    check_saved(path)
    if not solution.variables:
        raise OptionError(
            Diagnostic(
                "cannot-write",
                f"there are no values to save: the status is {solution.status.word}",
                hint="use --json to keep the answer itself",
            )
        )
    record = solution_record(solution, without={n for n, a in solution.variables.items() if a.value.size >= LARGE})
    arrays: dict[str, np.ndarray] = {}
    for number, (name, answer) in enumerate(solution.variables.items()):
        if answer.value.size >= LARGE:
            record["variables"][name] = _entry(f"v{number}", answer.value, arrays)
    writers = {}
    if arrays:
        archive = path.with_suffix(".npz")
        data = _archive(arrays)
        record["arrays"] = {"file": archive.name, "sha256": hashlib.sha256(data).hexdigest()}
        writers[archive.name] = lambda place: place.write_bytes(data)
    text = json_text(record) + "\n"
    writers[path.name] = lambda place: place.write_text(text, encoding="utf-8", newline="\n")
    try:
        return write_beside(path.parent, writers)
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "name a file in a folder that may be written to"
        raise OptionError(Diagnostic("cannot-write", f"cannot write {path}: {reason}", hint=hint)) from None


def _entry(key: str, values: LabelledArray, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """What the JSON says of an array in the archive: `axes` counts the index positions of each axis."""
    arrays[f"{key}.value"] = np.asarray(values, dtype=float)
    for number, axis in enumerate(values.axes):
        for part, labels in enumerate(axis.columns):
            arrays.update(packed(labels, f"{key}.axis{number}.{part}"))
    return {"sets": list(values.sets), "array": key, "axes": [axis.arity for axis in values.axes]}


def _archive(arrays: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()
