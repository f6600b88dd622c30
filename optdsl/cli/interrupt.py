"""Ctrl-C: the first one during a solver's run asks for the best point so far, the second ends the process."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

NOTICE = b"\noptdsl: stopping with the best point so far; Ctrl-C again ends at once\n"


class Interrupts:
    """While entered, takes Ctrl-C. Outside of `running` it raises KeyboardInterrupt, as always.

    Does nothing in a thread other than the main one, and where the process ignores Ctrl-C (`nohup`).
    """

    def __init__(self, quiet: bool = False) -> None:
        self.running = False
        self._stopping = False
        self._quiet = quiet
        self._before: Any = None

    def __enter__(self) -> Interrupts:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            self._before = signal.signal(signal.SIGINT, self._take)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def stop(self) -> bool:
        """Whether the run should end; solvers ask this."""
        return self._stopping

    def _take(self, number: int, frame: FrameType | None) -> None:
        if not self.running:
            raise KeyboardInterrupt
        self._stopping = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if not self._quiet:
            # Python's own streams must not be used here: the handler may have interrupted one of them.
            os.write(2, NOTICE)
