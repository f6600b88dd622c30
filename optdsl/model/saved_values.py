"""Values of a saved result put where they belong by label, whatever the order of the members."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optdsl.data.members import SetValue, label_text
from optdsl.data.saved import SavedArray, SavedResult
from optdsl.errors import closest
from optdsl.model.keyed import entry_name, member_at

LISTED = 12


class Mismatch(Exception):
    """A saved result that does not fit a variable: what differs, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def values_by_label(
    saved: SavedResult, name: str, axes: Sequence[SetValue], size: int, whole: bool
) -> tuple[np.ndarray, str | None]:
    """The values (size,) of a variable over `axes`, and a remark about saved entries that found no place.

    Raises Mismatch where an entry has no saved value; with `whole`, also where a saved entry has no place.
    """
    array = _variable(saved, name)
    arity = sum(axis.arity for axis in axes)
    if len(array.values) and len(array.keys) != arity:
        raise Mismatch(
            f"`{name}` has {_positions(arity)} here, but {_positions(len(array.keys))} in \"{saved.name}\"",
            f'it was saved over [{", ".join(array.sets)}]; declare it over the same sets'
            if array.sets
            else "it was saved as a single value",
        )
    flat, strange = _places(array, axes)
    inside = flat >= 0
    values, given = np.full(size, np.nan), np.zeros(size, dtype=bool)
    values[flat[inside]], given[flat[inside]] = array.values[inside], True
    left_out = None
    if not inside.all():
        left_out = _stranger(saved, name, axes, array, inside, strange)
        if whole:
            raise Mismatch(left_out, "evaluate with the same sets: give them in the text, by `--set`, or as data")
    missing = np.flatnonzero(~given)
    if len(missing):
        raise Mismatch(
            f'"{saved.name}" has no value for `{entry_name(name, member_at(axes, int(missing[0])))}`'
            + _more(len(missing), size),
            "the sets have grown since: solve the model again with them, or start with an initializer or numbers",
        )
    unknown = np.flatnonzero(~np.isfinite(values))
    if len(unknown):
        raise Mismatch(
            f'"{saved.name}" has no number for `{entry_name(name, member_at(axes, int(unknown[0])))}`'
            + _more(len(unknown), size),
            "take a result whose run ended well",
        )
    return values, left_out


def _variable(saved: SavedResult, name: str) -> SavedArray:
    if name in saved.variables:
        return saved.variables[name]
    known = list(saved.variables)
    guess = closest(name, known)
    if guess is not None:
        hint = f"did you mean `{guess}`?"
    elif known:
        more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
        hint = f"it holds {', '.join(known[:LISTED])}{more}"
    else:
        hint = f"its run ended without values: {saved.status}"
    raise Mismatch(f'"{saved.name}" holds no variable `{name}`', hint)


def _places(array: SavedArray, axes: Sequence[SetValue]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The C-order place of each saved entry, -1 where it has none; by axis, whether its labels are no member."""
    flat = np.zeros(len(array.values), dtype=np.int64)
    strange, at = [], 0
    for axis in axes:
        found = axis.positions(array.keys[at : at + axis.arity]) if len(flat) else flat
        flat = np.where((flat < 0) | (found < 0), -1, flat * len(axis) + found)
        strange.append(found < 0)
        at += axis.arity
    return flat, strange


def _stranger(
    saved: SavedResult,
    name: str,
    axes: Sequence[SetValue],
    array: SavedArray,
    inside: np.ndarray,
    strange: list[np.ndarray],
) -> str:
    """The first saved label that is not in the sets here, and how many entries have no place."""
    row = int(np.flatnonzero(~inside)[0])
    at = 0
    for axis, missing in zip(axes, strange, strict=True):
        if missing[row]:
            label = tuple(array.keys[at + part].at(row) for part in range(axis.arity))
            count = int((~inside).sum())
            text = f'`{name}` in "{saved.name}" has values for {label_text(label)}, which is not in `{axis.name}`'
            return f"{text} here ({count} {'entry' if count == 1 else 'entries'} of {len(inside)} left out)"
        at += axis.arity
    raise AssertionError


def _positions(count: int) -> str:
    if not count:
        return "no index"
    return f"{count} index position{'s' if count > 1 else ''}"


def _more(count: int, size: int) -> str:
    return f" ({count} entries of {size} are missing)" if count > 1 else ""
