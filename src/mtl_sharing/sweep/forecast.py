"""A sweep's dry run: how many trials, how long, how much memory; starts none."""
