"""Syntax tree and data become templates: `build` binds and elaborates, `explain` prints."""

from optdsl.model.build import build
from optdsl.model.explain import explain

__all__ = ["build", "explain"]
