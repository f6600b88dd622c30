"""The Python interface: texts become models, models are checked and solved with data by keyword."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optdsl.errors import DataError, Diagnostic
from optdsl.language import parse as parse_text
from optdsl.language import tree

if TYPE_CHECKING:
    from optdsl.answer.evaluation import Evaluation
    from optdsl.answer.solution import Solution
    from optdsl.answer.verdict import Verdict
    from optdsl.convex.program import Progress
    from optdsl.convex.warm import WarmSolver
    from optdsl.data.supplied import Supplied

    Watcher = Callable[[Progress], None]


def load(path: str | os.PathLike[str]) -> Model:
    """The model in a `.opt` file; the paths in it are relative to its folder.

    Raises OptSyntaxError when the text is not in the language, DataError when the file cannot be read.
    """
    from optdsl.answer.inputs import read_model

    given = read_model(os.fspath(path))
    return Model(parse_text(given.text, given.name), given.folder)


def parse(text: str, name: str = "<text>", folder: str | os.PathLike[str] = ".") -> Model:
    """The model in a text; `name` is what messages call it, and the paths in it are relative to `folder`.

    >>> import optdsl
    >>> model = optdsl.parse('''
    ... param need
    ... var x >= 0
    ... minimize cost: 3 * x
    ... subject to
    ...   enough: x >= need
    ... ''')
    >>> solution = model.solve(need=2)
    >>> solution.status, solution.objective
    (<Status optimal>, 6.0)
    >>> float(solution["x"]), float(solution.dual("enough"))
    (2.0, 3.0)
    """
    return Model(parse_text(text, name), Path(folder))


@dataclass(frozen=True, repr=False)
class Model:
    """A model without its outside data: what `load` and `parse` give.

    Nothing in it changes: one model may be solved many times, by several threads, with different data.
    """

    tree: tree.File
    folder: Path = field(default=Path("."))

    @property
    def name(self) -> str:
        """What messages call the model."""
        return self.tree.source.name

    def check(self, *, data: Mapping[str, Any] | None = None, **values: Any) -> Verdict:
        """What kind of problem the model is with this data: its class, size, and each statement's curvature."""
        from optdsl.answer.examining import check_tree

        return check_tree(self.tree, folder=self.folder, supplied=as_supplied(data, values))

    def solve(
        self,
        *,
        method: str | None = None,
        options: Mapping[str, Any] | None = None,
        time_limit: float | None = None,
        seed: int | None = None,
        progress: Watcher | None = None,
        stop: Callable[[], bool] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
        data: Mapping[str, Any] | None = None,
        **values: Any,
    ) -> Solution:
        """The checked answer for the data given by name.

        `options` are the method's. time_limit: seconds of the solver's run. seed: of starts that are
        drawn (`init xavier`) and of the method, where it takes one. `progress` hears of a long run, `stop`
        is asked whether to end it, both in this thread. checkpoint: the folder in which a training run keeps its state;
        resume: whether it goes on from there. Data whose name is one of these words goes into `data`:
        `solve(data={"method": 3})`.

        Raises DataError for missing or wrong data, ModelError, OptionError, and NotSolvable for a model whose class
        no method of this version takes. Infeasible and unbounded are statuses, not errors.
        """
        from optdsl.answer.stages import Controls, solve_tree
        from optdsl.answer.training_route import Checkpointing

        return solve_tree(
            self.tree,
            folder=self.folder,
            supplied=as_supplied(data, values, shared=True),
            method=method,
            options=options,
            seed=seed,
            controls=Controls(
                time_limit=time_limit,
                progress=progress,
                stop=stop,
                checkpoints=None if checkpoint is None else Checkpointing(Path(checkpoint), resume),
            ),
        )

    def evaluate(
        self,
        with_: Solution | str | os.PathLike[str],
        *,
        show: Sequence[str] = (),
        data: Mapping[str, Any] | None = None,
        **values: Any,
    ) -> Evaluation:
        """The model's values at a solution or a saved one, on this data, without a solve.

        `show`: expressions in addition to the text's. What needs data that is not there is left out. Raises DataError
        for variables that the result does not have, or whose sets differ; ModelError and DataError as `solve`.

        >>> import optdsl
        >>> model = optdsl.parse('''
        ... set ROW
        ... param x[ROW]
        ... param y[ROW]
        ... var slope
        ... let predicted[i in ROW] = slope * x[i]
        ... minimize loss: sum((predicted[i] - y[i])^2 for i in ROW)
        ... show rmse(predicted, y)
        ... ''')
        >>> solution = model.solve(ROW=[1, 2], x=[1, 2], y=[2, 4])
        >>> other = model.evaluate(solution, ROW=[1, 2, 3], x=[5, 6, 7], y=[10, 12, 17])
        >>> round(float(other["loss"]), 6), [round(p, 6) for p in other["predicted"].to_dict().values()]
        (9.0, [10.0, 12.0, 14.0])
        """
        from optdsl.answer.evaluation import evaluate_tree, result_of

        supplied = as_supplied(data, values)
        return evaluate_tree(self.tree, result_of(with_), folder=self.folder, supplied=supplied, show=show)

    def compile(self, *, data: Mapping[str, Any] | None = None, **values: Any) -> Compiled:
        """The model with data that stays, ready to be solved again and again with data that changes."""
        from optdsl.convex.warm import WarmSolver

        return Compiled(self, as_supplied(data, values), WarmSolver())

    def format(self) -> str:
        """The text of the model in the one canonical layout."""
        from optdsl.language import format_text

        return format_text(self.tree.source.text, self.name)

    def __repr__(self) -> str:
        kinds: dict[str, list[str]] = {}
        for statement in self.tree.statements:
            kinds.setdefault(_kind(statement), []).extend(_names(statement))
        parts = [f"{kind} {', '.join(names)}" for kind, names in kinds.items() if names]
        return f"Model {self.name}: " + ("; ".join(parts) if parts else "no statements")


@dataclass(frozen=True, repr=False)
class Compiled:
    """A model with some of its data given; `solve` takes the rest, or replaces what is there.

    >>> import optdsl
    >>> compiled = optdsl.parse('''
    ... param need
    ... param price
    ... var x >= 0
    ... minimize cost: price * x
    ... subject to
    ...   enough: x >= need
    ... ''').compile(price=3)
    >>> [compiled.solve(need=need).objective for need in (1, 2)]
    [3.0, 6.0]
    """

    model: Model
    given: Mapping[str, Supplied]
    warm: WarmSolver

    def solve(
        self,
        *,
        method: str | None = None,
        options: Mapping[str, Any] | None = None,
        time_limit: float | None = None,
        seed: int | None = None,
        progress: Watcher | None = None,
        stop: Callable[[], bool] | None = None,
        data: Mapping[str, Any] | None = None,
        **values: Any,
    ) -> Solution:
        """The checked answer with this data in addition to, or instead of, the compiled one; as `Model.solve`.

        Where only numbers moved it goes on from the last answer: from HiGHS's basis, or from the built-in engine's
        point and multipliers.
        """
        from optdsl.answer.stages import Controls, solve_tree

        return solve_tree(
            self.model.tree,
            folder=self.model.folder,
            supplied={**self.given, **as_supplied(data, values)},
            method=method,
            options=options,
            seed=seed,
            controls=Controls(time_limit=time_limit, progress=progress, stop=stop, warm=self.warm),
        )

    def __repr__(self) -> str:
        names = ", ".join(self.given) or "no data"
        return f"Compiled {self.model.name} with {names}"


def as_given(data: Mapping[str, Any] | None, values: Mapping[str, Any]) -> dict[str, Any]:
    """The data of both ways of giving it. Raises DataError for a name given in both."""
    twice = sorted(set(data or {}) & set(values))
    if twice:
        raise DataError(
            *(
                Diagnostic(
                    "given-twice",
                    f"{name} is given both as a keyword and in data",
                    hint="keep one of the two",
                )
                for name in twice
            )
        )
    return {**(data or {}), **values}


def as_supplied(
    data: Mapping[str, Any] | None, values: Mapping[str, Any], *, shared: bool = False
) -> dict[str, Supplied]:
    """Python values in the one form that binding takes. Raises DataError for all that are of no use.

    shared: whether arrays of floats are used where they lie: for what is done with them before the caller goes on.
    """
    from optdsl.data.supplied import from_python

    supplied: dict[str, Supplied] = {}
    mistakes: list[Diagnostic] = []
    for name, value in as_given(data, values).items():
        try:
            supplied[name] = from_python(name, value, shared=shared)
        except DataError as error:
            mistakes += error.diagnostics
    if mistakes:
        raise DataError(*mistakes)
    return supplied


def _kind(statement: tree.Statement) -> str:
    match statement:
        case tree.TableDecl():
            return "table"
        case tree.SetDecl():
            return "set"
        case tree.ParamDecl():
            return "param"
        case tree.VarDecl():
            return "var"
        case tree.LetDecl():
            return "let"
        case tree.Objective():
            return statement.sense
        case tree.SubjectTo():
            return "subject to"
    return "also"


def _names(statement: tree.Statement) -> list[str]:
    match statement:
        case tree.Objective():
            return [statement.name or "objective"]
        case tree.SubjectTo():
            return [constraint.name or "(no name)" for constraint in statement.constraints]
        case tree.Show() | tree.Solve():
            return []
    return [statement.name]
