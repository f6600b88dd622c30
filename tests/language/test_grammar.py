"""The grammar file, the tables made from it, and what starting up costs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lark import Lark, Token
from lark.lexer import Lexer

from optdsl.errors import Source
from optdsl.language.compile import compile_record
from optdsl.language.grammar import grammar_path, tables
from optdsl.language.lexer import lex

GRAMMAR = grammar_path().read_text(encoding="utf-8")
MODELS = sorted((Path(__file__).parent / "models").glob("*.opt"))
# Section 2 of the language's definition.
KEYWORDS = """
    set param var let table minimize maximize subject to show solve using from sql in for if else by and or not init
    fixed integer binary symmetric psd nsd default
"""


def test_the_stored_tables_are_current() -> None:
    """`python -m optdsl.language.compile` writes them anew."""
    stored = json.loads(grammar_path().with_name("opt.tables.json").read_text(encoding="utf-8"))
    assert stored == json.loads(json.dumps(compile_record(GRAMMAR)))


def test_keywords() -> None:
    assert {text for text in tables().literals if text.isalpha()} == set(KEYWORDS.split())


class OurTokens(Lexer):
    """Feeds Lark's own parser with the tokens of the lexing step."""

    __future_interface__ = 2

    def __init__(self, conf: Any) -> None:
        pass

    def lex(self, state: Any, parser_state: Any) -> Iterator[Token]:
        tokens = lex(Source("", state.text.text if hasattr(state.text, "text") else state.text))
        for index, kind in enumerate(tokens.kinds[:-1]):
            yield Token(kind, tokens.text(index))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_lark_itself_reads_the_models(path: Path) -> None:
    parser = Lark(GRAMMAR, parser="lalr", lexer=OurTokens, start="file", maybe_placeholders=False)
    assert parser.parse(path.read_text(encoding="utf-8")).children


def test_parsing_imports_neither_lark_nor_numpy() -> None:
    program = (
        "import sys; from optdsl.language import format_text; format_text('var x');"
        "print(sorted({'lark', 'numpy', 'sympy', 'hashlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"lark", "numpy", "sympy"} & set(done.stdout.split("'"))
