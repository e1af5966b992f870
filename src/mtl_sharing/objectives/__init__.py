"""Training objectives: losses, loss weighting, gradient aggregation, regularizers and ties."""
