"""`optdsl methods`: what can solve what."""

from __future__ import annotations

import sys

import click

from optdsl.cli.console import write_json, write_out
from optdsl.cli.options import json_option

LISTED = 0


@click.command("methods")
@json_option
def command(as_json: bool) -> int:
    """List the methods: the classes each takes, what its answers are worth, and its options.

    \b
    optdsl methods
    optdsl methods --json
    """
    from optdsl.answer.method_view import methods_json, methods_text

    if as_json:
        write_json(methods_json())
    else:
        from optdsl.answer.layout import page_of

        write_out(methods_text(page_of(sys.stdout)))
    return LISTED
