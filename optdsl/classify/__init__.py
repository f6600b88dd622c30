"""What kind of problem a model is: `analyze` gives the verdict and, for linear and quadratic models, their arrays."""

from optdsl.classify.analysis import Analysis, analyze

__all__ = ["Analysis", "analyze"]
