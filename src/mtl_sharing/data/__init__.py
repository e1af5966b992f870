"""Data of the tasks: tables become examples, examples clean text, and text batches of tokens."""
