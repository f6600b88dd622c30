"""Lets, objectives, constraints and shows become templates in canonical form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy

from optdsl.data.members import SetValue
from optdsl.errors import Span
from optdsl.language import expression_text, tree
from optdsl.model import shapes
from optdsl.model.canonical import Canonical
from optdsl.model.domains import OpenDomain
from optdsl.model.elaborate import Elaborator
from optdsl.model.model import Constraint, DomainCondition, Let, Objective, Relation, Shown
from optdsl.model.scope import Context, EntrySymbol, OtherSymbol
from optdsl.model.shapes import Arr, Axis
from optdsl.terms import nodes
from optdsl.terms.frame import Frame
from optdsl.terms.lanes import LaneFault

EMPTY = tree.Domain((), span=Span(0, 0, 1, 1, 1, 1))
STRICT = {"<": "<=", ">": ">="}
OF_DATA = ("inside", "entry", "divisor")
"""Kinds of conditions that data must fulfil."""


@dataclass(eq=False)
class Statements:
    """Elaborates the statements of a model."""

    elaborator: Elaborator

    # ------------------------------------------------------------------------------------------------------------ lets

    def let(self, declaration: tree.LetDecl) -> Arr:
        """A named expression as an array over its own axes."""
        domain = self._open(declaration.domain, Context(mode="let"))
        body = self.elaborator.array(declaration.value, domain.context)
        if declaration.domain is None:
            return body
        axes = self.elaborator.domains.axes(domain, f"`{declaration.name}`", declaration.name_span, declaration.name)
        mapping, indices = self.elaborator.domains.reindex(domain, axes)
        moved, conditions = shapes.replace_in(self.elaborator.marker, body, mapping)
        return Arr(moved, (*axes, *body.axes), (*indices, *body.indices), conditions)

    def let_template(self, declaration: tree.LetDecl, array: Arr) -> Let:
        """The same for reading and showing."""
        canonical = Canonical(self.elaborator.marker)
        over, renaming = canonical.over(nodes.over(array.eaches))
        body = canonical.body(array.body, renaming)
        return Let(declaration.name, _values(array.axes), over, body, declaration.name_span, canonical.marks())

    def _open(self, domain: tree.Domain | None, context: Context | None = None) -> OpenDomain:
        return self.elaborator.domains.open(domain or EMPTY, context or Context())

    # ------------------------------------------------------------------------------------------------------- objective

    def objective(self, statement: tree.Objective) -> tuple[Objective, Arr]:
        """The objective; it must be a single number."""
        if isinstance(statement.value, tree.Compare):
            self._not_a_condition(statement)
        array = self.elaborator.array(statement.value, Context())
        if array.axes:
            axes = ", ".join(axis.text for axis in array.axes)
            self.elaborator.fault(
                "objective-not-number",
                statement.value.span,
                f"the objective must be a single number, but this is an array over {axes}",
                "add it up: `sum(...)`",
            )
        if isinstance(array.body, nodes.Compare | nodes.Logic | nodes.Contains):
            self._not_a_condition(statement)
        array = self._inside(array, nodes.over(()))
        canonical = Canonical(self.elaborator.marker)
        body = canonical.body(array.body, {})
        conditions = tuple(canonical.condition(c, {}) for c in array.conditions)
        name = statement.name or "objective"
        span = statement.name_span or statement.span
        return Objective(name, statement.sense, body, span, canonical.marks(), conditions), array

    def _inside(self, array: Arr, around: nodes.Over) -> Arr:
        """Report mistakes in the data that the body no longer shows; what is left are conditions on variables.

        These are an index outside the set of a named expression, and entries and divisors that cancelled.
        """
        asked = [c for c in array.conditions if c.kind in OF_DATA]
        if not asked:
            return array
        lanes = self.elaborator.workspace.lanes
        over = nodes.over((*around.iterators, *array.eaches), around.conditions)
        whole: Frame | None = None
        shown = {"entry": _entries(array.body), "divisor": _divisors(array.body)}
        for condition in asked:
            if condition.kind in shown and _factors(condition.expression) <= shown[condition.kind]:
                continue
            whole = whole or lanes.extend(Frame(), over).child
            frame = whole
            for inner in condition.overs:
                frame = lanes.extend(frame, inner).child
            self._require(condition, frame)
        return replace(array, conditions=tuple(c for c in array.conditions if c.kind not in OF_DATA))

    def _require(self, condition: DomainCondition, frame: Frame) -> None:
        lanes, part = self.elaborator.workspace.lanes, condition.expression
        if isinstance(part, nodes.Contains):
            members = lanes.set_value(part.set, frame.bindings or ())
            assert isinstance(members, SetValue)
            lanes.located(part, [members], part.slots, frame)
        elif isinstance(part, nodes.VariableEntry):
            lanes.located(part, lanes.variables[part.name].axes, part.slots, frame)
        elif condition.kind == "entry":
            lanes.evaluate(part, frame)
        elif frame.size:
            zero = np.broadcast_to(lanes.numbers(part, frame) == 0, frame.shape)
            if zero.any():
                raise LaneFault("zero-divisor", part, lanes.lane(frame, tuple(np.argwhere(zero)[0])))

    def _not_a_condition(self, statement: tree.Objective) -> None:
        self.elaborator.fault(
            "objective-not-number",
            statement.value.span,
            "the objective is a number, not a condition",
            "write constraints under `subject to`",
        )

    # ----------------------------------------------------------------------------------------------------- constraints

    def constraint(self, statement: tree.Constraint, name: str) -> Constraint:
        """A constraint family; a chain `a <= b <= c` with data at both ends stays one relation."""
        relation = statement.relation
        self._check_relation(relation, statement)
        assert isinstance(relation, tree.Compare)
        domain = self._open(statement.domain)
        arrays = self.elaborator.arrays(relation.operands, domain.context)
        for array, operand in zip(arrays, relation.operands, strict=True):
            if isinstance(array.body, nodes.Compare | nodes.Logic | nodes.Contains):
                self.elaborator.fault(
                    "constraint-on-condition",
                    operand.span,
                    "a constraint relates numbers, not conditions",
                    "write each relation as a constraint of its own",
                )
        if any(op in (">>", "<<") for op in relation.ops):
            return self._matrix(statement, relation, domain, arrays, name)
        frame_array = self.elaborator.elementwise(arrays, lambda *b: sympy.Tuple(*b), relation.span)
        frame_array = self._inside(frame_array, domain.over)
        outer = self.elaborator.domains.axes(domain, f"`{name}`", statement.span, name)
        bodies = list(frame_array.body.args)
        canonical = Canonical(self.elaborator.marker)
        eaches = (*domain.eaches, *frame_array.eaches)
        over, renaming = canonical.over(nodes.over(eaches, domain.conditions))
        conditions = tuple(canonical.condition(c, renaming) for c in frame_array.conditions)
        relations = tuple(
            Relation(
                canonical.body(body, renaming),
                None if low is None else canonical.body(low, renaming),
                None if high is None else canonical.body(high, renaming),
                conditions if k == 0 else (),
                turned,
            )
            for k, (body, low, high, turned) in enumerate(_relations(bodies, relation.ops))
        )
        for body, operand in zip(bodies, relation.operands, strict=True):
            self.elaborator.marker.mark(body, operand.span)
        return Constraint(
            name,
            (*_values(outer), *_values(frame_array.axes)),
            over,
            relations,
            "scalar",
            statement.name_span or statement.span,
            canonical.marks(),
            statement.name is not None,
        )

    def _check_relation(self, relation: tree.Expr, statement: tree.Constraint) -> None:
        if not isinstance(relation, tree.Compare):
            self.elaborator.fault(
                "not-a-constraint",
                relation.span,
                "a constraint compares two expressions, but nothing is compared here",
                "write `... <= ...`, `... >= ...` or `... = ...`",
            )
            return
        if {"<=", ">="} <= set(relation.ops):
            self.elaborator.fault(
                "mixed-directions",
                relation.span,
                "a chain of inequalities goes one way, but this one mixes `<=` and `>=`",
                "write `low <= x <= high`, or two constraints",
            )
        for op, span in zip(relation.ops, relation.op_spans, strict=True):
            if op in STRICT:
                self.elaborator.fault(
                    "strict-inequality",
                    span,
                    f"a constraint cannot be strict: `{op}`",
                    f"write `{STRICT[op]}`; a strict inequality has no optimum at its edge",
                )
            if op in ("!=", "in"):
                hint = "use a binary variable for either-or"
                if op == "in":
                    hint = "give bounds with `<=` and `>=`; for whole numbers declare the variable `integer`"
                self.elaborator.fault("not-a-constraint", span, f"`{op}` is a condition, not a constraint", hint)

    def _matrix(
        self, statement: tree.Constraint, relation: tree.Compare, domain: OpenDomain, arrays: list[Arr], name: str
    ) -> Constraint:
        if len(relation.ops) != 1:
            self.elaborator.fault(
                "matrix-order",
                relation.span,
                "a matrix inequality compares two matrices, not more",
                "write two constraints",
            )
        square = [a for a in arrays if a.axes]
        for array, operand in zip(arrays, relation.operands, strict=True):
            if not array.axes and not array.body.is_zero:
                self.elaborator.fault(
                    "matrix-order",
                    operand.span,
                    "`>>` and `<<` compare symmetric matrices, or a matrix with 0",
                    "compare numbers with `>=` or `<=`",
                )
            if array.axes:
                self.elaborator.functions.require_symmetric(array, operand, relation.ops[0], domain.context)
        if not square:
            self.elaborator.fault(
                "matrix-order",
                relation.span,
                "a matrix inequality needs a matrix on one side",
                "compare numbers with `>=` or `<=`",
            )
        difference = self.elaborator.elementwise(arrays, lambda a, b: a - b, relation.span)
        difference = self._inside(difference, domain.over)
        outer = self.elaborator.domains.axes(domain, f"`{name}`", statement.span, name)
        canonical = Canonical(self.elaborator.marker)
        over, renaming = canonical.over(nodes.over((*domain.eaches, *difference.eaches), domain.conditions))
        conditions = tuple(canonical.condition(c, renaming) for c in difference.conditions)
        body = canonical.body(difference.body, renaming)
        zero = sympy.Integer(0)
        sides = (zero, None) if relation.ops[0] == ">>" else (None, zero)
        return Constraint(
            name,
            (*_values(outer), *_values(difference.axes)),
            over,
            (Relation(body, *sides, conditions),),  # type: ignore[call-arg]
            "matrix",
            statement.name_span or statement.span,
            canonical.marks(),
            statement.name is not None,
        )

    # ------------------------------------------------------------------------------------------------------------ show

    def shown(self, node: tree.Expr) -> Shown:
        """One item of `show`."""
        text = expression_text(node)
        if isinstance(node, tree.Attribute) and node.name in ("dual", "slack", "reduced_cost"):
            return self._shown_aspect(node, text)
        array = self._inside(self.elaborator.array(node, Context(mode="show")), nodes.over(()))
        canonical = Canonical(self.elaborator.marker)
        over, renaming = canonical.over(nodes.over(array.eaches))
        body = canonical.body(array.body, renaming)
        return Shown(text, node.span, _values(array.axes), over, body, marks=canonical.marks())

    def _shown_aspect(self, node: tree.Attribute, text: str) -> Shown:
        base, slots = node.base, ()
        if isinstance(base, tree.Subscript):
            base, slots = base.base, base.indices  # type: ignore[assignment, union-attr]
        if not isinstance(base, tree.Name):
            self.elaborator.fault(
                "wrong-aspect",
                node.span,
                f"`.{node.name}` belongs to a name, not to an expression",
                f"write `NAME.{node.name}`",
            )
            raise AssertionError
        symbol = self.elaborator.workspace.lookup(base.name, base.span, Context(mode="show"))
        is_variable = isinstance(symbol, EntrySymbol) and symbol.role == "variable"
        is_constraint = isinstance(symbol, OtherSymbol) and symbol.kind == "constraint"
        fits = is_variable if node.name == "reduced_cost" else is_constraint
        if not fits:
            owner = "variables" if node.name == "reduced_cost" else "constraints"
            other = "dual" if is_constraint else "reduced_cost" if is_variable else None
            self.elaborator.fault(
                "wrong-aspect",
                node.span,
                f"`.{node.name}` belongs to {owner}, and `{base.name}` is not one",
                f"write `{base.name}.{other}`" if other else None,
            )
        members: list[Any] = []
        for slot in slots:  # type: ignore[var-annotated]
            if isinstance(slot, tree.Slice):
                self.elaborator.fault(
                    "wrong-aspect",
                    slot.span,
                    f"`.{node.name}` is of one entry or of all",
                    f"name one entry, or leave the brackets out: `{base.name}.{node.name}`",
                )
            members.append(self.elaborator.domains._constant_member(slot, Context(mode="data")))
        return Shown(text, node.span, target=base.name, aspect=node.name, member=tuple(members) if slots else None)


def _entries(body: sympy.Basic) -> frozenset[sympy.Basic]:
    """The entries that a body looks up; a mistake in one of these is found where it is evaluated."""
    return frozenset(body.atoms(nodes.VariableEntry, nodes.ParameterEntry))


def _divisors(body: sympy.Basic) -> frozenset[sympy.Basic]:
    """What a body divides by."""
    return frozenset(power.base for power in body.atoms(sympy.Pow) if power.exp.is_negative)


def _factors(expression: sympy.Basic) -> frozenset[sympy.Basic]:
    """The factors of a divisor, each with an inverse of its own; an entry itself."""
    factors = expression.args if isinstance(expression, sympy.Mul) else (expression,)
    return frozenset(f.base if isinstance(f, sympy.Pow) else f for f in factors if not f.is_number)


def _values(axes: tuple[Axis, ...]) -> tuple[SetValue, ...]:
    return tuple(axis.value for axis in axes if axis.value is not None)


Bounded = tuple[sympy.Expr, sympy.Expr | None, sympy.Expr | None, bool]


def _relations(bodies: list[sympy.Expr], ops: tuple[str, ...]) -> list[Bounded]:
    """`(body, lower, upper, turned)` for a chain of comparisons, data ends kept as sides."""
    if len(ops) == 2 and ops[0] == ops[1] and ops[0] in ("<=", ">="):
        first, middle, last = bodies
        if not nodes.has_variables(first) and not nodes.has_variables(last):
            return [(middle, first, last, False) if ops[0] == "<=" else (middle, last, first, False)]
    result = []
    for left, op, right in zip(bodies[:-1], ops, bodies[1:], strict=True):
        turned = not nodes.has_variables(left) and nodes.has_variables(right)
        if turned:
            left, right = right, left
            op = {"<=": ">=", ">=": "<=", "=": "="}[op]
        if nodes.has_variables(right):
            left, right = left - right, sympy.Integer(0)
        result.append((left, None if op == "<=" else right, None if op == ">=" else right, turned))
    return result


__all__ = ["DomainCondition", "Statements"]
