"""A run's folder: its files, their contents and its state, for all who write or read one."""
