"""The list of methods, for people and for machines."""

from __future__ import annotations

from typing import Any

from optdsl.answer.json_view import VERSION, json_text
from optdsl.answer.layout import Page, left, wrapped
from optdsl.answer.methods import Method, methods
from optdsl.answer.status import Guarantee
from optdsl.convex.options import Option, allowed

INDENT = "  "


def methods_text(page: Page | None = None) -> str:
    """All methods as `optdsl methods` prints them, without a line end at its end."""
    page = page or Page()
    blocks = [_method(method, page) for method in methods()]
    return "\n\n".join("\n".join(block) for block in blocks)


def _method(method: Method, page: Page) -> list[str]:
    facts = [
        ("takes", ", ".join(method.classes)),
        ("default for", ", ".join(method.default_for)),
        ("choose when", method.choose_when),
        ("guarantee", f"{method.guarantee}: {Guarantee[method.guarantee.upper()].sentence}"),
        ("solvers", ", ".join(method.solvers)),
        ("source", method.source),
    ]
    facts = [(name, text) for name, text in facts if text]
    names = left([name for name, _ in facts])
    lines = [f"{page.style(method.name, 'bold')}   {method.what}"]
    for name, (_, text) in zip(names, facts, strict=True):
        first, *rest = wrapped(text, page.width - len(name) - 5, 0)
        lines.append(f"{INDENT}{page.style(name, 'dim')}   {first}")
        lines += [" " * (len(name) + 5) + more for more in rest]
    lines.append(f"{INDENT}{page.style('options', 'dim')}")
    option_names = left([option.name for option in method.options])
    room = page.width - 7 - len(option_names[0])
    for name, option in zip(option_names, method.options, strict=True):
        first, *rest = wrapped(_option(option), room, 0)
        lines.append(f"{INDENT * 2}{name}   {first}")
        lines += [" " * (page.width - room) + text for text in rest]
    return lines


def _option(option: Option) -> str:
    default = "" if option.default is None else f"; default {_spelled(option.default)}"
    return f"{option.what} ({allowed(option)}{default})"


def _spelled(value: float | int | str | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def methods_json() -> str:
    """All methods as `optdsl methods --json` prints them."""
    return json_text(
        {
            "optdsl": VERSION,
            "methods": [_record(method) for method in methods()],
        }
    )


def _record(method: Method) -> dict[str, Any]:
    return {
        "name": method.name,
        "what": method.what,
        "solvers": list(method.solvers),
        "classes": list(method.classes),
        "default_for": list(method.default_for),
        "choose_when": method.choose_when,
        "guarantee": method.guarantee,
        "source": method.source,
        "options": [
            {
                "name": option.name,
                "what": option.what,
                "values": allowed(option),
                "default": option.default,
            }
            for option in method.options
        ],
    }
