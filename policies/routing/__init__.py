"""Routings: on which replica a request is served."""
