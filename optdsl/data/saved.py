"""Saved results: the values of variables by label, out of the JSON that `optdsl solve` writes.

Large arrays lie in a NumPy archive beside the JSON, by axis; everything else in the JSON itself, by entry. Both come
out as labels and a value for each entry, to be matched by label with the sets of another model.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optdsl.data.members import Labels, TextLabels, integer_labels, labels_of, object_array

VERSION = 1
HOW = "save a result with `optdsl solve MODEL --save run.json`"


class SavedFault(Exception):
    """A file that is no saved result: what is wrong with it, and what to do."""

    def __init__(self, message: str, hint: str = HOW) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True, eq=False)
class SavedArray:
    """A variable's values (n,) and, by index position, the labels (n,) of each."""

    sets: tuple[str, ...]
    keys: tuple[Labels, ...]
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class SavedResult:
    """The variables of a saved result; `name` is how messages call it, `status` how its run ended."""

    name: str
    status: str
    variables: Mapping[str, SavedArray]


def read_saved(path: Path, name: str) -> SavedResult:
    """The variables of a result saved at `path`, which messages call `name`. Raises SavedFault."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SavedFault(f'there is no file "{name}"') from None
    except OSError as error:
        raise SavedFault(f'cannot read "{name}": {error.strerror or error}') from None
    except ValueError as error:
        position = getattr(error, "lineno", None)
        where = f" (line {position})" if position is not None and position > 1 else ""
        raise SavedFault(f'"{name}" is not a saved result: it is no JSON, or was cut off{where}') from None
    if not isinstance(record, dict) or not isinstance(record.get("variables"), dict):
        raise SavedFault(f'"{name}" is not a saved result: it holds no variables')
    if record.get("optdsl") != VERSION:
        raise SavedFault(
            f'"{name}" has the format {record.get("optdsl")!r} of saved results, and this version reads {VERSION}',
            "solve the model again with this version, and save its result",
        )
    archive = _archive(record.get("arrays"), path, name)
    variables = {}
    for variable, entry in record["variables"].items():
        try:
            variables[variable] = _array(entry, archive)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise SavedFault(f'the values of `{variable}` in "{name}" cannot be read: the file is damaged') from None
    return SavedResult(name, str(record.get("status", "unknown")), variables)


def _array(entry: Mapping[str, Any], archive: Mapping[str, np.ndarray]) -> SavedArray:
    sets = tuple(str(s) for s in entry["sets"])
    if "array" in entry:
        return _from_archive(sets, str(entry["array"]), entry["axes"], archive)
    index, values = entry["index"], entry["value"]
    if len(index) != len(values):
        raise ValueError("an entry without a label")
    held = np.array([np.nan if value is None else value for value in values], dtype=float)
    columns = list(zip(*index, strict=True)) if index else [()] * len(sets)
    return SavedArray(sets, tuple(labels_of([_label(part) for part in column]) for column in columns), held)


def _label(part: object) -> int | str:
    if isinstance(part, bool) or not isinstance(part, int | str):
        raise TypeError("a label is text or a whole number")
    return part


# ---------------------------------------------------------------------------------------------------- the archive


def _archive(said: object, path: Path, name: str) -> Mapping[str, np.ndarray]:
    """The arrays of the archive beside a result, whole and of the same run."""
    if said is None:
        return {}
    if not isinstance(said, dict) or Path(str(said.get("file", ""))).name != said.get("file"):
        raise SavedFault(f'"{name}" is not a saved result: its entry "arrays" names no file')
    file = path.parent / said["file"]
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise SavedFault(
            f'"{name}" needs the file "{said["file"]}" beside it, which is not there',
            "keep the two files of a saved result in one folder, under the names they were saved with",
        ) from None
    except OSError as error:
        raise SavedFault(f'cannot read "{file.name}": {error.strerror or error}') from None
    if hashlib.sha256(data).hexdigest() != said.get("sha256"):
        raise SavedFault(
            f'"{file.name}" is damaged, or belongs to another run than "{name}"',
            "solve the model again and save its result",
        )
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            return {key: found[key] for key in found.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError):
        raise SavedFault(f'"{file.name}" is no archive of arrays: the file is damaged') from None


def _from_archive(
    sets: tuple[str, ...], key: str, axes: Sequence[int], archive: Mapping[str, np.ndarray]
) -> SavedArray:
    values = archive[f"{key}.value"].astype(float)
    if values.ndim != len(axes):
        raise ValueError("an axis without labels")
    places = np.unravel_index(np.arange(values.size), values.shape) if axes else ()
    keys: list[Labels] = []
    for axis, (arity, place) in enumerate(zip(axes, places, strict=True)):
        for part in range(int(arity)):
            labels = _unpacked(archive, f"{key}.axis{axis}.{part}")
            if len(labels) != values.shape[axis]:
                raise ValueError("a label too few")
            keys.append(labels.take(place))
    return SavedArray(sets, tuple(keys), values.reshape(-1))


def packed(labels: Labels, key: str) -> dict[str, np.ndarray]:
    """Labels as arrays of an archive: whole numbers, or codes into the distinct labels, each as JSON."""
    if not isinstance(labels, TextLabels):
        return {key: np.asarray(labels.integers)}
    texts = np.array([json.dumps(label) for label in labels.categories.tolist()], dtype=np.str_)
    return {key: np.asarray(labels.codes, dtype=np.int64), f"{key}.labels": texts}


def _unpacked(archive: Mapping[str, np.ndarray], key: str) -> Labels:
    codes = archive[key].astype(np.int64)
    if f"{key}.labels" not in archive:
        return integer_labels(codes)
    distinct = [_label(json.loads(text)) for text in archive[f"{key}.labels"].tolist()]
    if codes.size and not (codes.min() >= 0 and codes.max() < len(distinct)):
        raise ValueError("a code without a label")
    return TextLabels(codes, object_array(distinct))


__all__ = ["HOW", "VERSION", "SavedArray", "SavedFault", "SavedResult", "packed", "read_saved"]
