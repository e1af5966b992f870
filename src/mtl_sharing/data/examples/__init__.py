"""Examples of tasks, read from tables or generated, and held out for selection."""
