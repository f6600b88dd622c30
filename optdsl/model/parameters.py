"""Parameters defined in the text: by expression, literal, dictionary or recursion; and declared checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy

from optdsl.data.arrays import DenseArray, LabelArray, ParameterValue, SparseArray
from optdsl.data.members import SetValue, integer_labels, label_text, labels_of
from optdsl.errors import Span
from optdsl.language import tree
from optdsl.model.domains import OpenDomain
from optdsl.model.elaborate import Elaborator, literal_values
from optdsl.model.faults import in_words
from optdsl.model.keyed import Origin, entry_name, keyed_array, keyed_labels, label_array, member_at
from optdsl.model.model import Marks
from optdsl.model.scope import Context
from optdsl.model.shapes import Arr, Axis
from optdsl.model.wanted import Wanted, by_position
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.lanes import Members


@dataclass(frozen=True, eq=False)
class Declared:
    """A parameter's declaration with its domain opened."""

    declaration: tree.ParamDecl
    domain: OpenDomain
    axes: tuple[Axis, ...]
    wanted: Wanted
    origin: Origin
    row_of: Callable[[tuple[Any, ...]], int] | None = None


class Parameters:
    """Evaluates parameters within an elaborator's workspace."""

    def __init__(self, elaborator: Elaborator) -> None:
        self.elaborator = elaborator
        self.workspace = elaborator.workspace
        self.fault = elaborator.fault

    @property
    def marks(self) -> Marks:
        return Marks(self.workspace.marker.spans, self.workspace.marker.names)

    def defined(self, declared: Declared) -> ParameterValue:
        """The value of `param NAME[...] = expression`."""
        declaration = declared.declaration
        node = declaration.value
        assert node is not None
        with in_words(self.workspace.source, self.marks, node.span, f"`{declaration.name}`"):
            if isinstance(node, tree.SetLiteral) and not node.items:
                node = tree.DictLiteral((), span=node.span)  # `{}` is also the dictionary without entries
            if isinstance(node, tree.DictLiteral):
                return self._dictionary(node, declared)
            if isinstance(node, tree.ArrayLiteral):
                positional = self._literal(node, declared)
                if positional is not None:
                    return positional
            return self._expression(node, declared)

    # ------------------------------------------------------------------------------------------------------ literals

    def _dictionary(self, node: tree.DictLiteral, declared: Declared) -> ParameterValue:
        wanted, origin = declared.wanted, declared.origin
        needed = sum(axis.arity for axis in wanted.axes)
        if not needed:
            self.fault(
                "dictionary-for-number",
                node.span,
                f"`{origin.name}` has no index, so it takes one value",
                f"write `param {origin.name} = 1`, or give it an index: `param {origin.name}[SET] = {{...}}`",
            )
        rows: list[tuple[int | str, ...]] = []
        values: list[Any] = []
        for key, value in node.items:
            parts = key.items if isinstance(key, tree.TupleExpr) else (key,)
            if len(parts) != needed:
                self.fault(
                    "wrong-key-length",
                    key.span,
                    f"`{origin.name}` has {needed} index position{'s' if needed > 1 else ''}, "
                    f"but this key has {len(parts)}",
                    'write a key for several axes as a tuple: `("a", 1): 2.5`'
                    if needed > 1
                    else "write one label for each key",
                )
            rows.append(tuple(self.elaborator.domains._constant_member(p, Context(mode="data")) for p in parts))
            values.append(self._constant(value))
        keys = [labels_of(column) for column in zip(*rows, strict=True)] if rows else [labels_of([])] * needed
        spans = [key.span for key, _ in node.items]
        origin = replace(origin, row_span=lambda row: spans[row] if 0 <= row < len(spans) else None)
        if wanted.members is not None or any(isinstance(v, str) for v in values):
            if not all(isinstance(v, int | str) for v in values):
                self.fault(
                    "mixed-values",
                    node.span,
                    f"the values of `{origin.name}` mix text and numbers",
                    "make all of them numbers, or all of them members of a set",
                )
            return keyed_labels(wanted.axes, keys, labels_of(values), wanted.members, origin)
        return keyed_array(wanted.axes, keys, np.array(values, dtype=float), wanted.default, origin)

    def _constant(self, node: tree.Expr) -> float | str:
        if isinstance(node, tree.Number):
            return node.value
        if isinstance(node, tree.String):
            return node.value
        expression = self.elaborator.scalar(node, Context(mode="data"), "a value")
        if isinstance(expression, nodes.Label):
            return expression.name
        value = self.workspace.lanes.numbers(expression, Frame()).reshape(-1)[0]
        return int(value) if value.dtype.kind == "i" else float(value)

    def _literal(self, node: tree.ArrayLiteral, declared: Declared) -> ParameterValue | None:
        """`[3, 1, 2]` by position; None where it is an expression after all."""
        wanted, origin = declared.wanted, replace(declared.origin, span=node.span)
        if all(isinstance(item, tree.String) for item in node.items) and node.items:
            texts = labels_of([item.value for item in node.items if isinstance(item, tree.String)])
            if len(wanted.axes) != 1 or len(wanted.axes[0]) != len(texts):
                by_position(np.zeros(len(texts)), wanted, origin, None)  # reports the shapes
            return label_array(wanted.axes, texts, wanted.members, origin)
        values = literal_values(node)
        if values is None:
            return None
        if np.isnan(values).any():
            self.fault("nan-in-data", node.span, f"`{origin.name}` holds NaN")
        return by_position(values, wanted, origin, None)

    # --------------------------------------------------------------------------------------------------- expressions

    def _expression(self, node: tree.Expr, declared: Declared) -> ParameterValue:
        array = self.elaborator.array(node, declared.domain.context)
        if array.axes:
            array = self._aligned(array, node.span, declared)
            over = nodes.over(array.eaches)
        else:
            over = declared.domain.over
        name = declared.declaration.name
        if any(entry.name == name for entry in array.body.atoms(nodes.ParameterEntry)):
            return self._recursive(array.body, over, declared)
        frame = self.workspace.lanes.extend(Frame(), over).child
        value = self.workspace.lanes.evaluate(array.body, frame)
        axes = declared.wanted.axes
        if isinstance(value, Members):
            labels = value.labels.take(np.broadcast_to(value.codes, frame.shape).reshape(-1))
            if declared.wanted.members is None and labels.integers is not None:
                return self._finished(labels.integers.astype(float), declared)
            return label_array(axes, labels, declared.wanted.members, declared.origin)
        return self._finished(np.ascontiguousarray(np.broadcast_to(value, frame.shape), dtype=float), declared)

    def _aligned(self, array: Arr, span: Span, declared: Declared) -> Arr:
        """An array expression over the declared axes."""
        indices = declared.domain.fresh
        self.elaborator.require_one_way(array, indices, span)
        if declared.domain.slots != indices or declared.domain.conditions or len(array.axes) != len(declared.axes):
            mine = ", ".join(axis.text for axis in array.axes)
            wanted = ", ".join(axis.text for axis in declared.axes) or "no axes"
            self.fault(
                "axes-differ",
                span,
                f"`{declared.origin.name}` is declared over {wanted}, but this is an array over {mine}",
                "write the value of one entry, with the indices of the declaration: `param p[i in I] = ...`",
            )
        target = Arr(sympy.Integer(0), declared.axes, indices)
        return self.elaborator.elementwise([target, array], lambda a, b: a + b, span)

    def _finished(self, values: np.ndarray, declared: Declared) -> ParameterValue:
        axes = declared.wanted.axes
        if np.isnan(values).any():
            k = int(np.flatnonzero(np.isnan(values.reshape(-1)))[0])
            span = declared.declaration.value.span if declared.declaration.value is not None else declared.origin.span
            raise declared.origin.fail(
                "nan-in-data",
                f"`{entry_name(declared.origin.name, member_at(axes, k))}` has no value: its expression is "
                "undefined there",
                "a root or logarithm of a negative number, or a division of zero by zero; guard it with `if`",
                span=span,
            )
        if declared.wanted.members is not None:
            labels = integer_labels(np.rint(values.reshape(-1)).astype(np.int64))
            return label_array(axes, labels, declared.wanted.members, declared.origin)
        return DenseArray(axes, values.reshape([len(axis) for axis in axes]))

    # ----------------------------------------------------------------------------------------------------- recursion

    def _recursive(self, body: sympy.Expr, over: nodes.Over, declared: Declared) -> ParameterValue:
        """A parameter that refers to itself: entries are computed in waves, each from those before it."""
        name, axes = declared.declaration.name, declared.wanted.axes
        lanes = self.workspace.lanes
        shape = tuple(len(axis) for axis in axes)
        values = np.full(int(np.prod(shape, dtype=np.int64)), np.nan)
        frame = lanes.extend(Frame(), over).child
        order = self._waves(body, frame, declared, values.size)
        # a view of `values`: each wave sees what the waves before it wrote
        lanes.parameters[name] = DenseArray(axes, values.reshape(shape))  # type: ignore[index]
        for wave in order:
            mask = np.zeros(values.size, dtype=bool)
            mask[wave] = True
            extension = lanes.filtered(frame, mask.reshape(frame.shape))
            lanes.forget()
            found = np.broadcast_to(lanes.numbers(body, extension.child), extension.child.shape)
            part = np.full(frame.shape, np.nan)
            if extension.child is frame or extension.child.shape == frame.shape:
                part[...] = found
            else:
                extension.scatter(part, found)
            values[wave] = part.reshape(-1)[wave]
        lanes.forget()
        del lanes.parameters[name]  # type: ignore[attr-defined]
        return self._finished(values, declared)

    def _waves(self, body: sympy.Expr, frame: Frame, declared: Declared, size: int) -> list[np.ndarray]:
        """Entries by the length of the chain of references behind them; a cycle is an error that shows it."""
        needs, used = self._references(body, frame, declared)
        level = np.zeros(size, dtype=np.int64)
        for _ in range(size + 1):
            reached = np.zeros(size, dtype=np.int64)
            np.maximum.at(reached, needs, level[used] + 1)
            if np.array_equal(reached, level):
                break
            level = reached
            if level.max() > size:
                break
        else:
            level = np.full(size, size + 1)
        if (size and level.max() >= size + 1) or self._cyclic(needs, used, level):
            self._report_cycle(needs, used, declared)
        order = np.argsort(level, kind="stable")
        bounds = np.flatnonzero(np.diff(level[order])) + 1
        return np.split(order, bounds) if size else []

    @staticmethod
    def _cyclic(needs: np.ndarray, used: np.ndarray, level: np.ndarray) -> bool:
        return bool((level[needs] <= level[used]).any())

    def _references(self, body: sympy.Expr, frame: Frame, declared: Declared) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (entry, entry that it refers to), found by evaluating with a parameter that takes notes."""
        lanes = self.workspace.lanes
        notes = _Notes(declared.wanted.axes)
        lanes.parameters[declared.declaration.name] = notes  # type: ignore[index]
        root = frame.as_root()
        lanes.forget()
        watch = _Watch(lanes, notes, root)
        watch.visit(body, root)
        if not notes.pairs:
            nothing = np.empty(0, dtype=np.int64)
            return nothing, nothing
        return np.concatenate([p[0] for p in notes.pairs]), np.concatenate([p[1] for p in notes.pairs])

    def _report_cycle(self, needs: np.ndarray, used: np.ndarray, declared: Declared) -> None:
        after: dict[int, int] = {}
        for entry, reference in zip(needs.tolist(), used.tolist(), strict=True):
            after.setdefault(entry, reference)
        seen: list[int] = []
        current = next((n for n, u in zip(needs.tolist(), used.tolist(), strict=True) if n <= u), int(needs[0]))
        while current not in seen and current in after and len(seen) < 1000:
            seen.append(current)
            current = after[current]
        loop = [*seen[seen.index(current) :], current] if current in seen else seen
        name, axes = declared.origin.name, declared.wanted.axes
        shown = [entry_name(name, member_at(axes, k)) for k in loop[:6]]
        chain = " -> ".join(shown) + (" -> ..." if len(loop) > 6 else "")
        assert declared.declaration.value is not None
        self.fault(
            "cyclic-recursion",
            declared.declaration.value.span,
            f"the entries of `{name}` refer to each other in a circle: {chain}",
            "a recursion must go back to entries that are known, with `if` for the first ones",
        )

    # -------------------------------------------------------------------------------------------------------- checks

    def check(self, declared: Declared, value: ParameterValue) -> None:
        """Report the first entry that breaks a declared check."""
        for attribute in declared.declaration.attributes:
            if isinstance(attribute, tree.Bound):
                self._check_bound(declared, value, attribute.op, attribute.value, attribute.span)
            elif isinstance(attribute, tree.Interval):
                self._check_bound(declared, value, ">=", attribute.low, attribute.span)
                self._check_bound(declared, value, "<=", attribute.high, attribute.span)
            elif isinstance(attribute, tree.Flag):
                self._check_flag(declared, value, attribute)

    def _check_bound(
        self, declared: Declared, value: ParameterValue, op: str, bound: tree.Expr, span: Span
    ) -> None:
        if isinstance(value, LabelArray):
            self.fault(
                "check-on-text",
                span,
                f"`{declared.origin.name}` holds text (such as {label_text(value.labels.at(0))}), "
                "and this is a check of numbers"
                if len(value.labels)
                else f"`{declared.origin.name}` holds text, and this is a check of numbers",
                "restrict the values with `in SET` instead",
            )
            return
        limit = self.elaborator.array(bound, declared.domain.context)
        with in_words(self.workspace.source, self.marks, span, f"the check of `{declared.origin.name}`"):
            if limit.axes:
                limit = self._aligned(limit, span, declared)
                frame = self.workspace.lanes.extend(Frame(), nodes.over(limit.eaches)).child
            else:
                frame = self.workspace.lanes.extend(Frame(), declared.domain.over).child
            limits = self.workspace.lanes.numbers(limit.body, frame)
        entries = None  # which entry each held value is; None: all, in order
        if isinstance(value, SparseArray) and limits.size == 1:
            held: np.ndarray = np.append(value.values, value.default)
            gaps = np.flatnonzero(value.keys != np.arange(len(value.keys)))
            entries = np.append(value.keys, gaps[0] if len(gaps) else len(value.keys))
        else:
            held = value.dense().reshape(frame.shape)
        bad = ~(held >= limits) if op == ">=" else ~(held <= limits)
        if bad.any():
            k = int(np.flatnonzero(bad.reshape(-1))[0])
            rule = f"{op} {_shown(limits, bad, k)}"
            self._broken(declared, held, bad, rule, span, entries)

    def _broken(
        self,
        declared: Declared,
        held: np.ndarray,
        bad: np.ndarray,
        rule: str,
        span: Span,
        entries: np.ndarray | None = None,
    ) -> None:
        k = int(np.flatnonzero(bad.reshape(-1))[0])
        flat = k if entries is None else int(entries[k])
        others = int(bad.sum()) - 1
        more = f" ({others} other{'s break' if others > 1 else ' breaks'} this too)" if others else ""
        member = member_at(declared.wanted.axes, flat)
        raise declared.origin.fail(
            "check-broken",
            f"`{entry_name(declared.origin.name, member)}` is {float(held.reshape(-1)[k]):g}, "
            f"but `{declared.origin.name}` is declared {rule}{more}",
            "correct the data, or the declaration",
            row=self._row_of(declared, member),
            span=span,
        )

    @staticmethod
    def _row_of(declared: Declared, member: tuple[Any, ...]) -> int:
        return declared.row_of(member) if declared.row_of is not None else -1

    def _check_flag(self, declared: Declared, value: ParameterValue, flag: tree.Flag) -> None:
        if isinstance(value, LabelArray) or flag.name in ("fixed",):
            what = "a parameter" if flag.name == "fixed" else "a parameter that holds members of a set"
            self.fault("wrong-attribute", flag.span, f"`{flag.name}` does not fit {what}", "leave it out")
            return
        held = value.dense()
        if flag.name in ("integer", "binary"):
            bad = held != np.rint(held) if flag.name == "integer" else (held != 0) & (held != 1)
            if bad.any():
                self._broken(declared, held, bad, flag.name, flag.span)
            return
        self._check_matrix(declared, held, flag)

    def _check_matrix(self, declared: Declared, held: np.ndarray, flag: tree.Flag) -> None:
        name, held = declared.origin.name, np.asarray(held, dtype=float)
        if held.ndim != 2 or held.shape[0] != held.shape[1]:
            self.fault(
                "needs-square",
                flag.span,
                f"`{name}` is declared {flag.name}, but it is not a square matrix",
                f"declare two axes over one set: `param {name}[I, I] {flag.name}`",
            )
        scale = max(1.0, float(np.abs(held).max(initial=0.0)))
        gap = np.abs(held - held.T)
        if gap.max(initial=0.0) > 1e-9 * scale:
            k = int(np.argmax(gap))
            i, j = np.unravel_index(k, held.shape)
            places = (int(i * len(held) + j), int(j * len(held) + i))
            one, two = (entry_name(name, member_at(declared.wanted.axes, place)) for place in places)
            raise declared.origin.fail(
                "check-broken",
                f"`{name}` is declared {flag.name}, but `{one}` is {held[i, j]:g} and `{two}` is {held[j, i]:g}",
                "correct one of them, or make it symmetric: `(M + M.T) / 2`",
                row=self._row_of(declared, member_at(declared.wanted.axes, k)),
                span=flag.span,
            )
        if flag.name in ("psd", "nsd"):
            eigenvalues = np.linalg.eigvalsh(held) if len(held) else np.zeros(1)
            worst = eigenvalues.min() if flag.name == "psd" else -eigenvalues.max()
            if worst < -1e-9 * scale:
                sign = "negative" if flag.name == "psd" else "positive"
                raise declared.origin.fail(
                    "check-broken",
                    f"`{name}` is declared {flag.name}, but it has the {sign} eigenvalue "
                    f"{worst if flag.name == 'psd' else -worst:g}",
                    "correct the data, or the declaration",
                    span=flag.span,
                )


def _shown(limits: np.ndarray, bad: np.ndarray, k: int) -> str:
    return f"{float(np.broadcast_to(limits, bad.shape).reshape(-1)[k]):g}"


class _Notes(DenseArray):
    """A parameter under construction: notes which entries are asked for."""

    def __init__(self, axes: tuple[SetValue, ...]) -> None:
        super().__init__(axes, np.zeros([len(axis) for axis in axes]))
        object.__setattr__(self, "pairs", [])

    pairs: list[tuple[np.ndarray, np.ndarray]]


class _Watch:
    """Walks an expression over its lanes and notes, for each self-reference, which entry asks for which."""

    def __init__(self, lanes: Any, notes: _Notes, root: Frame) -> None:
        self.lanes, self.notes, self.root = lanes, notes, root

    def visit(self, node: sympy.Basic, frame: Frame) -> None:
        if isinstance(node, nodes.ParameterEntry) and self.lanes.parameters.get(node.name) is self.notes:
            flat = np.zeros((1,) * len(frame.shape), dtype=np.int64)
            located = self.lanes.located(node, self.notes.axes, node.slots, frame)
            for axis, positions in zip(self.notes.axes, located, strict=True):
                flat = flat * len(axis) + positions.codes
            rows = np.broadcast_to(frame.root_rows(), frame.shape).reshape(-1)
            self.notes.pairs.append((rows, np.broadcast_to(flat, frame.shape).reshape(-1)))
            return
        if isinstance(node, nodes.Choose):
            condition, then, otherwise = node.args
            holds = self.lanes.condition(condition, frame)
            for mask, branch in ((holds, then), (~holds, otherwise)):
                if mask.any():
                    self.visit(branch, self.lanes.filtered(frame, mask).child)
            return
        if isinstance(node, nodes.Reduce):
            self.visit(node.body, self.lanes.extend(frame, node.over).child)
            return
        for part in node.args:
            self.visit(part, frame)
