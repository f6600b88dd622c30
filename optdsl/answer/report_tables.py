"""Tables of a report: labelled values with their duals, long ones shortened, with totals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

from optdsl.answer.labelled import LabelledArray, index_names
from optdsl.answer.numbers import number_text, value_text, without_noise
from optdsl.answer.solution import Solution
from optdsl.data.members import column_list

MOST_ROWS = 60
"""A table with no more rows than this is printed whole."""

HEAD, TAIL = 30, 10
"""Rows of a longer one at its start and its end; a line between them counts the others, a sum below is of all."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "", numbers: Sequence[int] = ()) -> str:
    """A table of cells that are HTML already; columns in `numbers` stand to the right; a lone cell is a remark."""

    def cells(tag: str, row: Sequence[str]) -> str:
        scope = ' scope="col"' if tag == "th" else ""
        right = [' class="n"' if k in numbers else "" for k in range(len(row))]
        return "".join(f"<{tag}{scope}{kind}>{cell}</{tag}>" for kind, cell in zip(right, row, strict=True))

    title = f"<caption>{caption}</caption>" if caption else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" if len(row) == len(head) else _between(head, row) for row in rows)
    label = escape(caption or head[0], quote=True)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{label}"><table>{title}'
        f"<thead><tr>{cells('th', head)}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _between(head: Sequence[str], row: Sequence[str]) -> str:
    return f'<tr class="more"><td colspan="{len(head)}">{"".join(row)}</td></tr>'


def answer_tables(solution: Solution) -> str:
    """What `show` asks for, then the variables with reduced costs, then the constraints with duals and slacks."""
    parts = []
    if solution.show:
        parts.append(_group("Shown", {item.text: {"value": item.value} for item in solution.show}))
    parts.append(
        _group(
            "Variables",
            {name: {"value": a.value, "reduced cost": a.reduced_cost} for name, a in solution.variables.items()},
        )
    )
    note = " (of the problem with its integers fixed)" if solution.duals_with_integers_fixed else ""
    parts.append(
        _group(
            f"Constraints: duals{note} and slacks",
            {name: {"dual": a.dual, "slack": a.slack} for name, a in solution.constraints.items()},
        )
    )
    return "".join(parts)


def direction_tables(direction: Mapping[str, LabelledArray]) -> str:
    """A direction by variable, without what does not move."""
    return _group("", {name: {"direction": array} for name, array in direction.items() if np.asarray(array).any()})


def _group(title: str, items: Mapping[str, Mapping[str, LabelledArray | None]]) -> str:
    known = {
        name: {column: array for column, array in columns.items() if array is not None}
        for name, columns in items.items()
    }
    known = {name: columns for name, columns in known.items() if columns}
    if not known:
        return ""
    single = {name: columns for name, columns in known.items() if not next(iter(columns.values())).axes}
    tables = [_singles(single)] if single else []
    tables += [_listed(name, columns) for name, columns in known.items() if name not in single]
    return (f"<h3>{escape(title)}</h3>" if title else "") + f'<div class="tables">{"".join(tables)}</div>'


def _singles(items: Mapping[str, Mapping[str, LabelledArray]]) -> str:
    """All that have no index, a row each."""
    columns = list(dict.fromkeys(column for given in items.values() for column in given))
    rows = [
        [f"<code>{escape(name)}</code>", *(escape(value_text(given[c].item())) if c in given else "" for c in columns)]
        for name, given in items.items()
    ]
    if len(rows) > MOST_ROWS:
        rows = [*rows[:HEAD], [f"... {len(rows) - HEAD - TAIL:,} more"], *rows[-TAIL:]]
    return f"<div>{table(['name', *columns], rows, numbers=range(1, len(columns) + 1))}</div>"


def _listed(name: str, columns: Mapping[str, LabelledArray]) -> str:
    """A row per entry; of a long one the first and last entries that are not 0, the counts of the rest, its totals."""
    first = next(iter(columns.values()))
    flat = {column: without_noise(np.asarray(array).ravel()) for column, array in columns.items()}
    chosen, place, others = _chosen(flat)
    labels = _labels(first, chosen)
    rows: list[list[str]] = [
        [*(escape(str(column[k])) for column in labels), *(escape(value_text(v[i])) for v in flat.values())]
        for k, i in enumerate(chosen.tolist())
    ]
    if others:
        rows.insert(place, [others])
    index = [escape(text) for text in index_names(first.axes)]
    numbers = [len(index) + k for k, values in enumerate(flat.values()) if values.dtype != object]
    caption = f"{escape(name)} [{escape(', '.join(first.sets))}]"
    shown = table([*index, *flat], rows, caption, numbers)
    left = first.size - len(chosen)
    more = f"{len(chosen):,} of {first.size:,} entries are listed. " if left else ""
    totals = _totals(flat) if first.size > 8 else ""
    remark = f'<p class="soft">{more}{totals}</p>' if more or totals else ""
    return f"<div>{shown}{remark}</div>"


def _chosen(flat: Mapping[str, np.ndarray]) -> tuple[np.ndarray, int, str]:
    """Positions of the entries to list, after how many of them something is said of the others, and what."""
    size = len(next(iter(flat.values())))
    if size <= MOST_ROWS:
        return np.arange(size), size, ""
    told = np.logical_or.reduce([values.astype(bool) for values in flat.values()])  # NaN and texts are told, too
    nonzero = np.flatnonzero(told)
    if not len(nonzero):
        nonzero = np.arange(size)
    zeros = size - len(nonzero)
    of_zeros = f"{zeros:,} that {'is' if zeros == 1 else 'are'} 0" if zeros else ""
    if len(nonzero) <= MOST_ROWS:
        return nonzero, len(nonzero), f"... {of_zeros}"
    more = f"... {len(nonzero) - HEAD - TAIL:,} more"
    if zeros:
        more += f" that are not 0, and {of_zeros}"
    return np.concatenate([nonzero[:HEAD], nonzero[-TAIL:]]), HEAD, more


def _labels(array: LabelledArray, chosen: np.ndarray) -> list[list[int | str]]:
    """The labels of some entries, a list per index position."""
    positions = np.unravel_index(chosen, array.shape) if chosen.size else [chosen for _ in array.axes]
    return [
        column_list(column.take(np.asarray(position)))
        for axis, position in zip(array.axes, positions, strict=True)
        for column in axis.columns
    ]


def _totals(flat: Mapping[str, np.ndarray]) -> str:
    parts = []
    for column, values in flat.items():
        if values.dtype == object:
            continue  # texts
        known = values[np.isfinite(values)]
        if known.any():
            numbers = (number_text(float(number)) for number in (known.sum(), known.min(), known.max()))
            total, low, high = numbers
            parts.append(f"{column}: sum {total}, from {low} to {high}, {int((known != 0).sum()):,} not 0")
    return "; ".join(parts) + ("." if parts else "")
