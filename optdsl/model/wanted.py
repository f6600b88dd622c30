"""What a parameter declares, and values by position that must fit it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optdsl.data.arrays import DenseArray, ParameterValue
from optdsl.data.members import (
    SetValue,
)
from optdsl.errors import DataPlace
from optdsl.model.keyed import (
    Origin,
    as_integers,
    label_array,
)


@dataclass(frozen=True, eq=False)
class Wanted:
    """What a parameter declares: its axes, the set of its values (None: numbers), its default."""

    axes: tuple[SetValue, ...]
    members: SetValue | None
    default: float | None
    axis_sets: tuple[str | None, ...]  # the declared set behind each axis


def by_position(values: np.ndarray, wanted: Wanted, origin: Origin, file: str | None) -> ParameterValue:
    """An array whose axes are the parameter's, in order."""
    check_shape(values.shape, wanted, origin, file)
    shaped = values.reshape([len(axis) for axis in wanted.axes])
    if shaped.dtype.kind == "f" and shaped.size and np.isnan(shaped.max()):  # the largest is NaN where one is
        k = int(np.flatnonzero(np.isnan(shaped.reshape(-1)))[0])
        from optdsl.model.keyed import entry_name, member_at

        raise origin.fail(
            "nan-in-data",
            f"`{entry_name(origin.name, member_at(wanted.axes, k))}` is NaN",
            "NaN is not a number; fill the gap, or leave the key out and declare a default",
            place=DataPlace(file) if file else None,
        )
    if wanted.members is not None:
        labels = as_integers(shaped.reshape(-1).astype(float))
        if labels is None:
            raise origin.fail(
                "member-not-integer",
                f"the values of `{origin.name}` must be members of `{wanted.members.name}`",
                f"`{wanted.members.name}` has {wanted.members.preview()}",
            )
        return label_array(wanted.axes, labels, wanted.members, origin)
    return DenseArray(wanted.axes, shaped if shaped.dtype == np.float32 else np.asarray(shaped, dtype=float))


def check_shape(shape: tuple[int, ...], wanted: Wanted, origin: Origin, file: str | None) -> None:
    expected = tuple(len(axis) for axis in wanted.axes)
    if shape == expected or (not expected and shape in ((), (1,))):
        return
    if not expected:
        raise origin.fail(
            "wrong-shape",
            f"`{origin.name}` is a single value, but the data has the shape {shape_text(shape)}",
            f"give one value, or an index: `param {origin.name}[SET]`",
            place=DataPlace(file) if file else None,
        )
    axes = ", ".join(f"{axis.name} ({len(axis)})" for axis in wanted.axes)
    raise origin.fail(
        "wrong-shape",
        f"`{origin.name}` has the axes {axes}, but the data has the shape {shape_text(shape)}"
        if len(expected) != 1 or len(shape) != 1
        else f"`{origin.name}` needs {expected[0]} value{'' if expected[0] == 1 else 's'}, one for each member of "
        f"{wanted.axes[0].name}, but {shape[0]} {'was' if shape[0] == 1 else 'were'} given",
        "values by position need one entry per member, in the order of the sets",
        place=DataPlace(file) if file else None,
    )


def shape_text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) if shape else "of a single value"
