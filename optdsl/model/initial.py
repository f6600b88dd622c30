"""First guesses: data expressions, initializers for training, and saved results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from optdsl.errors import DataError, DataPlace, Diagnostic, closest
from optdsl.language import tree
from optdsl.model.domains import OpenDomain
from optdsl.model.shapes import Axis

if TYPE_CHECKING:
    from optdsl.model.variables import Variables

# Glorot and Bengio (2010), eq. 16: variance 2 / (fan_in + fan_out); He et al. (2015), eq. 10: variance 2 / fan_in
INITIALIZERS = ("zeros", "ones", "uniform", "normal", "xavier", "xavier_uniform", "he", "he_uniform")
SEED = 0
SAVED = "save a result with `optdsl solve MODEL --json > run.json`"


def start_values(
    variables: Variables,
    declaration: tree.VarDecl,
    init: tree.Init,
    domain: OpenDomain,
    axes: tuple[Axis, ...],
    size: int,
) -> np.ndarray:
    """The first guess of every entry (size,)."""
    node = init.value
    if isinstance(node, tree.FromFile):
        return _from_result(variables, declaration, node, size)
    known = variables.elaborator.workspace.symbols
    name = node.name if isinstance(node, tree.Name | tree.Call) else None
    if name in INITIALIZERS and name not in known:
        arguments = node.args if isinstance(node, tree.Call) else ()
        numbers = []
        if size:
            values = [variables.over_entries(a, domain, axes, size, "an initializer") for a in arguments]
            numbers = [float(value[0]) for value in values]
        return _drawn(variables, declaration, init, str(name), numbers, axes, size)
    return variables.over_entries(node, domain, axes, size, f"the start of `{declaration.name}`")


def _drawn(
    variables: Variables,
    declaration: tree.VarDecl,
    init: tree.Init,
    name: str,
    numbers: list[float],
    axes: tuple[Axis, ...],
    size: int,
) -> np.ndarray:
    wanted = 2 if name in ("uniform", "normal") else 0
    if size and len(numbers) != wanted:
        variables.elaborator.fault(
            "wrong-argument-count",
            init.span,
            f"`{name}` takes {wanted or 'no'} arguments, but {len(numbers)} "
            f"{'was' if len(numbers) == 1 else 'were'} given",
            f"write `{name}(a, b)`" if wanted else f"write `{name}`",
        )
    if name in ("zeros", "ones"):
        return np.full(size, 0.0 if name == "zeros" else 1.0)
    # one stream per variable, so that adding a variable changes no other one
    generator = np.random.default_rng([SEED, *declaration.name.encode()])
    sizes = [len(axis.value) for axis in axes if axis.value is not None]
    fan_in, fan_out = (sizes[0], sizes[-1]) if len(sizes) > 1 else (sizes[0] if sizes else 1, 1)
    if name == "uniform":
        return generator.uniform(*numbers, size) if size else np.zeros(0)  # type: ignore[call-overload]
    if name == "normal":
        return generator.normal(*numbers, size) if size else np.zeros(0)  # type: ignore[call-overload]
    variance = 2.0 / (fan_in + fan_out) if name.startswith("xavier") else 2.0 / fan_in
    if name.endswith("uniform"):
        return generator.uniform(-1.0, 1.0, size) * np.sqrt(3.0 * variance)
    return generator.normal(0.0, np.sqrt(variance), size)


def _from_result(variables: Variables, declaration: tree.VarDecl, node: tree.FromFile, size: int) -> np.ndarray:
    workspace = variables.elaborator.workspace
    path = Path(node.path) if Path(node.path).is_absolute() else workspace.folder / node.path

    def fail(message: str, hint: str | None = None) -> DataError:
        return DataError(Diagnostic("saved-result", message, node.span, hint, workspace.source, DataPlace(node.path)))

    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise fail(f'cannot read "{node.path}"', SAVED) from None
    except ValueError:
        raise fail(f'"{node.path}" is not a saved result (no JSON)', SAVED) from None
    found = saved.get("variables", {}) if isinstance(saved, dict) else {}
    if declaration.name not in found:
        guess = closest(declaration.name, list(found))
        hint = f"did you mean `{guess}`?" if guess else f"it holds {', '.join(list(found)[:12]) or 'none'}"
        raise fail(f'"{node.path}" holds no variable `{declaration.name}`', hint)
    values = np.array([np.nan if v is None else v for v in found[declaration.name].get("value", [])], dtype=float)
    if len(values) != size:
        hint = "take the result of a model with the same sets"
        raise fail(f'`{declaration.name}` has {size} entries here, but {len(values)} in "{node.path}"', hint)
    return values
