"""Lark's part: from the text of the grammar to parse tables. `python -m optdsl.language.compile` stores them."""

from __future__ import annotations

import json
import sys
from typing import Any

from lark import Lark
from lark.lexer import PatternStr

from optdsl.language.grammar import STARTS, digest, grammar_path


def compile_record(grammar: str) -> dict[str, Any]:
    """The tables of a grammar text in JSON form, made by Lark; equal texts give equal records."""
    lark = Lark(grammar, parser="lalr", lexer="basic", start=list(STARTS), maybe_placeholders=False)
    table = lark.parser.parser.parser.parse_table
    order = _state_order(table)
    number = {state: index for index, state in enumerate(order)}
    rules = sorted(lark.rules, key=lambda rule: (rule.origin.name, [s.name for s in rule.expansion]))
    rule_number = {rule: index for index, rule in enumerate(rules)}

    rows: list[dict[str, int]] = []
    row_number: dict[tuple[tuple[str, int], ...], int] = {}

    def share(row: dict[str, int]) -> int:
        key = tuple(sorted(row.items()))
        if key not in row_number:
            row_number[key] = len(rows)
            rows.append(dict(key))
        return row_number[key]

    terminals = {terminal.name for terminal in lark.terminals} | {"_NL", "LABEL", "ARGUMENT", "$END"}
    states = []
    for state in order:
        actions, gotos = {}, {}
        for symbol, (action, target) in table.states[state].items():
            if symbol not in terminals:
                gotos[symbol] = number[target]
            elif action.name == "Shift":
                actions[symbol] = number[target]
            else:
                actions[symbol] = ~rule_number[target]
        states.append((share(actions), share(gotos)))
    return {
        "digest": digest(grammar),
        "literals": {t.pattern.value: t.name for t in lark.terminals if isinstance(t.pattern, PatternStr)},
        "patterns": {t.name: t.pattern.value for t in lark.terminals if not isinstance(t.pattern, PatternStr)},
        "starts": {start: number[table.start_states[start]] for start in STARTS},
        "ends": {start: number[table.end_states[start]] for start in STARTS},
        "rules": [_rule_record(rule) for rule in rules],
        "rows": rows,
        "states": states,
    }


def _state_order(table: Any) -> list[Any]:
    """The states in the order in which a search from the start states meets them.

    Lark numbers its states in an order that differs from run to run.
    """
    order = [table.start_states[start] for start in STARTS]
    seen = set(order)
    for state in order:  # grows while it is walked
        for _, (action, target) in sorted(table.states[state].items(), key=lambda item: item[0]):
            if action.name == "Shift" and target not in seen:
                seen.add(target)
                order.append(target)
    return order


def _rule_record(rule: Any) -> list[Any]:
    symbols = list(rule.expansion)
    kept = [i for i, symbol in enumerate(symbols) if not (symbol.is_term and symbol.filter_out)]
    spliced = [i for i, symbol in enumerate(symbols) if not symbol.is_term and symbol.name.startswith("_")]
    origin = rule.origin.name
    passes = len(kept) == 1 and not rule.alias and bool(rule.options.expand1) and not spliced
    build = "" if origin.startswith("_") else rule.alias or origin
    return [origin, [symbol.name for symbol in symbols], build, kept, spliced, passes]


def main() -> None:
    """Write `opt.tables.json` beside the grammar."""
    path = grammar_path()
    record = compile_record(path.read_text(encoding="utf-8"))
    text = json.dumps(record, ensure_ascii=True, separators=(",", ":"))
    path.with_name("opt.tables.json").write_text(text.replace("],[", "],\n[") + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(record['states'])} states, {len(record['rules'])} rules\n")


if __name__ == "__main__":
    main()
