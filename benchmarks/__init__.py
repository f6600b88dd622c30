"""Speed and memory of optdsl beside its peers: `python -m benchmarks`."""
