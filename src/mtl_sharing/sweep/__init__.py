"""Searching regimes: the sweeper that Hydra calls, its study, its trials and what they leave."""
