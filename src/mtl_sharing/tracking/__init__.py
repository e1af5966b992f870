"""Trackers: TensorBoard and MLflow receive the rows of metrics.csv."""
