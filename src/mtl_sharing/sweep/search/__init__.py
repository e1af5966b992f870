"""The search that decides which regime keeps enough, for as few trainings as it can."""
