"""The built-in engine: templates to kernels, sparsity and derivatives; the only bridge from a model to `optdsl.nlp`."""
