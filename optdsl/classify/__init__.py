"""What kind of problem a model is: `analyze` gives the verdict and, for convex models, their arrays."""

from optdsl.classify.analysis import Analysis
from optdsl.classify.analyst import analyze

__all__ = ["Analysis", "analyze"]
