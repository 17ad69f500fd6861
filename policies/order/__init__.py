"""Orders: who goes first."""
