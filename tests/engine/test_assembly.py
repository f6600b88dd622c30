"""Parts of a sparse matrix summed up, against SciPy's sums of triplets."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from optdsl.engine.assembly import FEWEST, Part, assembled


def line(row: int, column: int, down: int, right: int, size: int) -> Part:
    k = np.arange(size)
    return row + k * down, column + k * right


def check(parts: list[Part], shape: tuple[int, int], on_slices: int | None = None) -> None:
    found = assembled(parts, shape)
    raw = np.random.default_rng(0).normal(size=sum(len(rows) for rows, _ in parts))
    rows, columns = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    expected = sp.csr_array(sp.coo_array((raw, (rows, columns)), shape=shape))
    expected.sum_duplicates()
    assert found.pattern.size == expected.nnz
    assert abs(found.pattern.matrix(found.total(raw)) - expected).max() < 1e-12
    if on_slices is not None:
        assert sum(s is not None for s in found.slices) == on_slices


N = FEWEST


def test_bands_are_slices() -> None:
    parts = [line(i + shift, i, 1, 1, N - 2) for shift in (0, 1, 2) for i in (0, 1) if i + shift < 3]
    check(parts, (N + 2, N + 2), len(parts))


def test_entries_on_a_line_join_it() -> None:
    extra = np.array([0, 5, 5, N - 1, 7]), np.array([0, 5, 5, N - 1, 3])
    check([line(0, 0, 1, 1, N), extra, line(10, 10, 1, 1, 70)], (N, N), 2)


def test_lines_that_cross() -> None:
    check([line(0, 0, 1, 1, N), line(N - 1, 0, 0, 1, N), line(0, 0, 2, 1, N // 2), line(0, 0, 1, 2, N // 2)], (N, N))


def test_the_same_line_in_other_steps() -> None:
    check([line(0, 0, 2, 2, N // 2), line(1, 1, 2, 2, N // 2), line(0, 0, 1, 1, N), line(4, 4, 2, 2, 90)], (N, N))


def test_stretches_of_one_line() -> None:
    parts = [line(0, 0, 1, 1, 100), line(100, 100, 1, 1, 50 + N), line(200 + N, 200 + N, 1, 1, 100)]
    check([*parts, line(150 + N, 150 + N, 1, 1, 70)], (N + 400, N + 400))


def test_one_place_many_times() -> None:
    same = np.full(N, 3), np.full(N, 4)
    check([same, line(0, 0, 1, 1, N), line(N - 1, 0, 0, 3, N // 3)], (N, N))


def test_nothing() -> None:
    found = assembled([], (3, 3))
    assert found.pattern.size == 0
    assert len(found.total(np.zeros(0))) == 0


@pytest.mark.parametrize("seed", range(30))
def test_random_parts(seed: int) -> None:
    random = np.random.default_rng(seed)
    size, parts = 400, []
    for _ in range(int(random.integers(1, 25))):
        if random.random() < 0.2:
            count = int(random.integers(0, 300))
            parts.append((random.integers(0, size, count), random.integers(0, size, count)))
            continue
        down, right = int(random.integers(0, 3)), int(random.integers(-2, 3))
        row = int(random.integers(0, 40))
        column = int(random.integers(0, 40)) if right >= 0 else size - 1
        most = min((size - 1 - row) // down if down else size, (size - 1) // abs(right) if right else size)
        most = min(most, (size - 1 - column) // right if right > 0 else most)
        count = int(random.integers(1, most))
        parts.append(line(row, column, down, right, count) if down or right else (np.full(5, row), np.full(5, column)))
    check(parts, (size, size))
