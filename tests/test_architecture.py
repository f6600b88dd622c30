"""The house rules as tests: who imports whom, where state may live, how long files are, which messages have goldens.

The tables below are the rules; everything else here only reads the code and compares.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "optdsl"
GOLDEN = ROOT / "tests" / "golden"

# Each part of the package and the parts that it may import, besides itself.
BELOW = {
    "errors": set(),
    "atoms": set(),
    "nlp": set(),
    "methods": {"nlp"},
    "language": {"errors"},
    "data": {"errors", "atoms"},
    "terms": {"errors", "atoms", "data"},
    "model": {"errors", "atoms", "language", "data", "terms"},
    "classify": {"errors", "atoms", "language", "data", "terms", "model"},
    "convex": {"errors", "atoms", "language", "data", "terms", "model", "classify"},
    "engine": {"errors", "atoms", "language", "data", "terms", "model", "classify", "nlp", "methods"},
    "training": {"errors", "atoms", "language", "data", "terms", "model", "nlp", "methods", "engine"},
    "answer": {
        *("errors", "atoms", "language", "data", "terms", "model", "classify", "convex", "nlp", "methods", "engine"),
        "training",
    },
    "api": {
        *("errors", "atoms", "language", "data", "terms", "model", "classify", "convex", "nlp", "methods", "engine"),
        *("training", "answer"),
    },
    "cli": {
        *("errors", "atoms", "language", "data", "terms", "model", "classify", "convex", "nlp", "methods", "engine"),
        *("training", "answer", "api"),
    },
    "__init__": {"errors", "api", "answer"},
    "__main__": {"cli"},
}

# A package from outside and the only parts that may import it. What is not listed here is not used by optdsl.
OUTSIDE = {
    "cvxpy": {"convex"},
    "highspy": {"convex"},
    "clarabel": {"convex"},
    "osqp": {"convex"},
    "scs": {"convex"},
    "pyscipopt": {"convex"},
    "qdldl": {"classify", "methods"},
    "mpmath": {"classify"},
    "duckdb": {"data"},
    "python_calamine": {"data"},
    "pyarrow": {"data", "answer"},
    "pandas": {"data", "answer"},
    "polars": {"data", "answer"},
    "lark": {"language"},
    "sympy": {"terms", "model", "classify", "convex", "engine", "training", "answer"},
    "scipy": {
        "atoms",
        "data",
        "terms",
        "model",
        "classify",
        "convex",
        "nlp",
        "methods",
        "engine",
        "training",
        "answer",
    },
    "numpy": {
        *("atoms", "data", "terms", "model", "classify", "convex", "nlp", "methods", "engine", "training", "answer"),
        *("api", "cli"),
    },
    "click": {"cli"},
    "matplotlib": {"answer"},
    "llvmlite": {"engine"},
}

# Imports inside functions that point back within one part, each with its reason. Everything else is free of cycles.
WAYS_BACK = {
    ("optdsl.terms.nodes", "optdsl.terms.show"): "a node prints itself",
    ("optdsl.language.grammar", "optdsl.language.compile"): "tables are compiled only where the shipped ones are stale",
    ("optdsl.answer.solution", "optdsl.answer.files"): "the record offers its views",
    ("optdsl.answer.solution", "optdsl.answer.json_view"): "the record offers its views",
    ("optdsl.answer.solution", "optdsl.answer.saving"): "the record offers its views",
    ("optdsl.answer.solution", "optdsl.answer.terminal"): "the record offers its views",
    ("optdsl.answer.solution", "optdsl.answer.pictures"): "the record offers its views",
    ("optdsl.answer.solution", "optdsl.answer.report"): "the record offers its views",
    ("optdsl.answer.verdict", "optdsl.answer.json_view"): "the record offers its views",
    ("optdsl.answer.verdict", "optdsl.answer.verdict_text"): "the record offers its views",
}

# Functions with parameters that may remember their answers, each with its reason.
CACHES = {
    "_pattern": "the lexer's regular expression, a constant of the grammar",
    "_leaps": "moves of the parser, constants of the grammar",
}

LONGEST_FILE = 500
LONGEST_FUNCTION = 80

# Calls whose first argument is a diagnostic's code, also where the code is a single word.
REPORTERS = {"Diagnostic", "fault", "report", "bracket_mistake"}
# Calls whose first argument only looks like one: a lane's fault is put into words, with a code, by optdsl.model.faults.
NOT_REPORTERS = {"LaneFault"}
# Printed in its own form, which tests of the shell look at.
OWN_FAULT = "internal-error"

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """`optdsl.data.tables` for `optdsl/data/tables.py`; a package has its folder's name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """The row of `BELOW` that a module belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path, types: bool = True) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported, in functions too, and where `types` is asked under TYPE_CHECKING."""
    module = parsed(path)
    hidden = set() if types else set(for_types_only(module))
    for node in ast.walk(module):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name_of(path).split(".")
                package = package if path.name == "__init__.py" else package[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def for_types_only(module: ast.Module) -> Iterator[ast.AST]:
    """Everything below an `if TYPE_CHECKING:`."""
    for node in ast.walk(module):
        if isinstance(node, ast.If) and ast.unparse(node.test).split(".")[-1] == "TYPE_CHECKING":
            for statement in node.body:
                yield from ast.walk(statement)


def module_named(name: str) -> str | None:
    """The module of optdsl that a dotted name lies in: `optdsl.errors.Span` lies in `optdsl.errors`."""
    known = {name_of(path) for path in MODULES}
    while name:
        if name in known:
            return name
        name = name.rpartition(".")[0]
    return None


def test_every_part_has_its_rule() -> None:
    assert {part_of(name_of(path)) for path in MODULES} <= set(BELOW)


def test_imports_point_one_way() -> None:
    wrong = []
    for path in MODULES:
        here = part_of(name_of(path))
        for line, imported in imports(path):
            if imported.split(".")[0] != "optdsl":
                continue
            if imported == "optdsl.__version__":
                continue
            there = part_of(module_named(imported) or imported)
            if there != here and there not in BELOW[here]:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {here} may not import {there} ({imported})")
    assert not wrong, "\n".join(wrong)


def test_outside_packages_stay_in_their_parts() -> None:
    wrong = []
    for path in MODULES:
        here = part_of(name_of(path))
        for line, imported in imports(path):
            root = imported.split(".")[0]
            if root == "optdsl" or root in sys.stdlib_module_names:
                continue
            if here not in OUTSIDE.get(root, set()):
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {here} may not import {root}")
    assert not wrong, "\n".join(wrong)


def test_what_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    declared = {re.split(r"[^\w.-]", line)[0].lower().replace("-", "_") for line in lines}
    assert not set(OUTSIDE) - declared


def test_no_module_imports_itself_through_others() -> None:
    graph = import_graph()
    cycles = [chain for module in graph if (chain := way_back(graph, module))]
    assert not cycles, "\n".join(sorted({" -> ".join(chain) for chain in cycles}))


def test_accepted_ways_back_are_used() -> None:
    written = {(name_of(path), module_named(imported)) for path in MODULES for _, imported in imports(path)}
    assert not [pair for pair in WAYS_BACK if pair not in written]


def import_graph() -> dict[str, set[str]]:
    """Who imports whom at run time, without the accepted ways back and without the gathering done in `__init__`."""
    packages = {name_of(path) for path in MODULES if path.name == "__init__.py"}
    graph = {}
    for path in MODULES:
        here = name_of(path)
        targets = {module_named(imported) for _, imported in imports(path, types=False)} - {None, here} - packages
        graph[here] = {target for target in targets if (here, target) not in WAYS_BACK}
    return graph


def way_back(graph: dict[str, set[str]], start: str) -> list[str] | None:
    """A shortest chain of imports from a module back to itself."""
    chains = [[start]]
    seen = set()
    for chain in chains:
        for target in sorted(graph.get(chain[-1], ())):
            if target == start:
                return [*chain, start]
            if target not in seen:
                seen.add(target)
                chains.append([*chain, target])
    return None


MUTATORS = {"append", "extend", "insert", "add", "update", "setdefault", "pop", "popitem", "clear", "remove", "discard"}
CONTAINERS = {"list", "dict", "set", "defaultdict", "OrderedDict", "Counter", "deque", "WeakValueDictionary"}


def test_no_state_lives_in_modules() -> None:
    wrong = [f"{path.relative_to(ROOT)}:{line}: {what}" for path in MODULES for line, what in state_in(parsed(path))]
    assert not wrong, "\n".join(wrong)


def state_in(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Where a module keeps state: `global`, caches, thread locals, and containers of the module that code changes."""
    containers = {}
    for statement in module.body:
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                if isinstance(target, ast.Name) and is_container(statement.value):
                    containers[target.id] = statement.lineno
                    if not target.id.lstrip("_").isupper() and target.id != "__all__":
                        yield statement.lineno, f"a module-level container {target.id} that is not a constant"
    functions = [n for n in ast.walk(module) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    for function in functions:
        for decorator in function.decorator_list:
            caching = called_name(decorator.func if isinstance(decorator, ast.Call) else decorator)
            # Without parameters it is a constant that is computed when first needed.
            if caching in ("cache", "lru_cache") and ast.unparse(function.args) and function.name not in CACHES:
                yield decorator.lineno, f"a cache on {function.name}"
        for node in ast.walk(function):
            if isinstance(node, ast.Global):
                yield node.lineno, f"global {', '.join(node.names)}"
            changed = changed_name(node)
            if changed in containers and not binds(function, changed):
                yield node.lineno, f"{changed}, a container of the module, is changed"
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and called_name(node.func) in ("local", "ContextVar"):
            yield node.lineno, "a thread-local switch"


def is_container(value: ast.expr) -> bool:
    literal = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
    return isinstance(value, literal) or (isinstance(value, ast.Call) and called_name(value.func) in CONTAINERS)


def called_name(function: ast.expr) -> str | None:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else None


def changed_name(node: ast.AST) -> str | None:
    """The name that `NAME[...] = x`, `del NAME[...]`, `NAME.append(x)` and the like change."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, (ast.Store, ast.Del)):
        return node.value.id if isinstance(node.value, ast.Name) else None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
        return node.func.value.id if isinstance(node.func.value, ast.Name) else None
    return None


def binds(function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> bool:
    """Whether a function has a local of this name, which hides the module's."""
    arguments = function.args
    parameters = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    stored = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return name in parameters | stored


def test_files_and_functions_stay_readable() -> None:
    long = []
    for path in MODULES:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > LONGEST_FILE:
            long.append(f"{path.relative_to(ROOT)}: {lines} lines, at most {LONGEST_FILE}")
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION:
                length = (node.end_lineno or 0) - node.lineno + 1
                long.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {length} lines")
    assert not long, "\n".join(long)


# --------------------------------------------------------------------------------------------------- messages

CODE = re.compile(r"[a-z]+(-[a-z]+)+")
WORD = re.compile(r"[a-z]+(-[a-z]+)*")


def codes_in_the_code() -> dict[str, str]:
    """Every diagnostic's code, and a place where it is given: the literal first argument of a call."""
    found = {}
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
                continue
            value = node.args[0].value
            if called_name(node.func) in NOT_REPORTERS or value == OWN_FAULT:
                continue
            pattern = WORD if called_name(node.func) in REPORTERS else CODE
            if isinstance(value, str) and pattern.fullmatch(value):
                found[value] = f"{path.relative_to(ROOT)}:{node.lineno}"
    return found


def codes_in_the_goldens() -> dict[str, str]:
    """Every code that a golden shows, as `error[CODE]`, and one golden that shows it."""
    found = {}
    for path in sorted(GOLDEN.rglob("*.txt")):
        for code in re.findall(r"^error\[([^\]]+)\]", path.read_text(encoding="utf-8"), re.MULTILINE):
            found[code] = str(path.relative_to(ROOT))
    return found


def test_every_code_has_a_golden() -> None:
    shown = codes_in_the_goldens()
    missing = [f"{place}: {code}" for code, place in sorted(codes_in_the_code().items()) if code not in shown]
    assert not missing, "no golden under tests/golden shows\n" + "\n".join(missing)


def test_every_golden_code_exists() -> None:
    known = codes_in_the_code()
    unknown = [f"{place}: {code}" for code, place in sorted(codes_in_the_goldens().items()) if code not in known]
    assert not unknown, "no code gives\n" + "\n".join(unknown)


def test_codes_are_literals() -> None:
    """A code that is computed could not be collected; helpers that hand one through say so by the name `code`."""
    wrong = []
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            if not (isinstance(node, ast.Call) and called_name(node.func) == "Diagnostic" and node.args):
                continue
            first = node.args[0]
            if not isinstance(first, ast.Constant) and ast.unparse(first).split(".")[-1] != "code":
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: Diagnostic({ast.unparse(first)}, ...)")
    assert not wrong, "\n".join(wrong)


# --------------------------------------------------------------------------------------------------- start-up

TINY = """
var x[1..3] >= 0
minimize cost: sum(i * x[i] for i in 1..3)
subject to
  cover: sum(x[i] for i in 1..3) >= 2
"""

HEAVY = ("cvxpy", "duckdb", "pandas", "polars", "pyarrow", "matplotlib", "pyscipopt", "clarabel")


@pytest.mark.parametrize(
    ("words", "unused"),
    [
        (["--version"], (*HEAVY, "sympy", "scipy", "highspy")),
        (["fmt", "MODEL"], (*HEAVY, "sympy", "scipy", "highspy")),
        (["check", "MODEL"], (*HEAVY, "highspy")),
        (["solve", "MODEL"], HEAVY),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_commands_import_only_what_they_need(words: list[str], unused: tuple[str, ...], tmp_path: Path) -> None:
    model = tmp_path / "tiny.opt"
    model.write_text(TINY)
    arguments = [str(model) if word == "MODEL" else word for word in words]
    program = (
        "import sys\n"
        "from optdsl.cli.main import main\n"
        f"sys.argv = ['optdsl', *{arguments!r}]\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"print(sorted(set({unused!r}) & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]", f"imported although not needed: {done.stderr.splitlines()[-1]}"


# ---------------------------------------------------------------------------------------- the tests of these tests


def test_the_state_rule_sees_state() -> None:
    def found(text: str) -> list[str]:
        return [what for _, what in state_in(ast.parse(text))]

    assert found("seen = []") == ["a module-level container seen that is not a constant"]
    assert found("TABLE = {}\ndef f():\n    TABLE['a'] = 1") == ["TABLE, a container of the module, is changed"]
    assert found("TABLE = {}\ndef f():\n    TABLE.update(a=1)") == ["TABLE, a container of the module, is changed"]
    assert found("def f():\n    global x") == ["global x"]
    assert found("@lru_cache(None)\ndef f(x): pass") == ["a cache on f"]
    assert found("@cache\ndef f(): pass") == []
    assert found("TABLE = {}\ndef f(TABLE):\n    TABLE['a'] = 1") == []
    assert found("TABLE = {'a': 1}\ndef f():\n    return TABLE['a']") == []


def test_the_cycle_rule_sees_cycles() -> None:
    assert way_back({"a": {"b"}, "b": {"c"}, "c": {"a"}}, "a") == ["a", "b", "c", "a"]
    assert way_back({"a": {"b"}, "b": {"c"}, "c": {"b"}}, "a") is None
