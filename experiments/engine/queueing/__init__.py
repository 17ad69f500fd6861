"""Queueing theory, exact: service laws, mean responses under each discipline, and what holds on every path."""
