"""SPEED: speculative pipelined execution of a decoder that shares its layers (arXiv 2310.12072)."""
