"""The function reference of the documentation, written from the table."""

from __future__ import annotations

from collections.abc import Mapping

from optdsl.atoms.atom import Atom
from optdsl.atoms.table import ARRAYWISE, ELEMENTWISE, LOSSES, METRICS, REDUCTIONS, REFUSED

SECTIONS: tuple[tuple[str, str, Mapping[str, Atom]], ...] = (
    ("Elementwise", "They work entry by entry; shapes broadcast.", ELEMENTWISE),
    (
        "Reductions",
        "They take one array, `sum(X)`, one axis of it, `sum(X, over = J)`, or an iteration, `sum(e for i in I)`.",
        REDUCTIONS,
    ),
    ("Arrays", "They take whole vectors and matrices.", ARRAYWISE),
    ("Losses", "One value for each row of data.", LOSSES),
    ("Metrics", "For `show` and for evaluation, not for optimizing.", METRICS),
)

HEAD = """# Functions

Every function of the language. This page is written from the table of functions (`optdsl/atoms`); a test keeps the
two equal.

- *Domain*: where the function is defined. Outside it a value is an error in data, and a solution is checked against it.
- *Slope* and *curvature* hold on the domain, in all arguments that are not data; where they depend on the arguments'
  signs, optdsl uses what is known of their ranges.
- *Data*: arguments that must be data. *Symmetric*: matrices that must be symmetric.
"""


def signature(row: Atom) -> str:
    """The call as a user writes it: `pow(x, p)`, `max(x, x, ...)`."""
    fewest, most = row.arity
    names = [row.parameter(position) for position in range(fewest if most is None else most)]
    return f"{row.name}({', '.join(names)}{', ...' if most is None else ''})"


def reference_markdown() -> str:
    """The whole page."""
    parts = [HEAD]
    for title, text, table in SECTIONS:
        parts.append(f"## {title}\n\n{text}\n")
        parts.extend(_entry(row) for row in table.values())
    parts.append("## Not in the language\n")
    parts.append("".join(f"- `{name}`: {why}.\n" for name, why in REFUSED.items()))
    return "\n".join(parts)


def _entry(row: Atom) -> str:
    facts = [("Value", row.formula), ("Domain", row.domain.text)]
    if row.acts_on == "arrays":
        facts.append(("Shapes", row.shapes.text))
    if row.data_arguments:
        facts.append(("Data", ", ".join(f"`{name}`" for name in row.data_arguments)))
    if row.needs_symmetric:
        facts.append(("Symmetric", ", ".join(f"`{name}`" for name in row.needs_symmetric)))
    facts.extend(
        (label, text)
        for label, text in zip(("Range", "Slope", "Curvature", "Smoothness"), row.summary, strict=True)
        if text != "-"
    )
    if row.acts_on == "groups":
        facts.append(("Over no members", "an error" if row.empty is None else f"{row.empty:g}"))
    facts.append(("Source", row.source))
    lines = "".join(f"- {label}: {text}\n" for label, text in facts)
    return f"### `{signature(row)}`\n\n{lines}"


if __name__ == "__main__":
    import sys
    from pathlib import Path

    Path(sys.argv[1]).write_text(reference_markdown(), encoding="utf-8")
