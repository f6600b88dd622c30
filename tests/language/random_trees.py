"""Hypothesis strategies for syntax trees: everything that the language can say, and nothing that it cannot."""

from hypothesis import strategies as st

from optdsl.errors import Source, Span
from optdsl.language import tree as t

SPAN = Span(0, 0, 1, 1, 1, 1)
NAMES = ["x", "y1", "_z", "größe", "变量", "T", "dual", "he", "uniform", "columns", "e1", "inf_", "over", "cost"]
WORDS = [*NAMES, "set", "in", "inf", "not"]  # also allowed after a dot
FUNCTIONS = ["f", "exp", "relu"]
REDUCTIONS = ["sum", "max", "any"]

names = st.sampled_from(NAMES)
# Lone surrogates are no text, and a string ends with its line.
strings = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=6) | st.sampled_from(
    ["\\", '"', "'", "\\\"'", "C:\\new", "a b", "#", "\\\\'"]
)


def _number(value: int | float) -> t.Number:
    return t.Number(value, repr(value), span=SPAN)


def _name(name: str) -> t.Name:
    return t.Name(name, span=SPAN)


def _membership(expr: t.Expr) -> bool:
    return isinstance(expr, t.Compare) and expr.ops == ("in",)


leaves: st.SearchStrategy[t.Expr] = st.one_of(
    names.map(_name),
    names.map(_name),
    st.integers(0, 10**20).map(_number),
    st.floats(0, allow_nan=False).map(_number),
    strings.map(lambda value: t.String(value, span=SPAN)),
)


def some(inner: st.SearchStrategy[t.Expr], least: int = 0, most: int = 3) -> st.SearchStrategy[tuple[t.Expr, ...]]:
    return st.lists(inner, min_size=least, max_size=most).map(tuple)


def iterators(inner: st.SearchStrategy[t.Expr], bare: bool) -> st.SearchStrategy[t.Iterator]:
    single = names.map(lambda name: ((_name(name),), False))
    several = some(inner, least=2).map(lambda slots: (slots, True))
    slots = st.one_of(single, several, *([st.just((None, False))] if bare else []))
    return st.builds(lambda s, source: t.Iterator(s[0], source, s[1], span=SPAN), slots, inner)


def domains(inner: st.SearchStrategy[t.Expr], bare: bool = False, most: int = 2) -> st.SearchStrategy[t.Domain]:
    several = st.lists(iterators(inner, bare), min_size=1, max_size=most).map(tuple)
    return st.builds(t.Domain, several, st.none() | inner, span=st.just(SPAN))


def keywords(inner: st.SearchStrategy[t.Expr]) -> st.SearchStrategy[tuple[t.Keyword, ...]]:
    return st.lists(st.builds(t.Keyword, names, inner, span=st.just(SPAN)), max_size=2).map(tuple)


def compares(inner: st.SearchStrategy[t.Expr], ops: list[str]) -> st.SearchStrategy[t.Compare]:
    def build(first: t.Expr, rest: list[tuple[str, t.Expr]]) -> t.Compare:
        operands = (first, *(operand for _, operand in rest))
        return t.Compare(operands, tuple(op for op, _ in rest), tuple(SPAN for _ in rest), span=SPAN)

    return st.builds(build, inner, st.lists(st.tuples(st.sampled_from(ops), inner), min_size=1, max_size=2))


def _larger(inner: st.SearchStrategy[t.Expr]) -> st.SearchStrategy[t.Expr]:
    span = st.just(SPAN)
    plain = inner.filter(lambda expr: not _membership(expr))
    indices = st.lists(inner | st.just(t.Slice(span=SPAN)), min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(t.Unary, st.sampled_from(["-", "+", "not"]), inner, span=span),
        st.builds(t.Binary, st.sampled_from("+-*/@^|&"), inner, inner, span=span),
        st.builds(t.Binary, st.sampled_from(["and", "or"]), inner, inner, span=span),
        compares(inner, ["<", "<=", ">", ">=", "=", "!=", "in", ">>", "<<"]),
        st.builds(t.IfElse, inner, inner, inner, span=span),
        st.builds(t.RangeExpr, inner, inner, st.none() | inner, span=span),
        st.builds(t.Call, st.sampled_from(FUNCTIONS), some(inner), keywords(inner), name_span=span, span=span),
        st.builds(
            lambda name, body, domain: t.Call(name, (body,), domain=domain, name_span=SPAN, span=SPAN),
            st.sampled_from(REDUCTIONS),
            inner,
            domains(inner),
        ),
        st.builds(t.Subscript, inner, indices, span=span),
        st.builds(t.Attribute, inner, st.sampled_from(WORDS), span=span),
        st.builds(t.TupleExpr, some(inner, least=2), span=span),
        st.builds(t.ArrayLiteral, some(inner), span=span),
        st.builds(t.Comprehension, inner, domains(inner), span=span),
        st.builds(t.SetLiteral, some(inner), span=span),
        st.builds(t.SetBuilder, st.none(), domains(inner, most=1), span=span),
        st.builds(t.SetBuilder, inner, domains(inner), span=span),
        st.builds(t.DictLiteral, st.lists(st.tuples(plain, plain), min_size=1, max_size=3).map(tuple), span=span),
    )


expressions: st.SearchStrategy[t.Expr] = st.recursive(leaves, _larger, max_leaves=12)


def _attributes(variable: bool) -> st.SearchStrategy[tuple[t.VarAttribute | t.ParamAttribute, ...]]:
    span = st.just(SPAN)
    choices: list[st.SearchStrategy[t.VarAttribute | t.ParamAttribute]] = [
        st.builds(t.Bound, st.sampled_from([">=", "<=", ">>", "<<"]), expressions, span=span),
        st.builds(t.Interval, expressions, expressions, span=span),
        st.builds(t.Flag, st.sampled_from(["integer", "binary", "symmetric", "psd", "nsd"]), span=span),
    ]
    if variable:
        choices.append(st.builds(t.Init, expressions | st.builds(t.FromFile, strings, span=span), span=span))
    else:
        choices.append(st.builds(t.Default, expressions, span=span))
        values = expressions.filter(lambda expr: not isinstance(expr, t.ArrayLiteral))
        choices.append(st.builds(t.MemberOf, values, span=span))
    return st.lists(st.one_of(choices), max_size=3).map(tuple)


def _statements() -> st.SearchStrategy[t.Statement]:
    span = st.just(SPAN)
    spans = {"name_span": span, "span": span}
    tables = names.filter(lambda name: name != "columns")
    columns = st.none() | st.lists(strings | names, min_size=1, max_size=3).map(tuple)
    sources = st.one_of(
        st.builds(t.FromTable, tables, columns, table_span=span, span=span),
        st.builds(t.FromColumns, names, strings, table_span=span, span=span),
        st.builds(t.FromFile, strings, span=span),
    )
    any_domain = st.none() | domains(expressions, bare=True)
    contents = st.one_of(
        st.just((None, None)),
        expressions.map(lambda value: (value, None)),
        sources.map(lambda source: (None, source)),
    )
    relations = compares(expressions, ["=", "<=", ">=", ">>", "<<"])
    constraints = st.one_of(
        st.builds(t.Constraint, st.none(), st.none(), relations, span=span),
        st.builds(t.Constraint, names, any_domain, relations, span=span),
    )
    return st.one_of(
        st.builds(t.TableDecl, names, strings, **spans),
        st.builds(t.TableDecl, names, st.none() | strings, strings, **spans),
        st.builds(lambda n, d, c: t.SetDecl(n, d, *c, name_span=SPAN, span=SPAN), names, any_domain, contents),
        st.builds(
            lambda n, d, a, c: t.ParamDecl(n, d, a, *c, name_span=SPAN, span=SPAN),
            names,
            any_domain,
            _attributes(False),
            contents,
        ),
        st.builds(t.VarDecl, names, any_domain, _attributes(True), **spans),
        st.builds(t.LetDecl, names, expressions, any_domain, **spans),
        st.builds(
            t.LetDecl,
            names,
            expressions,
            parameters=st.lists(names, min_size=1, max_size=3, unique=True).map(tuple),
            **spans,
        ),
        st.builds(t.Objective, st.sampled_from(["minimize", "maximize"]), st.none() | names, expressions, span=span),
        st.builds(t.SubjectTo, st.lists(constraints, max_size=3).map(tuple), span=span),
        st.builds(t.Show, some(expressions, least=1), span=span),
        st.builds(t.Solve, names, keywords(expressions), method_span=span, span=span),
    )


files: st.SearchStrategy[t.File] = st.builds(
    t.File,
    st.lists(_statements(), min_size=1, max_size=4).map(tuple),
    source=st.just(Source("<made>", "")),
)
