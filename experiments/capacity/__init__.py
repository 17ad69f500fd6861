"""How much load a system carries within its objectives, and which system carries it at the least cost."""
