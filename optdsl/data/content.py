"""What every reader of a format hands over, and the messages that all of them share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from optdsl.data.columns import Column
from optdsl.errors import DataError, DataPlace, Diagnostic, closest


@dataclass(frozen=True)
class Content:
    """An opened file: its columns, read when asked for.

    `read(position)` gives the column at the 0-based position. `lines()` gives the file's line of each row
    (n,), None where the format has no lines.
    """

    columns: tuple[str, ...]
    rows: int
    read: Callable[[int], Column]
    lines: Callable[[], np.ndarray] | None = None


def header_names(cells: Sequence[str], file: str, line: int | None = None) -> tuple[str, ...]:
    """The names of a header, trimmed; an empty one becomes `column3`, twice the same is an error."""
    names = [cell.strip() or f"column{position}" for position, cell in enumerate(cells, start=1)]
    seen: dict[str, int] = {}
    repeated = []
    for position, name in enumerate(names, start=1):
        if name in seen:
            repeated.append(
                Diagnostic(
                    "duplicate-column",
                    f"two columns have the name {name}: columns {seen[name]} and {position}",
                    hint="give one of them another name in the header",
                    place=DataPlace(file, line, name),
                )
            )
        seen.setdefault(name, position)
    if repeated:
        raise DataError(*repeated)
    return tuple(names)


def find_file(path: str, folder: Path) -> Path:
    """The regular file that `path` names, relative to `folder`; DataError when there is none."""
    if "://" in path:
        raise DataError(
            Diagnostic(
                "network-path",
                f"{path} is a network address: data is read from files only",
                hint="download the file and name the copy",
            )
        )
    if "\0" in path or not path.strip():
        raise DataError(Diagnostic("missing-file", f"{path!r} is not the name of a file"))
    found = folder / path
    try:
        if found.is_file():
            return found
        exists, is_folder = found.exists(), found.is_dir()
    except OSError as error:
        raise unreadable(path, error) from None
    if is_folder:
        inside = ", ".join(sorted(entry.name for entry in found.iterdir() if entry.is_file())[:5])
        raise DataError(
            Diagnostic(
                "not-a-file",
                f"{path} is a folder, not a file",
                hint=f"name one of the files in it: {inside}" if inside else None,
            )
        )
    if exists:
        raise DataError(Diagnostic("not-a-file", f"{path} is a device or a pipe, not a file with data"))
    raise DataError(Diagnostic("missing-file", f"there is no file {path}", hint=_instead(path, found, folder)))


def _instead(path: str, found: Path, folder: Path) -> str:
    """What the user most likely meant by a path that leads nowhere."""
    parent = found.parent
    if not parent.is_dir():
        return f"there is no folder {path[: len(path) - len(found.name)].rstrip('/') or parent} either"
    names = sorted(entry.name for entry in parent.iterdir() if entry.is_file())
    near = closest(found.name, names)
    same_stem = [name for name in names if Path(name).stem.lower() == found.stem.lower()]
    if near or same_stem:
        return f"did you mean {path[: len(path) - len(found.name)]}{near or same_stem[0]}?"
    return "the path is relative to the folder of the .opt file"


def unreadable(path: str, error: OSError) -> DataError:
    """The operating system refuses to open or read the file."""
    reason = (error.strerror or str(error)).lower()
    return DataError(Diagnostic("unreadable-file", f"{path} cannot be read: {reason}"))


def malformed(file: str, format_name: str, reason: str, line: int | None = None) -> DataError:
    """The bytes are not in the format that the extension promises."""
    return DataError(
        Diagnostic(
            "malformed-file",
            f"{file} is not a readable {format_name} file: {reason}",
            hint="the extension says how a file is read: check that it fits the content",
            place=DataPlace(file, line) if line is not None else None,
        )
    )


def unusable(file: str, column: str, holds: str) -> DataError:
    """A column of a type that is neither numbers nor text."""
    return DataError(
        Diagnostic(
            "unusable-column",
            f"column {column} holds {holds}, neither numbers nor text",
            hint="flatten the column into columns of numbers and text first",
            place=DataPlace(file, column=column),
        )
    )
