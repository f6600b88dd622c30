"""The language: from a text to a syntax tree with spans, and back to text in one canonical layout.

`parse(text, name)` gives a `tree.File` or raises `OptSyntaxError` with every mistake it finds; `format_text` and
`format_file` print a file anew with its comments;
`expression_text` is one expression in one line, as messages quote it.
"""

from optdsl.language.format import expression_text, format_file, format_text
from optdsl.language.parse import parse, parse_expression

__all__ = ["expression_text", "format_file", "format_text", "parse", "parse_expression"]
