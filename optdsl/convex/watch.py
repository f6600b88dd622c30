"""Runs a solver in a thread of its own while the caller's thread waits, asks `stop`, tells `progress`, takes Ctrl-C.

No user code runs inside a solver's callbacks, and no exception has to cross a foreign language.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from optdsl.convex.program import Progress

POLL_SECONDS = 0.05
"""How often the waiting thread asks `stop` and tells `progress`."""


@dataclass(frozen=True, slots=True)
class Controls:
    """What the caller wants to decide and to hear during a run."""

    time_limit: float | None = None
    progress: Callable[[Progress], None] | None = None
    stop: Callable[[], bool] | None = None

    def within(self, seconds: float | None) -> Controls:
        """The same with another time limit."""
        return Controls(seconds, self.progress, self.stop)


@dataclass(slots=True)
class Watch:
    """What a solver's callbacks write and the waiting thread reads."""

    began: float = field(default_factory=time.perf_counter)
    stopping: bool = False
    news: Progress | None = None

    def seconds(self) -> float:
        return time.perf_counter() - self.began


@dataclass(slots=True)
class _Outcome:
    done: threading.Event = field(default_factory=threading.Event)
    value: Any = None
    failure: BaseException | None = None


def attend(action: Callable[[], Any], watch: Watch, controls: Controls, *, deaf: bool = False) -> Any:
    """What `action` returns. When asked to stop, sets `watch.stopping` and waits for the action to obey.

    A `deaf` action cannot obey: it is left behind, to end by its own limits, and None is returned. Exceptions of
    the action, of `stop` and of `progress` are raised here.
    """
    outcome = _Outcome()
    threading.Thread(target=_work, args=(action, outcome), name="solver", daemon=True).start()
    told: Progress | None = None
    try:
        while not outcome.done.wait(POLL_SECONDS):
            if controls.stop is not None and not watch.stopping and controls.stop():
                watch.stopping = True
            if controls.progress is not None and watch.news is not None and watch.news is not told:
                told = watch.news
                controls.progress(told)
            if watch.stopping and deaf:
                return None
    except KeyboardInterrupt:
        watch.stopping = True
        if deaf:
            return None
        outcome.done.wait()
    except BaseException:
        watch.stopping = True
        if not deaf:
            outcome.done.wait()
        raise
    if outcome.failure is not None:
        raise outcome.failure
    return outcome.value


def _work(action: Callable[[], Any], outcome: _Outcome) -> None:
    try:
        outcome.value = action()
    except BaseException as error:
        outcome.failure = error
    finally:
        outcome.done.set()
