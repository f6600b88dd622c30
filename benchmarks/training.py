"""Training beside its peers: `python -m benchmarks.training [mlp | ratings]`, processor seconds of one epoch.

Each tool runs in a process of its own, on one thread, with the same data and the same batches (members in order). The
peers do what their users would write: PyTorch with its own layers, loss and Adam (fused where it helps), scikit-learn
with MLPClassifier, NumPy by hand. `peak` is the largest resident memory beyond that of the tool's imports.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROWS, PIXELS, UNITS, CLASSES, BATCH = 60_000, 784, 128, 10, 128
RATINGS, USERS, ITEMS, RANK, RATING_BATCH = 1_000_000, 6_000, 4_000, 16, 4_096
EPOCHS = 3

NETWORK = """
set ROW
set PIXEL
set UNIT = 1..128
set CLASS = 0..9
param x[ROW, PIXEL]
param label[ROW] in CLASS
var W1[PIXEL, UNIT] init he
var b1[UNIT] init 0
var W2[UNIT, CLASS] init he
var b2[CLASS] init 0
minimize loss: mean(cross_entropy(relu(x @ W1 + b1) @ W2 + b2, label))
"""
FACTORS = """
set USER
set ITEM
set RATING
set RANK = 1..16
param user[RATING] in USER
param item[RATING] in ITEM
param stars[RATING]
var P[USER, RANK] init normal(0, 0.1)
var Q[ITEM, RANK] init normal(0, 0.1)
minimize loss: mean((stars[r] - sum(P[user[r], k] * Q[item[r], k] for k in RANK))^2 for r in RATING)
"""


def images() -> tuple[np.ndarray, np.ndarray]:
    """Made-up images whose class depends on them."""
    random = np.random.default_rng(0)
    x = random.random((ROWS, PIXELS), dtype=np.float32)
    return x, (x[:, :CLASSES] + x[:, CLASSES : 2 * CLASSES]).argmax(axis=1)


def ratings() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Made-up ratings of low rank with noise."""
    random = np.random.default_rng(0)
    user, item = random.integers(0, USERS, RATINGS), random.integers(0, ITEMS, RATINGS)
    p, q = random.normal(0, 0.5, (USERS, RANK)), random.normal(0, 0.5, (ITEMS, RANK))
    stars = (p[user] * q[item]).sum(axis=1) + random.normal(0, 0.1, RATINGS)
    return user, item, stars.astype(np.float32)


# ------------------------------------------------------------------------------------------------------ optdsl


def _trained(text: str, options: dict, **data: object) -> dict:
    """A whole solve from text to checked answer with diagnosis, its peak, and the epochs alone by processor time."""
    import optdsl
    from optdsl.answer.stochastic_methods import choice_of
    from optdsl.api import as_supplied
    from optdsl.language import parse
    from optdsl.methods.stochastic.run import Hooks
    from optdsl.methods.stochastic.train import train
    from optdsl.model import build
    from optdsl.training.problem import TensorProblem
    from optdsl.training.split import candidates, members_of

    began = time.process_time()
    solution = optdsl.parse(text).solve(method="adam", options={**options, "epochs": EPOCHS}, data=data)
    whole = time.process_time() - began
    peak = _peak()
    del solution
    supplied = as_supplied(data, {}, shared=True)  # as a solve takes them
    model = build(parse(text, "model.opt"), folder=Path("."), supplied=supplied, name="model")
    choice = choice_of("adam", {**options, "epochs": EPOCHS})
    problem = TensorProblem(model, members_of(model, candidates(model)[0]), choice.dtype)
    marks = [time.process_time()]
    epochs = [1]

    def news(line: object) -> None:
        if line.epoch > epochs[-1]:
            epochs.append(line.epoch)
            marks.append(time.process_time())

    assert choice.method is not None
    run = train(problem, choice.method, choice.settings, Hooks(news=news, news_seconds=0.0))
    marks.append(time.process_time())
    return {
        "epoch": statistics.median(np.diff(marks)),
        "whole": whole,
        "loss": float(run.column("loss")[-1]),
        "peak": peak,
    }


def mlp_optdsl() -> dict:
    """The model as text, float32."""
    x, label = images()
    return _trained(
        NETWORK,
        {"batch": BATCH, "rate": 1e-3, "dtype": "float32"},
        ROW=list(range(ROWS)),
        PIXEL=list(range(PIXELS)),
        x=x,
        label=label.astype(float),
    )


def ratings_optdsl() -> dict:
    """The model as text, float32."""
    user, item, stars = ratings()
    return _trained(
        FACTORS,
        {"batch": RATING_BATCH, "rate": 1e-2, "dtype": "float32"},
        USER=list(range(USERS)),
        ITEM=list(range(ITEMS)),
        RATING=list(range(RATINGS)),
        user=user.astype(float),
        item=item.astype(float),
        stars=stars,
    )


# ------------------------------------------------------------------------------------------------------ peers


def _epochs(step: Callable[[int], float]) -> dict:
    seconds, loss = [], 0.0
    for epoch in range(EPOCHS):
        began = time.process_time()
        loss = step(epoch)
        seconds.append(time.process_time() - began)
    return {"epoch": statistics.median(seconds), "loss": loss}


def mlp_torch() -> dict:
    """Linear layers, CrossEntropyLoss, Adam."""
    import torch

    torch.set_num_threads(1)
    x, label = images()
    data, classes = torch.from_numpy(x), torch.from_numpy(label)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(PIXELS, UNITS), torch.nn.ReLU(), torch.nn.Linear(UNITS, CLASSES))
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)
    criterion = torch.nn.CrossEntropyLoss()

    def epoch(number: int) -> float:
        order = torch.randperm(ROWS)
        total = 0.0
        for first in range(0, ROWS, BATCH):
            batch = order[first : first + BATCH]
            adam.zero_grad()
            loss = criterion(net(data[batch]), classes[batch])
            loss.backward()
            adam.step()
            total += loss.item() * len(batch)
        return total / ROWS

    return _epochs(epoch)


def mlp_sklearn() -> dict:
    """MLPClassifier, one epoch at a time."""
    from sklearn.neural_network import MLPClassifier

    x, label = images()
    net = MLPClassifier((UNITS,), batch_size=BATCH, learning_rate_init=1e-3, max_iter=1, alpha=0.0, random_state=0)

    def epoch(number: int) -> float:
        net.partial_fit(x, label, classes=np.arange(CLASSES))
        return float(net.loss_)

    return _epochs(epoch)


def mlp_numpy() -> dict:
    """By hand."""
    x, label = images()
    random = np.random.default_rng(0)
    w1 = (random.normal(size=(PIXELS, UNITS)) * np.sqrt(2 / PIXELS)).astype(np.float32)
    w2 = (random.normal(size=(UNITS, CLASSES)) * np.sqrt(2 / UNITS)).astype(np.float32)
    parameters = [w1, np.zeros(UNITS, np.float32), w2, np.zeros(CLASSES, np.float32)]
    m, v = [np.zeros_like(p) for p in parameters], [np.zeros_like(p) for p in parameters]
    steps = 0

    def epoch(number: int) -> float:
        nonlocal steps
        order = random.permutation(ROWS)
        total = 0.0
        for first in range(0, ROWS, BATCH):
            batch = order[first : first + BATCH]
            a, t = x[batch], label[batch]
            h = np.maximum(a @ parameters[0] + parameters[1], 0)
            z = h @ parameters[2] + parameters[3]
            z -= z.max(axis=1, keepdims=True)
            e = np.exp(z)
            s = e.sum(axis=1, keepdims=True)
            rows = np.arange(len(t))
            total += float((np.log(s[:, 0]) - z[rows, t]).sum())
            d = e / s
            d[rows, t] -= 1
            d /= len(t)
            dh = (d @ parameters[2].T) * (h > 0)
            steps += 1
            rate = 1e-3 * np.sqrt(1 - 0.999**steps) / (1 - 0.9**steps)
            for k, g in enumerate((a.T @ dh, dh.sum(axis=0), h.T @ d, d.sum(axis=0))):
                m[k] += 0.1 * (g - m[k])
                v[k] += 0.001 * (g * g - v[k])
                parameters[k] -= rate * m[k] / (np.sqrt(v[k]) + 1e-8)
        return total / ROWS

    return _epochs(epoch)


def ratings_torch() -> dict:
    """Two embeddings, Adam."""
    import torch

    torch.set_num_threads(1)
    users, items, given = (torch.from_numpy(a) for a in ratings())
    torch.manual_seed(0)
    p, q = torch.nn.Embedding(USERS, RANK), torch.nn.Embedding(ITEMS, RANK)
    torch.nn.init.normal_(p.weight, 0, 0.1)
    torch.nn.init.normal_(q.weight, 0, 0.1)
    adam = torch.optim.Adam([*p.parameters(), *q.parameters()], lr=1e-2)

    def epoch(number: int) -> float:
        order = torch.randperm(RATINGS)
        total = 0.0
        for first in range(0, RATINGS, RATING_BATCH):
            batch = order[first : first + RATING_BATCH]
            adam.zero_grad()
            loss = ((given[batch] - (p(users[batch]) * q(items[batch])).sum(dim=1)) ** 2).mean()
            loss.backward()
            adam.step()
            total += loss.item() * len(batch)
        return total / RATINGS

    return _epochs(epoch)


RUNS: dict[str, Callable[[], dict]] = {
    "mlp optdsl": mlp_optdsl,
    "mlp torch": mlp_torch,
    "mlp sklearn": mlp_sklearn,
    "mlp numpy": mlp_numpy,
    "ratings optdsl": ratings_optdsl,
    "ratings torch": ratings_torch,
}


def _peak() -> float:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def _alone(name: str) -> None:
    if "torch" in name:
        import torch  # noqa: F401
    elif "sklearn" in name:
        import sklearn.neural_network  # noqa: F401
    elif "optdsl" in name:
        import optdsl

        optdsl.parse("set R = 1..3\nvar w\nminimize f: sum((w - i)^2 for i in R)").solve(method="adam")
    before = _peak()
    found = RUNS[name]()
    print(json.dumps({**found, "peak": found.get("peak", _peak()) - before}))


def main(works: list[str]) -> None:
    """Runs the works' tools one after the other and prints a line each."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for name in RUNS:
        if works and name.split()[0] not in works:
            continue
        command = [sys.executable, "-m", "benchmarks.training", "--alone", name]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            print(f"{name:16s} not run: {done.stderr.strip().splitlines()[-1]}")
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        whole = f", from text to answer {found['whole']:.2f} s" if "whole" in found else ""
        print(f"{name:16s} {found['epoch']:.3f} s an epoch, loss {found['loss']:.4f}, {found['peak']:.0f} MiB{whole}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--alone"]:
        _alone(sys.argv[2])
    else:
        main(sys.argv[1:])
