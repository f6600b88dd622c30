"""Random linear, mixed-integer and piecewise-linear models: the optima of SciPy and CVXPY for the plain reading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from agreement import model_of, naive_slacks
from hypothesis import HealthCheck, Phase, given, settings
from naive import Naive, Outside
from random_models import texts
from solving import Answer, by_cvxpy, by_optdsl, by_scipy

from optdsl.model.model import Model

QUICK = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
LONG = settings(QUICK, max_examples=1500, derandomize=False)


@dataclass
class Tally:
    """How many models had which status."""

    seen: dict[str, int] = field(default_factory=dict)

    def compare(self, text: str, judge: Callable[[str, Model], Answer]) -> None:
        mine = by_optdsl(text)
        word = "refused" if mine is None else mine.status
        self.seen[word] = self.seen.get(word, 0) + 1
        if mine is None:
            return
        try:
            expected = judge(text, model_of(text))
        except Outside:
            return  # a mistake that nothing asks for, as in `0 * x[9]`
        assert mine.status == expected.status
        if mine.objective is None or expected.objective is None or mine.point is None:
            return
        assert mine.objective == pytest.approx(expected.objective, rel=1e-5, abs=1e-5)
        naive = Naive(text, mine.point)
        assert float(naive.objective()) == pytest.approx(mine.objective, rel=1e-6, abs=1e-6)
        for name, ops, instances in naive.constraints():
            for key, operands in instances.items():
                room = 1e-6 * max(1.0, *(abs(float(o)) for o in operands))
                assert all(slack >= -room for slack in naive_slacks(ops, operands)), (name, key)

    def check_variety(self) -> None:
        assert self.seen["optimal"] > 8 and self.seen["infeasible"] > 3, self.seen
        assert self.seen.get("refused", 0) < 0.4 * sum(self.seen.values()), self.seen


@pytest.mark.parametrize("kind", ["bounded", "integer", "bent"])
def test_optima(kind: str) -> None:
    tally = Tally()

    @QUICK
    @given(texts(kind))
    def each(text: str) -> None:
        tally.compare(text, by_cvxpy if kind == "bent" else by_scipy)

    each()
    tally.check_variety()


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["bounded", "integer", "bent"])
def test_many_optima(kind: str) -> None:
    tally = Tally()

    @LONG
    @given(texts(kind))
    def each(text: str) -> None:
        tally.compare(text, by_cvxpy if kind == "bent" else by_scipy)

    each()
    tally.check_variety()
