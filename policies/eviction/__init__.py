"""Evictions: what becomes of the KV of a job that will not run now."""
