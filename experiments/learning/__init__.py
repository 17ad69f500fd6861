"""Routers that learn: the simulation as gymnasium's environment, and a double deep Q-network that is trained in it."""
