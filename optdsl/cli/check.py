"""`optdsl check`: what kind of problem a model is."""

from __future__ import annotations

import sys

import click

from optdsl.answer.inputs import read_model
from optdsl.cli.console import write_json, write_out
from optdsl.cli.inputs import as_given_data
from optdsl.cli.options import data_options, json_option, model_argument

VALID = 0


@click.command("check")
@model_argument
@json_option
@data_options
def command(model: str, as_json: bool, set_options: tuple[str, ...], data_options: tuple[str, ...]) -> int:
    """Say what kind of problem a model is, without solving it.

    Reads the model and its data, reports every mistake in them, and names the class, the size, and the curvature
    of each statement. Ends with code 0 for a valid model, 2 for one with mistakes.

    \b
    optdsl check diet.opt
    optdsl check plan.opt --set n=10 --json
    """
    supplied, paths = as_given_data(set_options, data_options)
    given = read_model(model)

    from optdsl.answer.examining import check_text

    verdict = check_text(given.text, given.name, folder=given.folder, supplied=supplied, paths=paths)
    if as_json:
        write_json(verdict.to_json())
    else:
        from optdsl.answer.layout import page_of
        from optdsl.answer.verdict_text import verdict_text

        write_out(verdict_text(verdict, page_of(sys.stdout)))
    return VALID
