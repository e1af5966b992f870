"""Predictions of a network over a split, and their metrics."""
