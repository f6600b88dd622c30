"""The examples in docstrings run."""

import doctest

import pytest

import optdsl
import optdsl.api


@pytest.mark.parametrize("module", [optdsl, optdsl.api])
def test_examples_run(module) -> None:
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0
    assert module is not optdsl.api or doctest.testmod(module).attempted > 4
