"""Which solver takes a linear or convex quadratic program: a table, a choice with its reason, and refusals."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from optdsl.convex.options import Option
from optdsl.convex.program import Program, Progress, RawAnswer
from optdsl.errors import Diagnostic, OptionError, closest

LINEAR, MIXED_LINEAR, QUADRATIC, MIXED_QUADRATIC = "LP", "MILP", "QP", "MIQP"
CLASSES = (LINEAR, MIXED_LINEAR, QUADRATIC, MIXED_QUADRATIC)


class Solve(Protocol):
    """What a choice can be called with."""

    def __call__(
        self,
        program: Program,
        *,
        time_limit: float | None = None,
        tolerance: float | None = None,
        options: Mapping[str, Any] | None = None,
        progress: Callable[[Progress], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> RawAnswer: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A solver: the method through which it is reached, the classes it takes, those it is the default for, and why."""

    method: str
    solver: str
    classes: tuple[str, ...]
    default_for: tuple[str, ...]
    why: str


SOLVERS: tuple[Entry, ...] = (
    Entry(
        "highs",
        "HIGHS",
        (LINEAR, MIXED_LINEAR, QUADRATIC),
        (LINEAR, MIXED_LINEAR),
        "HiGHS takes the arrays in one call and ends at a vertex with exact duals",
    ),
    Entry(
        "cvxpy",
        "CLARABEL",
        (LINEAR, QUADRATIC),
        (QUADRATIC,),
        "an interior-point method solves convex quadratics to high accuracy in few iterations",
    ),
    Entry(
        "cvxpy",
        "SCIP",
        (LINEAR, MIXED_LINEAR, QUADRATIC, MIXED_QUADRATIC),
        (MIXED_QUADRATIC,),
        "branch and bound with convex relaxations closes the gap of quadratics with integers",
    ),
    Entry("cvxpy", "HIGHS", (LINEAR, MIXED_LINEAR, QUADRATIC), (), "HiGHS, reached through CVXPY"),
    Entry("cvxpy", "OSQP", (LINEAR, QUADRATIC), (), "operator splitting: cheap iterations, moderate accuracy"),
    Entry("cvxpy", "SCS", (LINEAR, QUADRATIC), (), "operator splitting on cones: large problems, moderate accuracy"),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The solver chosen: its method and name, the reason in a sentence, and the function that solves."""

    method: str
    solver: str
    why: str
    solve: Solve


def class_of(program: Program) -> str:
    """LP, MILP, QP or MIQP."""
    if program.mixed_integer:
        return MIXED_QUADRATIC if program.quadratic else MIXED_LINEAR
    return QUADRATIC if program.quadratic else LINEAR


def choose(program: Program, method: str | None = None, solver: str | None = None) -> Choice:
    """The solver for the program: the default of its class, or the one that `method` and `solver` ask for.

    `method` is "highs" or "cvxpy". Raises OptionError when there is none of that name, or it cannot take the class.
    """
    return choose_for(class_of(program), method, solver)


def choose_for(kind: str, method: str | None = None, solver: str | None = None) -> Choice:
    """The solver for a class, one of `CLASSES`; as `choose`."""
    if method is None and solver is None:
        entry = next(entry for entry in SOLVERS if kind in entry.default_for)
        return _choice(entry, f"{_of_class(kind)}: {entry.why}")
    named = _named(method, solver)
    able = [entry for entry in named if kind in entry.classes]
    if not able:
        raise OptionError(_refusal(kind, method, solver, named))
    preferred = [entry for entry in able if kind in entry.default_for]
    # Through CVXPY alone, its own default of a linear class is HiGHS.
    highs = [entry for entry in able if entry.solver == "HIGHS" and kind in (LINEAR, MIXED_LINEAR)]
    entry = (preferred or highs or able)[0]
    return _choice(entry, f"asked for; {_of_class(kind)}: {entry.why}")


def options_of(method: str) -> tuple[Option, ...]:
    """The options of a method, as `optdsl methods` lists them."""
    if method == "highs":
        found: tuple[Option, ...] = importlib.import_module("optdsl.convex.highs_settings").HIGHS_OPTIONS
    else:
        found = importlib.import_module("optdsl.convex.cone_options").CONE_OPTIONS
    return found


def _named(method: str | None, solver: str | None) -> list[Entry]:
    methods = tuple(dict.fromkeys(entry.method for entry in SOLVERS))
    if method is not None and method not in methods:
        raise OptionError(_unknown("method", method, methods))
    of_method = [entry for entry in SOLVERS if method is None or entry.method == method]
    names = tuple(dict.fromkeys(entry.solver for entry in of_method))
    # `solver` of method highs is one of its algorithms, an option of its own.
    if solver is None or method == "highs":
        return of_method
    if solver.upper() not in names:
        raise OptionError(_unknown("solver", solver, names))
    return [entry for entry in of_method if entry.solver == solver.upper()]


def _choice(entry: Entry, why: str) -> Choice:
    def solve(program: Program, **keywords: Any) -> RawAnswer:
        # Imported here: CVXPY takes seconds to import, and most problems never need it.
        if entry.method == "highs":
            answer: RawAnswer = importlib.import_module("optdsl.convex.highs").solve_highs(program, **keywords)
        else:
            answer = importlib.import_module("optdsl.convex.cones").solve_cvxpy(
                program, _solver_argument(entry, program), **keywords
            )
        return answer

    return Choice(entry.method, entry.solver, why, solve)


def _solver_argument(entry: Entry, program: Program) -> str | None:
    """None for the default of a class, so that a second solver may be tried when it ends inaccurately."""
    return None if class_of(program) in entry.default_for else entry.solver


def _of_class(kind: str) -> str:
    what = {
        LINEAR: "everything is linear",
        MIXED_LINEAR: "everything is linear, with integers",
        QUADRATIC: "the objective is convex quadratic, the constraints are linear",
        MIXED_QUADRATIC: "the objective is convex quadratic, the constraints are linear, with integers",
    }
    return what[kind]


def _refusal(kind: str, method: str | None, solver: str | None, named: list[Entry]) -> Diagnostic:
    asked = " ".join(word for word in (method, solver) if word)
    taken = [name for name in CLASSES if any(name in entry.classes for entry in named)]
    able = [f"{entry.method} ({entry.solver})" for entry in SOLVERS if kind in entry.classes]
    return Diagnostic(
        "method-cannot-solve",
        f"{asked} cannot solve this problem: {_of_class(kind)} ({kind}), and it takes {', '.join(taken)} only",
        hint=f"leave the method out, or use one of {', '.join(able)}",
    )


def _unknown(what: str, name: str, known: tuple[str, ...]) -> Diagnostic:
    near = closest(name, known)
    hint = f"did you mean `{near}`?" if near else f"there are {', '.join(known)}"
    if what == "method":
        return Diagnostic("unknown-method", f"there is no method `{name}` for linear and quadratic problems", hint=hint)
    return Diagnostic("unknown-solver", f"there is no solver `{name}`", hint=hint)
