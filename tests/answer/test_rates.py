"""Rates and other options of training as they are written: in a model, and as texts from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import optdsl
from optdsl.answer.stochastic_methods import choice_of, names, options_of
from optdsl.methods.stochastic import table
from optdsl.methods.stochastic.run import TrainingSettings
from optdsl.methods.stochastic.schedules import Schedule
from tests.cli.shell import optdsl as shell

MODEL = """
set ROW = 1..50
param u[i in ROW] = sin(i * 12.9898)
param y[i in ROW] = 2 * u[i] + 1 + 0.1 * cos(i * 78.233)
var w
var b
let val = mean((w * u[i] + b - y[i])^2 for i in ROW if i <= 10)
minimize loss: mean((w * u[i] + b - y[i])^2 for i in ROW)
"""
OPTIONS = "batch = 8, over = ROW, epochs = 4, seed = 3, monitor = val"


def test_every_spelling_reaches_the_same_schedule() -> None:
    """In the model, and as the text that a command line has."""
    text = MODEL + f"solve using adam(rate = cosine(5e-2, warmup = 4), {OPTIONS})"
    written = optdsl.parse(text).solve()
    given = optdsl.parse(MODEL).solve(
        method="adam",
        options={
            "rate": "cosine(5e-2, warmup=4)",
            "batch": "8",
            "over": "ROW",
            "epochs": "4",
            "seed": "3",
            "monitor": "val",
        },
    )
    np.testing.assert_array_equal(written.trace["loss"], given.trace["loss"])
    last = 0.025 * (1 + np.cos(np.pi * (27 - 4) / (28 - 4)))
    assert written.trace["rate"][-1] == pytest.approx(last)


@pytest.mark.parametrize(
    ("rate", "message", "hint"),
    [
        ("cosin(1e-3)", "there is no schedule `cosin`", "did you mean `cosine`?"),
        ("cosine(1e-3, wamup = 3)", "no argument `wamup`", "did you mean `warmup`?"),
        ("fast", "`fast` is not a rate", "a rate is a positive number"),
        ("-1", "`-1` is not a rate", "a positive number"),
    ],
)
def test_mistakes_in_rates(rate: str, message: str, hint: str) -> None:
    for model, options in (
        (MODEL + f"solve using adam(rate = {rate}, {OPTIONS})", {}),
        (MODEL, {"method": "adam", "options": {"rate": rate}}),
    ):
        with pytest.raises(optdsl.OptionError) as caught:
            optdsl.parse(model).solve(**options)
        assert message in str(caught.value)
        assert hint in str(caught.value)


@pytest.mark.parametrize("name", names())
def test_defaults_of_every_method(name: str) -> None:
    """The defaults that are listed are those of the settings, and every option changes something."""
    choice = choice_of(name, {})
    row = table.row_of(name)
    usual = TrainingSettings()
    for field in ("batch", "epochs", "seed", "clip", "average", "decay", "patience", "tolerance", "penalty", "full"):
        assert getattr(choice.settings, field) == getattr(usual, field)
    assert choice.settings.rate == (Schedule() if row.rate == "auto" else Schedule(rate=row.rate))
    assert choice.method.update == row.factory(**{s.name: s.default for s in row.own})
    for option in options_of(name):
        other = {
            "number": 0.5,
            "count": 7,
            "flag": "true",
            "word": option.words[-1]
            if option.words and option.words[-1] != option.default
            else (option.words or [0])[0],
            "rate": "linear(0.5)",
            "name": "ROW",
        }[option.kind]
        changed = choice_of(name, {option.name: other})
        kept = (changed.method, changed.settings, changed.over, changed.monitor, changed.dtype)
        assert kept != (choice.method, choice.settings, choice.over, choice.monitor, choice.dtype), option.name


def test_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "line.opt").write_text(MODEL)
    done = shell("solve", "line.opt", "--method", "sgd", "--opt", "rate=one_cycle(0.3, peak=0.2)", folder=tmp_path)
    assert done.code == 0, done.err
    assert "sgd with optdsl" in done.out
    wrong = shell("solve", "line.opt", "--method", "sgd", "--opt", "rate=one_cicle(0.3)", folder=tmp_path)
    assert wrong.code == 2
    assert "did you mean `one_cycle`?" in wrong.err
