"""Samplers: the tasks of each training step."""
