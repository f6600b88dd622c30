"""Which names a declaration uses, and the order in which declarations can be evaluated."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping

from optdsl.errors import Diagnostic, ModelError, Source, Span
from optdsl.language import tree


def names_in(node: object) -> Iterator[tree.Name]:
    """All names (of sets, parameters, variables ...) that occur in a part of the tree, function names included."""
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, tree.Name):
            yield current
        elif isinstance(current, tuple):
            stack.extend(current)
        elif dataclasses.is_dataclass(current) and not isinstance(current, Span | Source):
            if isinstance(current, tree.Call):
                yield tree.Name(current.name, span=current.name_span)
            for field in dataclasses.fields(current):
                if field.compare:
                    value = getattr(current, field.name)
                    if not isinstance(value, str | int | float | bool | None.__class__):
                        stack.append(value)


def undeclared(node: object, known: Collection[str]) -> list[tree.Name]:
    """Names in a part of the tree that are neither known nor bound by an iteration or as an argument in it."""
    found: list[tree.Name] = []
    bound: set[str] = set()
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, tree.Name):
            found.append(current)
        elif isinstance(current, tuple):
            stack.extend(current)
        elif dataclasses.is_dataclass(current) and not isinstance(current, Span | Source):
            if isinstance(current, tree.Iterator):
                bound.update(slot.name for slot in current.slots or () if isinstance(slot, tree.Name))
            if isinstance(current, tree.LetDecl):
                bound.update(current.parameters or ())
            stack.extend(getattr(current, field.name) for field in dataclasses.fields(current) if field.compare)
    return [name for name in found if name.name not in known and name.name not in bound]


def evaluation_order(
    uses: Mapping[str, Mapping[str, Span]], source: Source
) -> tuple[list[str], list[ModelError], set[str]]:
    """Names so that each stands after those that it uses, an error for each cycle, and the names in cycles.

    `uses` maps a declared name to the declared names that it uses, with the place of the first use.
    """
    order: list[str] = []
    errors: list[ModelError] = []
    circular: set[str] = set()
    state: dict[str, int] = {}
    for root in uses:
        if root in state:
            continue
        state[root] = 1
        path = [(root, iter(uses[root]))]
        while path:
            name, rest = path[-1]
            following = next(rest, None)
            if following is None:
                path.pop()
                state[name] = 2
                order.append(name)
            elif state.get(following) == 1:
                names = [n for n, _ in path]
                cycle = [*names[names.index(following) :], following]
                errors.append(_cycle(cycle, uses[name][following], source))
                circular.update(cycle)
            elif following not in state:
                state[following] = 1
                path.append((following, iter(uses[following])))
    return order, errors, circular


def _cycle(cycle: list[str], span: Span, source: Source) -> ModelError:
    chain = " -> ".join(cycle)
    return ModelError(
        Diagnostic(
            "cyclic-definition",
            f"these definitions go round in a circle: {chain}"
            if len(cycle) > 2
            else f"`{cycle[0]}` is defined by itself",
            span,
            "define one of them without the others" if len(cycle) > 2 else "define it without itself",
            source,
        )
    )
