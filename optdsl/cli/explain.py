"""`optdsl explain`: what a model looks like after a stage."""

from __future__ import annotations

import click

from optdsl.answer.inputs import read_model
from optdsl.cli.console import write_out
from optdsl.cli.inputs import as_given_data
from optdsl.cli.options import data_options, model_argument

SHOWN = 0


@click.command("explain")
@model_argument
@click.option("--after", "stage", metavar="STAGE", help="The stage: tree, data, model, class, program.")
@data_options
def command(model: str, stage: str | None, set_options: tuple[str, ...], data_options: tuple[str, ...]) -> int:
    """Print what a model looks like after a stage; without --after, its data, its templates and its program.

    \b
    tree       the syntax tree of the text
    data       the sets and parameters, bound
    model      the templates in index notation
    class      the class of each statement, and of the whole
    program    the arrays that the solver gets

    \b
    optdsl explain diet.opt --after model
    """
    from optdsl.answer.explain import check_stage

    if stage is not None:
        check_stage(stage)
    supplied, paths = as_given_data(set_options, data_options)
    given = read_model(model)

    from optdsl.answer.examining import explain_text

    write_out(explain_text(given.text, given.name, stage, folder=given.folder, supplied=supplied, paths=paths))
    return SHOWN
