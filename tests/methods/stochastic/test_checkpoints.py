"""Runs that are killed and resumed: bit for bit those that were never killed."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from optdsl.methods.stochastic import checkpoint
from optdsl.methods.stochastic.checkpoint import CheckpointError
from optdsl.methods.stochastic.estimators import StochasticMethod
from optdsl.methods.stochastic.run import Checkpoints, Hooks, TrainingEnding, TrainingSettings
from optdsl.methods.stochastic.schedules import schedule_of
from optdsl.methods.stochastic.train import train
from optdsl.methods.stochastic.updates import SGD, Adam
from tests.methods.stochastic import killed
from tests.methods.stochastic.sums import least_squares, network

ROOT = Path(__file__).resolve().parents[3]


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("case", ["adam", "saga", "rows"])
def test_a_run_that_is_killed_goes_on_bit_for_bit(case: str, tmp_path: Path) -> None:
    expected = killed.lasting(killed.run(case, None))
    result, clock = tmp_path / "result.npz", random.Random(case)
    command = [sys.executable, "-m", "tests.methods.stochastic.killed", case, str(tmp_path / "state"), str(result)]
    kills, middles = 0, 0
    for _ in range(40):
        process = subprocess.Popen(command, cwd=ROOT)
        try:
            # The first checkpoint says that the process is under way; then it has a little while to live.
            before = head_time(tmp_path / "state")
            while process.poll() is None and head_time(tmp_path / "state") == before:
                time.sleep(0.005)
            process.wait(timeout=clock.uniform(0.0, 0.15) if kills < 3 else 60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            head = json.loads((tmp_path / "state" / checkpoint.HEAD).read_text())
            middles += head["numbers"]["run"]["batch"] > 0
        if result.exists():
            break
    assert kills >= 2
    assert middles >= 1
    with np.load(result) as found:
        same(dict(found), expected)


def head_time(folder: Path) -> int:
    try:
        return (folder / checkpoint.HEAD).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize("case", killed.CASES)
@pytest.mark.parametrize("place", [1, 11, 12, 40])
def test_a_run_that_is_stopped_goes_on_bit_for_bit(case: str, place: int, tmp_path: Path) -> None:
    """Stopped after so many batches, at the middle and at the ends of epochs."""
    method, options, dtype = killed.CASES[case]
    settings = TrainingSettings(
        **{"batch": 11, "epochs": 8, "seed": 5, **options, "rate": schedule_of(options["rate"])}
    )
    count = itertools.count()
    problem = killed.problem_of(case, dtype, slow=False)
    places = Checkpoints(tmp_path, {"model": case}, 1e9)
    hooks = Hooks(monitor=lambda x: problem.objective(x), stop=lambda: next(count) == place, checkpoints=places)
    assert train(problem, method, settings, hooks).ending is TrainingEnding.INTERRUPTED
    resumed = killed.run(case, tmp_path)
    same(killed.lasting(resumed), killed.lasting(killed.run(case, None)))
    assert not any("begins anew" in note for note in resumed.notes)


PLAIN = StochasticMethod("sgd", SGD())
SETTINGS = TrainingSettings(schedule_of("0.1"), batch=20, epochs=3)


def hooks_at(folder: Path, resume: bool = True, epochs: int = 1, **marks: str) -> Hooks:
    return Hooks(checkpoints=Checkpoints(folder, marks or {"model": "a", "data": "b"}, 1e9, epochs, resume))


def test_a_run_that_ended_is_not_run_again(tmp_path: Path) -> None:
    problem = least_squares()
    first = train(problem, PLAIN, SETTINGS, hooks_at(tmp_path))
    assert "begins anew" in first.notes[0]
    estimates = problem.estimates
    again = train(problem, PLAIN, SETTINGS, hooks_at(tmp_path))
    assert problem.estimates == estimates
    same(killed.lasting(again), killed.lasting(first))


def test_a_diverged_run_keeps_its_fault(tmp_path: Path) -> None:
    settings = TrainingSettings(schedule_of("50"), batch=20, epochs=100)
    first = train(least_squares(), PLAIN, settings, hooks_at(tmp_path))
    again = train(least_squares(), PLAIN, settings, hooks_at(tmp_path))
    assert first.ending is again.ending is TrainingEnding.DIVERGED
    assert first.fault == again.fault


def test_without_resume_a_run_begins_anew(tmp_path: Path) -> None:
    problem = least_squares()
    train(problem, PLAIN, SETTINGS, hooks_at(tmp_path))
    estimates = problem.estimates
    train(problem, PLAIN, SETTINGS, hooks_at(tmp_path, resume=False))
    assert problem.estimates == estimates + 30


def test_one_checkpoint_is_kept(tmp_path: Path) -> None:
    train(least_squares(), PLAIN, SETTINGS, hooks_at(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.json", "state-30.npz"]


def test_a_crash_between_the_files_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The arrays of the next checkpoint are there, its head is not: the one before counts."""
    train(least_squares(), PLAIN, TrainingSettings(schedule_of("0.1"), batch=20, epochs=1), hooks_at(tmp_path))
    head = (tmp_path / checkpoint.HEAD).read_bytes()
    real = checkpoint._write

    def crash(path: Path, content: bytes) -> None:
        if path.name == checkpoint.HEAD:
            (tmp_path / (checkpoint.HEAD + ".part")).write_bytes(content[:40])
            raise KeyboardInterrupt
        real(path, content)

    monkeypatch.setattr(checkpoint, "_write", crash)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path, checkpoint.Saved({"x": np.ones(3)}, {}), {}, 99)
    assert (tmp_path / checkpoint.HEAD).read_bytes() == head
    found = checkpoint.load(tmp_path, {"model": "a", "data": "b"})
    assert found is not None
    assert len(found.arrays["x"]) == 5


@pytest.mark.parametrize(
    ("marks", "named"),
    [({"model": "a", "data": "z"}, "with other data"), ({"model": "y", "data": "z"}, "with other model and data")],
)
def test_another_run_is_refused(marks: dict[str, str], named: str, tmp_path: Path) -> None:
    train(least_squares(), PLAIN, SETTINGS, hooks_at(tmp_path))
    with pytest.raises(CheckpointError) as caught:
        train(least_squares(), PLAIN, SETTINGS, hooks_at(tmp_path, **marks))
    assert named in caught.value.message
    assert "--resume" in caught.value.hint


@pytest.mark.parametrize("damage", ["arrays", "gone", "head", "version"])
def test_damaged_files_are_refused(damage: str, tmp_path: Path) -> None:
    train(least_squares(), PLAIN, SETTINGS, hooks_at(tmp_path))
    arrays, head = tmp_path / "state-30.npz", tmp_path / checkpoint.HEAD
    if damage == "arrays":
        content = bytearray(arrays.read_bytes())
        content[len(content) // 2] ^= 1
        arrays.write_bytes(content)
    elif damage == "gone":
        arrays.unlink()
    elif damage == "head":
        head.write_text(head.read_text()[:-30])
    else:
        head.write_text(head.read_text().replace('"optdsl_checkpoint": 1', '"optdsl_checkpoint": 99'))
    with pytest.raises(CheckpointError):
        train(least_squares(), PLAIN, SETTINGS, hooks_at(tmp_path))


def test_a_run_of_another_size_is_refused(tmp_path: Path) -> None:
    train(least_squares(), PLAIN, SETTINGS, hooks_at(tmp_path))
    for problem, method in ((least_squares(n=6), PLAIN), (least_squares(), StochasticMethod("adam", Adam()))):
        with pytest.raises(CheckpointError):
            train(problem, method, SETTINGS, hooks_at(tmp_path))
    with pytest.raises(CheckpointError):
        train(network(), PLAIN, SETTINGS, hooks_at(tmp_path))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("")
    with pytest.raises(CheckpointError) as caught:
        train(least_squares(), PLAIN, SETTINGS, hooks_at(place, resume=False))
    assert "cannot be written" in caught.value.message
