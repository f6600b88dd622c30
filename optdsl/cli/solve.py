"""`optdsl solve`: from a file to a checked answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from optdsl.answer.inputs import read_model
from optdsl.cli.console import write_error, write_json, write_out
from optdsl.cli.inputs import as_given_data, read_options
from optdsl.cli.interrupt import Interrupts
from optdsl.cli.live import LiveLine
from optdsl.cli.options import data_options, json_option, method_options, model_argument
from optdsl.cli.silence import quiet_standard_output

if TYPE_CHECKING:
    from optdsl.answer.solution import Solution
    from optdsl.answer.training_route import Checkpointing

FOUND, NOT_FOUND = 0, 1


@click.command("solve")
@model_argument
@json_option
@method_options
@data_options
@click.option("--out", metavar="DIR", help="Write each variable and constraint as a table, and result.json, there.")
@click.option("--out-format", metavar="FORMAT", default="csv", help="The tables' format: csv (default) or parquet.")
@click.option("--save", "save", metavar="FILE", help="Save the result to FILE.json, for `init from` and `optdsl eval`.")
@click.option("--trace", "trace", metavar="FILE", help="Write the iterations as a table: FILE.csv or FILE.parquet.")
@click.option("--plot", "plot", metavar="FILE", help="Draw the answer and the run: FILE.png, FILE.svg or FILE.pdf.")
@click.option("--report", "report", metavar="FILE", help="Write FILE.html: model, data, verdict, run and answer.")
@click.option("--quiet", is_flag=True, help="Print only the status and the objective, and no live line.")
@click.option("--time-limit", metavar="SECONDS", type=float, help="Stop the solver after so long.")
@click.option("--checkpoint", metavar="DIR", help="Keep a training run's state there, so that it can go on later.")
@click.option("--resume", is_flag=True, help="Go on from the state in the --checkpoint folder.")
@click.option("--seed", metavar="N", type=int, help="Seed of starts that are drawn (init xavier) and of the method.")
def command(
    model: str,
    as_json: bool,
    method: str | None,
    method_options: tuple[str, ...],
    set_options: tuple[str, ...],
    data_options: tuple[str, ...],
    out: str | None,
    out_format: str,
    save: str | None,
    trace: str | None,
    plot: str | None,
    report: str | None,
    quiet: bool,
    time_limit: float | None,
    checkpoint: str | None,
    resume: bool,
    seed: int | None,
) -> int:
    """Solve a model and print the checked answer.

    Ends with code 0 for an answer that passed the checks, 1 for a model that has none (infeasible, unbounded, a
    limit was hit), 2 for a mistake in the model, its data or the options. Ctrl-C stops with the best point so far.

    \b
    optdsl solve diet.opt
    optdsl solve diet.opt --set need=3000 --data foods=other.csv
    optdsl solve plan.opt --time-limit 60 --opt gap=0.01 --out results
    optdsl solve plan.opt --method cvxpy --opt solver=OSQP
    optdsl solve net.opt --seed 3 --save run.json
    optdsl solve net.opt --checkpoint state --resume
    optdsl solve rocket.opt --trace run.csv --plot rocket.png --report rocket.html
    optdsl solve plan.opt --json | jq .objective.value
    cat plan.opt | optdsl solve -
    """
    from optdsl.answer.methods import check_method

    _check_places(out, out_format, save, trace, plot, report)
    if method is not None:
        check_method(method)
    options = read_options(method_options)
    supplied, paths = as_given_data(set_options, data_options)
    given = read_model(model)

    from optdsl.answer.stages import Controls, solve_text

    with quiet_standard_output(), Interrupts(quiet=as_json) as interrupts, LiveLine(sys.stderr, quiet) as line:

        def watch(stage: str) -> None:
            interrupts.running = stage in ("solving", "checking")
            line.stage(stage)

        controls = Controls(
            time_limit=time_limit,
            progress=line.progress,
            stop=interrupts.stop,
            watch=watch,
            checkpoints=_checkpointing(checkpoint, resume),
        )
        solution = solve_text(
            given.text,
            given.name,
            folder=given.folder,
            supplied=supplied,
            paths=paths,
            method=method,
            options=options,
            seed=seed,
            controls=controls,
        )
    news = _write(solution, out, out_format, save, trace, plot, report)
    _print(solution, as_json=as_json, quiet=quiet)
    if news and not quiet:
        write_error(f"\n{news}")
    return FOUND if solution.status.acceptable else NOT_FOUND


def _checkpointing(folder: str | None, resume: bool) -> Checkpointing | None:
    """Where the run keeps its state. Raises OptionError for --resume without a folder."""
    from optdsl.answer.training_route import Checkpointing
    from optdsl.errors import Diagnostic, OptionError

    if folder is not None:
        return Checkpointing(Path(folder), resume)
    if resume:
        hint = "write --checkpoint DIR --resume, with the folder of the run that was cut off"
        raise OptionError(Diagnostic("no-checkpoint-folder", "--resume needs the folder of a checkpoint", hint=hint))
    return None


def _check_places(
    out: str | None, out_format: str, save: str | None, trace: str | None, plot: str | None, report: str | None
) -> None:
    """Finds before the solve what could not be written after it."""
    from optdsl.answer.files import check_format, check_trace, make_folder

    if out is not None:
        check_format(out_format)
        make_folder(Path(out))
    if save is not None:
        from optdsl.answer.saving import check_saved

        check_saved(Path(save))
    if trace is not None:
        check_trace(Path(trace))
    if plot is not None:
        from optdsl.answer.pictures import check_picture

        check_picture(Path(plot))
    if report is not None:
        from optdsl.answer.report import check_report

        check_report(Path(report))


def _write(
    solution: Solution,
    out: str | None,
    out_format: str,
    save: str | None,
    trace: str | None,
    plot: str | None,
    report: str | None,
) -> str:
    """Writes everything asked for; returns what to tell about it."""
    news = []
    if out is not None:
        news.append(f"{len(solution.save(Path(out), out_format))} files written to {out}")
    if save is not None and solution.variables:
        news.append(f"saved to {' and '.join(map(str, solution.save(Path(save))))}")
    elif save is not None:
        news.append(f"not saved to {save}: there are no values, the model is {solution.status.word}")
    if trace is not None:
        solution.trace.save(trace)
    if plot is not None:
        solution.plot(plot)
    if report is not None:
        solution.report(report)
    return "\n".join(news)


def _print(solution: Solution, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        write_json(solution.to_json())
    elif quiet:
        from optdsl.answer.terminal import solution_line

        write_out(solution_line(solution))
    else:
        from optdsl.answer.layout import page_of
        from optdsl.answer.terminal import solution_text

        write_out(solution_text(solution, page_of(sys.stdout)))
