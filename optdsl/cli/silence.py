"""Keeps solvers off standard output: what their libraries print there by themselves goes nowhere."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def quiet_standard_output() -> Iterator[None]:
    """Sends the process's standard output nowhere while entered; Python's own stream must not be used meanwhile.

    A library such as HiGHS's Python package prints a banner with C's `printf`; only the file descriptor can stop it.
    Does nothing where standard output is no file (in tests that capture it).
    """
    try:
        sys.stdout.flush()
        output = sys.stdout.fileno()
        kept = os.dup(output)
    except (OSError, ValueError, AttributeError):
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, output)
    try:
        yield
    finally:
        _flush_c_streams()
        os.dup2(kept, output)
        os.close(kept)
        os.close(nowhere)


def _flush_c_streams() -> None:
    """Empties C's own buffers while they still lead nowhere."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).fflush(None)
