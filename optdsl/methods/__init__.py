"""Numerical methods on `optdsl.nlp`: each a file with settings, `start` and `step`; one driver owns the loop."""
