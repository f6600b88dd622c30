"""NumPy's tier of the engine: no kernel is compiled."""

from __future__ import annotations

import os

os.environ["OPTDSL_JIT"] = "0"

from benchmarks.tools.optdsl_engine import derivatives

__all__ = ["derivatives"]
