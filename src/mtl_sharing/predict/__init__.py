"""Prediction over files: what ``mtl-predict`` does."""
