"""All names of a text: one space, each once; data for names that exist; indices that hide names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from optdsl.data.supplied import Supplied
from optdsl.errors import Diagnostic, Source, Span, closest
from optdsl.language import tree
from optdsl.model.scope import (
    OtherSymbol,
    Symbol,
)

Declaration = tree.SetDecl | tree.ParamDecl | tree.VarDecl | tree.LetDecl


class DeclaredNames:
    """Registers names; mistakes gather in `diagnostics`."""

    file: tree.File
    source: Source
    supplied: dict[str, Supplied]
    paths: dict[str, str]
    diagnostics: list[Diagnostic]
    declarations: dict[str, Declaration]
    table_declarations: dict[str, tree.TableDecl]
    symbols: dict[str, Symbol]

    def _report(self, code: str, span: Span | None, message: str, hint: str | None = None) -> None:
        self.only_data = False
        self.diagnostics.append(Diagnostic(code, message, span, hint, self.source))

    def _declare_names(self) -> dict[int, str]:
        """Register all names; names for constraints by their identity."""
        seen: dict[str, tuple[str, Span]] = {}
        constraint_names: dict[int, str] = {}
        objectives = 0

        def take(name: str, kind: str, span: Span) -> bool:
            if name in seen:
                kind_before, before = seen[name]
                self._report(
                    "declared-twice",
                    span,
                    f"`{name}` is declared twice: a {kind_before} on line {before.line} has this name already",
                    "all names share one space; choose another",
                )
                return False
            seen[name] = (kind, span)
            return True

        for statement in self.file.statements:
            match statement:
                case tree.TableDecl():
                    if take(statement.name, "table", statement.name_span):
                        self.table_declarations[statement.name] = statement
                        self.symbols[statement.name] = OtherSymbol(statement.name, "table")
                case tree.SetDecl() | tree.ParamDecl() | tree.VarDecl() | tree.LetDecl():
                    if take(statement.name, kind_name(statement), statement.name_span):
                        self.declarations[statement.name] = statement
                case tree.Objective():
                    objectives += 1
                    if objectives > 1:
                        self._report(
                            "second-objective",
                            statement.span,
                            "a model has one objective, and this is the second",
                            "weigh them in one: `minimize cost + weight * delay`, or make one a constraint",
                        )
                    elif statement.name is not None:
                        take(statement.name, "objective", statement.name_span or statement.span)
                case tree.SubjectTo():
                    for constraint in statement.constraints:
                        constraint_names[id(constraint)] = self._constraint_name(constraint, seen, take)
        for name in constraint_names.values():
            self.symbols.setdefault(name, OtherSymbol(name, "constraint"))
        return constraint_names

    def _constraint_name(
        self,
        constraint: tree.Constraint,
        seen: dict[str, tuple[str, Span]],
        take: Callable[[str, str, Span], bool],
    ) -> str:
        if constraint.name is not None:
            take(constraint.name, "constraint", constraint.name_span or constraint.span)
            return constraint.name
        stem = f"line {constraint.span.line}"
        name, count = stem, 1
        while name in seen:
            count += 1
            name = f"{stem} ({count})"
        seen[name] = ("constraint", constraint.span)
        return name

    def _check_outside_names(self) -> None:
        known = [n for n, d in self.declarations.items() if isinstance(d, tree.SetDecl | tree.ParamDecl)]
        known += list(self.table_declarations)
        for name in [*self.supplied, *self.paths]:
            if name in known:
                continue
            guess = closest(name, known)
            other = self.declarations.get(name)
            if other is not None:
                message = f"`{name}` is a {kind_name(other)}; data can be given for sets, parameters and tables only"
            else:
                message = f"data was given for `{name}`, which the model does not declare"
            takes = f"it takes data for {', '.join(known[:12])}" if known else "it takes no data"
            hint = f"did you mean `{guess}`?" if guess and guess != name else takes
            if isinstance(other, tree.VarDecl):
                hint = "to hold a variable at a value, declare it `fixed, init` that value, or add a constraint"
            self._report("unknown-data", None, message, hint)

    def _warnings(self, iterators: Sequence[tree.Iterator]) -> list[str]:
        hidden = {
            slot.name: slot.span.line
            for iterator in iterators
            for slot in (iterator.slots or ())
            if isinstance(slot, tree.Name) and slot.name in self.symbols
        }
        return [
            f"line {line}: the index `{name}` hides the declared `{name}`" for name, line in sorted(hidden.items())
        ]


def iterators_in(node: object) -> list[tree.Iterator]:
    import dataclasses

    found, stack = [], [node]
    while stack:
        current = stack.pop()
        if isinstance(current, tuple):
            stack.extend(current)
        elif dataclasses.is_dataclass(current) and not isinstance(current, Span | Source):
            if isinstance(current, tree.Iterator):
                found.append(current)
            stack.extend(getattr(current, f.name) for f in dataclasses.fields(current) if f.compare)
    return found


def kind_name(declaration: Declaration) -> str:
    return {"SetDecl": "set", "ParamDecl": "parameter", "VarDecl": "variable", "LetDecl": "named expression"}[
        type(declaration).__name__
    ]
