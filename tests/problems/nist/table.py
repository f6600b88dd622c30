"""NIST, Statistical Reference Datasets, nonlinear regression: 27 data sets, each from both of its starts.

The certified parameters, their standard deviations and the residual sums of squares have eleven digits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from problems import HERE, Problem

_FOLDER = HERE / "nist"
_CERTIFIED: dict[str, Any] = json.loads((_FOLDER / "certified.json").read_text(encoding="utf-8"))

# The sum of squares of Lanczos1 is that of the data's own rounding: no arithmetic in double precision gives its digits.
_ROUNDING = {"lanczos1": 1e-12}


def _rows() -> Iterator[Problem]:
    for name, certified in _CERTIFIED.items():
        for start in (1, 2):
            yield Problem(
                f"{name}_{start}",
                _FOLDER / f"{name}.opt",
                float(certified["squares"]),
                f"NIST StRD, nonlinear regression, {name}, start {start}",
                len(certified["b"]),
                0,
                published=certified["squares"],
                scale=_ROUNDING.get(name, 0.0),
                data={"start": start},
                point={"b": certified["b"]},
                facts={
                    "difficulty": certified["level"],
                    "observations": certified["rows"],
                    "standard deviations": {"b": certified["deviations"]},
                    "residual standard deviation": certified["residual_deviation"],
                },
            )


PROBLEMS = tuple(_rows())
