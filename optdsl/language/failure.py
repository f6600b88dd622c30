"""Where a parse stopped, and what can be asked about that place."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from optdsl.errors import Diagnostic
from optdsl.language.grammar import Tables
from optdsl.language.tokens import CLOSERS, OPENERS, STATEMENT_WORDS, Tokens


@dataclass(frozen=True)
class Failure:
    """Where a parse of `start` over the tokens from `first` up to `end` stopped: at `index`, with states `stack`."""

    grammar: Tables
    tokens: Tokens
    start: str
    first: int
    end: int
    index: int
    stack: list[int]

    def kind(self, index: int) -> str:
        """The kind of a token of this statement; "" beyond it."""
        return self.tokens.kinds[index] if self.first <= index < self.end else ""

    @property
    def here(self) -> str:
        return self.kind(self.index)

    @property
    def before(self) -> str:
        return self.kind(self.index - 1)

    @property
    def keyword(self) -> str:
        """The keyword that starts the statement; "" for a constraint."""
        return self.kind(self.first) if self.kind(self.first) in STATEMENT_WORDS else ""

    def text(self, index: int) -> str:
        """A token as messages quote it."""
        text = self.tokens.text(index)
        return text if len(text) <= 30 else text[:27] + "..."

    def word(self, index: int) -> str:
        return self.tokens.text(index).lower() if self.kind(index) in ("NAME", "LABEL", "ARGUMENT") else ""

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

    @functools.cached_property
    def _enclosing(self) -> list[int | None]:
        """For each token of the statement and its end, the innermost bracket that is open before it."""
        opened: list[int | None] = [None]
        result = []
        for at in range(self.first, self.end + 1):
            if self.kind(at) in CLOSERS and len(opened) > 1:
                result.append(opened.pop())
            else:
                result.append(opened[-1])
            if self.kind(at) in OPENERS:
                opened.append(at)
        return result

    def bracket(self, index: int) -> int | None:
        """The innermost bracket that is open before a token; for a closing bracket, the one it closes."""
        return self._enclosing[index - self.first]

    def head_end(self) -> int | None:
        """The token after `NAME` or `NAME[...]` where a constraint or an objective starts with one."""
        name = self.first + 1 if self.keyword in ("MINIMIZE", "MAXIMIZE") else self.first
        if self.kind(name) != "NAME":
            return None
        subscripted = self.kind(name + 1) == "LSQB" and name + 1 in self.tokens.matches
        return self.tokens.matches[name + 1] + 1 if subscripted else name + 1

    def at(
        self, code: str, message: str, hint: str | None, first: int | None = None, last: int | None = None
    ) -> Diagnostic:
        """A diagnostic at the token that did not fit, or at the tokens `first..last`."""
        first = self.index if first is None else first
        span = self.tokens.span(first, first if last is None else last)
        return Diagnostic(code, message, span, hint, self.tokens.source)
