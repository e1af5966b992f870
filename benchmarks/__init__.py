"""Benchmarks: this project beside the loops that people train such models with today."""
