"""Loads trained runs, and predicts tables and the tasks' own files."""
