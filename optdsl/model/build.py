"""From syntax tree and data to the model: declarations in order of use, then the statements.

Independent mistakes are collected and reported together; what depends on a mistaken declaration is skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from optdsl.data.arrays import DenseArray, ParameterValue
from optdsl.data.content import find_file
from optdsl.data.forms import FrameValue
from optdsl.data.members import SetValue, range_set
from optdsl.data.saved import SavedResult
from optdsl.data.supplied import Supplied
from optdsl.data.tables import open_table, read_array
from optdsl.errors import DataError, Diagnostic, ModelError, OptError, Source, Span
from optdsl.language import expression_text, tree
from optdsl.model.declared_names import Declaration, DeclaredNames, iterators_in
from optdsl.model.elaborate import Elaborator
from optdsl.model.faults import in_words
from optdsl.model.function_rules import metric_in
from optdsl.model.initial import INITIALIZERS
from optdsl.model.keyed import Origin
from optdsl.model.missing import missing_data
from optdsl.model.mistakes import reported
from optdsl.model.model import Let, Marks, MethodChoice, Model, Shown, Variable
from optdsl.model.names import evaluation_order, names_in, undeclared
from optdsl.model.options import option_values, seed_of, seed_options
from optdsl.model.outside import supplied_parameter, supplied_set
from optdsl.model.parameters import Declared, Parameters
from optdsl.model.scope import (
    Context,
    EntrySymbol,
    FunctionSymbol,
    LetSymbol,
    SetSymbol,
    Symbol,
    Workspace,
    set_axis,
)
from optdsl.model.shapes import Axis, Marker
from optdsl.model.sources import Tables, located
from optdsl.model.statements import Statements
from optdsl.model.symmetric_starts import symmetric_starts
from optdsl.model.variables import Variables
from optdsl.model.wanted import Wanted, by_position
from optdsl.terms import nodes
from optdsl.terms.evaluate import Lanes
from optdsl.terms.frame import Frame
from optdsl.terms.lanes import Family, VariableValue


def build(
    file: tree.File,
    *,
    folder: Path = Path(),
    supplied: Mapping[str, Supplied] | None = None,
    paths: Mapping[str, str] | None = None,
    name: str = "model",
    seed: int | None = None,
    point: SavedResult | None = None,
) -> Model:
    """Bind data to a text and elaborate it.

    `folder` is what table paths are relative to; `supplied` holds values by name (parameters, sets, tables);
    `paths` holds files by name (`--data`). `seed` is that of the starts that are drawn (None: the one of the file's
    `solve using`, else 0). With `point`, the model is only evaluated there: variables start at its values whatever
    their bounds are, and statements that need data which is not there are left out with a remark. Raises `OptError`
    with every independent mistake that was found.
    """
    builder = _Builder(file, folder, dict(supplied or {}), dict(paths or {}), name)
    builder.workspace.seed, builder.workspace.point = seed, point
    return builder.build()


class _Builder(DeclaredNames):

    def __init__(
        self, file: tree.File, folder: Path, supplied: dict[str, Supplied], paths: dict[str, str], name: str
    ) -> None:
        self.file, self.folder, self.supplied, self.paths, self.name = file, folder, supplied, paths, name
        self.source: Source = file.source
        self.diagnostics: list[Diagnostic] = []
        self.only_data = True  # whether all mistakes so far are in the data, none in the text
        self.failed: set[str] = set()
        self.lacking: list[Diagnostic] = []  # data that is not there, where a model is only evaluated
        self.left_out: list[str] = []  # statements that need it
        self.declarations: dict[str, Declaration] = {}
        self.table_declarations: dict[str, tree.TableDecl] = {}
        self.sets: dict[str, SetValue | Family] = {}
        self.parameters: dict[str, ParameterValue] = {}
        self.variable_values: dict[str, VariableValue] = {}
        self.variables: dict[str, Variable] = {}
        self.lets: dict[str, Let] = {}
        self.symbols: dict[str, Symbol] = {}
        self.columns = 0
        lanes = Lanes(self.sets, self.parameters, self.variable_values)
        self.workspace = Workspace(self.source, self.symbols, lanes, Marker(), folder)
        self.elaborator = Elaborator(self.workspace)
        self.statements = Statements(self.elaborator)
        self.parameter_rules = Parameters(self.elaborator)
        self.variable_rules = Variables(self.elaborator)

    # -------------------------------------------------------------------------------------------------------- the whole

    def build(self) -> Model:
        constraint_names = self._declare_names()
        iterators = iterators_in(self.file)
        self.workspace.declared = self.declarations.keys()
        self.workspace.index_names = {
            slot.name
            for iterator in iterators
            for slot in iterator.slots or ()
            if isinstance(slot, tree.Name)
        }
        self.tables = Tables(self.source, self.folder, self.table_declarations, self.paths, self.supplied)
        self._check_outside_names()
        missing = missing_data(self.declarations, self.supplied, self.paths, self.source, self.failed)
        (self.diagnostics if self.workspace.point is None else self.lacking).extend(missing)
        self._evaluate_declarations()
        objective, objective_array = self._objective()
        constraints = self._constraints(constraint_names)
        if objective_array is not None:
            self.symbols[objective.name] = LetSymbol(objective.name, objective_array)
        else:
            self.failed.update(s.name for s in self.file.statements if isinstance(s, tree.Objective) and s.name)
        shown = self._shown()
        method = self._method() if self.workspace.point is None else None
        self._tell_left_out(objective is None and not shown)
        if self.diagnostics:
            raise (DataError if self.only_data else ModelError)(*reported(self.diagnostics))
        return Model(
            self.name,
            self.source,
            self.file,
            self.sets,
            self.parameters,
            self.variables,
            self.lets,
            constraints,
            objective,
            shown,
            method,
            self.workspace.lanes,
            self.columns,
            (
                *self._warnings(iterators),
                *self.workspace.remarks,
                *symmetric_starts(self.variables, objective, constraints),
            ),
        )

    def _attempt(self, action: Callable[[], Any], failing: str | None = None) -> Any:
        """Run a step; its mistakes are kept for the report."""
        self.workspace.marker.begin()
        try:
            return action()
        except OptError as error:
            if self.workspace.point is not None and all(d.code == "missing-file" for d in error.diagnostics):
                self.lacking.extend(error.diagnostics)
            else:
                self.diagnostics.extend(error.diagnostics)
                self.only_data &= isinstance(error, DataError)
        if failing is not None:
            self.failed.add(failing)
        return None

    # ------------------------------------------------------------------------------------------------------------ names

    # ----------------------------------------------------------------------------------------------------- declarations

    def _evaluate_declarations(self) -> None:
        uses = {name: self._uses(name, declaration) for name, declaration in self.declarations.items()}
        order, errors, circular = evaluation_order(uses, self.source)
        self.failed |= circular
        for error in errors:
            self.diagnostics.extend(error.diagnostics)
            self.only_data = False
        for name in order:
            if name in self.failed:
                continue
            if any(used in self.failed for used in uses[name]):
                self.failed.add(name)
                self._report_undeclared(self.declarations[name])
                continue
            declaration = self.declarations[name]
            self._attempt(lambda d=declaration: self._declare(d), name)  # type: ignore[misc]

    def _uses(self, name: str, declaration: Declaration) -> dict[str, Span]:
        uses: dict[str, Span] = {}
        for used in names_in(declaration):
            if used.name not in self.declarations:
                continue
            if used.name == name:
                if isinstance(declaration, tree.LetDecl) and declaration.parameters is None:
                    self._self_reference(declaration, used.span)
                if not isinstance(declaration, tree.SetDecl):
                    continue
                # an index may have the name of its own set's family
                uses[used.name] = used.span
                continue
            uses.setdefault(used.name, used.span)
        if isinstance(declaration, tree.VarDecl) and self.workspace.seed is None:
            seed = names_in(tuple(seed_options(self.file)))
            uses.update({n.name: n.span for n in seed if isinstance(self.declarations.get(n.name), tree.ParamDecl)})
        if isinstance(declaration, tree.SetDecl | tree.ParamDecl) and (name in self.supplied or name in self.paths):
            # data from outside replaces the definition
            inner = {u.name for u in names_in((declaration.domain, getattr(declaration, "attributes", ())))}
            uses = {n: s for n, s in uses.items() if n in inner}
        return uses

    def _self_reference(self, declaration: tree.LetDecl, span: Span) -> None:
        if declaration.name in self.failed:
            return
        domain = "[...]" if declaration.domain is not None else ""
        self._report(
            "let-refers-to-itself",
            span,
            f"`{declaration.name}` refers to itself; a `let` is only a name for an expression",
            f"declare `var {declaration.name}{domain}` and add the equality as a constraint",
        )
        self.failed.add(declaration.name)

    def _declare(self, declaration: Declaration) -> None:
        match declaration:
            case tree.SetDecl():
                self._declare_set(declaration)
            case tree.ParamDecl():
                self._declare_parameter(declaration)
            case tree.VarDecl():
                self._declare_variable(declaration)
            case tree.LetDecl():
                if declaration.parameters is not None:
                    self.symbols[declaration.name] = FunctionSymbol(declaration.name, declaration)
                    return
                with self._words(declaration):
                    array = self.statements.let(declaration)
                    self.workspace.marker.keep()
                    self.lets[declaration.name] = self.statements.let_template(declaration, array)
                self.symbols[declaration.name] = LetSymbol(declaration.name, array, metric_in(array))

    def _origin(self, declaration: tree.SetDecl | tree.ParamDecl) -> Origin:
        return Origin(declaration.name, declaration.name_span, self.source)

    def _words(self, declaration: Any) -> Any:
        return self._in_words(declaration.name_span, f"`{declaration.name}`")

    def _in_words(self, span: Span, statement: str) -> Any:
        marks = Marks(self.workspace.marker.spans, self.workspace.marker.names)
        return in_words(self.source, marks, span, statement)

    def _declare_set(self, declaration: tree.SetDecl) -> None:
        name = declaration.name
        with self._words(declaration):
            value = self._set_value(declaration)
        self.sets[name] = value
        self.symbols[name] = SetSymbol(name, value)

    def _set_value(self, declaration: tree.SetDecl) -> SetValue | Family:
        name, origin = declaration.name, self._origin(declaration)
        if declaration.domain is not None:
            return self._family(declaration)
        if name in self.supplied:
            return supplied_set(name, self.supplied[name], None, origin)
        if name in self.paths:
            return self._set_from_path(declaration, self.paths[name])
        if declaration.source is not None:
            return self.tables.set_from(declaration, origin)
        assert declaration.value is not None
        return self._named(declaration.value, name)

    def _named(self, node: tree.Expr, name: str) -> SetValue:
        if isinstance(node, tree.RangeExpr):
            axis = self.elaborator.domains.axis(node, Context(mode="data"))
            assert axis.value is not None
            return SetValue(name, axis.value.columns)
        return self.elaborator.domains.value(node, Context(mode="data"), name)

    def _set_from_path(self, declaration: tree.SetDecl, path: str) -> SetValue:
        with located(declaration.name_span, self.source):
            table = open_table(path, folder=Path(), name=declaration.name)
        origin = self._origin(declaration)
        columns = tuple(table.column(c) for c in table.columns)
        return supplied_set(declaration.name, FrameValue(columns), None, origin)

    def _family(self, declaration: tree.SetDecl) -> Family:
        name = declaration.name
        assert declaration.domain is not None
        domain = self.elaborator.domains.open(declaration.domain, Context(mode="data"))
        axes = self.elaborator.domains.axes(domain, f"`{name}`", declaration.name_span, name)
        values = tuple(axis.value for axis in axes if axis.value is not None)
        if name in self.supplied or name in self.paths:
            value = self.supplied.get(name)
            if value is not None:
                rows = supplied_set(name, value, None, self._origin(declaration))
            else:
                rows = self._set_from_path(declaration, self.paths[name])
            return Family(name, values, rows)
        if declaration.value is None:
            self.workspace.fault(
                "family-from-table",
                declaration.span,
                "a family of sets is defined by an expression, not read from a table",
                "read the pairs as one set: `set PAIR from t(a, b)`, then "
                f"`set {name}[i in I] = {{j for (k, j) in PAIR if k = i}}`",
            )
        assert declaration.value is not None
        rows = self.elaborator.domains.rows(declaration.value, domain.context, domain.over, domain.slots)
        if rows.arity <= len(domain.slots):
            rows = SetValue(name, (*rows.columns, rows.columns[0]))
        return Family(name, values, SetValue(name, rows.columns))

    def _declare_parameter(self, declaration: tree.ParamDecl) -> None:
        name = declaration.name
        context = Context(mode="data")
        with self._words(declaration):
            domain = self.elaborator.domains.open(declaration.domain or EMPTY_DOMAIN, context)
            axes = self.elaborator.domains.axes(domain, f"`{name}`", declaration.name_span, name)
            wanted = self._wanted(declaration, axes, context)
            flags = frozenset(a.name for a in declaration.attributes if isinstance(a, tree.Flag))
            self.symbols[name] = EntrySymbol(name, "parameter", axes, flags)
            declared = Declared(declaration, domain, axes, wanted, self._origin(declaration))
            value = self._parameter_value(declared)
            self.parameters[name] = value
            if declaration.attributes:
                self.parameter_rules.check(self._with_rows(declared), value)

    def _wanted(self, declaration: tree.ParamDecl, axes: tuple[Axis, ...], context: Context) -> Wanted:
        members, default = None, None
        for attribute in declaration.attributes:
            if isinstance(attribute, tree.MemberOf):
                axis = self.elaborator.domains.axis(attribute.set, context)
                members = axis.value
            elif isinstance(attribute, tree.Default):
                expression = self.elaborator.scalar(attribute.value, context, "a default")
                default = float(np.asarray(self.workspace.lanes.numbers(expression, Frame())).reshape(-1)[0])
        names = tuple(axis.term.name if isinstance(axis.term, nodes.NamedSet) else None for axis in axes)
        return Wanted(tuple(a.value for a in axes if a.value is not None), members, default, names)

    def _parameter_value(self, declared: Declared) -> ParameterValue:
        declaration, wanted = declared.declaration, declared.wanted
        name = declaration.name
        if name in self.supplied:
            return supplied_parameter(self.supplied[name], wanted, declared.origin)
        if name in self.paths:
            return self._parameter_from_path(declared, self.paths[name])
        if declaration.source is not None:
            return self.tables.parameter_from(declaration, wanted, declared.origin)
        if declaration.value is not None:
            return self.parameter_rules.defined(declared)
        assert wanted.default is not None
        shape = [len(axis) for axis in wanted.axes]
        return DenseArray(wanted.axes, np.full(shape, wanted.default))

    def _parameter_from_path(self, declared: Declared, path: str) -> ParameterValue:
        if path.endswith(".npy"):
            with located(declared.origin.span, self.source):
                values = read_array(path, folder=Path())
            return by_position(values, declared.wanted, declared.origin, path)
        span = declared.origin.span
        with located(span, self.source):
            table = open_table(path, folder=Path(), name=declared.declaration.name)
        data = tree.FromTable(
            declared.declaration.name, table.columns, (span,) * len(table.columns), table_span=span, span=span
        )
        return self.tables.table_parameter(table, data, declared.wanted, declared.origin, None)

    def _with_rows(self, declared: Declared) -> Declared:
        """With the rows of a table behind the values, so that a broken check can name the line."""
        data = declared.declaration.source
        name = declared.declaration.name
        if not isinstance(data, tree.FromTable) or name in self.supplied or name in self.paths or not data.columns:
            return declared
        from dataclasses import replace

        from optdsl.data.members import labels_of
        from optdsl.data.tables import members
        from optdsl.model.keyed import labels_from

        table = self.tables.get(data.table, data.table_span)
        keys = data.columns[:-1]

        def row_of(member: tuple[Any, ...]) -> int:
            if len(keys) != len(member):
                return int(member[0]) - 1 if len(member) == 1 and isinstance(member[0], int) else -1
            rows = SetValue("rows", tuple(labels_from(members(table.column(k), table)) for k in keys))
            return int(rows.positions([labels_of([part]) for part in member])[0]) if len(rows) else -1

        def place(row: int, column: int | None) -> Any:
            return table.place(row, data.columns[-1]) if row >= 0 and data.columns else None

        return replace(declared, origin=replace(declared.origin, place=place), row_of=row_of)

    def _declare_variable(self, declaration: tree.VarDecl) -> None:
        name = declaration.name
        if self.workspace.seed is None:
            self.workspace.seed = seed_of(self.elaborator, self.file)
        context = Context(mode="data")
        with self._words(declaration):
            domain = self.elaborator.domains.open(declaration.domain or EMPTY_DOMAIN, context)
            axes = self.elaborator.domains.axes(domain, f"`{name}`", declaration.name_span, name)
            variable = self.variable_rules.declare(declaration, domain, axes, self.columns)
        self.symbols[name] = EntrySymbol(name, "variable", axes, variable.attributes)
        self.variables[name] = variable
        self.variable_values[name] = VariableValue(variable.axes, variable.offset, variable.columns)
        self.columns += variable.width

    # ------------------------------------------------------------------------------------------------------- statements

    def _sound(self, node: object, what: str) -> bool:
        """Whether a statement uses no name whose declaration failed; else only its unknown names are reported."""
        if not any(used.name in self.failed for used in names_in(node)):
            return True
        self.left_out.append(what)
        self._report_undeclared(node)
        return False

    def _tell_left_out(self, everything: bool) -> None:
        """What an evaluation leaves out for want of data; an error where nothing is left."""
        if self.lacking and everything:
            self.diagnostics.extend(self.lacking)
        elif self.lacking and self.left_out:
            which = "; ".join(dict.fromkeys(item.message for item in self.lacking))
            self.workspace.remarks.append(f"not computed for want of data: {', '.join(self.left_out)} ({which})")

    def _report_undeclared(self, node: object) -> None:
        known = {*self.declarations, *self.symbols, *self.failed, *INITIALIZERS, "pi"}
        for name in undeclared(node, known):
            self._attempt(lambda n=name: self.workspace.lookup(n.name, n.span, Context()))  # type: ignore[misc]

    def _objective(self) -> Any:
        for statement in self.file.statements:
            if isinstance(statement, tree.Objective):
                if not self._sound(statement.value, f"`{statement.name or 'objective'}`"):
                    return None, None
                return self._attempt(lambda s=statement: self._worded_objective(s)) or (None, None)  # type: ignore[misc]
        return None, None

    def _worded_objective(self, statement: tree.Objective) -> Any:
        with self._in_words(statement.value.span, f"the objective `{statement.name or 'objective'}`"):
            return self.statements.objective(statement)

    def _constraints(self, names: Mapping[int, str]) -> tuple[Any, ...]:
        found = []
        for statement in self.file.statements:
            if isinstance(statement, tree.SubjectTo):
                for constraint in statement.constraints:
                    name = names[id(constraint)]
                    if self._sound((constraint.domain, constraint.relation), f"`{name}`"):
                        found.append(self._attempt(lambda c=constraint, n=name: self._constraint(c, n)))  # type: ignore[misc]
        return tuple(c for c in found if c is not None)

    def _constraint(self, constraint: tree.Constraint, name: str) -> Any:
        with self._in_words(constraint.span, f"constraint `{name}`"):
            return self.statements.constraint(constraint, name)

    def _shown(self) -> tuple[Shown, ...] | None:
        items = [item for s in self.file.statements if isinstance(s, tree.Show) for item in s.items]
        if not any(isinstance(s, tree.Show) for s in self.file.statements):
            return None
        sound = [item for item in items if self._sound(item, f"`{expression_text(item)}`")]
        shown = [self._attempt(lambda i=item: self._shown_item(i)) for item in sound]  # type: ignore[misc]
        return tuple(s for s in shown if s is not None)

    def _shown_item(self, item: tree.Expr) -> Shown:
        with self._in_words(item.span, "`show`"):
            return self.statements.shown(item)

    def _method(self) -> MethodChoice | None:
        chosen = [s for s in self.file.statements if isinstance(s, tree.Solve)]
        if not chosen:
            return None
        if len(chosen) > 1:
            self._report(
                "second-solve",
                chosen[1].span,
                "a model names one method, and this is the second",
                f"keep this or the one on line {chosen[0].span.line}",
            )
        statement = chosen[0]
        options = self._attempt(lambda: self._options(statement)) or {}
        spans = {keyword.name: keyword.span for keyword in statement.options}
        return MethodChoice(statement.method, options, statement.method_span, spans)

    def _options(self, statement: tree.Solve) -> dict[str, object]:
        with self._in_words(statement.span, "an option"):
            return option_values(self.elaborator, statement.options)

EMPTY_DOMAIN = tree.Domain((), span=Span(0, 0, 1, 1, 1, 1))


__all__ = ["build", "expression_text", "find_file", "range_set", "set_axis"]
