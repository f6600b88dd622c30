"""What a parse that stopped says: the most likely mistake, where it is and how to fix it.

`explain` asks the functions in `RULES` one after the other; the first that recognizes the situation answers. Each looks
at the token that did not fit, at its surroundings, and at what the grammar would have taken in its place.
"""

from __future__ import annotations

from optdsl.errors import Diagnostic
from optdsl.language.failure import Failure
from optdsl.language.tokens import BINARY_OPERATORS, CLOSERS, OPENERS, STATEMENT_WORDS

OPERAND_STARTS = frozenset({"NAME", "ARGUMENT", "LABEL", "NUMBER", "STRING", "LPAR", "LBRACE", "LSQB"})
OPERAND_ENDS = frozenset({"NAME", "NUMBER", "STRING", "RPAR", "RBRACE", "RSQB"})
RELATIONS = frozenset({"LESSTHAN", "LE", "MORETHAN", "GE", "EQUAL", "EQUAL_EQUAL", "MATRIX_GE", "MATRIX_LE"})
STRUCTURAL_WORDS = frozenset({"FOR", "IF", "ELSE", "AND", "OR", "IN", "BY", "NOT", "FROM", "USING"})
REDUCTIONS = frozenset({"sum", "prod", "product", "max", "min", "mean", "any", "all", "norm1", "norm2"})
CONDITION_WORDS = frozenset({"where", "when", "such", "provided", "with", "suchthat"})
ATTRIBUTE_HINTS = {
    "int": "write `integer`",
    "integers": "write `integer`",
    "bool": "write `binary`",
    "boolean": "write `binary`",
    "bin": "write `binary`",
    "real": "leave it out: a variable is real unless `integer` or `binary` is said",
    "continuous": "leave it out: a variable is real unless `integer` or `binary` is said",
    "free": "leave it out: a variable without bounds is free",
    "nonnegative": "write `>= 0`",
    "nonneg": "write `>= 0`",
    "positive": "write `>= 0`",
    "negative": "write `<= 0`",
    "start": "write `init` and a value",
    "within": "write `in`",
}


def explain(failure: Failure) -> Diagnostic:
    """The one message for a parse that stopped."""
    for rule in RULES:
        diagnostic = rule(failure)
        if diagnostic is not None:
            return diagnostic
    return _unexpected(failure)


# ----------------------------------------------------------------------------------- the shape of statements


def _colon_after_keyword(f: Failure) -> Diagnostic | None:
    """`subject to:`, `minimize: x`, and keywords used as the name of a constraint."""
    if f.here == "COLON" and f.index == f.first and f.first and f.tokens.kinds[f.first - 1] == "TO":
        return f.at("unexpected-token", "no colon follows `subject to`", "remove the `:`")
    if not f.keyword or f.index != f.first + 1:
        return None
    if f.here == "COLON" and f.keyword in ("MINIMIZE", "MAXIMIZE"):
        word = f.text(f.first)
        return f.at(
            "unexpected-token", f"no colon follows `{word}` itself", f"remove the `:`, or write `{word} NAME: ...`"
        )
    if f.here in RELATIONS or f.here in ("COLON", "PLUS", "STAR", "COMMA", "DOT"):
        return _keyword_message(f, f.first)
    return None


def _missing_colon(f: Failure) -> Diagnostic | None:
    """`band[i in I] x[i] <= 1`"""
    if f.start != "constraint" and f.keyword not in ("MINIMIZE", "MAXIMIZE"):
        return None
    after = f.head_end()
    name = f.first + 1 if f.keyword else f.first
    if after is None or f.index > after or f.kind(after) not in ("NAME", "NUMBER", "LPAR"):
        return None
    if (f.kind(after) == "LPAR" and after == name + 1) or f.word(name) in ("for", "forall", "foreach"):
        return None
    what = "objective" if f.keyword else "constraint"
    label = f.text(name) + ("[...]" if after > name + 1 else "")
    return f.at(
        "missing-colon",
        f"a colon is missing after the name of the {what}, `{f.text(name)}`",
        f"write `{label}: {f.text(after)} ...`; if `{f.text(name)}` is part of the expression, an operator is missing",
        name,
        after - 1,
    )


def _declared_with_other_brackets(f: Failure) -> Diagnostic | None:
    """`var x{I}`, `param p(i)`, `limit{i in I}: ...`, `limit(i in I): ...`"""
    hint = "domains stand in square brackets: `{}[i in I]`"
    if f.here in ("LBRACE", "LPAR") and f.index == f.first + 2 and f.keyword in ("SET", "PARAM", "VAR", "LET"):
        name = f.text(f.first + 1)
        return f.at("wrong-bracket", f"`{f.text(f.index)}` after the name `{name}`", hint.format(name))
    if f.start == "constraint" and f.kind(f.first) in ("NAME", "LABEL"):
        name = f.text(f.first)
        if f.here == "LBRACE" and f.index == f.first + 1 and name not in REDUCTIONS:
            return f.at("wrong-bracket", f"`{{` after the name `{name}`", hint.format(name))
        if f.here == "COLON" and f.before == "RPAR" and f.bracket(f.index - 1) == f.first + 1:
            return f.at("wrong-bracket", f"`(` after the name `{name}`", hint.format(name), f.first + 1)
    return None


def _several_declarations(f: Failure) -> Diagnostic | None:
    """`var x, y` and `param a = 1, b = 2`"""
    if f.keyword not in ("SET", "PARAM", "VAR", "LET", "TABLE") or f.bracket(f.index) is not None:
        return None
    comma = f.index if f.here == "COMMA" else f.index - 1
    if f.kind(comma) != "COMMA" or f.kind(comma + 1) != "NAME" or f.word(comma + 1) in ATTRIBUTE_HINTS:
        return None
    word = f.text(f.first)
    message = f"one `{word}` declares one name"
    return f.at("several-declarations", message, f"write `{word} {f.text(comma + 1)}` in a line of its own", comma + 1)


def _header(f: Failure) -> Diagnostic | None:
    """Between the name of a declaration and its value."""
    if f.keyword not in ("SET", "PARAM", "VAR", "LET") or f.bracket(f.index) is not None:
        return None
    if any(f.kind(at) in ("EQUAL", "FROM") and f.bracket(at) is None for at in range(f.first, f.index)):
        return None
    name, here = f.text(f.first + 1), f.here
    if here in ("LESSTHAN", "MORETHAN") and f.accepts("GE"):
        text = f.text(f.index)
        return f.at("strict-inequality", f"a bound cannot be strict: `{text}`", f"write `{text}=`")
    if here in ("EQUAL", "EQUAL_EQUAL") and f.keyword == "VAR":
        hint = f"for an expression write `let {name} = ...`, for data `param {name} = ...`; equal bounds fix a variable"
        return f.at("unexpected-token", f"the variable `{name}` cannot be given a value", hint)
    if here == "EQUAL_EQUAL" and f.accepts("EQUAL"):
        return f.at("wrong-operator", "`==` does not give a value", "write `=`")
    if here == "DEFAULT" and f.keyword == "VAR":
        return f.at(
            "misplaced-attribute", f"the variable `{name}` cannot have a default", "write `init` for where to start"
        )
    if here == "INIT" and f.keyword == "PARAM":
        hint = "write `default` for entries without data, or `= ...`"
        return f.at("misplaced-attribute", f"the parameter `{name}` cannot have a start", hint)
    if here == "NAME" and f.word(f.index) in ATTRIBUTE_HINTS:
        message = f"`{f.text(f.index)}` is not an attribute"
        return f.at("unknown-attribute", message, ATTRIBUTE_HINTS[f.word(f.index)])
    if here in OPERAND_STARTS and f.accepts("EQUAL") and f.keyword != "VAR":
        message = f"`=` is missing between `{f.text(f.index - 1)}` and `{f.text(f.index)}`"
        return f.at("missing-equals", message, f"write `{f.text(f.first)} {name} = {f.text(f.index)} ...`")
    if here == "NAME" and f.accepts("INTEGER"):
        hint = "attributes are bounds (`>= 0`), `in [low, high]`, `integer`, `binary`, `symmetric`, `psd`, `nsd`, "
        hint += "`fixed` and `init`" if f.keyword == "VAR" else "and `default`"
        return f.at("unknown-attribute", f"`{f.text(f.index)}` is not an attribute", hint)
    return None


def _missing_word(f: Failure) -> Diagnostic | None:
    """`table t "t.csv"`, `solve ipm`, `subject x <= 1`, `solve`"""
    for kind, keyword, example in (
        ("FROM", "TABLE", 'table foods from "foods.csv"'),
        ("USING", "SOLVE", "solve using ipm(tol = 1e-9)"),
        ("TO", "SUBJECT", "subject to"),
    ):
        if f.keyword == keyword and (f.accepts(kind) or keyword == "SUBJECT"):
            hint = f"write `{example}`"
            if keyword == "SOLVE":
                hint += "; or leave the statement out: the method is then chosen by the model's class"
            after = f.index - 1 if keyword != "SUBJECT" else f.first
            at = f.index if f.index < f.end and keyword != "SUBJECT" else after
            return f.at("missing-keyword", f"`{kind.lower()}` is missing after `{f.text(after)}`", hint, at)
    return None


# --------------------------------------------------------------------------------------- iterations, conditions


def _iteration_in_other_notation(f: Failure) -> Diagnostic | None:
    """`sum{i in I} x[i]`, `sum(x[i] : i in I)`, `sum(i in I) x[i]`"""
    hint = "write `{}(x[i] for i in I)`, a condition after `if`"
    if f.here == "LBRACE" and f.word(f.index - 1).rstrip("_") in REDUCTIONS:
        name = f.word(f.index - 1).rstrip("_")
        return f.at(
            "foreign-iteration", f"`{name}{{...}}` is not how to iterate here", hint.format(name), f.index - 1, f.index
        )
    if f.here in OPERAND_STARTS and f.before == "RPAR":
        opener = f.bracket(f.index - 1)
        if opener is not None and f.word(opener - 1) in REDUCTIONS and f.kind(opener + 2) in ("IN", "COMMA"):
            name = f.word(opener - 1)
            message = f"the body of `{name}` stands inside its brackets"
            return f.at("foreign-iteration", message, hint.format(name), opener - 1, f.index)
    return None


def _colon_in_brackets(f: Failure) -> Diagnostic | None:
    """`sum(x[i] : i in I)`, `{i in I : i > 1}`, `x[1:3]`, `for i in 1:n`"""
    opener = f.bracket(f.index)
    if f.here != "COLON":
        return None
    if opener is None:
        if f.keyword in ("SET", "PARAM", "LET") and f.before in OPERAND_ENDS and f.kind(f.index + 1):
            low, high = f.text(f.index - 1), f.text(f.index + 1)
            return f.at("foreign-range", "`:` is not a range here", f"write `{low}..{high}`; both ends are in it")
        return None
    inside = [f.kind(at) for at in range(opener + 1, f.index)]
    later = [f.kind(at) for at in range(f.index + 1, f.end)]
    if (f.before == "NUMBER" and f.kind(f.index - 2) == "IN") or (f.kind(opener) == "LSQB" and "IN" not in inside):
        low, high = f.text(f.index - 1), f.text(f.index + 1) if f.index + 1 < f.end else "n"
        return f.at("foreign-range", "`:` is not a range here", f"write `{low}..{high}`; both ends are in it")
    if "IN" in inside or "FOR" in inside:
        return f.at("foreign-iteration", "`:` does not start a condition here", "write `if`, as in `i in I if i > 1`")
    if "IN" in later:
        example = "sum(x[i] for i in I)" if f.kind(opener) == "LPAR" else "{i^2 for i in I}"
        return f.at("foreign-iteration", "`:` does not start an iteration here", f"write `for`, as in `{example}`")
    return None


def _for_outside_brackets(f: Failure) -> Diagnostic | None:
    """`x[i] <= 1 for i in I`, `for i in I: ...`, `forall(i in I) ...`, `for all i in I`"""
    outside = f.bracket(f.index) is None
    foreach = any(f.word(at) in ("forall", "foreach") for at in (f.first, f.index - 1, f.index))
    if not ((f.here == "FOR" and outside) or foreach):
        return None
    if f.keyword in ("LET", "PARAM", "VAR", "SET"):
        word, name = f.text(f.first), f.text(f.first + 1)
        hint = f"write the indices after the name: `{word} {name}[i in I] ...`"
    elif f.keyword in ("MINIMIZE", "MAXIMIZE", "SHOW"):
        hint = "put the iteration into a function, as in `sum(x[i] for i in I)`"
    else:
        hint = "write the indices after the constraint's name: `limit[i in I]: x[i] <= 1`"
    at = f.index if f.index < f.end else f.index - 1
    return f.at("iteration-outside", "an iteration cannot stand here", hint, at)


def _iterator(f: Failure) -> Diagnostic | None:
    """`for i I`, `for i, j in ARC`, `for i = 1..n`, `for all i in I` in brackets"""
    opener = f.bracket(f.index)
    if opener is None:
        return None
    last_for = next(
        (at for at in range(f.index - 1, opener, -1) if f.kind(at) == "FOR" and f.bracket(at) == opener), None
    )
    if last_for is None or any(f.kind(at) == "IF" for at in range(last_for, f.index)):
        return None
    index = f.text(f.index - 1)
    if f.accepts("IN") and f.here != "FOR":
        if f.here == "COMMA" and f.kind(f.index - 2) in ("FOR", "COMMA"):
            hint = f"put tuples in round brackets: `for ({index}, j) in ARC`; separate iterators each have their `in`"
            return f.at("missing-keyword", f"`in` is missing after `{index}`", hint)
        if f.word(f.index - 1) == "all":
            return f.at("missing-keyword", "`for all` is not needed", "write `for i in I`", last_for, f.index - 1)
        hint = f"write `for {index} in SET`"
        return f.at("missing-keyword", f"`in` is missing after `{index}`", hint)
    if f.here == "FOR":
        hint = "write one `for`: `for i in I, j in J if i < j`"
        return f.at("unexpected-token", "a second `for` in the same brackets", hint)
    if f.word(f.index) in CONDITION_WORDS:
        return f.at("unexpected-token", f"`{f.text(f.index)}` does not start a condition", "write `if`")
    return None


def _iteration_of_a_list(f: Failure) -> Diagnostic | None:
    """`max(a, b for i in I)`"""
    if f.here != "FOR" or f.bracket(f.index) is None or f.accepts("ELSE") or f.accepts("NAME"):
        return None
    hint = "write one expression before the `for`: `max(max(a[i], b[i]) for i in I)`"
    return f.at("unexpected-token", "an iteration covers one expression, not a list", hint)


def _condition(f: Failure) -> Diagnostic | None:
    """`if c then a else b`, `x if c`, `[x[i] if c for i in I]`, `i in I where c`"""
    if f.here == "IF" and f.accepts("NAME"):
        return f.at("foreign-condition", "`if` stands after the value that it chooses", "write `a if condition else b`")
    if f.word(f.index) in ("then", "elif", "elsif", "elseif"):
        return f.at("foreign-condition", f"there is no `{f.text(f.index)}`", "write `a if condition else b`")
    if f.word(f.index) in CONDITION_WORDS and f.before in OPERAND_ENDS and f.bracket(f.index) is not None:
        return f.at("unexpected-token", f"`{f.text(f.index)}` does not start a condition", "write `if`")
    if not f.accepts("ELSE") or f.here in OPERAND_STARTS:
        return None
    opener = f.bracket(f.index)
    condition = next(
        (at for at in range(f.index - 1, f.first, -1) if f.kind(at) == "IF" and f.bracket(at) == opener), f.index - 1
    )
    if f.here == "FOR":
        hint = "write the condition last: `x[i] for i in I if i > 1`"
    elif f.start == "constraint" and opener is None:
        hint = "write `a if condition else b`, or the condition into the domain: `limit[i in I if i > 1]: x[i] <= 1`"
    else:
        hint = "write `a if condition else b`; to leave entries out, `for i in I if condition`"
    return f.at("missing-else", "this `if` has no `else`", hint, condition)


# --------------------------------------------------------------------------------------------- words and operands


def _keyword_as_name(f: Failure) -> Diagnostic | None:
    """`var set >= 0`, `x + by`"""
    word = f.here
    if not word or f.grammar.literals.get(f.tokens.text(f.index)) != word or not f.tokens.text(f.index).isalpha():
        return None
    declares = f.index == f.first + 1 and f.keyword in ("SET", "PARAM", "VAR", "LET", "TABLE")
    if not (f.accepts("NAME") or f.accepts("LABEL")) or (word in STRUCTURAL_WORDS and not declares):
        return None
    return _keyword_message(f, f.index)


def _keyword_message(f: Failure, token: int) -> Diagnostic:
    word = f.text(token)
    column = f.bracket(token) is not None and any(f.kind(at) == "FROM" for at in range(f.first, token))
    hint = f'write the column\'s name in quotes: "{word}"' if column else f"choose another name, such as `{word}_`"
    return f.at("keyword-as-name", f"`{word}` is a keyword and cannot be used as a name", hint, token)


def _unfinished(f: Failure) -> Diagnostic | None:
    """The statement ends too early."""
    if f.here:
        return None
    last = f.index - 1
    text = f.text(last)
    if last < f.first:
        return None
    if f.kind(last) in BINARY_OPERATORS or f.kind(last) in ("COLON", "NOT", "COMMA"):
        hint = f"write what belongs after `{text}`, or remove it"
        return f.at("unfinished-statement", f"nothing follows `{text}`", hint, last)
    if f.kind(last) in STATEMENT_WORDS or f.accepts("NAME"):
        what = "a name" if f.kind(last) in ("SET", "PARAM", "VAR", "LET", "TABLE") else "an expression"
        if f.kind(last) == "USING":
            what = "the name of a method"
        return f.at("unfinished-statement", f"{what} is missing after `{text}`", f"write it after `{text}`", last)
    return None


def _missing_operand(f: Failure) -> Diagnostic | None:
    """`x + * y`, `(x + )`, `|x|`, `>= 0,, <= 1`"""
    if f.here == "COMMA" and f.before == "COMMA":
        return f.at("missing-operand", "nothing stands between the two commas", "remove one of them", f.index - 1)
    if not f.here or not (f.accepts("NUMBER") and f.accepts("NAME")) or f.before in OPERAND_ENDS:
        return None
    text = f.text(f.index)
    if f.here == "VBAR":
        return f.at("missing-operand", "`|` does not write an absolute value", "write `abs(x)`")
    if f.here in BINARY_OPERATORS or f.here in CLOSERS or f.here in ("COMMA", "COLON", "FOR", "DOT"):
        after = f" and after `{f.text(f.index - 1)}`" if f.before else ""
        return f.at(
            "missing-operand",
            f"an expression is missing before `{text}`{after}",
            "write it, or remove what is too much",
        )
    return None


def _missing_operator(f: Failure) -> Diagnostic | None:
    """`3 x`, `(a)(b)`, `{"a" 1}`"""
    if f.here not in OPERAND_STARTS or f.before not in OPERAND_ENDS:
        return None
    left, right = f.text(f.index - 1), f.text(f.index)
    opener = f.bracket(f.index)
    if opener is None and f.kind(f.index + 1) == "COLON":
        message = f"the constraint is complete before `{right}`"
        return f.at("trailing-text", message, "write each constraint in a line of its own")
    listed = opener is not None and (f.accepts("COMMA") or f.accepts("COLON"))
    literal = f.here in ("NUMBER", "STRING") and f.before in ("NUMBER", "STRING", "RPAR")
    if listed and literal:
        entries = opener is not None and f.kind(opener) == "LBRACE" and f.accepts("COLON")
        colon = entries and (f.here == "NUMBER" or not f.accepts("COMMA"))
        message = f"`{':' if colon else ','}` is missing between `{left}` and `{right}`"
        return f.at("missing-comma", message, f"write `{left}{': ' if colon else ', '}{right}`", f.index - 1, f.index)
    if not f.accepts("STAR"):
        return None
    strings = "STRING" in (f.before, f.here)
    if not strings and (f.before == "NUMBER" or f.here == "LPAR" or f.before == "RPAR"):
        hint = "write a product with `*`"
        if f.here in ("NAME", "NUMBER") and f.before in ("NAME", "NUMBER"):
            hint = f"write the product with `*`: `{left} * {right}`"
        message = f"an operator is missing between `{left}` and `{right}`"
        return f.at("missing-multiplication", message, hint, f.index - 1, f.index)
    message = f"an operator is missing between `{left}` and `{right}`"
    hint = (
        "write the operator"
        + ("" if strings else " (products need `*`)")
        + (", or a comma" if f.accepts("COMMA") else "")
    )
    return f.at("missing-operator", message, hint, f.index - 1, f.index)


def _after_the_end(f: Failure) -> Diagnostic | None:
    """Something follows a complete statement."""
    if not f.here or not f.accepts("$END") or f.index == f.first:
        return None
    text = f.text(f.index)
    if f.here == "COMMA" and f.start == "constraint":
        return f.at("trailing-text", "a comma does not separate constraints", "write each in a line of its own")
    if f.here == "COMMA" and f.before == "NUMBER" and f.kind(f.index + 1) == "NUMBER":
        hint = "write a decimal point, `0.5`, and no separator of thousands, `10000`"
        return f.at("trailing-text", "a number has no comma in it", hint, f.index - 1, f.index + 1)
    return f.at(
        "trailing-text",
        f"the statement is complete before `{text}`",
        f"remove what follows, or start a new line before `{text}` if it is a statement of its own",
    )


def _unexpected(f: Failure) -> Diagnostic:
    """Nothing better is known: what stands there, and what could."""
    at = f.index if f.here or f.index == f.first else f.index - 1
    message = (
        f"`{f.text(f.index)}` cannot stand here" if f.here else f"the statement is not complete after `{f.text(at)}`"
    )
    expected = _expected(f)
    return f.at("unexpected-token", message, f"expected {expected}" if expected else None, at)


def _expected(f: Failure) -> str:
    names = {kind: f"`{text}`" for text, kind in f.grammar.literals.items()}
    expression = f.accepts("NAME") and f.accepts("NUMBER")
    operator = f.accepts("STAR")
    kinds = [kind for kind in names if f.accepts(kind)]
    if expression:
        kinds = [kind for kind in kinds if kind not in OPENERS and kind not in ("PLUS", "MINUS", "NOT", "COLON")]
    if operator:
        kinds = [kind for kind in kinds if kind not in BINARY_OPERATORS and kind not in ("LPAR", "LSQB", "DOT")]
    words = ["an expression"] if expression else ["a name"] if f.accepts("NAME") else []
    words += ["an operator"] if operator else []
    words += [] if expression or not f.accepts("STRING") else ["a string in quotes"]
    words += [names[kind] for kind in kinds]
    if len(words) > 8:
        words = [*words[:8], "..."]
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


RULES = (
    _colon_after_keyword,
    _missing_word,
    _declared_with_other_brackets,
    _iteration_in_other_notation,
    _missing_colon,
    _for_outside_brackets,
    _several_declarations,
    _iterator,
    _colon_in_brackets,
    _condition,
    _iteration_of_a_list,
    _keyword_as_name,
    _header,
    _unfinished,
    _missing_operand,
    _missing_operator,
    _after_the_end,
)
