"""The line of news that a long solve shows on a terminal's standard error, and that is gone at its end."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from optdsl.answer.layout import is_terminal, page_of, shortened
from optdsl.answer.numbers import number_text

if TYPE_CHECKING:
    from optdsl.convex.program import Progress

FIRST_AFTER = 0.5
"""Seconds without a line: short solves show none."""

EVERY = 0.2
"""Seconds between two drawings."""


class LiveLine:
    """While entered, draws the present stage, and the solver's news, on `stream` if that is a terminal."""

    def __init__(self, stream: TextIO, quiet: bool = False) -> None:
        self._stream = stream
        self._shows = is_terminal(stream) and not quiet
        self._began = time.monotonic()
        self._over = threading.Event()
        self._stage = "starting"
        self._news: Progress | None = None
        self._drawn = False
        self._thread = threading.Thread(target=self._draw_often, name="live line", daemon=True)

    def __enter__(self) -> LiveLine:
        if self._shows:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        if self._shows:
            self._thread.join()
            if self._drawn:
                self._stream.write("\r\x1b[2K")
                self._stream.flush()

    def stage(self, name: str) -> None:
        """Says what is being done now."""
        self._stage, self._news = name, None

    def progress(self, news: Progress) -> None:
        """Takes the solver's news."""
        self._news = news

    def _draw_often(self) -> None:
        wait = FIRST_AFTER
        while not self._over.wait(wait):
            wait = EVERY
            text = live_text(self._stage, self._news, time.monotonic() - self._began)
            page = page_of(self._stream)
            self._stream.write("\r\x1b[2K" + page.style(shortened(text, page.width - 1), "dim"))
            self._stream.flush()
            self._drawn = True


def live_text(stage: str, news: Progress | None, seconds: float) -> str:
    """`solving: iteration 1,234, objective 88.2, gap 3.5%, 12 s`."""
    parts = []
    if news is not None and news.line:
        parts.append(news.line)
    elif news is not None:
        parts.append(f"iteration {news.iteration:,}")
        if news.objective is not None:
            parts.append(f"objective {number_text(news.objective)}")
        if news.bound is not None:
            parts.append(f"bound {number_text(news.bound)}")
        if news.gap is not None:
            parts.append(f"gap {100 * news.gap:.2g}%")
    parts.append(f"{seconds:.0f} s")
    return f"{stage}: {', '.join(parts)}"
