"""What a parse that stopped says: the most likely mistake, where it is and how to fix it."""

from __future__ import annotations

from dataclasses import dataclass

from optdsl.errors import Diagnostic, closest
from optdsl.language.grammar import Tables
from optdsl.language.lexer import Tokens


@dataclass(frozen=True, slots=True)
class Failure:
    """Where a parse of `start` over the tokens `first..end` stopped: at token `index`, with the states `stack`."""

    grammar: Tables
    tokens: Tokens
    start: str
    first: int
    end: int
    index: int
    stack: list[int]

    @property
    def kind(self) -> str:
        return self.tokens.kinds[self.index] if self.index < self.end else "$END"

    def accepts(self, kind: str) -> bool:
        """Whether the parse could have gone on with a token of this kind."""
        actions, gotos, rules = self.grammar.actions, self.grammar.gotos, self.grammar.rules
        stack = list(self.stack)
        while True:
            action = actions[stack[-1]].get(kind)
            if action is None:
                return False
            if action >= 0:
                return True
            rule = rules[~action]
            if rule.symbols:
                del stack[-len(rule.symbols) :]
            stack.append(gotos[stack[-1]][rule.origin])
            if kind == "$END" and stack[-1] == self.grammar.ends[self.start]:
                return True


def explain(failure: Failure) -> Diagnostic:
    tokens, index = failure.tokens, failure.index
    span = tokens.span(index, index)
    return Diagnostic("unexpected-token", f"unexpected `{tokens.text(index)}`", span, None, tokens.source)


def unknown_statement(
    tokens: Tokens, first: int, end: int, in_block: bool
) -> tuple[Diagnostic | None, str | None]:
    """For a line that starts with no keyword: what is wrong with it, and the keyword that was meant."""
    if in_block:
        return None, None
    span = tokens.span(first, first)
    return Diagnostic(
        "unknown-statement", f"`{tokens.text(first)}` does not start a statement", span, None, tokens.source
    ), None
