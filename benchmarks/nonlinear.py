"""Nonlinear problems that are not convex: their texts, and the ten small ones as functions that every peer can take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).resolve().parent.parent / "tests" / "problems"

LUKSAN_VLCEK = """
param n
var x[i in 1..n] init -1.2 if floor(i / 2) * 2 < i else 1
minimize f: sum(100 * (x[i]^2 - x[i + 1])^2 + (x[i] - 1)^2 for i in 1..n - 1)
subject to
  c[k in 1..n - 2]:
    3 * x[k + 1]^3 + 2 * x[k + 2] - 5 + sin(x[k + 1] - x[k + 2]) * sin(x[k + 1] + x[k + 2]) +
      4 * x[k + 1] - x[k] * exp(x[k] - x[k + 1]) - 3 = 0
"""
"""Problem 5.1 of Luksan and Vlcek (1999), "Sparse and partially separable test problems"."""

NUMBER = {"luksan_vlcek": "n", "rocket": "nh", "electrons": "np"}
"""The parameter of each text that is its size."""
SMALL = {"luksan_vlcek": 20, "rocket": 20, "electrons": 5}


def text_of(problem: str) -> str:
    """The model in optdsl's language; those of COPS are the files of the tests."""
    return LUKSAN_VLCEK if problem == "luksan_vlcek" else (TESTS / "cops" / f"{problem}.opt").read_text()


def luksan_vlcek_start(n: int) -> np.ndarray:
    """-1.2, 1, -1.2, 1, ... (n,)."""
    return np.where(np.arange(n) % 2 == 0, -1.2, 1.0)


def electrons_start(count: int) -> np.ndarray:
    """The spiral of the text: x, y, z (3, count)."""
    i = np.arange(1, count + 1)
    height, turn = 1 - (2 * i - 1) / count, np.pi * (1 + np.sqrt(5)) * i
    return np.array([np.sqrt(1 - height**2) * np.cos(turn), np.sqrt(1 - height**2) * np.sin(turn), height])


# ------------------------------------------------------------------------------------------- Hock and Schittkowski


@dataclass(frozen=True)
class Small:
    """A problem of Hock and Schittkowski (1981): minimize objective, equal(x) = 0, above(x) >= 0, bounds on x."""

    number: int
    start: Sequence[float]
    best: float
    objective: Callable[[Any, Any], Any]
    equal: Callable[[Any], list[Any]] = lambda x: []
    above: Callable[[Any], list[Any]] = lambda x: []
    lower: float | Sequence[float] = -np.inf
    upper: float | Sequence[float] = np.inf

    @property
    def text(self) -> str:
        """The problem in optdsl's language."""
        return (TESTS / "hs" / f"hs{self.number:03d}.opt").read_text()

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Both sides (n,)."""
        n = len(self.start)
        return np.broadcast_to(self.lower, n).astype(float), np.broadcast_to(self.upper, n).astype(float)


def _banana(x: Any, _: Any) -> Any:
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def _wood(x: Any, log: Any) -> Any:
    other = 90 * (x[3] - x[2] ** 2) ** 2 + (1 - x[2]) ** 2
    joint = 10.1 * ((x[1] - 1) ** 2 + (x[3] - 1) ** 2) + 19.8 * (x[1] - 1) * (x[3] - 1)
    return _banana(x, log) + other + joint


def _rosen_suzuki(x: Any, _: Any) -> Any:
    return x[0] ** 2 + x[1] ** 2 + 2 * x[2] ** 2 + x[3] ** 2 - 5 * x[0] - 5 * x[1] - 21 * x[2] + 7 * x[3]


def _rosen_suzuki_rows(x: Any) -> list[Any]:
    squares = [x[k] ** 2 for k in range(4)]
    return [
        8 - sum(squares) - x[0] + x[1] - x[2] + x[3],
        10 - squares[0] - 2 * squares[1] - squares[2] - 2 * squares[3] + x[0] + x[3],
        5 - 2 * squares[0] - squares[1] - squares[2] - 2 * x[0] + x[1] + x[3],
    ]


def _powers(x: Any, _: Any) -> Any:
    first = (x[0] - 10) ** 2 + 5 * (x[1] - 12) ** 2 + x[2] ** 4 + 3 * (x[3] - 11) ** 2 + 10 * x[4] ** 6
    return first + 7 * x[5] ** 2 + x[6] ** 4 - 4 * x[5] * x[6] - 10 * x[5] - 8 * x[6]


def _powers_rows(x: Any) -> list[Any]:
    return [
        127 - 2 * x[0] ** 2 - 3 * x[1] ** 4 - x[2] - 4 * x[3] ** 2 - 5 * x[4],
        282 - 7 * x[0] - 3 * x[1] - 10 * x[2] ** 2 - x[3] + x[4],
        196 - 23 * x[0] - x[1] ** 2 - 6 * x[5] ** 2 + 8 * x[6],
        -4 * x[0] ** 2 - x[1] ** 2 + 3 * x[0] * x[1] - 2 * x[2] ** 2 - 5 * x[5] + 11 * x[6],
    ]


def _quadratic(x: Any, _: Any) -> Any:
    squares = 2 * x[0] ** 2 + 2 * x[1] ** 2 + x[2] ** 2
    return 9 - 8 * x[0] - 6 * x[1] - 4 * x[2] + squares + 2 * x[0] * x[1] + 2 * x[0] * x[2]


TEN = (
    Small(1, (-2, 1), 0.0, _banana, lower=(-np.inf, -1.5)),
    Small(6, (-1.2, 1), 0.0, lambda x, _: (1 - x[0]) ** 2, equal=lambda x: [10 * (x[1] - x[0] ** 2)]),
    Small(
        7,
        (2, 2),
        -(3**0.5),
        lambda x, log: log(1 + x[0] ** 2) - x[1],
        equal=lambda x: [(1 + x[0] ** 2) ** 2 + x[1] ** 2 - 4],
    ),
    Small(
        15,
        (-2, 1),
        306.5,
        _banana,
        above=lambda x: [x[0] * x[1] - 1, x[0] + x[1] ** 2],
        upper=(0.5, np.inf),
    ),
    Small(35, (0.5, 0.5, 0.5), 1 / 9, _quadratic, above=lambda x: [3 - x[0] - x[1] - 2 * x[2]], lower=0.0),
    Small(38, (-3, -1, -3, -1), 0.0, _wood, lower=-10.0, upper=10.0),
    Small(
        40,
        (0.8, 0.8, 0.8, 0.8),
        -0.25,
        lambda x, _: -x[0] * x[1] * x[2] * x[3],
        equal=lambda x: [x[0] ** 3 + x[1] ** 2 - 1, x[0] ** 2 * x[3] - x[2], x[3] ** 2 - x[1]],
    ),
    Small(43, (0, 0, 0, 0), -44.0, _rosen_suzuki, above=_rosen_suzuki_rows),
    Small(
        71,
        (1, 5, 5, 1),
        17.0140173,
        lambda x, _: x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2],
        equal=lambda x: [x[0] ** 2 + x[1] ** 2 + x[2] ** 2 + x[3] ** 2 - 40],
        above=lambda x: [x[0] * x[1] * x[2] * x[3] - 25],
        lower=1.0,
        upper=5.0,
    ),
    Small(100, (1, 2, 0, 4, 0, 1, 1), 680.6300573, _powers, above=_powers_rows),
)
"""The ten of the speed table."""
