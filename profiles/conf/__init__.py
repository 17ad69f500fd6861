"""Hydra configs of the profilers."""
