"""One measurement in a process of its own: `python -m benchmarks.measure WORK TOOL SIZE [MORE]` prints a JSON line.

Modules are imported and a small model is built before the clock starts: what is timed is the work, not imports
(those are in the whole-process case). `peak_mib` is the process's largest resident memory, imports included.
"""

from __future__ import annotations

import gc
import importlib
import json
import resource
import statistics
import sys
import time
from pathlib import Path
from types import ModuleType

from benchmarks.conic import PROBLEMS
from benchmarks.conic import SMALL as SMALL_CONIC
from benchmarks.instance import Instance, transportation, write_parquet
from benchmarks.nonlinear import SMALL as SMALL_NONLINEAR
from benchmarks.nonlinear import TEN

SMALL = 100


def main(work: str, tool: str, size: int, folder: str | None = None) -> None:
    module = importlib.import_module(f"benchmarks.tools.{tool}")
    works = {
        "build": build,
        "parquet": parquet,
        "resolve": resolve,
        "elaborate": elaborate,
        "classify": classify,
        "conic": conic,
        "nonlinear": nonlinear,
        "derivatives": derivatives,
        "ten": ten,
    }
    answer = works[work](module, size, folder)
    answer["peak_mib"] = peak_mib()
    print(json.dumps(answer))


def peak_mib() -> float:
    """The largest resident memory of this process. (`ru_maxrss` would start from that of the process that forked.)"""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def build(module: ModuleType, size: int, _: str | None) -> dict:
    instance = transportation(size)
    check = solved(module.build(transportation(SMALL)))
    with Clock() as clock:
        highs = module.build(instance)
    must_hold(highs, instance)
    return {**clock.read(), "check": check}


def parquet(module: ModuleType, size: int, folder: str | None) -> dict:
    assert folder is not None
    small = Path(folder) / "small"
    if not small.exists():
        small.mkdir()
        write_parquet(transportation(SMALL), small)
    check = solved(module.build_parquet(small))
    with Clock() as clock:
        highs = module.build_parquet(Path(folder))
    must_hold(highs, transportation(size))
    return {**clock.read(), "check": check}


def resolve(module: ModuleType, size: int, rounds: str | None) -> dict:
    """Seconds per solve after the first: the first one builds the model and finds a first basis."""
    small = transportation(SMALL)
    module.resolve(small, [small.demand])
    instance = transportation(size)
    scenarios = [instance.scenario(k) for k in range(int(rounds or 10) + 1)]
    with Clock() as first:
        module.resolve(instance, scenarios[:1])
    gc.collect()
    with Clock() as clock:
        objectives = module.resolve(instance, scenarios)
    count = len(scenarios) - 1
    return {
        "wall": (clock.wall - first.wall) / count,
        "cpu": (clock.cpu - first.cpu) / count,
        "first": first.wall,
        "check": round(sum(objectives), 3),
    }


def elaborate(module: ModuleType, size: int, _: str | None) -> dict:
    """Best of several within one process: the work takes milliseconds."""
    work = module.elaboration(size)
    work()
    seconds = []
    for _round in range(9):
        with Clock() as clock:
            work()
        seconds.append(clock)
    best = min(seconds, key=lambda c: c.wall)
    return best.read()


def classify(module: ModuleType, size: int, problem: str | None) -> dict:
    module.classification(SMALL, problem)()
    work = module.classification(size, problem)
    with Clock() as clock:
        work()
    return clock.read()


def conic(module: ModuleType, size: int, problem: str | None) -> dict:
    """Two figures: until the solver's arrays are there, and in a second start until the answer is."""
    assert problem is not None
    small = PROBLEMS[problem](SMALL_CONIC[problem])
    module.compiled(problem, small)
    module.solved(problem, small)
    data = PROBLEMS[problem](size)
    gc.collect()
    with Clock() as compiling:
        module.compiled(problem, data)
    gc.collect()
    with Clock() as clock:
        objective = module.solved(problem, data)
    return {"steps": {"compile": compiling.read(), "total": clock.read()}, "check": objective}


def nonlinear(module: ModuleType, size: int, problem: str | None) -> dict:
    """As `conic`, for problems that are not convex; with the iterations of the solve."""
    assert problem is not None
    module.compiled(problem, SMALL_NONLINEAR[problem])
    module.solved(problem, SMALL_NONLINEAR[problem])
    gc.collect()
    with Clock() as compiling:
        module.compiled(problem, size)
    gc.collect()
    with Clock() as clock:
        objective, iterations = module.solved(problem, size)
    steps = {"compile": compiling.read(), "total": clock.read()}
    return {"steps": steps, "check": objective, "iterations": iterations}


def derivatives(module: ModuleType, size: int, problem: str | None) -> dict:
    """The best of several evaluations of each kind, no two at the same point; or what a tool says of its own."""
    assert problem is not None
    steps = {}
    if hasattr(module, "evaluations"):
        found = module.evaluations(problem, size)
        return {"steps": {name: {"wall": seconds, "cpu": seconds} for name, seconds in found.items()}}
    for name, evaluate in module.derivatives(problem, size).items():
        evaluate(1)
        clocks = []
        for k in range(2, 12):
            with Clock() as clock:
                evaluate(k)
            clocks.append(clock)
        steps[name] = min(clocks, key=lambda c: c.cpu).read()
    return {"steps": steps}


def ten(module: ModuleType, _: int, __: str | None) -> dict:
    """Each small problem in a warm process, the best of several; `geometric mean` is that of all, iterations too."""
    steps = {}
    for problem in TEN:
        solve = module.small(problem)
        if abs(solve() - problem.best) > 1e-4 * max(1.0, abs(problem.best)):
            print(f"HS{problem.number}: not the known optimum", file=sys.stderr)
        clocks = []
        for _round in range(5):
            with Clock() as clock:
                solve()
            clocks.append(clock)
        steps[f"HS{problem.number}"] = min(clocks, key=lambda c: c.cpu).read()
    mean = {kind: statistics.geometric_mean(step[kind] for step in steps.values()) for kind in ("wall", "cpu")}
    answer = {"steps": {**steps, "geometric mean": mean}}
    if hasattr(module, "iterations"):
        counts = [max(1, module.iterations(problem)) for problem in TEN]
        answer["iterations"] = round(statistics.geometric_mean(counts), 1)
    return answer


class Clock:
    """Wall and processor seconds of a `with` block."""

    def __enter__(self) -> Clock:
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu

    def read(self) -> dict:
        return {"wall": self.wall, "cpu": self.cpu}


def must_hold(highs, instance: Instance) -> None:
    """HiGHS holds the whole model: every variable, every row, two entries per variable."""
    held = (highs.getNumCol(), highs.getNumRow(), highs.getNumNz())
    expected = (instance.variables, sum(instance.cost.shape), 2 * instance.variables)
    if held != expected:
        raise SystemExit(f"HiGHS holds {held} columns, rows, entries; expected {expected}")


def solved(highs) -> float:
    """The optimum of what HiGHS holds; the runner compares it between tools."""
    highs.run()
    return round(highs.getInfo().objective_function_value, 6)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(arguments[0], arguments[1], int(float(arguments[2])), *arguments[3:4])
