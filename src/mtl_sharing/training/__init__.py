"""The training loop: schedule, learner, optimizer, phases, checkpoints and frozen layers."""
