"""The compiled tier of the engine: every kernel is compiled when it is first evaluated, before the clock starts."""

from __future__ import annotations

import os

os.environ["OPTDSL_JIT"] = "always"

from benchmarks.tools.optdsl_engine import derivatives

__all__ = ["derivatives"]
