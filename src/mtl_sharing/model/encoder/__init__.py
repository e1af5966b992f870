"""One encoder tower: its shape, its layers on packed rows, and its checkpoints."""
