"""Members out of several places as members of one list of labels: what a conditional expression of labels needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sympy

from optdsl.data.members import IntegerLabels, TextLabels, object_array
from optdsl.terms.lanes import Members, Value, as_numbers


def is_text(value: Value) -> bool:
    """Whether values are members of a set that may hold texts."""
    return isinstance(value, Members) and isinstance(value.labels, TextLabels)


def joined(values: Sequence[Value], expressions: Sequence[sympy.Basic]) -> tuple[TextLabels, list[np.ndarray]]:
    """Labels that hold all values, and the codes of each value in them.

    A number among texts must be whole: LaneFault `not-a-number` at the first text of `expressions` where one is not.
    """
    members = []
    for value in values:
        found = value if isinstance(value, Members) else _whole(np.asarray(value))
        if found is None:
            k = next(k for k, other in enumerate(values) if is_text(other))
            as_numbers(values[k], expressions[k])  # tells that this one is text, where numbers are needed
            raise AssertionError
        members.append(found)
    known: dict[int | str, int] = {}
    codes = []
    for member in members:
        categories, category = _categories(member)
        place = np.fromiter(
            (known.setdefault(label, len(known)) for label in categories), dtype=np.int64, count=len(categories)
        )
        codes.append(place[category])
    return TextLabels(np.arange(len(known)), object_array(list(known))), codes


def _whole(values: np.ndarray) -> Members | None:
    """Whole numbers as members; None where one is not whole."""
    distinct, inverse = np.unique(values, return_inverse=True)
    if not np.isfinite(distinct).all() or not (distinct == np.rint(distinct)).all():
        return None
    return Members(IntegerLabels(distinct.astype(np.int64)), inverse.reshape(values.shape))


def _categories(member: Members) -> tuple[list[int | str], np.ndarray]:
    """The distinct labels of a value, and for each lane the number of its one."""
    labels = member.labels
    if isinstance(labels, TextLabels):
        return labels.categories.tolist(), labels.codes[member.codes]
    distinct, inverse = np.unique(labels.integers[member.codes], return_inverse=True)
    return distinct.tolist(), inverse.reshape(member.codes.shape)
