"""The state of a run in files that survive being killed: written beside, forced to the disk, then renamed.

A folder holds `checkpoint.json`, which names the file of arrays, its SHA-256 and the marks of the run. The rename of
the JSON is the moment at which a checkpoint counts; the arrays of the one before are removed after it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 1
HEAD = "checkpoint.json"


class CheckpointError(Exception):
    """A checkpoint that cannot be used or written: what is wrong, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """A state: arrays by name, and numbers by name (what JSON holds)."""

    arrays: Mapping[str, np.ndarray]
    numbers: Mapping[str, Any]


def save(folder: Path, saved: Saved, marks: Mapping[str, str], step: int) -> None:
    """Writes a checkpoint. Raises CheckpointError where the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        np.savez(buffer, **dict(saved.arrays))  # type: ignore[arg-type]
        content = buffer.getvalue()
        name = f"state-{step}.npz"
        _write(folder / name, content)
        head = {
            "optdsl_checkpoint": FORMAT,
            "arrays": name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "marks": dict(marks),
            "numbers": dict(saved.numbers),
        }
        _write(folder / HEAD, json.dumps(head, indent=1).encode())
        for old in folder.glob("state-*.npz"):
            if old.name != name:
                old.unlink(missing_ok=True)
    except OSError as error:
        hint = "give --checkpoint a folder that can be written"
        raise CheckpointError(f"the checkpoint cannot be written to {folder}: {error.strerror}", hint) from error


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    # The rename is in the folder: it too must reach the disk. Some systems have no way to say so.
    with contextlib.suppress(OSError):
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def load(folder: Path, marks: Mapping[str, str]) -> Saved | None:
    """The last checkpoint in a folder; None where there is none.

    Raises CheckpointError where it is damaged, of another version, or of a run with other marks.
    """
    anew = "leave --resume out to begin anew"
    try:
        head = json.loads((folder / HEAD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"the checkpoint {folder / HEAD} cannot be read", anew) from error
    if not isinstance(head, dict) or head.get("optdsl_checkpoint") != FORMAT:
        raise CheckpointError(f"the checkpoint in {folder} was written by another version", anew)
    other = [name for name, mark in marks.items() if head["marks"].get(name) != mark]
    if other:
        what = " and ".join([", ".join(other[:-1]), other[-1]] if len(other) > 1 else other)
        hint = f"give the {what} that the run began with, or {anew}"
        raise CheckpointError(f"the checkpoint in {folder} belongs to another run, with other {what}", hint)
    try:
        content = (folder / head["arrays"]).read_bytes()
    except OSError as error:
        raise CheckpointError(f"the checkpoint {folder / head['arrays']} cannot be read", anew) from error
    if hashlib.sha256(content).hexdigest() != head["sha256"]:
        raise CheckpointError(f"the checkpoint {folder / head['arrays']} is damaged", anew)
    with np.load(io.BytesIO(content), allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}
    return Saved(arrays, head["numbers"])
