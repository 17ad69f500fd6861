"""Rewards: what an answer is worth, by its task, the model that gave it and how long it took."""
