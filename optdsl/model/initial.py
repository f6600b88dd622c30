"""First guesses: data expressions, initializers for training, and saved results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from optdsl.data.saved import SavedFault, SavedResult, read_saved
from optdsl.errors import DataError, DataPlace, Diagnostic
from optdsl.language import tree
from optdsl.model.domains import OpenDomain
from optdsl.model.saved_values import Mismatch, values_by_label
from optdsl.model.shapes import Axis

if TYPE_CHECKING:
    from optdsl.model.variables import Variables

# Glorot and Bengio (2010), eq. 12 and 16: variance 2 / (fan_in + fan_out); He et al. (2015), eq. 10: 2 / fan_in
INITIALIZERS = ("zeros", "ones", "uniform", "normal", "xavier", "xavier_uniform", "he", "he_uniform")
WITH_ARGUMENTS = {"uniform": "`uniform(a, b)` takes its two ends", "normal": "`normal(m, s)` takes mean and deviation"}


def start_values(
    variables: Variables,
    declaration: tree.VarDecl,
    init: tree.Init | None,
    domain: OpenDomain,
    axes: tuple[Axis, ...],
    size: int,
) -> np.ndarray | None:
    """The first guess of every entry (size,); None where the text gives none."""
    workspace = variables.elaborator.workspace
    if workspace.point is not None:
        return _from_result(variables, declaration, workspace.point, None, axes, size)
    if init is None:
        return None
    node = init.value
    if isinstance(node, tree.FromFile):
        return _from_result(variables, declaration, _saved(variables, node), node, axes, size)
    name = node.name if isinstance(node, tree.Name | tree.Call) else None
    if name in INITIALIZERS and name not in workspace.symbols:
        arguments = node.args if isinstance(node, tree.Call) else ()
        numbers = []
        if size:
            values = [variables.over_entries(a, domain, axes, size, "an initializer") for a in arguments]
            numbers = [float(value[0]) for value in values]
        return _drawn(variables, declaration, init, str(name), numbers, axes, size)
    return variables.over_entries(node, domain, axes, size, f"the start of `{declaration.name}`")


# ------------------------------------------------------------------------------------------------------- drawing


def _drawn(
    variables: Variables,
    declaration: tree.VarDecl,
    init: tree.Init,
    name: str,
    numbers: list[float],
    axes: tuple[Axis, ...],
    size: int,
) -> np.ndarray:
    from scipy.special import ndtri  # imported here: it brings half of SciPy with it

    if size:
        _check_numbers(variables, init, name, numbers)
    if name in ("zeros", "ones"):
        return np.full(size, 0.0 if name == "zeros" else 1.0)
    chances = uniform_stream(variables.elaborator.workspace.seed or 0, declaration.name, size)
    fan_in, fan_out = fans([len(axis.value) for axis in axes if axis.value is not None])
    if name == "uniform":
        low, high = numbers or (0.0, 1.0)
        return low + (high - low) * chances
    if name == "normal":
        mean, deviation = numbers or (0.0, 1.0)
        return mean + deviation * ndtri(chances)
    variance = 2.0 / max(fan_in + fan_out, 1) if name.startswith("xavier") else 2.0 / max(fan_in, 1)
    if name.endswith("uniform"):
        return np.sqrt(3.0 * variance) * (2.0 * chances - 1.0)
    return np.sqrt(variance) * ndtri(chances)


def _check_numbers(variables: Variables, init: tree.Init, name: str, numbers: list[float]) -> None:
    fault = variables.elaborator.fault
    wanted = 2 if name in WITH_ARGUMENTS else 0
    if len(numbers) != wanted:
        fault(
            "wrong-argument-count",
            init.span,
            f"`{name}` takes {wanted or 'no'} arguments, but {len(numbers)} "
            f"{'was' if len(numbers) == 1 else 'were'} given",
            WITH_ARGUMENTS.get(name, f"write `{name}`"),
        )
    if not np.isfinite(numbers).all():
        fault("wrong-initializer", init.span, f"`{name}` needs finite numbers", WITH_ARGUMENTS[name])
    if name == "normal" and numbers[1] < 0:
        fault(
            "wrong-initializer",
            init.span,
            f"the deviation of `normal` is {numbers[1]:g}, below 0",
            "write `normal(m, s)` with mean m and standard deviation s >= 0",
        )
    if name == "uniform" and numbers[0] > numbers[1]:
        fault(
            "wrong-initializer",
            init.span,
            f"`uniform` goes from {numbers[0]:g} to {numbers[1]:g}, which is empty",
            f"write `uniform({numbers[1]:g}, {numbers[0]:g})`",
        )


def uniform_stream(seed: int, name: str, size: int) -> np.ndarray:
    """`size` numbers in (0, 1), the same on every machine and with every version of NumPy.

    Each variable has a stream of its own, so that adding one changes no other. Made from the generator's bits: NumPy
    keeps the bits of PCG64 and of SeedSequence, but not the ways from bits to numbers.
    """
    bits = np.random.PCG64(np.random.SeedSequence([seed, *name.encode()])).random_raw(size)
    return ((np.asarray(bits, dtype=np.uint64) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def fans(sizes: list[int]) -> tuple[int, int]:
    """How many numbers go into a unit, and how many units there are: `W[IN, OUT]`, as in `X @ W`.

    A vector is a column that gives one number (its length goes in). Of three axes or more, the last one is the output
    and the product of the others the input.
    """
    if len(sizes) < 2:
        return (sizes[0] if sizes else 1), 1
    return int(np.prod(sizes[:-1], dtype=np.int64)), sizes[-1]


# ------------------------------------------------------------------------------------------------- saved results


def _saved(variables: Variables, node: tree.FromFile) -> SavedResult:
    """The saved result that a declaration names, read once for all of them."""
    workspace = variables.elaborator.workspace
    path = Path(node.path) if Path(node.path).is_absolute() else workspace.folder / node.path
    if path not in workspace.results:
        try:
            workspace.results[path] = read_saved(path, node.path)
        except SavedFault as fault:
            raise DataError(
                Diagnostic("saved-result", fault.message, node.span, fault.hint, workspace.source, DataPlace(node.path))
            ) from None
    return workspace.results[path]


def _from_result(
    variables: Variables,
    declaration: tree.VarDecl,
    saved: SavedResult,
    node: tree.FromFile | None,
    axes: tuple[Axis, ...],
    size: int,
) -> np.ndarray:
    """The values of a variable in a saved result; `node` is where the text asks for it (None: all variables do)."""
    workspace = variables.elaborator.workspace
    values = tuple(axis.value for axis in axes if axis.value is not None)
    try:
        found, left_out = values_by_label(saved, declaration.name, values, size, whole=node is None)
    except Mismatch as fault:
        span = declaration.name_span if node is None else node.span
        raise DataError(
            Diagnostic("saved-result", fault.message, span, fault.hint, workspace.source, DataPlace(saved.name))
        ) from None
    if left_out:
        workspace.remarks.append(left_out)
    return found
