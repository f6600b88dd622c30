"""Faults of optdsl itself: said in a few lines, with what a report needs; the traceback goes to a file."""

from __future__ import annotations

import platform
import shlex
import sys
import tempfile
import traceback
from collections.abc import Sequence

from optdsl import __version__


def fault_message(error: BaseException, arguments: Sequence[str], debug: bool) -> str:
    """What standard error shows for an exception that should not have come."""
    details = _details(error, arguments)
    lines = [
        f"internal error: {type(error).__name__}: {_first_line(error)}",
        f"  This is a mistake in optdsl {__version__}, not in your model.",
    ]
    if debug:
        return "\n".join([*lines, "", details])
    path = _saved(details)
    if path is not None:
        lines.append(f"  Details are in {path}.")
        lines.append("  Please report it: send that file, and the model if you may, to the maintainers of optdsl.")
    else:
        lines.append("  Please report it with the output of `optdsl --debug ...`, and the model if you may.")
    return "\n".join(lines)


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0][:200] if lines else "(no message)"


def _details(error: BaseException, arguments: Sequence[str]) -> str:
    head = [
        f"optdsl {__version__}, Python {sys.version.split()[0]}, {platform.platform()}",
        f"command: optdsl {shlex.join(arguments)}",
        "",
    ]
    return "\n".join(head) + "".join(traceback.format_exception(error))


def _saved(details: str) -> str | None:
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="optdsl-fault-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(details)
            return file.name
    except OSError:
        return None
