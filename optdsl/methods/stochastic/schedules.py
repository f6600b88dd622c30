"""Rates over time, as values with a text form: `0.1`, `auto`, `cosine(1e-3, warmup = 100)`.

Steps are counted from 0, epochs too; a run has `steps` in all. A warm-up of w steps multiplies the rate by (t + 1) / w
in step t < w (Goyal and others 2017, section 2.2); below 1 it is a share of all steps. Where the schedule goes on after
a warm-up, its own time begins there.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

AUTO = "auto"


class ScheduleError(ValueError):
    """A rate that is not understood: what is wrong, and how to write it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a run is: its step of so many, and its epoch."""

    step: int
    steps: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a schedule besides its rate: default, least and largest value, one sentence."""

    name: str
    default: float
    what: str
    least: float = 0.0
    most: float = math.inf


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of schedule: `factor` gives the share of the rate at a moment, from the arguments by name."""

    name: str
    what: str
    arguments: tuple[Argument, ...]
    factor: Callable[[Moment, Mapping[str, float]], float]
    source: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """A rate over time. `rate` is the largest rate, None where a range test is to find it (`auto`).

    values: the arguments that were given. str() is the text that `schedule_of` reads back.
    """

    shape: str = "constant"
    rate: float | None = None
    values: tuple[tuple[str, float], ...] = ()

    def at(self, moment: Moment, cuts: int = 0) -> float:
        """The rate of a step. cuts: how often a plateau was met so far."""
        assert self.rate is not None, "a rate that is found by a range test is put in first: with_rate"
        if self.shape == "constant" and not self.values:
            return self.rate
        shape, given = shape_of(self.shape), dict(self.values)
        values = {argument.name: given.get(argument.name, argument.default) for argument in shape.arguments}
        warmup = values.get("warmup", 0.0)
        warm = int(warmup) if warmup >= 1 else int(warmup * moment.steps)
        if shape.name == "plateau":
            return max(self.rate * values["factor"] ** cuts, values["least"])
        if warm and shape.name != "inverse_sqrt":
            if moment.step < warm:
                return self.rate * (moment.step + 1) / warm
            moment = Moment(moment.step - warm, max(moment.steps - warm, 1), moment.epoch)
        return self.rate * shape.factor(moment, values)

    def value(self, name: str) -> float:
        """The value of an argument."""
        given = dict(self.values)
        return next(given.get(a.name, a.default) for a in shape_of(self.shape).arguments if a.name == name)

    def with_rate(self, rate: float) -> Schedule:
        """The same schedule with another largest rate."""
        return replace(self, rate=rate)

    def __str__(self) -> str:
        rate = AUTO if self.rate is None else _text(self.rate)
        if self.shape == "constant" and not self.values:
            return rate
        return f"{self.shape}({', '.join([rate, *(f'{name} = {_text(value)}' for name, value in self.values)])})"


def _text(value: float) -> str:
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _share(moment: Moment) -> float:
    return min(moment.step / moment.steps, 1.0)


def _constant(moment: Moment, values: Mapping[str, float]) -> float:
    return 1.0


def _step(moment: Moment, values: Mapping[str, float]) -> float:
    return values["factor"] ** (moment.epoch // max(int(values["every"]), 1))


def _exponential(moment: Moment, values: Mapping[str, float]) -> float:
    return values["factor"] ** moment.epoch


def _linear(moment: Moment, values: Mapping[str, float]) -> float:
    return 1.0 - (1.0 - values["end"]) * _share(moment)


def _cosine(moment: Moment, values: Mapping[str, float]) -> float:
    return values["end"] + (1.0 - values["end"]) * 0.5 * (1.0 + math.cos(math.pi * _share(moment)))


def _one_cycle(moment: Moment, values: Mapping[str, float]) -> float:
    first, last = 1.0 / values["begin"], 1.0 / (values["begin"] * values["end"])
    peak = values["peak"] * moment.steps
    if moment.step < peak:
        here, there, share = first, 1.0, moment.step / peak
    else:
        here, there, share = 1.0, last, min((moment.step - peak) / max(moment.steps - peak, 1.0), 1.0)
    return there + (here - there) * 0.5 * (1.0 + math.cos(math.pi * share))


def _inverse_sqrt(moment: Moment, values: Mapping[str, float]) -> float:
    warmup = values["warmup"]
    warm = max(warmup if warmup >= 1 else warmup * moment.steps, 1.0)
    time = moment.step + 1
    return min(time / warm, math.sqrt(warm / time))


_WARMUP = Argument("warmup", 0.0, "steps of warm-up; below 1: a share of all steps")

SHAPES: tuple[Shape, ...] = (
    Shape("constant", "the same rate all the time", (_WARMUP,), _constant, "Robbins and Monro 1951"),
    Shape(
        "step",
        "times `factor` after every so many epochs",
        (
            Argument("every", 10, "epochs between two cuts", 1),
            Argument("factor", 0.1, "what each cut multiplies the rate by", 0.0, 1.0),
            _WARMUP,
        ),
        _step,
        "He and others 2016, section 3.4",
    ),
    Shape(
        "exponential",
        "times `factor` after every epoch",
        (Argument("factor", 0.95, "what each epoch multiplies the rate by", 0.0, 1.0), _WARMUP),
        _exponential,
        "Bottou 2012, section 5.2",
    ),
    Shape(
        "linear",
        "in a straight line down to `end` times the rate",
        (Argument("end", 0.0, "share of the rate at the end", 0.0, 1.0), _WARMUP),
        _linear,
        "Goyal and others 2017",
    ),
    Shape(
        "cosine",
        "along half a cosine down to `end` times the rate",
        (Argument("end", 0.0, "share of the rate at the end", 0.0, 1.0), _WARMUP),
        _cosine,
        "Loshchilov and Hutter 2017, eq. 5",
    ),
    Shape(
        "one_cycle",
        "up to the rate and down again, both along half a cosine",
        (
            Argument("peak", 0.3, "share of the steps until the rate is reached", 0.0, 1.0),
            Argument("begin", 25.0, "the first rate is the rate divided by this", 1.0),
            Argument("end", 1e4, "the last rate is the first one divided by this", 1.0),
        ),
        _one_cycle,
        "Smith and Topin 2018",
    ),
    Shape(
        "inverse_sqrt",
        "up during the warm-up, then with the inverse square root of the step",
        (_WARMUP,),
        _inverse_sqrt,
        "Vaswani and others 2017, eq. 3",
    ),
    Shape(
        "plateau",
        "times `factor` whenever the monitored value (else the loss) stops falling",
        (
            Argument("factor", 0.1, "what each cut multiplies the rate by", 0.0, 1.0),
            Argument("patience", 5, "epochs without improvement before a cut", 0),
            Argument("threshold", 1e-4, "smallest relative improvement that counts", 0.0, 1.0),
            Argument("least", 0.0, "the rate never falls below this"),
        ),
        _constant,
        "Bengio 2012, section 3.1.1",
    ),
)


def shape_of(name: str) -> Shape:
    """The row of a kind of schedule. Raises KeyError for a name that is not there."""
    for shape in SHAPES:
        if shape.name == name:
            return shape
    raise KeyError(name)


_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_CALL = re.compile(r"\s*([A-Za-z_]\w*)\s*\((.*)\)\s*", re.DOTALL)
_PART = re.compile(rf"\s*(?:([A-Za-z_]\w*)\s*=\s*)?({_NUMBER}|[A-Za-z_]\w*)\s*")


def schedule_of(value: object) -> Schedule:
    """The schedule that a number, a text or a call stands for (anything whose repr is the text of a call).

    Raises ScheduleError with a hint.
    """
    if isinstance(value, Schedule):
        return value
    text = value if isinstance(value, str) else repr(value)
    call = _CALL.fullmatch(text)
    if call is None:
        word = text.strip()
        if word == AUTO:
            return Schedule()
        if re.fullmatch(_NUMBER, word):
            return Schedule(rate=_rate(word, word))
        near = _near(word, [*(shape.name for shape in SHAPES), AUTO])
        raise ScheduleError(f"`{word}` is not a rate", _did_you_mean(near) or _forms())
    name, inside = call.groups()
    try:
        shape = shape_of(name)
    except KeyError:
        names = [shape.name for shape in SHAPES]
        hint = _did_you_mean(_near(name, names)) or f"the schedules are {', '.join(names)}"
        raise ScheduleError(f"there is no schedule `{name}`", hint) from None
    return _with_arguments(shape, inside)


def _with_arguments(shape: Shape, inside: str) -> Schedule:
    usage = f"write it as {_usage(shape)}"
    rate: float | None = None
    found = False
    values: dict[str, float] = {}
    names = [argument.name for argument in shape.arguments]
    for place, part in enumerate(inside.split(",") if inside.strip() else []):
        match = _PART.fullmatch(part)
        if match is None:
            raise ScheduleError(f"`{part.strip()}` is not an argument of the schedule `{shape.name}`", usage)
        name, word = match.groups()
        if (name is None and place == 0) or name == "rate":
            rate, found = (None if word == AUTO else _rate(word, part)), True
            continue
        if name is None:
            raise ScheduleError(f"`{word}` in the schedule `{shape.name}` needs a name", usage)
        if name not in names:
            near = _did_you_mean(_near(name, names)) or usage
            raise ScheduleError(f"the schedule `{shape.name}` has no argument `{name}`", near)
        if name in values:
            raise ScheduleError(f"`{name}` is given twice to the schedule `{shape.name}`", "keep one of the two")
        values[name] = _number(shape, name, word)
    if not found:
        raise ScheduleError(f"the schedule `{shape.name}` needs a rate first", usage)
    return Schedule(shape.name, rate, tuple(values.items()))


def _number(shape: Shape, name: str, word: str) -> float:
    argument = next(argument for argument in shape.arguments if argument.name == name)
    value = float(word) if re.fullmatch(_NUMBER, word) else math.nan
    if not argument.least <= value <= argument.most:
        upper = f" to {argument.most:g}" if math.isfinite(argument.most) else " on"
        hint = f"`{name}` is a number from {argument.least:g}{upper}: {argument.what}"
        raise ScheduleError(f"`{name} = {word}` does not fit the schedule `{shape.name}`", hint)
    return value


def _rate(word: str, text: str) -> float:
    value = float(word) if re.fullmatch(_NUMBER, word) else math.nan
    if not (value > 0 and math.isfinite(value)):
        raise ScheduleError(f"`{text.strip()}` is not a rate", "a rate is a positive number, or auto")
    return value


def _usage(shape: Shape) -> str:
    return f"{shape.name}({', '.join(['RATE', *(f'{a.name} = {a.default:g}' for a in shape.arguments)])})"


def _forms() -> str:
    return "a rate is a positive number, auto, or a schedule such as cosine(1e-3, warmup = 100)"


def _near(word: str, names: list[str]) -> str | None:
    found = difflib.get_close_matches(word, names, 1)
    return found[0] if found else None


def _did_you_mean(near: str | None) -> str | None:
    return f"did you mean `{near}`?" if near else None
