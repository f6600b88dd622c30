"""The language: from text to a syntax tree with spans (`parse`), and back to text (`format_file`)."""

from optdsl.language.parse import parse

__all__ = ["parse"]
