"""What BiLD, SPEED and draft-and-verify share: several tokens a pass."""
