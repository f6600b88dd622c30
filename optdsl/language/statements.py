"""Lines that start with no keyword where a statement must: what was meant, and what to say."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from optdsl.errors import Diagnostic, closest
from optdsl.language.tokens import CLOSERS, OPENERS, Tokens

# Words of other languages, and the keyword that says the same.
KNOWN_WORDS: Mapping[str, str] = {
    "min": "minimize", "minimise": "minimize", "minimum": "minimize", "max": "maximize", "maximise": "maximize",
    "maximum": "maximize", "objective": "minimize", "st": "subject to", "s": "subject to", "such": "subject to",
    "subjectto": "subject to", "subject_to": "subject to", "constraints": "subject to", "constraint": "subject to",
    "variable": "var", "variables": "var", "decision": "var", "parameter": "param", "parameters": "param",
    "data": "param", "const": "param", "define": "let", "expression": "let", "print": "show", "display": "show",
    "output": "show", "sets": "set", "import": "table", "read": "table", "load": "table",
}  # fmt: skip
KEYWORDS = ("set", "param", "var", "let", "table", "minimize", "maximize", "subject to", "show", "solve")
RELATIONS = frozenset({"LESSTHAN", "LE", "MORETHAN", "GE", "EQUAL", "EQUAL_EQUAL", "MATRIX_GE", "MATRIX_LE", "UNEQUAL"})


def unknown_statement(tokens: Tokens, first: int, end: int, in_block: bool) -> tuple[Diagnostic | None, str | None]:
    """For a line that starts with no keyword: what is wrong with it, and the keyword that was meant.

    "subject" without a diagnostic of its own means a constraint that stands where none may; in a block most lines are
    constraints and nothing is wrong.
    """
    kinds = tokens.kinds
    word = tokens.text(first)
    meant = _meant(tokens, first, end, in_block)
    if in_block and meant is None:
        return None, None
    span = tokens.span(first, first)
    if meant is not None:
        return (
            Diagnostic(
                "unknown-statement", f"`{word}` does not start a statement", span, f"write `{meant}`", tokens.source
            ),
            meant,
        )
    relation = _relation(tokens, first, end)
    if kinds[first] == "FOR" or word in ("forall", "foreach"):
        hint = "write the indices after the constraint's name: `limit[i in I]: x[i] <= 1`, below `subject to`"
        return Diagnostic("iteration-outside", "an iteration cannot stand here", span, hint, tokens.source), None
    if relation is not None and kinds[relation] in ("EQUAL", "EQUAL_EQUAL") and relation == first + 1:
        hint = f"write `param {word} = ...` or `let {word} = ...`; constraints stand below `subject to`"
        message = f"a value is given to `{word}` outside any statement"
        return Diagnostic("unknown-statement", message, tokens.span(first, relation), hint, tokens.source), None
    if relation is not None or kinds[first] == "LABEL":
        message = "a constraint stands outside `subject to`"
        hint = "write a line `subject to` before it; a statement with a keyword ends the block"
        return Diagnostic("constraint-outside-block", message, span, hint, tokens.source), "constraint"
    hint = "a statement starts with " + ", ".join(f"`{keyword}`" for keyword in KEYWORDS[:-1]) + f" or `{KEYWORDS[-1]}`"
    return Diagnostic("unknown-statement", f"`{word}` does not start a statement", span, hint, tokens.source), None


def _meant(tokens: Tokens, first: int, end: int, in_block: bool) -> str | None:
    """The keyword that the first word of a line most likely stands for."""
    kinds = tokens.kinds
    if kinds[first] not in ("NAME", "LABEL"):
        return None
    word = tokens.text(first).lower()
    followed = first + 1 < end and kinds[first + 1] in ("NAME", "LABEL", "NUMBER", "LPAR", "TO")
    known = _only_misspelt(word) if in_block else KNOWN_WORDS.get(word) or closest(word, KEYWORDS)
    if known is None:
        return None
    if known == "subject to":
        alone = (
            first + 1 == end
            or kinds[first + 1] in ("TO", "COLON")
            or tokens.text(first + 1).lower() in ("that", "to", "t")
        )
        return known if alone or (not in_block and followed) else None
    if in_block:  # a constraint may start with any name
        return known if followed and kinds[first] == "NAME" and kinds[first + 1] in ("NAME", "LABEL") else None
    if known in ("minimize", "maximize"):
        return known
    return known if followed else None


def _only_misspelt(word: str) -> str | None:
    """The keyword that a word differs from by a letter or two; in a block, a constraint's name is as likely."""
    if KNOWN_WORDS.get(word) in ("minimize", "maximize", "subject to"):
        return KNOWN_WORDS[word]
    known = closest(word, KEYWORDS)
    if known is None:
        return None
    swapped = sorted(word) == sorted(known)
    return known if swapped or difflib.SequenceMatcher(None, word, known).ratio() >= 0.8 else None


def _relation(tokens: Tokens, first: int, end: int) -> int | None:
    """The first relation of a line that stands outside brackets."""
    depth = 0
    for at in range(first, end):
        kind = tokens.kinds[at]
        depth += (kind in OPENERS) - (kind in CLOSERS)
        if depth == 0 and kind in RELATIONS:
            return at
    return None
