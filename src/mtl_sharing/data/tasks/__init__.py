"""Descriptions of tasks: their labels, columns and sources of rows."""
