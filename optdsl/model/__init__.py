"""Syntax tree and data become templates: `build` binds and elaborates, `explain` prints."""

from optdsl.model.build import build

__all__ = ["build"]
