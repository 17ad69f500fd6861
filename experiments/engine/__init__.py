"""The engine against vLLM's scheduler, and how fast it is."""
