"""Text before tokenizing: cleaning, lemmas, and part-of-speech and entity tags."""
