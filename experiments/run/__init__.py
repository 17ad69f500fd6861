"""A configuration becomes a folder of results."""
