"""The canonical layout."""

import pytest

from optdsl.language import expression_text, format_text, parse, parse_expression

LAYOUTS = {
    "spaces": ("var   x>=0,<=10\n", "var x >= 0, <= 10\n"),
    "attributes get commas": ("var x>=0<=10 integer\n", "var x >= 0, <= 10, integer\n"),
    "synonyms": ("let a = x**2\nlet b = (c==d)\n", "let a = x^2\nlet b = c = d\n"),
    "quotes": ("table t from 'a.csv'\nset S = {'\"', \"'\"}\n", "table t from \"a.csv\"\nset S = {'\"', \"'\"}\n"),
    "semicolons": ("var x; var y;\n", "var x\nvar y\n"),
    "blocks": ("subject to a: x<=1; y>=2\n", "subject to\n  a: x <= 1\n  y >= 2\n"),
    "blank lines": ("\n\nvar x\n\n\n\nvar y\n\n", "var x\n\nvar y\n"),
    "trailing commas": ("set S = {1, 2,}\nshow x,\n", "set S = {1, 2}\nshow x\n"),
    "numbers": ("param a = [.5, 2., 1E3, 1.50]\n", "param a = [0.5, 2.0, 1e3, 1.50]\n"),
    "ranges": ("set I = i+1..n/2 by 2*k\nset J = 1..f(n)-1\n", "set I = i+1..n/2 by 2 * k\nset J = 1..f(n) - 1\n"),
    "brackets that are not needed": ("let a = ((x)) + (y * z)\n", "let a = x + y * z\n"),
    "brackets that are needed": ("let a = (x - (y - z)) * -(2^3)^2\n", "let a = (x - (y - z)) * -(2^3)^2\n"),
    "no options": ("solve using ipm()\n", "solve using ipm\n"),
    "column names": ('set S from t("a", "b c", "by")\n', 'set S from t(a, "b c", "by")\n'),
    "a constraint never starts with a minus": (
        "subject to a: x = 1; -x <= 3\n",
        "subject to\n  a: x = 1\n  (-x) <= 3\n",
    ),
    "comments": (
        "#one\nvar x#two\nvar long_name # three\n\n # four\nsubject to # five\n#six\n"
        " a: x <= # seven\n 1 # eight\n  # nine\n# ten\n",
        "#one\nvar x          #two\nvar long_name  # three\n\n# four\nsubject to  # five\n  #six\n"
        "  a:\n    x <=  # seven\n      1  # eight\n  # nine\n# ten\n",
    ),
    "a comment over two lines": ("var x    # one\n         #   two\nvar y\n", "var x  # one\n       #   two\nvar y\n"),
    "comments in lists": (
        "set S = { # a\n1, # b\n# c\n2 # d\n}\n",
        "set S = {  # a\n  1,  # b\n  # c\n  2  # d\n}\n",
    ),
    "long data": (
        f"param a = [{', '.join(['1234567'] * 14)}]\n",
        f"param a = [\n  {', '.join(['1234567'] * 11)},\n  {', '.join(['1234567'] * 3)}\n]\n",
    ),
    "long sums": (
        "minimize cost: sum(unit_cost_of_transport[i, j] * amount_shipped[i, j] for i in ORIGIN, j in DESTINATION "
        "if distance[i, j] <= 500)\n",
        "minimize cost:\n  sum(\n    unit_cost_of_transport[i, j] * amount_shipped[i, j]\n"
        "    for i in ORIGIN, j in DESTINATION\n    if distance[i, j] <= 500\n  )\n",
    ),
    "long chains": (
        f"let total = {' + '.join(['first_summand', 'second_summand'] * 4)}\n",
        "let total = first_summand + second_summand + first_summand + second_summand + first_summand +\n"
        "  second_summand + first_summand + second_summand\n",
    ),
    "long conditions": (
        "let step = 'first value of the function' if k = 1 else 'second value of the function' if k = 2 "
        "else 'any other'\n",
        'let step = "first value of the function" if k = 1 else\n  "second value of the function" if k = 2 else\n'
        '  "any other"\n',
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout(name: str) -> None:
    text, expected = LAYOUTS[name]
    assert format_text(text) == expected
    assert format_text(expected) == expected
    assert parse(expected) == parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "sum(x[i, j] for i in I, (j, k) in ARC if i < j)",
        "f(a, over = J)",
        "f((a = b))",
        "{(i, j) in A * B if i != j}",
        '{"a": 1, ("b", 2): -3}',
        "x[i, :, 1..2].T @ y",
        "(a if b else c) if d else e",
        "not (a and b) or c",
        "2^-x^2",
        "(-x)^2",
        "(1).T",
        "{}",
    ],
)
def test_expressions_keep_their_text(text: str) -> None:
    assert expression_text(parse_expression(text)) == text


def test_formatting_long_data_is_linear() -> None:
    text = "param a = [" + ", ".join(map(str, range(20_000))) + "]\n"
    assert format_text(format_text(text)) == format_text(text)
