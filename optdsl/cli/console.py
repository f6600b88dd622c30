"""Writing to standard output and standard error: encodings, closed pipes, and errors as the shell shows them."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import TextIO

from optdsl.answer.layout import Page, page_of
from optdsl.errors import Diagnostic, render

_HEADLINE = re.compile(r"^(error\[[a-z0-9-]+\]:)(.*)$", re.MULTILINE)
_CARETS = re.compile(r"^( +\| *)(\^+)$", re.MULTILINE)
_LEAD = re.compile(r"^(  (?:hint|note|data):)", re.MULTILINE)


def prepare_streams() -> None:
    """Lets the standard streams take any character: what they cannot show is written escaped."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def write_out(text: str) -> None:
    """Writes text and a line end to standard output."""
    _write(sys.stdout, text)


def write_json(text: str) -> None:
    """Writes a JSON object and a line end to standard output; only ASCII where that is not UTF-8."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "")
    _write(sys.stdout, text if encoding == "utf8" else json.dumps(json.loads(text)))


def write_error(text: str) -> None:
    """Writes text and a line end to standard error."""
    _write(sys.stderr, text)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text + "\n")
        stream.flush()
    except BrokenPipeError:
        # The reader has gone, as in `optdsl solve m.opt | head`: nobody is left to tell, the exit code still counts.
        # What is still buffered, and what comes later, goes nowhere.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def write_diagnostics(diagnostics: Sequence[Diagnostic]) -> None:
    """Draws the user's mistakes on standard error, in color on a terminal."""
    page = page_of(sys.stderr)
    write_error("\n\n".join(styled(render(item), page) for item in diagnostics))


def styled(message: str, page: Page) -> str:
    """A drawn diagnostic with its headline, carets and lead words in color, where the page takes colors."""
    if not page.color:
        return message
    message = _HEADLINE.sub(lambda m: page.style(m[1], "bold", "red") + page.style(m[2], "bold"), message, count=1)
    message = _CARETS.sub(lambda m: m[1] + page.style(m[2], "red"), message)
    return _LEAD.sub(lambda m: page.style(m[1], "cyan"), message)
