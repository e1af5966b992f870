"""Functions for Python: what the commands do, with arguments for options."""
