"""Small tools without knowledge of tasks or models: files, locks, logging, devices, progress."""
