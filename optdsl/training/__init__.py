"""Training: templates as programs on whole arrays, over batches of the members of one set."""
