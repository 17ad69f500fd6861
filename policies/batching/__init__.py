"""Batchings: who runs together."""
