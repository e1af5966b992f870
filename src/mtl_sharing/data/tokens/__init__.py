"""Token sequences, their tags and cached states, and the batches made of them."""
