"""What `optdsl explain` prints of the syntax tree, the data and the templates."""

from __future__ import annotations

import dataclasses

from optdsl.data.arrays import LabelArray, ParameterValue, SparseArray
from optdsl.data.members import SetValue
from optdsl.errors import Source, Span
from optdsl.language import tree
from optdsl.model.model import Constraint, Model
from optdsl.terms import nodes
from optdsl.terms.lanes import Family
from optdsl.terms.show import show


def explain(stage_output: tree.File | Model, stage: str) -> str:
    """A stage's output as text that a person can read: `tree` of a file, `data` and `model` of a model."""
    if isinstance(stage_output, tree.File):
        return "\n".join(line for s in stage_output.statements for line in _tree_lines(s, 0))
    return data_text(stage_output) if stage == "data" else templates_text(stage_output)


def _tree_lines(node: object, depth: int, label: str = "") -> list[str]:
    lead = "  " * depth + label
    if isinstance(node, tuple):
        if not node:
            return []
        return [lead.rstrip(" =") + ":"] + [line for part in node for line in _tree_lines(part, depth + 1)]
    if not dataclasses.is_dataclass(node) or isinstance(node, Span | Source):
        return [] if node is None or node is False else [f"{lead}{node!r}"]
    simple, nested = [], []
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if not field.compare or value in (None, (), False):
            continue
        if dataclasses.is_dataclass(value) or (isinstance(value, tuple) and not isinstance(value[0], str)):
            nested.append((field.name, value))
        else:
            simple.append(f"{field.name}={value!r}")
    head = f"{lead}{type(node).__name__}({', '.join(simple)})"
    return [head] + [line for name, value in nested for line in _tree_lines(value, depth + 1, f"{name} = ")]


def data_text(model: Model) -> str:
    """The sets and parameters, bound: sizes and the first members and values."""
    lines = []
    for name, value in model.sets.items():
        if isinstance(value, Family):
            axes = ", ".join(axis.name for axis in value.axes)
            lines.append(f"set {name}[{axes}]: {len(value.tuples)} members in all")
        elif "#" not in name and name in {s.name for s in model.tree.statements if isinstance(s, tree.SetDecl)}:
            lines.append(f"set {name} ({len(value)}): {value.preview()}")
    for name, array in model.parameters.items():
        if "#" not in name:
            lines.append(f"param {name}{_axes(array.axes)}: {_values(array)}")
    return "\n".join(lines)


def _axes(axes: tuple[SetValue, ...]) -> str:
    return f"[{', '.join(axis.name for axis in axes)}]" if axes else ""


def _values(array: ParameterValue) -> str:
    if isinstance(array, LabelArray):
        return SetValue("", (array.labels,)).preview()
    if isinstance(array, SparseArray):
        return f"{len(array.values)} stored values, {array.default:g} elsewhere"
    flat = array.values.reshape(-1)
    shown = ", ".join(f"{v:g}" for v in flat[:6].tolist())
    return shown + (f", ... ({flat.size} values)" if flat.size > 6 else "")


def templates_text(model: Model) -> str:
    """The templates in index notation, one statement a line."""
    lines = [_variable_line(v.name, v.axes, v.attributes, v.width) for v in model.variables.values()]
    if model.objective is not None:
        lines.append(f"{model.objective.sense} {model.objective.name}: {show(model.objective.body)}")
    for constraint in model.constraints:
        lines.extend(_constraint_lines(constraint))
    return "\n".join(lines)


def _variable_line(name: str, axes: tuple[SetValue, ...], attributes: frozenset[str], width: int) -> str:
    words = "".join(f" {word}" for word in sorted(attributes))
    columns = f"{width} column{'s' if width != 1 else ''}"
    return f"var {name}{_axes(axes)}{words}    ({columns})"


def _constraint_lines(constraint: Constraint) -> list[str]:
    domain = show(constraint.over)
    head = f"{constraint.name}[{domain}]" if domain else constraint.name
    lines = []
    for relation in constraint.relations:
        body = show(relation.body)
        if constraint.kind == "matrix":
            text = f"{body} {'>>' if relation.lower is not None else '<<'} 0"
        elif relation.lower is not None and relation.lower == relation.upper:
            text = f"{body} = {show(relation.lower)}"
        elif relation.lower is not None and relation.upper is not None:
            text = f"{show(relation.lower)} <= {body} <= {show(relation.upper)}"
        elif relation.upper is not None:
            text = f"{body} <= {show(relation.upper)}"
        else:
            text = f"{body} >= {show(relation.lower)}" if relation.lower is not None else body
        lines.append(f"{head}: {text}")
    return lines


__all__ = ["data_text", "explain", "nodes", "templates_text"]
