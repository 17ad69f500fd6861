"""Many tokens a pass: what BiLD, SPEED, and draft and verify have in common."""
