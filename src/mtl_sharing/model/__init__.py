"""The multi-task network: an encoder that follows a sharing plan, and a head for each task."""
