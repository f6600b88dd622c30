"""Examples with a few characters and tokens replaced, removed, doubled or exchanged."""

import dataclasses
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from optdsl.atoms import ARRAYWISE, ELEMENTWISE, METRICS, REDUCTIONS
from optdsl.classify import analyze
from optdsl.errors import OptError, Source, Span
from optdsl.language import parse, tree
from optdsl.language.lexer import lex
from optdsl.model import build

EXAMPLES = Path(__file__).parents[2] / "examples"
MODELS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.opt"))}

# No digits: a set of a billion members is no mistake, and takes its time.
PIECES = [
    *"()[]{}:;,.=<>+-*/@^|&!'\"# \n",
    *("..", "<=", ">=", "=", "!=", ">>", "1", "0", "2.5", "-1", '"a"', "inf", "pi"),
    *("x", "i", "j", "S", "[i]", "(i, j)"),
    *(" if ", " for ", " in ", " else ", " not ", " and ", " or ", " by ", " from ", " default ", " init ", " fixed "),
    *(" integer ", " binary ", " symmetric ", " psd ", "\nshow ", "\nvar y\n", "\nparam q\n"),
    *(".T", ".dual", "over = "),
    *("sum", "max", "min", "prod", "mean", "norm2", "abs", "log", "sqrt", "exp"),
    *("size", "first", "last", "prev", "ord"),
    *("diag", "trace", "quad_form", "cumsum", "concat", "reshape", "huber", "softmax", "argmax", "any", "norm"),
]


# Names that optdsl makes for itself: inline arrays and sets, temporary indices.
GENERATED = re.compile(r"[\w}\])]#\d+|\bt\d+\b|\bi\d+\b")
FUNCTIONS = sorted({*ELEMENTWISE, *REDUCTIONS, *ARRAYWISE, *METRICS, "first", "last", "prev", "next", "ord", "size"})


@dataclass(frozen=True)
class Damage:
    """One change: its kind, two places as fractions of the text, and what is put in."""

    kind: str
    here: float
    there: float
    piece: str


# Changes that mostly leave a text well-formed come more often: what they break is found after the parser.
KINDS = ("replace", "remove", "double", "exchange", "insert", "copy", "cut", *("graft", "likewise") * 6)


def damaged(text: str, damages: list[Damage]) -> str:
    """The text after all changes."""
    for damage in damages:
        text = CHANGES[damage.kind](text, damage)
    return text


def _tokens(text: str) -> list[tuple[int, int]]:
    tokens = lex(Source("", text))
    return [span for span in zip(tokens.starts, tokens.ends, strict=True) if span[1] > span[0]] or [(0, len(text))]


def _at(tokens: list[tuple[int, int]], fraction: float) -> tuple[int, int]:
    return tokens[min(int(fraction * len(tokens)), len(tokens) - 1)]


def _put(text: str, damage: Damage, put: Callable[[str, str], str]) -> str:
    tokens = _tokens(text)
    start, end = _at(tokens, damage.here)
    first, last = _at(tokens, damage.there)
    return text[:start] + put(text[start:end], text[first:last]) + text[end:]


def _exchange(text: str, damage: Damage) -> str:
    tokens = _tokens(text)
    (a, b), (c, d) = sorted((_at(tokens, damage.here), _at(tokens, damage.there)))
    return text if c < b else text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:]


def _graft(text: str, damage: Damage) -> str:
    """Another expression of the text, or a small one, in the place of an expression."""
    try:
        spans = [(s.start, s.end) for s in _expressions(parse(text))]
    except OptError:
        return text
    if not spans:
        return text
    start, end = _at(spans, damage.here)
    first, last = _at(spans, damage.there)
    put = text[first:last] if len(damage.piece) % 2 else SMALL[int(damage.there * len(SMALL))]
    return text[:start] + put + text[end:]


SMALL = (
    *("1", "0", "2.5", "-1", '"a"', "inf", "{1, 2}", "{}", "[1, 2]", "[]", "(1, 2)", "{1: 2}"),
    *("1..3", "0..0", "1..0", "i", "x[1]", "size(1..3)", "1/0", "log(-1)", "[[1, 2], [3, 4]]"),
    *("max()", "sum([1, 2])", "(1 if 1 = 2 else 3)", "not 1"),
)


def _expressions(node: object) -> list[Span]:
    found: list[Span] = []
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, tuple):
            stack.extend(current)
        elif dataclasses.is_dataclass(current) and not isinstance(current, Span | Source):
            if isinstance(current, tree.Expr):
                found.append(current.span)
            stack.extend(getattr(current, field.name) for field in dataclasses.fields(current))
    return sorted(found, key=lambda span: (span.start, span.end))


def _likewise(text: str, damage: Damage) -> str:
    """Another word, number or operator in the place of one."""
    tokens = _tokens(text)
    start, end = _at(tokens, damage.here)
    token = text[start:end]
    like = [text[a:b] for a, b in tokens if _class(text[a:b]) == _class(token)]
    if _class(token) == "word" and len(damage.piece) % 2:
        like = FUNCTIONS
    return text[:start] + like[int(damage.there * len(like)) % len(like)] + text[end:]


def _class(token: str) -> str:
    if token[0].isalpha():
        return "word"
    if token[0].isdigit():
        return "number"
    return "bracket" if token[0] in "()[]{}" else "operator"


CHANGES: dict[str, Callable[[str, Damage], str]] = {
    "replace": lambda text, damage: _put(text, damage, lambda token, other: damage.piece),
    "remove": lambda text, damage: _put(text, damage, lambda token, other: ""),
    "double": lambda text, damage: _put(text, damage, lambda token, other: f"{token} {token}"),
    "insert": lambda text, damage: _put(text, damage, lambda token, other: f"{token} {damage.piece}"),
    "copy": lambda text, damage: _put(text, damage, lambda token, other: other),
    "exchange": _exchange,
    "graft": _graft,
    "likewise": _likewise,
    "cut": lambda text, damage: text[: int(damage.here * len(text))] + text[int(damage.here * len(text)) + 1 :],
}


def drawn(chance: random.Random) -> list[Damage]:
    """A few changes at random."""
    return [
        Damage(chance.choice(KINDS), chance.random(), chance.random(), chance.choice(PIECES))
        for _ in range(chance.choice((1, 1, 1, 2, 3)))
    ]


def never_a_traceback(text: str) -> None:
    """Read, bind and classify a text: it succeeds, or it raises an OptError whose messages can be drawn."""
    try:
        analyze(build(parse(text, "damaged.opt"), folder=EXAMPLES))
    except OptError as error:
        assert str(error)
        for diagnostic in error.diagnostics:
            said = " ".join((diagnostic.message, diagnostic.hint or "", *diagnostic.notes))
            generated = [name for name in GENERATED.findall(said) if name not in text]
            assert not generated, f"{generated} in: {said}"
