"""The command `optdsl`: its subcommands, exit codes, and how every kind of mistake ends."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from optdsl import __version__
from optdsl.cli.console import prepare_streams, write_diagnostics, write_error, write_json, write_out
from optdsl.errors import Diagnostic, NotSolvable, OptError, OptionError, closest

ANSWER, NO_ANSWER, WRONG_INPUT, OWN_FAULT = 0, 1, 2, 3
"""Exit codes: an acceptable answer, a valid model without one, a user's mistake, a mistake of optdsl."""

GARBAGE = 50_000
"""New objects between two searches for garbage. Python's own 700 has the imported modules searched again and again."""

COMMANDS = {
    "solve": "Solve a model and print the checked answer.",
    "check": "Say what kind of problem a model is, without solving it.",
    "eval": "Compute a model's values at a saved result, on other data, without solving.",
    "fmt": "Print or rewrite files in the one canonical layout.",
    "explain": "Print what a model looks like after a stage.",
    "methods": "List the methods, the problems they take, and their options.",
}
"""The subcommands and their one-line help; each lives in the module of its name, loaded when it is used."""


class Commands(click.Group):
    """The subcommands, imported one at a time: `optdsl fmt` should not pay for what `optdsl solve` needs."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = import_module(f"optdsl.cli.{name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, context: click.Context, args: list[str]) -> Any:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise OptionError(_unknown_command(args[0]))
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _unknown_command(word: str) -> Diagnostic:
    near = closest(word, list(COMMANDS))
    if word.endswith(".opt"):
        hint = f"to solve a model: optdsl solve {word}"
    elif near is not None:
        hint = f"did you mean {near}?"
    else:
        hint = f"commands are {', '.join(COMMANDS)}"
    return Diagnostic("unknown-command", f"optdsl has no command {word}", hint=hint)


@click.group(
    cls=Commands,
    no_args_is_help=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--version", is_flag=True, help="Print the version and end.")
@click.option("--debug", is_flag=True, help="Show the traceback of a mistake in optdsl itself.")
@click.pass_context
def commands(context: click.Context, version: bool, debug: bool) -> int:
    """Optimization problems written as text, solved, and checked.

    \b
    optdsl solve diet.opt            solve, and print the answer
    optdsl check diet.opt            say what kind of problem it is
    optdsl fmt diet.opt              tidy the file
    optdsl solve --help              options and more examples
    """
    if version:
        write_out(f"optdsl {__version__}")
        context.exit(ANSWER)
    if context.invoked_subcommand is None:
        write_error(context.get_help())
        context.exit(WRONG_INPUT)
    return ANSWER


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; nothing is raised."""
    as_json = "--json" in arguments
    try:
        code = commands.main(args=list(arguments), prog_name="optdsl", standalone_mode=False)
        return code if isinstance(code, int) else ANSWER
    except OptError as error:
        return _report(error, as_json)
    except click.ClickException as error:
        return _report(OptionError(_command_line(error)), as_json)
    except (KeyboardInterrupt, click.Abort):
        write_error("optdsl: interrupted before there was an answer")
        return NO_ANSWER
    except MemoryError:
        write_error("optdsl: the computer's memory is not enough for this model")
        return NO_ANSWER
    except Exception as error:
        return _fault(error, arguments, as_json)


def _report(error: OptError, as_json: bool) -> int:
    refused = isinstance(error, NotSolvable)
    write_diagnostics(error.diagnostics)
    if as_json:
        from optdsl.answer.json_view import errors_json

        extra = {"model": error.model, "class": error.problem_class} if isinstance(error, NotSolvable) else None
        write_json(errors_json(error.diagnostics, extra))
    return NO_ANSWER if refused else WRONG_INPUT


def _command_line(error: click.ClickException) -> Diagnostic:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "optdsl"
    message = error.format_message().rstrip(".")
    hint = f"see {path} --help"
    if isinstance(error, click.NoSuchOption):
        message = f"{path} has no option {error.option_name}"
        if error.possibilities:
            hint = f"did you mean {error.possibilities[0]}?"
    elif isinstance(error, click.MissingParameter):
        message = f"{path} needs {_name_of(error.param)}"
    return Diagnostic("command-line", message[:1].lower() + message[1:], hint=hint)


def _name_of(parameter: click.Parameter | None) -> str:
    """`MODEL` for an argument, `--after STAGE` for an option."""
    if parameter is None:
        return "another argument"
    if isinstance(parameter, click.Option):
        return f"{parameter.opts[-1]} {parameter.metavar or ''}".rstrip()
    return parameter.human_readable_name


def _fault(error: Exception, arguments: Sequence[str], as_json: bool) -> int:
    from optdsl.cli.faults import fault_message

    write_error(fault_message(error, arguments, "--debug" in arguments))
    if as_json:
        from optdsl.answer.json_view import errors_json

        summary = f"{type(error).__name__}: {error}"
        write_json(errors_json([Diagnostic("internal-error", summary, hint="this is a mistake in optdsl")]))
    return OWN_FAULT


def main() -> None:
    """Runs the command line that the process was started with."""
    gc.set_threshold(GARBAGE)
    prepare_streams()
    code = run(sys.argv[1:])
    gc.freeze()  # the process ends: its memory is given back as a whole, not searched for garbage
    sys.exit(code)
