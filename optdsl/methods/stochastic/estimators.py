"""Estimators of the gradient: plain batches, and two that reduce their variance by what they remember.

Notation: F_k is the estimate from batch k, h(x) its gradient; f = mean of F_k where batches are drawn alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from optdsl.methods.stochastic.updates import Update


@dataclass(frozen=True, slots=True)
class StochasticMethod:
    """A method: its name, how gradients are estimated, how a step uses them."""

    name: str
    update: Update
    estimator: Literal["plain", "svrg", "saga"] = "plain"
