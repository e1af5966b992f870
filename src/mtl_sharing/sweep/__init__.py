"""Sweeps: search spaces, studies, trials, and the files that they leave."""
