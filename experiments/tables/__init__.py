"""Folders of results become tables, with intervals."""
