"""Data that a text leaves to be supplied and nobody supplied: reported at once, with what each name needs."""

from __future__ import annotations

from collections.abc import Mapping

from optdsl.errors import Diagnostic, Source
from optdsl.language import expression_text, tree


def missing_data(
    declarations: Mapping[str, object],
    supplied: Mapping[str, object],
    paths: Mapping[str, str],
    source: Source,
    failed: set[str],
) -> list[Diagnostic]:
    """One diagnostic per name without a value; the names are added to `failed`."""
    found = []
    for name, declaration in declarations.items():
        if not isinstance(declaration, tree.SetDecl | tree.ParamDecl):
            continue
        if declaration.value is not None or declaration.source is not None or name in supplied or name in paths:
            continue
        if isinstance(declaration, tree.ParamDecl) and any(
            isinstance(a, tree.Default) for a in declaration.attributes
        ):
            continue
        failed.add(name)
        found.append(
            Diagnostic("missing-data", f"`{name}` has no data: {_needs(declaration)}", declaration.name_span,
                       _how(declaration), source)
        )
    return found


def _needs(declaration: tree.SetDecl | tree.ParamDecl) -> str:
    if isinstance(declaration, tree.SetDecl):
        return "it needs its members"
    if declaration.domain is None or not declaration.domain.iterators:
        return "it needs one value"
    axes = [expression_text(iterator.set) for iterator in declaration.domain.iterators]
    return f"it needs one value for each member of {' x '.join(axes)}"


def _how(declaration: tree.SetDecl | tree.ParamDecl) -> str:
    name = declaration.name
    if isinstance(declaration, tree.SetDecl):
        return f"`--set {name}=a,b,c`, `--data {name}=file.csv`, or `solve({name}=[...])` from Python"
    if declaration.domain is None or not declaration.domain.iterators:
        return f"`--set {name}=1.5`, or `solve({name}=1.5)` from Python"
    return f"`--data {name}=file.csv` (key columns, then the value), or `solve({name}=...)` from Python"
