"""The words for how a solve ended and what its answer is worth. Each value is the sentence a person reads."""

from __future__ import annotations

import enum


class Word(enum.Enum):
    """An enumeration whose members print as RESULT's words and equal them: `status == "optimal"`."""

    @property
    def word(self) -> str:
        """The word in JSON and on the shell: the member's name in lower case."""
        return self.name.lower()

    @property
    def sentence(self) -> str:
        """What the word means."""
        return str(self.value)

    def __str__(self) -> str:
        return self.word

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.word}>"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.word == other
        return self is other

    def __hash__(self) -> int:
        return hash(self.word)


class Status(Word):
    """How a solve ended."""

    OPTIMAL = "no point that satisfies all constraints has a better objective"
    LOCALLY_OPTIMAL = "no point nearby is better; a better one may exist further away"
    FEASIBLE = "all constraints hold; nothing is said about better points"
    STATIONARY = "first-order conditions hold, but the point may be neither a minimum nor a maximum"
    INFEASIBLE = "no point satisfies all constraints"
    UNBOUNDED = "the objective improves without end"
    ITERATION_LIMIT = "the iteration limit was reached before an answer was found"
    TIME_LIMIT = "the time limit was reached before an answer was found"
    NUMERICAL_ERROR = "numerical difficulties: no answer that passes the checks was found"
    INTERRUPTED = "the run was interrupted; this is the best point so far"

    @property
    def acceptable(self) -> bool:
        """Whether the shell ends with code 0."""
        return self in (Status.OPTIMAL, Status.LOCALLY_OPTIMAL, Status.FEASIBLE)


class Guarantee(Word):
    """What is proved about the answer."""

    GLOBAL = "proved for the whole problem"
    LOCAL = "holds near this point only"
    NONE = "nothing is proved"


class SecondOrder(Word):
    """The outcome of the second-order check at the returned point."""

    SATISFIED = "the curvature along feasible directions is right"
    VIOLATED = "a feasible direction of wrong curvature exists"
    NOT_NEEDED = "the problem is convex: first-order conditions suffice"
    NOT_SMOOTH = "the model is not twice differentiable at the point"
    UNKNOWN = "not checked"
