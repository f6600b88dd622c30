"""The options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def model_argument(command: Command) -> Command:
    """MODEL: a file, or - for standard input. Whether it can be read is found, and said well, by `read_model`."""
    return click.argument("model", metavar="MODEL")(command)


def data_options(command: Command) -> Command:
    """--set and --data."""
    command = click.option(
        "--data",
        "data_options",
        metavar="NAME=PATH",
        multiple=True,
        help="Read a table, a parameter or a set from another file. Repeatable.",
    )(command)
    return click.option(
        "--set",
        "set_options",
        metavar="NAME=VALUE",
        multiple=True,
        help="Give a parameter or a set a value: --set n=5 --set S=a,b,c. Repeatable.",
    )(command)


def method_options(command: Command) -> Command:
    """--method and --opt."""
    command = click.option(
        "--opt",
        "method_options",
        metavar="NAME=VALUE",
        multiple=True,
        help="An option of the method: --opt tol=1e-9. Repeatable.",
    )(command)
    return click.option(
        "--method",
        metavar="NAME",
        help="Solve with this method instead of the one that fits; see `optdsl methods`.",
    )(command)


def json_option(command: Command) -> Command:
    """--json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")(command)
