"""Variables that an equality defines, put in place of everywhere: the same problem in fewer variables."""

from optdsl.classify.eliminate.reduced import Eliminated, Reduction
from optdsl.classify.eliminate.verdict import analyze_eliminating

__all__ = ["Eliminated", "Reduction", "analyze_eliminating"]
