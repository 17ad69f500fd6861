"""What the operators of a forward pass cost, by several sources, and how they add up to a pass."""
