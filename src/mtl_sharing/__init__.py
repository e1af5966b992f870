"""mtl-sharing: train and compare parameter sharing regimes for multi-task text encoders."""

__version__ = "0.1.0"
