"""The messages about texts that are not in the language, word for word: `tests/golden/syntax`.

Each `NAME.opt` there has its messages in `NAME.txt`; `OPTDSL_UPDATE_GOLDEN=1` writes them anew.
"""

import ast
import os
import re
from pathlib import Path

import pytest

from optdsl.errors import OptSyntaxError
from optdsl.language import parse

GOLDEN = Path(__file__).parents[1] / "golden" / "syntax"
SOURCES = sorted((Path(__file__).parents[2] / "optdsl" / "language").glob("*.py"))
REPORTERS = {"Diagnostic", "report", "at", "bracket_mistake"}


def messages(path: Path) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        text = file.read()
    with pytest.raises(OptSyntaxError) as caught:
        parse(text, path.name)
    return f"{caught.value}\n"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.opt")), ids=lambda path: path.stem)
def test_messages(path: Path) -> None:
    found = messages(path)
    expected = path.with_suffix(".txt")
    if os.environ.get("OPTDSL_UPDATE_GOLDEN"):
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


def codes() -> set[str]:
    """The codes that the parser can give: the literal first arguments of what makes diagnostics."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if name in REPORTERS and isinstance(node.args[0].value, str):
                    found.add(node.args[0].value)
    return found


def test_every_code_has_a_golden() -> None:
    shown = {
        code
        for path in GOLDEN.glob("*.txt")
        for code in re.findall(r"^error\[(.+?)\]", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert codes() == shown


def test_every_message_has_a_place_and_a_hint() -> None:
    for path in sorted(GOLDEN.glob("*.opt")):
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        with pytest.raises(OptSyntaxError) as caught:
            parse(text)
        for diagnostic in caught.value.diagnostics:
            assert diagnostic.hint, (path.name, diagnostic)
            assert diagnostic.source is not None
            if diagnostic.code != "nothing-to-solve":
                assert diagnostic.span is not None
                assert 0 <= diagnostic.span.start <= diagnostic.span.end <= len(text)


def test_mistakes_come_in_the_order_of_the_text_and_at_most_twenty() -> None:
    with pytest.raises(OptSyntaxError) as caught:
        parse("var x\n" + "minimize 3 x\n" * 50)
    lines = [diagnostic.span.line for diagnostic in caught.value.diagnostics if diagnostic.span]
    assert lines == list(range(2, 22))


@pytest.mark.parametrize(
    "text",
    [
        "minimize x +\n  (y\nvar z\nshow z",
        "parm n = 5\nvar x",
        "minimize cost: x\n  + y\n  + z\n  - w\nvar v",
        "subjct to\n  a: x <= 1\n  b[i in I]: y[i] >= 2\nshow x",
        "param c = {\"a\" 1,\n  \"b\": 2,\n  \"c\": 3}\nvar x",
        "minimize sum(x[i] ≤ 3 for i in I",
        "s.t. a: x <= 3\nshow x",
        "minimize x \\\n  + y",
        "let f = sum(x[i] for i in I))\nvar x",
    ],
)  # fmt: skip
def test_one_cause_gives_one_message(text: str) -> None:
    with pytest.raises(OptSyntaxError) as caught:
        parse(text)
    assert len(caught.value.diagnostics) == (2 if "≤" in text else 1), str(caught.value)


def test_caret_counts_wide_characters_and_tabs() -> None:
    with pytest.raises(OptSyntaxError) as caught:
        parse('show "日本", 2 x')
    assert str(caught.value).splitlines()[4] == "   | " + " " * 13 + "^^^"
    with pytest.raises(OptSyntaxError) as caught:
        parse("\tshow\t2 x")
    assert str(caught.value).splitlines()[4] == "   | \t    \t^^^"


def test_a_long_line_is_quoted_around_the_mistake() -> None:
    with pytest.raises(OptSyntaxError) as caught:
        parse("show " + ", ".join(f"x{i}" for i in range(500)) + ", 2 x, " + "y, " * 500)
    quoted = str(caught.value).splitlines()[3]
    assert "2 x" in quoted
    assert len(quoted) < 150
