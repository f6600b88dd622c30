"""A maximum (minimum) of affine pieces of which one alone counts: `abs(x)` where x >= 0, `max(x, y)` where x <= y."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sympy

from optdsl.atoms import ENTRIES, REDUCTIONS
from optdsl.atoms.atom import Pieces
from optdsl.classify.facts import Facts
from optdsl.classify.sink import Collecting, Sink
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.nodes import has_variables

_ROWS = {**ENTRIES, **REDUCTIONS}


def collect_only_piece(
    collector: Collecting,
    pieces: Pieces,
    moving: Sequence[sympy.Basic],
    frame: Frame,
    multiplier: np.ndarray,
    sink: Sink,
) -> bool:
    """Add the piece that no other one exceeds, lane by lane; False where in some lane the bounds tell of none.

    Nothing is left out that has a domain to stay in.
    """
    if collector.facts is None or not frame.size or not all(map(_total, moving)):
        return False
    sign = 1.0 if pieces.extreme == "max" else -1.0
    lows, highs = zip(*(_ends(piece, moving, frame, collector.facts, sign) for piece in pieces.pieces), strict=True)
    chosen = np.full((1,) * len(frame.shape), -1)  # lanes that agree stay one number: there may be millions
    for k, low in enumerate(lows):
        wins: np.ndarray = np.asarray(True)
        for m, high in enumerate(highs):
            wins = wins if m == k else wins & (low >= high)
        chosen = np.where((chosen < 0) & wins, k, chosen)
    if (chosen < 0).any():
        return False
    for k, (coefficients, constant) in enumerate(pieces.pieces):
        mask = np.broadcast_to(chosen == k, frame.shape)
        if mask.any():
            extension = collector.lanes.filtered(frame, mask)
            factor = np.broadcast_to(multiplier, frame.shape)
            for argument, coefficient in zip(moving, coefficients, strict=True):
                if np.any(coefficient):
                    collector.collect(argument, extension.child, extension.lift(factor * coefficient), sink)
            sink.add_constant(extension.child, extension.lift(factor * constant))
    return True


def _total(argument: sympy.Basic) -> bool:
    """Whether everything of variables in an expression is defined everywhere."""
    for node in argument.atoms(nodes.Apply, nodes.Reduce, nodes.ArrayCall, sympy.Pow):
        if not has_variables(node):
            continue
        if isinstance(node, sympy.Pow):
            total = bool(node.exp.is_Integer and node.exp.is_nonnegative)
        else:
            row = None if isinstance(node, nodes.ArrayCall) else _ROWS[node.name]
            total = row is not None and row.domain.holds is None
        if not total:
            return False
    return True


def _ends(
    piece: tuple[tuple[np.ndarray, ...], np.ndarray],
    moving: Sequence[sympy.Basic],
    frame: Frame,
    facts: Facts,
    sign: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Between which numbers `sign` times a piece lies; the arrays broadcast over the frame."""
    coefficients, constant = piece
    low = high = sign * np.asarray(constant, dtype=float)
    for argument, coefficient in zip(moving, coefficients, strict=True):
        fact, factor = facts.find(argument, frame), sign * np.asarray(coefficient, dtype=float)
        with np.errstate(invalid="ignore"):
            ends = np.where(factor == 0, 0.0, factor * fact.lo), np.where(factor == 0, 0.0, factor * fact.hi)
            low, high = low + np.minimum(*ends), high + np.maximum(*ends)
    return low, high
