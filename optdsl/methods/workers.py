"""Independent pieces of work in forked processes: each sees the problem as it is, and only results are sent back."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

ASKED = 0.2
"""Seconds between two questions whether to stop."""


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def can_fork() -> bool:
    """Whether processes can be forked here, and safely so."""
    return sys.platform.startswith("linux") and not multiprocessing.current_process().daemon


def in_processes(
    work: Callable[[int], Any], first: int, count: int, workers: int, stop: Callable[[], bool] | None = None
) -> Iterator[Any]:
    """The results of work(first) .. work(count - 1) in this order, from forked processes; it ends where `stop` is true.

    Each process does every `workers`-th piece. Raises RuntimeError where one of them fails.
    """
    context = multiprocessing.get_context("fork")
    ends: list[Connection] = []
    running = []
    for number in range(workers):
        mine, theirs = context.Pipe(duplex=False)
        process = context.Process(
            target=_serve, args=(work, range(first + number, count, workers), theirs), daemon=True
        )
        process.start()
        theirs.close()
        ends.append(mine)
        running.append(process)
    try:
        yield from _in_order(ends, first, count, stop)
    finally:
        for process in running:
            if process.is_alive():
                process.terminate()
            process.join()
        for end in ends:
            end.close()


def _serve(work: Callable[[int], Any], numbers: range, end: Connection) -> None:
    for number in numbers:
        try:
            end.send((number, work(number), ""))
        except KeyboardInterrupt:
            return
        except Exception as error:  # sent to the process that asked, which raises it
            end.send((number, None, f"{type(error).__name__}: {error}"))
            return


def _in_order(ends: list[Connection], first: int, count: int, stop: Callable[[], bool] | None) -> Iterator[Any]:
    early: dict[int, Any] = {}
    due, open_ = first, list(ends)
    while due < count:
        if stop is not None and stop():
            return
        for end in wait(open_, timeout=ASKED):
            assert isinstance(end, Connection)
            try:
                number, result, fault = end.recv()
            except EOFError:
                open_.remove(end)
                continue
            if fault:
                raise RuntimeError(fault)
            early[number] = result
        while due in early:
            yield early.pop(due)
            due += 1
        if not open_ and due < count and due not in early:
            raise RuntimeError("a process of the starts ended early")
