"""Runs the speed table side by side: `python -m benchmarks [CASE ...] [--sizes N,N] [--repeat N] [--only TOOL,TOOL]`.

Every measurement is a process of its own with OMP_NUM_THREADS=1. The tools of a case take turns (A B C A B C ...), so
that a slow spell of the machine meets all of them, and each figure is the median of the turns. Ratios are medians of
the ratios within a turn. Prints Markdown.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.cases import CASES, PROCESSES, RESOLVES, Case
from benchmarks.instance import transportation, write_parquet

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "optdsl",
    "highspy",
    "cvxpy",
    "linopy",
    "pandas",
    "xarray",
    "numpy",
    "scipy",
    "sympy",
    "duckdb",
    "pyarrow",
    "casadi",
    "pyoptinterface",
    "llvmlite",
)


def main() -> None:
    options = arguments()
    print(machine(), flush=True)
    for case in CASES:
        if options.case and case.name not in options.case:
            continue
        tools = tuple(PROCESSES) if case.work == "process" else case.tools
        if options.only:
            tools = tuple(tool for tool in tools if tool in options.only.split(","))
        sizes = tuple(int(float(n)) for n in options.sizes.split(",")) if options.sizes else case.sizes
        repeat = options.repeat or case.repeat
        case = dataclasses.replace(case, tools=tools, sizes=sizes, repeat=repeat)
        kind = " Processor seconds." if options.cpu else ""
        print(f"\n### {case.title}\n\nMedian of {repeat} turns.{kind}\n", flush=True)
        print(report(case, turns(case), "cpu" if options.cpu else "wall"), flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("case", nargs="*", choices=[[], *(case.name for case in CASES)], help="default: every case")
    parser.add_argument("--sizes", help="numbers of variables, as 1e4,1e5")
    parser.add_argument("--repeat", type=int, help="turns")
    parser.add_argument("--only", help="names of tools")
    parser.add_argument("--cpu", action="store_true", help="processor seconds, on a machine that others use too")
    return parser.parse_args()


def turns(case: Case) -> dict[int, dict[str, list[dict]]]:
    """All measurements by size and tool; a tool that fails has none, and its error goes to standard error."""
    results: dict[int, dict[str, list[dict]]] = {}
    for size in case.sizes:
        with tempfile.TemporaryDirectory() as folder:
            if case.work == "parquet":
                write_parquet(transportation(size), Path(folder))
            found: dict[str, list[dict]] = {tool: [] for tool in case.tools}
            failed: set[str] = set()
            for _ in range(case.repeat):
                for tool in case.tools:
                    answer = None if tool in failed else measure(case, tool, size, folder)
                    if answer is None:
                        failed.add(tool)
                    else:
                        found[tool].append(answer)
            results[size] = {tool: answers for tool, answers in found.items() if tool not in failed}
            agree(results[size], size, case.within)
    return results


def measure(case: Case, tool: str, size: int, folder: str) -> dict | None:
    if case.work == "process":
        command = [part.format(python=sys.executable) for part in PROCESSES[tool]]
    else:
        last = {"parquet": [folder], "resolve": [str(RESOLVES)]}.get(case.work, [case.problem] if case.problem else [])
        command = [sys.executable, "-m", "benchmarks.measure", case.work, tool, str(size), *last]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": ""}
    started, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{tool} at {size}: {error}\n{getattr(error, 'stderr', '')[-2000:]}", file=sys.stderr)
        return None
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if case.work == "process":
        return {"wall": wall, "cpu": after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime}
    answer: dict = json.loads(done.stdout.splitlines()[-1])
    return answer


def agree(found: dict[str, list[dict]], size: int, within: float) -> None:
    """Every tool that reports an optimum must report the same one."""
    optima = {tool: answer["check"] for tool, answers in found.items() for answer in answers if "check" in answer}
    if optima and max(optima.values()) - min(optima.values()) > within * abs(max(optima.values())):
        raise SystemExit(f"the tools disagree at size {size}: {optima}")


def report(case: Case, results: dict[int, dict[str, list[dict]]], clock: str) -> str:
    """A Markdown table per case; ratios of every tool to the spellings of optdsl. `clock` is `wall` or `cpu`."""
    lines = [
        "| size | tool | seconds (min .. max) | us per variable | peak MiB | optdsl / this |",
        "|---|---|---|---|---|---|",
    ]
    for size, found in results.items():
        ours = [tool for tool in found if tool.startswith("optdsl")]
        for tool, answers in found.items():
            peaks = [answer["peak_mib"] for answer in answers if "peak_mib" in answer]
            peak = f"{statistics.median(peaks):.0f}" if peaks else ""
            rounds = {answer["iterations"] for answer in answers if "iterations" in answer}
            for step, seconds in steps(answers, clock).items():
                spread = f"{statistics.median(seconds):.4f} ({min(seconds):.4f} .. {max(seconds):.4f})"
                each = f"{statistics.median(seconds) / size * 1e6:.3f}" if case.work in ("build", "parquet") else ""
                others = [steps(found[our], clock)[step] for our in ours if our != tool]
                ratios = " ".join(f"{ratio(other, seconds):.2f}" for other in others)
                what = f"{tool}, {step}" if step else tool
                if rounds and step in ("total", "geometric mean"):
                    what += f" ({max(rounds)} iterations)"
                lines.append(f"| {size:.0e} | {what} | {spread} | {each} | {peak} | {ratios} |".replace("e+0", "e"))
    return "\n".join(lines)


def steps(answers: list[dict], clock: str) -> dict[str, list[float]]:
    """The seconds of each turn, by the parts of the work that were timed apart."""
    if not answers or "steps" not in answers[0]:
        return {"": [answer[clock] for answer in answers]} if answers else {}
    return {step: [answer["steps"][step][clock] for answer in answers] for step in answers[0]["steps"]}


def ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def machine() -> str:
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}; Python {platform.python_version()}, "
        f"{', '.join(versions)}; OMP_NUM_THREADS=1."
    )


if __name__ == "__main__":
    main()
