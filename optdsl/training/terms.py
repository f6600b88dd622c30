"""What expressions become: terms over the dimensions of a frame, one of which may run over the members at hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import sympy

from optdsl.terms.frame import Frame
from optdsl.training.graph import BATCH


class NotTensor(Exception):
    """An expression that is no program on whole arrays: the node and the reason in a sentence.

    `formless`: its function has none at all, however it is summed.
    """

    def __init__(self, node: sympy.Basic, reason: str, formless: bool = False) -> None:
        super().__init__(reason)
        self.node, self.reason, self.formless = node, reason, formless


@dataclass(frozen=True, eq=False)
class Lanes:
    """A frame, and the dimension of it along which the members at hand run (None: no such dimension).

    lane_of (members,): each member's lane along that dimension; None: its own number.
    """

    frame: Frame
    batch: int | None = None
    lane_of: np.ndarray | None = None

    def order(self, dims: Iterable[int]) -> tuple[int, ...]:
        """Dimensions in the order of axes."""
        return tuple(sorted(dims, key=lambda d: (d != self.batch, d)))

    def length(self, dim: int) -> int:
        return BATCH if dim == self.batch else self.frame.shape[dim]


@dataclass(frozen=True, eq=False)
class Part:
    """Some of the lanes of a frame.

    `parents` gives for each dimension of `lanes` that of `whole`; `chosen` for each dimension of `whole` that is cut
    the lane of the part for each of its lanes: its own, or any where it has none.
    """

    whole: Lanes
    lanes: Lanes
    parents: tuple[int, ...]
    chosen: Mapping[int, np.ndarray]


@dataclass(frozen=True, slots=True)
class Term:
    """A node and the frame's dimensions that its axes run over."""

    node: int
    dims: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Activation:
    """An elementwise function of a layer: its name, the nodes of its argument and of its value, and its expression."""

    name: str
    argument: int
    value: int
    expression: sympy.Basic
