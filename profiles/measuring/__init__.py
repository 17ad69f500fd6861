"""Timing forward passes on this machine: models, engines, and passes over a grid of points."""
