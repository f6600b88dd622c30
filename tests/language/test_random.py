"""Properties of parser and formatter, on random trees, random comments and damaged models."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_trees import expressions, files

from optdsl.errors import OptSyntaxError, Source
from optdsl.language import expression_text, format_file, format_text, parse, parse_expression
from optdsl.language import tree as t
from optdsl.language.format import WIDTH
from optdsl.language.lexer import lex
from optdsl.language.tokens import CLOSERS, CONTINUES, OPENERS

MODELS = [path.read_text(encoding="utf-8") for path in sorted((Path(__file__).parent / "models").glob("*.opt"))]


def runs(examples: int) -> settings:
    """So many examples, however slow the machine; random trees are often thrown away, which is no concern here."""
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


@runs(300)
@given(expressions)
def test_expressions_survive(expr: t.Expr) -> None:
    assert parse_expression(expression_text(expr)) == expr


@runs(200)
@given(files)
def test_files_survive(file: t.File) -> None:
    text = format_file(file)
    assert parse(text) == file
    assert format_text(text) == text


@runs(150)
@given(files, st.randoms(use_true_random=False))
def test_comments_survive(file: t.File, chance: random.Random) -> None:
    check_comments(with_comments(format_file(file), chance))


@pytest.mark.parametrize("seed", range(40))
def test_comments_of_models_survive(seed: int) -> None:
    for model in MODELS:
        check_comments(with_comments(format_text(model), random.Random(seed)))


def check_comments(text: str) -> None:
    before = parse(text)
    formatted = format_text(text)
    after = parse(formatted)
    assert after == before
    assert [c.text for c in after.comments] == [c.text for c in before.comments]
    assert format_text(formatted) == formatted


def with_comments(text: str, chance: random.Random) -> str:
    """The text with comments and line ends put where a line may end."""
    tokens = lex(Source("", text))
    depth, pieces, at = 0, [], 0
    for index, kind in enumerate(tokens.kinds):
        depth += (kind in OPENERS) - (kind in CLOSERS)
        if (depth or kind in CONTINUES or kind == "_NL") and kind != "$END" and chance.random() < 0.15:
            pieces.append(text[at : tokens.ends[index]])
            at = tokens.ends[index]
            pieces.append(
                chance.choice(["  # trailing {}\n", "\n# own {}\n", "\n\n  # own {}\n   # more {}\n"]).format(
                    index, index
                )
            )
    return "".join([*pieces, text[at:]])


def damaged(model: str, chance: random.Random) -> str:
    """A model with some characters, tokens and lines removed, doubled, swapped or replaced."""
    text = model
    for _ in range(chance.randint(1, 4)):
        way = chance.randrange(6)
        if way == 0:  # replace, remove or insert characters
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice(CHARACTERS) + text[at + chance.randrange(3) :]
        elif way == 1:
            lines = text.splitlines(keepends=True)
            at = chance.randrange(len(lines))
            lines[at : at + 1] = chance.choice([[], [lines[at]] * 2, [chance.choice(lines), lines[at]]])
            text = "".join(lines) or "x"
        elif way == 2:
            text = text[: chance.randrange(1, len(text) + 1)]
        else:
            tokens = lex(Source("", text))
            if len(tokens.kinds) < 3:
                continue
            one, other = (chance.randrange(len(tokens.kinds) - 1) for _ in range(2))
            put = chance.choice(["", tokens.text(other), tokens.text(one) * 2, chance.choice(CHARACTERS)])
            text = text[: tokens.starts[one]] + put + text[tokens.ends[one] :]
    return text


CHARACTERS = [
    *"()[]{}:;,.=<>+-*/@^|&!?'\"#\\$%~ \n\t\r\0",
    *("\ud800", "\ufeff", "“", "≤", "²", "日", "\u2028", "\x85", "\x1b"),
    *(" if ", " for ", " in ", " else ", " not ", " subject to ", "\nvar ", " 2x ", "1e", "..", ":=", "&&", "s.t."),
]


def never_a_traceback(text: str) -> None:
    try:
        file = parse(text)
    except OptSyntaxError as error:
        assert str(error)
        for diagnostic in error.diagnostics:
            assert diagnostic.span is None or 0 <= diagnostic.span.start <= diagnostic.span.end <= len(text)
        return
    formatted = format_file(file)
    assert parse(formatted) == file
    assert format_text(formatted) == formatted
    assert [c.text for c in parse(formatted).comments] == [c.text for c in file.comments]


@pytest.mark.parametrize("seed", range(12))
def test_damaged_models_never_give_a_traceback(seed: int) -> None:
    chance = random.Random(seed)
    for model in MODELS:
        for _ in range(12):
            never_a_traceback(damaged(model, chance))


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(100, 400))
def test_many_damaged_models_never_give_a_traceback(seed: int) -> None:
    chance = random.Random(seed)
    for model in MODELS:
        for _ in range(30):
            never_a_traceback(damaged(model, chance))


@runs(300)
@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from([*CHARACTERS, "x", "1", "var", "sum", "minimize"]), max_size=40).map("".join)
)
def test_any_text_gives_a_file_or_messages(text: str) -> None:
    never_a_traceback(text)


def test_lines_are_not_wider_than_they_need() -> None:
    for model in MODELS:
        for line in format_text(model).splitlines():
            assert line.lstrip().startswith("#") or len(line.partition("  #")[0]) <= WIDTH
