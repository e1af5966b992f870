"""How well a search finds the split to share: truth tables, and replays of strategies on them."""
