"""`optdsl eval`: a model's values at a saved result, on other data, without a solve."""

from __future__ import annotations

import sys

import click

from optdsl.answer.inputs import read_model
from optdsl.cli.console import write_json, write_out
from optdsl.cli.inputs import as_given_data
from optdsl.cli.options import data_options, json_option, model_argument

HOLDS, VIOLATED = 0, 1


@click.command("eval")
@model_argument
@click.option("--with", "result", metavar="FILE", required=True, help="The saved result: solve MODEL --save FILE.json.")
@click.option("--show", "show", metavar="EXPR", multiple=True, help="Compute this too. Repeatable.")
@json_option
@data_options
def command(
    model: str,
    result: str,
    show: tuple[str, ...],
    as_json: bool,
    set_options: tuple[str, ...],
    data_options: tuple[str, ...],
) -> int:
    """Compute a model's values at a saved result, on other data, without solving.

    Prints the objective, what `show` names (accuracy, confusion, predictions ...), and whether the constraints hold.
    Data that is not there leaves out what needs it. Ends with code 0, 1 where a constraint or bound is violated, 2 for
    a mistake in the input.

    \b
    optdsl eval net.opt --with run.json
    optdsl eval net.opt --with run.json --data test=new.csv --json
    optdsl eval net.opt --with run.json --show "softmax(logits)"
    """
    from optdsl.answer.evaluation import evaluate_tree, result_of

    supplied, paths = as_given_data(set_options, data_options)
    given = read_model(model)
    found = result_of(result)

    from optdsl.language import parse

    file = parse(given.text, given.name)
    evaluation = evaluate_tree(file, found, folder=given.folder, supplied=supplied, paths=paths, show=show)
    if as_json:
        write_json(evaluation.to_json())
    else:
        from optdsl.answer.evaluation import evaluation_text
        from optdsl.answer.layout import page_of

        write_out(evaluation_text(evaluation, page_of(sys.stdout)))
    return HOLDS if evaluation.holds else VIOLATED
