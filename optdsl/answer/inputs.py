"""The text of a model, from a file or standard input, and what is said when there is none."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from optdsl.errors import DataError, Diagnostic, Source, closest

STANDARD_INPUT = "-"
LISTED_FILES = 5


@dataclass(frozen=True, slots=True)
class ModelText:
    """A model as it was given: its text, what messages call it, and the folder that its paths are relative to."""

    text: str
    name: str
    folder: Path


def read_model(argument: str) -> ModelText:
    """The text of a `.opt` file, or of standard input for `-`. Raises DataError when it cannot be read."""
    if argument == STANDARD_INPUT:
        return ModelText(_decoded(sys.stdin.buffer.read(), "standard input"), "<stdin>", Path.cwd())
    path = Path(argument)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(_unreadable(path, error)) from None
    except ValueError:  # a null character
        raise DataError(_unreadable(path, FileNotFoundError())) from None
    return ModelText(_decoded(data, argument), argument, path.resolve().parent)


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            Diagnostic(
                "bad-encoding",
                f"{name} is not a UTF-8 text: line {line} holds the byte 0x{data[error.start]:02x}",
                hint="save the file as UTF-8",
                source=Source(name, ""),
            )
        ) from None


def _unreadable(path: Path, error: OSError) -> Diagnostic:
    source = Source(str(path), "")
    if path.is_dir():
        return Diagnostic("not-a-file", f"{path} is a folder, not a .opt file", hint=_files_in(path), source=source)
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return Diagnostic("no-such-file", f"there is no file {path}", hint=_near(path), source=source)
    reason = error.strerror or str(error)
    return Diagnostic(
        "unreadable-file", f"cannot read {path}: {reason}", hint="check the file's permissions", source=source
    )


def _near(path: Path) -> str:
    """The file that was probably meant: the same name with .opt, or a similar one in the same folder."""
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {folder}"
    names = _opt_files(folder)
    near = closest(path.name, names) or closest(f"{path.name}.opt", names)
    if near is not None:
        return f"did you mean {folder / near}?"
    return _files_in(folder)


def _files_in(folder: Path) -> str:
    names = _opt_files(folder)
    if not names:
        return f"no .opt file is in {folder.resolve()}"
    listed = ", ".join(str(folder / name) for name in names[:LISTED_FILES])
    more = f" and {len(names) - LISTED_FILES} more" if len(names) > LISTED_FILES else ""
    return f"there are {listed}{more}" if len(names) > 1 else f"there is {listed}"


def _opt_files(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.suffix == ".opt")
    except OSError:
        return []
