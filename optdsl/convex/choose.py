"""Which solver takes a program: attributes required and supported, as tables; a choice with its reason; refusals."""

from __future__ import annotations

import enum
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from optdsl.convex.options import Option
from optdsl.convex.program import ConeKind, Program, Progress, RawAnswer
from optdsl.errors import Diagnostic, OptionError, closest


class Attribute(enum.Enum):
    """What a program may require of a solver, besides linear rows and bounds; the value is how a sentence calls it."""

    QUADRATIC = "a convex quadratic objective"
    SECOND_ORDER = "second-order cones"
    POWER = "power cones"
    EXPONENTIAL = "exponential cones"
    SEMIDEFINITE = "semidefinite matrices"
    INTEGER = "integers"


Attributes = frozenset[Attribute]

_NOTHING: Attributes = frozenset()
_QUADRATIC: Attributes = frozenset({Attribute.QUADRATIC})
_SECOND_ORDER: Attributes = _QUADRATIC | {Attribute.SECOND_ORDER}
_ALL_CONES: Attributes = _SECOND_ORDER | {Attribute.POWER, Attribute.EXPONENTIAL, Attribute.SEMIDEFINITE}

_CONTINUOUS: Mapping[str, Attributes] = {
    "LP": _NOTHING,
    "QP": _QUADRATIC,
    "QCP": _SECOND_ORDER,
    "SOCP": _SECOND_ORDER,
    "POW": _SECOND_ORDER | {Attribute.POWER},
    "EXP": _SECOND_ORDER | {Attribute.POWER, Attribute.EXPONENTIAL},
    "SDP": _ALL_CONES,
    "CONIC": _ALL_CONES,
}

CLASSES: Mapping[str, Attributes] = {
    **_CONTINUOUS,
    **{"MI" + name: needs | {Attribute.INTEGER} for name, needs in _CONTINUOUS.items()},
}
"""The classes of convex problems and what a program of the class may require: each may hold the ones before it."""

_CONE_ATTRIBUTE = {
    ConeKind.NORM: Attribute.SECOND_ORDER,
    ConeKind.SQUARE: Attribute.SECOND_ORDER,
    ConeKind.POWER: Attribute.POWER,
    ConeKind.EXPONENTIAL: Attribute.EXPONENTIAL,
    ConeKind.SEMIDEFINITE: Attribute.SEMIDEFINITE,
}


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
    """A solver: the method through which it is reached, what it supports, the classes it is the default for, and why.

    `with_integers` is what it supports together with integers, None where it takes no integers.
    """

    method: str
    solver: str
    supports: Attributes
    with_integers: Attributes | None
    default_for: tuple[str, ...]
    why: str
    why_for: Mapping[str, str] = field(default_factory=dict)

    def takes(self, needs: Attributes) -> bool:
        """Whether it supports all that is required."""
        if Attribute.INTEGER not in needs:
            return needs <= self.supports
        return self.with_integers is not None and needs - {Attribute.INTEGER} <= self.with_integers

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes it takes."""
        return tuple(name for name, needs in CLASSES.items() if self.takes(needs))


_CONIC_REASON = (
    "an interior-point method on all kinds of cones at once, to many digits, with a proof where there is no optimum"
)

SOLVERS: tuple[Entry, ...] = (
    Entry(
        "highs",
        "HIGHS",
        _QUADRATIC,
        _NOTHING,
        ("LP", "MILP"),
        "HiGHS takes the arrays in one call and ends at a vertex with exact duals",
    ),
    Entry(
        "cvxpy",
        "CLARABEL",
        _ALL_CONES,
        None,
        ("QP", "QCP", "SOCP", "POW", "EXP", "SDP", "CONIC"),
        _CONIC_REASON,
        {"QP": "an interior-point method solves convex quadratics to high accuracy in few iterations"},
    ),
    Entry(
        "cvxpy",
        "SCIP",
        _SECOND_ORDER,
        _SECOND_ORDER,
        ("MIQP", "MIQCP", "MISOCP"),
        "branch and bound with convex relaxations closes the gap of quadratics and norms with integers",
    ),
    Entry(
        "outer",
        "HIGHS+CLARABEL",
        _ALL_CONES,
        _ALL_CONES,
        ("MIPOW", "MIEXP", "MISDP", "MICONIC"),
        "no open solver branches over these cones: a linear program with integers and cuts of the cones gives bounds, "
        "conic programs with fixed integers give points, until both meet",
    ),
    Entry("cvxpy", "HIGHS", _QUADRATIC, _NOTHING, (), "HiGHS, reached through CVXPY"),
    Entry("cvxpy", "OSQP", _QUADRATIC, None, (), "operator splitting: cheap iterations, moderate accuracy"),
    Entry(
        "cvxpy", "SCS", _ALL_CONES, None, (), "operator splitting on cones: large problems, moderate accuracy"
    ),
)

_SECOND: Mapping[str, tuple[str, ...]] = {"CLARABEL": ("HIGHS", "OSQP", "SCS")}
"""The solvers through CVXPY that are tried after one that ended inaccurately; CLARABEL where nothing is said."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The solver chosen: its method and name, the reason in a sentence, and the function that solves."""

    method: str
    solver: str
    why: str
    solve: Solve


def attributes_of(program: Program) -> Attributes:
    """What the program requires of a solver."""
    needs = {_CONE_ATTRIBUTE[cone.kind] for cone in program.cones if cone.lanes}
    if program.quadratic:
        needs.add(Attribute.QUADRATIC)
    if program.mixed_integer:
        needs.add(Attribute.INTEGER)
    return frozenset(needs)


def class_of(program: Program) -> str:
    """The first of `CLASSES` that allows what the program requires; second-order cones are a SOCP."""
    return _name_of(attributes_of(program))


def _name_of(needs: Attributes) -> str:
    return next(
        name
        for name, allowed in CLASSES.items()
        if needs <= allowed and (Attribute.INTEGER in needs) == (Attribute.INTEGER in allowed) and "QCP" not in name
    )


def choose(program: Program, method: str | None = None, solver: str | None = None) -> Choice:
    """The solver for the program: the default of its class, or the one that `method` and `solver` ask for.

    `method` is "highs" or "cvxpy". Raises OptionError when there is none of that name, or it cannot take the program.
    """
    needs = attributes_of(program)
    return _choose(_name_of(needs), needs, method, solver)


def choose_for(kind: str, method: str | None = None, solver: str | None = None) -> Choice:
    """The solver for a class, one of `CLASSES`; as `choose`."""
    return _choose(kind, CLASSES[kind], method, solver)


def default_solver(program: Program) -> str:
    """The solver that CVXPY is asked for when the user names none."""
    kind = class_of(program)
    return _preferred(kind, [entry for entry in SOLVERS if entry.method == "cvxpy"], attributes_of(program)).solver


def second_solvers(program: Program, solver: str) -> tuple[str, ...]:
    """The solvers to try when `solver` ended inaccurately, in this order."""
    needs = attributes_of(program)
    able = {entry.solver for entry in SOLVERS if entry.method == "cvxpy" and entry.takes(needs)}
    return tuple(name for name in _SECOND.get(solver, ("CLARABEL",)) if name in able and name != solver)


def _choose(kind: str, needs: Attributes, method: str | None, solver: str | None) -> Choice:
    named = _named(method, solver)
    able = [entry for entry in named if entry.takes(needs)]
    if not able:
        raise OptionError(_refusal(kind, needs, method, solver, named))
    entry = _preferred(kind, able, needs)
    reason = entry.why_for.get(kind, entry.why)
    asked = "" if method is None and solver is None else "asked for; "
    return _choice(entry, f"{asked}{_of_class(kind)}: {reason}")


def _preferred(kind: str, entries: list[Entry], needs: Attributes) -> Entry:
    able = [entry for entry in entries if entry.takes(needs)]
    preferred = [entry for entry in able if kind in entry.default_for]
    # Through CVXPY alone, its own default of a linear class is HiGHS.
    highs = [entry for entry in able if entry.solver == "HIGHS" and kind in ("LP", "MILP")]
    return (preferred or highs or able)[0]


def options_of(method: str) -> tuple[Option, ...]:
    """The options of a method, as `optdsl methods` lists them."""
    module, name = _OPTIONS[method]
    found: tuple[Option, ...] = getattr(importlib.import_module(f"optdsl.convex.{module}"), name)
    return found


_OPTIONS = {
    "highs": ("highs_settings", "HIGHS_OPTIONS"),
    "cvxpy": ("cone_options", "CONE_OPTIONS"),
    "outer": ("outer_options", "OUTER_OPTIONS"),
}


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
        elif entry.method == "outer":
            answer = importlib.import_module("optdsl.convex.outer").solve_outer(program, **keywords)
        else:
            answer = importlib.import_module("optdsl.convex.cones").solve_cvxpy(
                program, _solver_argument(entry, program), **keywords
            )
        return answer

    return Choice(entry.method, entry.solver, why, solve)


def _solver_argument(entry: Entry, program: Program) -> str | None:
    """None for the default of a class, so that a second solver may be tried when it ends inaccurately."""
    return None if class_of(program) in entry.default_for else entry.solver


_WORDS = {
    "LP": "everything is linear",
    "QP": "the objective is convex quadratic, the constraints are linear",
    "QCP": "objective and constraints are convex quadratic",
    "SOCP": "everything is written with norms and squares, as second-order cones",
    "POW": "everything is written with powers, as power cones",
    "EXP": "everything is written with exponentials and logarithms, as exponential cones",
    "SDP": "everything is written with positive semidefinite matrices",
    "CONIC": "everything is written with convex cones of several kinds",
}


def _of_class(kind: str) -> str:
    return _WORDS[kind.removeprefix("MI")] + (", with integers" if kind.startswith("MI") else "")


def _refusal(
    kind: str, needs: Attributes, method: str | None, solver: str | None, named: list[Entry]
) -> Diagnostic:
    asked = " ".join(word for word in (method, solver) if word)
    taken = [name for name, allowed in CLASSES.items() if any(entry.takes(allowed) for entry in named)]
    able = [f"{entry.method} ({entry.solver})" for entry in SOLVERS if entry.takes(needs)]
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
